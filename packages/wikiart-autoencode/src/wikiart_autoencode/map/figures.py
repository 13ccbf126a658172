"""Figures of the map: large styles and clusters, one panel per style, and the styles in each cluster."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wikiart_data.results.figures import ACCENT, INK, NOISE, PALE, SMALL, TINY, WIDTH, canvas, png, styled
from wikiart_data.results.label_placement import nearest_edge, place_labels
from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RASTER_ABOVE = 2000
"""With more points than this, an SVG holds the points of a map as one raster image instead of shapes."""
_COLOURS = tuple(colour_and_marker(name, tuple("abcdefg"))[0] for name in "abcdefg")
"""Seven colours of the styles' palette; its eighth, grey, is for everything else."""
_MAX_ROWS = 60
_MAX_ITERATIONS = 20
_PANEL_COLUMNS = 6
_LEGEND_COLUMNS = 4
_TITLE_LENGTH = 23
"""Characters that fit above a panel."""


@styled
def map_figure(
    points: np.ndarray, labels: np.ndarray, styles: Sequence[str], clusters: np.ndarray | None, title: str
) -> "Figure":
    """The map with the largest styles in colour and, if clusters are given, next to it by cluster.

    `small_multiples` shows every style.

    Args:
        points: (n, 2) float, positions on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
        clusters: (n,) int, -1 for noise; or None.
        title: above the map.
    """
    from matplotlib.lines import Line2D

    counts = np.bincount(labels, minlength=len(styles))
    largest = [int(label) for label in np.argsort(-counts, kind="stable")[: len(_COLOURS)] if counts[label]]
    colours = dict(zip(largest, _COLOURS, strict=False))
    others = len(np.unique(labels)) - len(largest)
    names = {label: f"{display_name(styles[label])} · {counts[label]:,}" for label in largest}
    if others:
        names[-1], colours[-1] = f"{others} other styles · {len(labels) - counts[largest].sum():,}", NOISE
    panels = 1 if clusters is None else 2
    legend_rows = -(-len(names) // _LEGEND_COLUMNS)
    figure, (axes,) = canvas((WIDTH / panels if panels > 1 else 5.6) + 0.45 + 0.14 * legend_rows, columns=panels)
    _scatter(axes[0], points, np.where(np.isin(labels, largest), labels, -1), colours, f"{title}, by style")
    centres: dict[int, np.ndarray] = {}
    if clusters is not None:
        centres = {c: trimmed_centre(points[clusters == c]) for c in np.unique(clusters).tolist() if c >= 0}
        cluster_colours = distinct_colours(centres) | {-1: NOISE}
        noise = float(np.mean(clusters < 0))
        heading = f"by cluster: {len(centres)}" + (f", and {noise:.0%} noise (grey)" if noise else "")
        _scatter(axes[1], points, clusters, cluster_colours, heading)
    marks = [
        Line2D([], [], color=colours[label], marker="o", linestyle="", markersize=4.5, markeredgewidth=0)
        for label in names
    ]
    look = {"loc": "outside lower center", "ncols": _LEGEND_COLUMNS, "handletextpad": 0.1, "columnspacing": 1}
    figure.legend(marks, list(names.values()), **look)
    figure.draw_without_rendering()  # fixes the layout, so that positions in pixels are final
    figure.set_layout_engine("none")
    if clusters is not None and len(centres) <= _MAX_ROWS:  # more numbers would hide the map
        _annotate(axes[1], centres, {c: (str(c), cluster_colours[c]) for c in centres})
    return figure


def distinct_colours(centres: Mapping[int, np.ndarray]) -> dict[int, str]:
    """A colour for each group: there are few colours, so groups that share one are as far apart as possible.

    Args:
        centres: (2,) float of each group; the first ones choose first.
    """
    colours: dict[int, str] = {}
    for group, centre in centres.items():

        def distance(colour: str, centre: np.ndarray = centre) -> float:
            same = [centres[other] for other, own in colours.items() if own == colour]
            return min((float(np.linalg.norm(centre - other)) for other in same), default=np.inf)

        colours[group] = max(_COLOURS, key=distance)
    return colours


@styled
def small_multiples(points: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """One panel per style, the largest first: its pictures in colour, all others in grey, and their number.

    Args:
        points: (n, 2) float, positions on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
    """
    columns = min(_PANEL_COLUMNS, len(styles))
    rows = -(-len(styles) // columns)
    figure, panels = canvas(rows * (WIDTH / columns + 0.19), rows, columns)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03, wspace=0, hspace=0)
    low, high = _limits(points)
    # All panels share the grey points, drawn once as an image: 27 times 15,000 markers would be slow.
    density = np.histogram2d(*points.T, bins=170, range=list(zip(low, high, strict=True)))[0].T
    scale = max(float(np.quantile(density[density > 0], 0.98)), 1.0)
    shade = np.where(density > 0, 0.45 + 0.55 * np.minimum(density / scale, 1), 0)
    edges = (low[0], high[0], low[1], high[1])
    order = np.argsort(-np.bincount(labels, minlength=len(styles)), kind="stable").tolist()
    for axes in panels.flat[len(order) :]:
        axes.axis("off")
    for axes, label in zip(panels.flat, order, strict=False):
        own = points[labels == label]
        axes.imshow(np.full_like(shade, 0.45), cmap="Greys", vmin=0, vmax=1, alpha=shade, origin="lower", extent=edges)
        size = float(np.clip(48 / np.sqrt(len(own) + 1), 0.8, 7))
        axes.scatter(*own.T, s=size, c=ACCENT, linewidths=0, zorder=1, alpha=0.75)
        _frame(axes, low, high, raster=len(points) > RASTER_ABOVE)
        name = display_name(styles[int(label)])
        shown = name if len(name) <= _TITLE_LENGTH else f"{name[: _TITLE_LENGTH - 1]}…"
        axes.set_title(shown, fontsize=TINY, weight="normal", pad=2)
        axes.text(0.97, 0.03, f"{len(own):,}", transform=axes.transAxes, ha="right", va="bottom", fontsize=TINY)
    return figure


@styled
def cluster_style_heatmap(clusters: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """The styles in each cluster: one row per cluster, one column per style, in % of the cluster's pictures.

    The first row is all pictures: a cluster says nothing about style where its row is the same. The others are ordered
    by the most frequent style of a cluster, so that clusters of one style form a staircase. Noise is the last row; of
    more than 60 clusters the largest are drawn.

    Args:
        clusters: (n,) int, -1 for noise.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
    """
    names, members = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(names), len(styles)))
    np.add.at(counts, (members, labels), 1)
    totals = counts.sum(axis=1)
    percent = 100 * counts / totals[:, None]
    largest = np.argsort(-np.where(names < 0, np.inf, totals), kind="stable")[:_MAX_ROWS]
    rows = sorted(largest, key=lambda row: (names[row] < 0, percent[row].argmax(), -percent[row].max()))
    shown = np.vstack([100 * counts.sum(axis=0) / len(labels), percent[rows]])
    titles = [f"all pictures ({len(labels):,})"]
    titles += [f"{f'cluster {names[row]}' if names[row] >= 0 else 'noise'} ({int(totals[row]):,})" for row in rows]
    figure, ((axes,),) = canvas(1.9 + 0.165 * len(titles))
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=shown.max(), aspect="auto")
    axes.axhline(0.5, color="white", linewidth=3)
    axes.set_xticks(range(len(styles)), [display_name(style) for style in styles], rotation=90)
    axes.set_yticks(range(len(titles)), titles)
    axes.tick_params(labelsize=SMALL, length=2)
    selection = "" if len(rows) == len(names) else f", the {len(rows)} largest of {len(names)} clusters"
    axes.set_title(f"Styles in each cluster, %{selection}")
    for i, j in zip(*np.nonzero(shown >= 5), strict=True):
        color = "white" if shown[i, j] > 0.55 * shown.max() else INK
        axes.text(j, i, f"{shown[i, j]:.0f}", ha="center", va="center", color=color, fontsize=TINY)
    return figure


