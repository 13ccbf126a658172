"""One style for every figure: the width of a report column, three type sizes, colours for colour-blind readers too."""

import functools
import inspect
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing = TypeVar("Drawing", bound=Callable[..., Any])

WIDTH = 7.2
"""Inches, the text width of a report; at 150 dots per inch a figure is 1,080 pixels wide."""
TEXT, SMALL, TINY = 8.0, 7.0, 6.0
"""Type sizes in points: text, tick labels, and labels where there are many. At a width of 900 pixels: 14, 12 and 10
pixels."""
INK, GREY, PALE = "#222222", "#7A828E", "#C9CED6"
ACCENT, SECOND, THIRD = "#0072B2", "#D55E00", "#009E73"
"""Colours of series; two in one panel also differ by line style, marker or a label."""
FAINT = "#8DBBDD"
"""For what belongs to a series in ACCENT and should not stand out."""
NOISE = "#B4BAC4"
"""Points that no cluster or style claims."""
LINES = (
    {"color": ACCENT, "linestyle": "-"},
    {"color": SECOND, "linestyle": "--"},
    {"color": GREY, "linestyle": "-."},
)
"""Line styles of the curves in one panel, the most important first."""

_STYLE: Any = {
    "figure.dpi": 150,
    "savefig.dpi": "figure",
    "figure.facecolor": "white",
    "font.size": TEXT,
    "text.parse_math": False,  # a folder may be called $tyle
    "axes.titlesize": TEXT + 1,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
}


def styled(draw: Drawing) -> Drawing:
    """Decorate a function that draws and returns a figure: it uses the toolkit's type sizes and colours.

    The first sentence of the function's docstring becomes the figure's label, which `png` keeps as its caption.
    """
    caption = (inspect.getdoc(draw) or "").partition("\n\n")[0].replace("\n", " ")

    @functools.wraps(draw)
    def draw_styled(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            figure = draw(*args, **kwargs)
            figure.set_label(caption)
            return figure

    return cast(Drawing, draw_styled)


def canvas(height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, np.ndarray]":
    """A figure WIDTH inches wide and `height` inches high, and its axes as an array (rows, columns).

    It is made without pyplot: no window opens, and the figure is freed after its use.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


MAX_MARKERS = 30
"""Curves of at most this many points have a marker at each."""


def markers(number: int) -> dict[str, Any]:
    """Options of `plot` that mark the points of a curve with few; of a single one there would be nothing to see."""
    return {"marker": "o", "markersize": 3} if number <= MAX_MARKERS else {}


def count_axis(axes: "Axes", counts: Sequence[int]) -> None:
    """Let an x-axis of epochs or steps have ticks at whole numbers only, and room around a single one."""
    from matplotlib.ticker import MaxNLocator

    margin = max(0.5, 0.02 * (counts[-1] - counts[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(counts[0] - margin, counts[-1] + margin)


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file, with the figure's label as its `Description`."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Description": str(figure.get_label())})
    return content.getvalue()
