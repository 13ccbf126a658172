"""Figures of the map: by style and by cluster, one panel per style, and the styles in each cluster."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wikiart_data.results.figures import INK, NOISE, PALE, SMALL, TINY, WIDTH, canvas, png, styled
from wikiart_data.results.label_placement import nearest_edge, place_labels
from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RASTER_ABOVE = 2000
"""With more points than this, an SVG holds the points of a map as one raster image instead of shapes."""
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
    """The map coloured by style and, if clusters are given, next to it by cluster.

    Args:
        points: (n, 2) float, positions on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
        clusters: (n,) int, -1 for noise; or None.
        title: above the map.
    """
    from matplotlib.lines import Line2D

    names: dict[int, str] = {int(label): display_name(styles[int(label)]) for label in np.unique(labels)}
    looks = {label: colour_and_marker(styles[label], tuple(styles)) for label in names}
    panels = 1 if clusters is None else 2
    legend_rows = -(-len(names) // _LEGEND_COLUMNS)
    figure, (axes,) = canvas((WIDTH / panels if panels > 1 else 5.6) + 0.45 + 0.14 * legend_rows, columns=panels)
    _scatter(axes[0], points, labels, looks, f"{title}, by style")
    if clusters is not None:
        groups = np.unique(clusters).tolist()
        kinds = tuple(f"cluster {cluster}" for cluster in groups if cluster >= 0)
        cluster_looks = {c: colour_and_marker(f"cluster {c}", kinds) if c >= 0 else (NOISE, "o") for c in groups}
        noise = float(np.mean(clusters < 0))
        heading = f"by cluster: {len(kinds)}" + (f", and {noise:.0%} noise (grey)" if noise else "")
        _scatter(axes[1], points, clusters, cluster_looks, heading)
    counts = np.bincount(labels, minlength=len(styles))
    marks = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5, markeredgewidth=0)
        for colour, marker in looks.values()
    ]
    texts = [f"{name} · {counts[label]:,}" for label, name in names.items()]
    figure.legend(marks, texts, loc="outside lower center", ncols=_LEGEND_COLUMNS, handletextpad=0.1, columnspacing=1)
    figure.draw_without_rendering()  # fixes the layout, so that positions in pixels are final
    figure.set_layout_engine("none")
    _annotate(axes[0], points, labels, {label: (name, looks[label][0]) for label, name in names.items()})
    if clusters is not None:
        numbers = {c: (str(c), cluster_looks[c][0]) for c in groups if c >= 0}
        if len(numbers) <= _MAX_ROWS:  # more would hide the map
            _annotate(axes[1], points, clusters, numbers)
    return figure


@styled
def small_multiples(points: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """One panel per style: its pictures in colour, all others in grey, and their number.

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
    for label, axes in enumerate(panels.flat):
        if label >= len(styles):
            axes.axis("off")
            continue
        own = points[labels == label]
        colour, marker = colour_and_marker(styles[label], tuple(styles))
        axes.imshow(np.full_like(shade, 0.45), cmap="Greys", vmin=0, vmax=1, alpha=shade, origin="lower", extent=edges)
        size = float(np.clip(64 / np.sqrt(len(own) + 1), 1.0, 8))
        axes.scatter(*own.T, s=size, c=colour, marker=marker, linewidths=0, zorder=1, alpha=0.9)
        _frame(axes, low, high, raster=len(points) > RASTER_ABOVE)
        name = display_name(styles[label])
        shown = name if len(name) <= _TITLE_LENGTH else f"{name[: _TITLE_LENGTH - 1]}…"
        axes.set_title(shown, fontsize=TINY, weight="normal", pad=2)
        axes.text(0.97, 0.03, f"{len(own):,}", transform=axes.transAxes, ha="right", va="bottom", fontsize=TINY)
    return figure


@styled
def cluster_style_heatmap(clusters: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """The styles in each cluster: one row per cluster, one column per style, in % of the cluster's pictures.

    Rows are ordered by the most frequent style of a cluster, so that clusters of one style form a staircase. Noise is
    the last row; of more than 60 clusters the largest are drawn.

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
    titles = [f"cluster {names[row]}" if names[row] >= 0 else "noise" for row in rows]
    figure, ((axes,),) = canvas(1.9 + 0.165 * len(rows))
    axes.imshow(percent[rows], cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(styles)), [display_name(style) for style in styles], rotation=90)
    axes.set_yticks(
        range(len(rows)), [f"{title} ({int(totals[row]):,})" for title, row in zip(titles, rows, strict=True)]
    )
    axes.tick_params(labelsize=SMALL, length=2)
    axes.set(ylabel="cluster (pictures)")
    selection = "" if len(rows) == len(names) else f", the {len(rows)} largest of {len(names)} clusters"
    axes.set_title(f"Styles in each cluster, %{selection}")
    for i, j in zip(*np.nonzero(percent[rows] >= 5), strict=True):
        value = percent[rows[i], j]
        axes.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value > 55 else INK, fontsize=TINY)
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


def _scatter(
    axes: "Axes", points: np.ndarray, groups: np.ndarray, looks: Mapping[int, tuple[str, str]], title: str
) -> None:
    """Draw points group by group, large groups first."""
    size = float(np.clip(15_000 / len(points), 1.8, 14))
    order = small_groups_last(groups)
    for group in dict.fromkeys(groups[order].tolist()):
        colour, marker = looks[group]
        own = points[groups == group]
        # Larger markers for small groups: a style of 18 pictures would be invisible among 13,000 others.
        marker_size = size * (1 + 1.5 * float(np.exp(-len(own) / 60))) if group >= 0 else size
        axes.scatter(*own.T, s=marker_size, c=colour, marker=marker, linewidths=0, alpha=0.8, zorder=1)
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


def _annotate(axes: "Axes", points: np.ndarray, groups: np.ndarray, names: Mapping[int, tuple[str, str]]) -> None:
    """Write (text, colour) near the centre of each group, with a line to it where the text had to move away."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.8, foreground="white")]
    texts = [
        axes.text(0, 0, name, color=_dark(colour), fontsize=TINY, weight="bold", zorder=4, path_effects=halo)
        for name, colour in names.values()
    ]
    centres = np.array([trimmed_centre(points[groups == group]) for group in names])
    to_pixels: Callable[[np.ndarray], np.ndarray] = axes.transData.transform
    to_data = axes.transData.inverted().transform
    sizes = np.array([text.get_window_extent().size for text in texts])
    corners = place_labels(
        to_pixels(centres), sizes, np.zeros((0, 2)), tuple(axes.get_window_extent().padded(-2).extents)
    )
    for text, centre, corner, size in zip(texts, to_pixels(centres), corners, sizes, strict=True):
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