def write_figures(folder: Path, figures: "Mapping[str, Figure]") -> None:
    """Write `<name>.png` and `<name>.svg` of each figure, each atomically.

    Raises:
        InputError: the folder cannot be written or is full.
    """
    import matplotlib

    from wikiart_data.files import not_written, write_bytes  # imports torch

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error
    for name, figure in figures.items():
        content = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": name, "text.parse_math": False}):
            write_bytes(folder / f"{name}.png", png(figure))
            figure.savefig(content, format="svg", metadata={"Date": None})  # no date and fixed ids: reproducible bytes
        write_bytes(folder / f"{name}.svg", content.getvalue())


def _scatter(axes: "Axes", points: np.ndarray, groups: np.ndarray, colours: Mapping[int, str], title: str) -> None:
    """Draw points group by group: −1 first, then large groups before small ones."""
    size = float(np.clip(12_000 / len(points), 1.5, 14))
    for group in dict.fromkeys(groups[small_groups_last(groups)].tolist()):
        axes.scatter(*points[groups == group].T, s=size, c=colours[group], linewidths=0, alpha=0.8, zorder=1)
    _frame(axes, *_limits(points), raster=len(points) > RASTER_ABOVE)
    axes.set_title(title)


def _frame(axes: "Axes", low: np.ndarray, high: np.ndarray, raster: bool) -> None:
    """Square axes with a faint frame and no ticks: the units of a map mean nothing."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="box")
    axes.spines[:].set(visible=True, color=PALE, linewidth=0.6)
    if raster:
        axes.set_rasterization_zorder(1.5)  # all points as one image, text and frame as shapes


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right of a square around all points."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.53 * max(float((high - low).max()), 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _annotate(axes: "Axes", centres: Mapping[int, np.ndarray], names: Mapping[int, tuple[str, str]]) -> None:
    """Write (text, colour) near the centre of each group, with a line to it where the text had to move away."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.8, foreground="white")]
    texts = [
        axes.text(0, 0, name, color=_dark(colour), fontsize=TINY, weight="bold", zorder=4, path_effects=halo)
        for name, colour in names.values()
    ]
    if not texts:
        return
    to_pixels: Callable[[np.ndarray], np.ndarray] = axes.transData.transform
    to_data = axes.transData.inverted().transform
    middles = to_pixels(np.array([centres[group] for group in names]))
    sizes = np.array([text.get_window_extent().size for text in texts])
    corners = place_labels(middles, sizes, np.zeros((0, 2)), tuple(axes.get_window_extent().padded(-2).extents))
    for text, centre, corner, size in zip(texts, middles, corners, sizes, strict=True):
        text.set_verticalalignment("bottom")
        text.set_position(tuple(to_data(corner)))
        end = nearest_edge(centre, corner, size)
        if np.linalg.norm(end - centre) > 9:
            line = to_data(np.array([centre, end]))
            axes.plot(
                *line.T, color=text.get_color(), linewidth=0.6, zorder=3, marker="o", markevery=[0], markersize=1.6
            )


