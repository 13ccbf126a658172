"""One look for every figure: width of a report column, one type size, colours that colour-blind readers tell apart."""

import functools
import inspect
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing = TypeVar("Drawing", bound=Callable[..., Any])

WIDTH = 7.2
"""Inches, the text width of a report; at 150 dots an inch a figure is 1,080 pixels wide."""
TEXT, SMALL, TINY = 8.0, 7.0, 6.0
"""Points: of text, of numbers at axes, and of names where there are many; at 900 pixels wide 14, 12 and 10 pixels."""
INK, GREY, PALE = "#222222", "#7A828E", "#C9CED6"
ACCENT, SECOND, THIRD = "#0072B2", "#D55E00", "#009E73"
"""Colours of series; where two stand in one panel they also differ by line, marker or a name beside them."""
FAINT = "#8DBBDD"
"""What belongs to something in ACCENT and shall not stand out."""
NOISE = "#B4BAC4"
"""Points that belong to nothing."""
LINES = (
    {"color": ACCENT, "linestyle": "-"},
    {"color": SECOND, "linestyle": "--"},
    {"color": GREY, "linestyle": "-."},
)
"""Curves in one panel, the one that matters first."""

_STYLE = {
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
    """Decorate a function that draws a figure: all it sets has the toolkit's type sizes and colours.

    The first sentence of its docstring says what the figure shows, and goes with it (`png`).
    """
    about = (inspect.getdoc(draw) or "").partition("\n\n")[0].replace("\n", " ")

    @functools.wraps(draw)
    def drawn(*args: Any, **more: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            figure = draw(*args, **more)
            figure.set_label(about)
            return figure

    return cast(Drawing, drawn)


def canvas(height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, np.ndarray]":
    """A figure of report width and `height` inches, and its (rows, columns) axes.

    It is made without pyplot: no window opens and no figure outlives its use.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def png(figure: "Figure") -> bytes:
    """A figure as a PNG file, which carries what it shows as its description."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Description": str(figure.get_label())})
    return content.getvalue()


def bars_by_style(axes: "Axes", styles: Sequence[str], values: np.ndarray, label: str) -> None:
    """Horizontal bars, the first style on top, each in its own colour."""
    places = np.arange(len(styles))
    axes.barh(places, values, color=[colour_and_marker(style, tuple(styles))[0] for style in styles], height=0.72)
    axes.set_yticks(places, [display_name(style) for style in styles])
    axes.set_ylim(len(styles) - 0.4, -0.6)
    axes.set_xlabel(label)