def _dark(colour: str) -> str:
    """The colour, darkened to be legible as text on white."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    return to_hex((0.72 * red, 0.72 * green, 0.72 * blue))


def trimmed_centre(points: np.ndarray) -> np.ndarray:
    """(2,) float: the mean of the half of the points nearest to it.

    The plain mean of a style in two clumps lies between them, where none of its pictures is. Starting at the median,
    "take the nearest half, move to its mean" converges to the denser clump (the C-step of Rousseeuw & Van Driessen
    1999).

    Args:
        points: (n, 2) float, n ≥ 1.
    """
    half = (len(points) + 1) // 2
    centre = np.median(points, axis=0)
    for _ in range(_MAX_ITERATIONS):
        distances = np.linalg.norm(points - centre, axis=1)
        moved = points[np.argpartition(distances, half - 1)[:half]].mean(axis=0)
        if np.array_equal(moved, centre):
            break
        centre = moved
    return centre


def small_groups_last(labels: np.ndarray) -> np.ndarray:
    """(n,) int64: an order to draw points in, large groups first, so that small ones are not covered.

    Args:
        labels: (n,) int, the group of each point; −1 (noise) comes first.
    """
    groups, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    counts[groups < 0] = len(labels) + 1
    return np.argsort(-counts[members], kind="stable")
