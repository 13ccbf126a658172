"""The map of the codes on paper: by style and by cluster, a small map for each style, and what each cluster holds."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wikiart_autoencode.map_centres import centre, small_last
from wikiart_data.results.figures import INK, NOISE, PALE, SMALL, TINY, WIDTH, canvas, png, styled
from wikiart_data.results.label_placement import nearest_edge, place_labels
from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RASTER_ABOVE = 2000
"""Points: beyond this an SVG holds the points of a map as one picture, not as shapes."""
_MOST_ROWS = 60
_PANEL_COLUMNS = 6
_LEGEND_COLUMNS = 4
_LONGEST = 23
"""Characters that fit above a small map."""


@styled
def map_figure(
    points: np.ndarray, labels: np.ndarray, styles: Sequence[str], clusters: np.ndarray | None, title: str
) -> "Figure":
    """The map coloured by style and, where clusters are given, beside it by cluster.

    Args:
        points: (n, 2) float, places on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
        clusters: (n,) int, -1 for noise; or None.
        title: written over the map.
    """
    from matplotlib.lines import Line2D

    names = {place: display_name(styles[place]) for place in np.unique(labels)}
    looks = {place: colour_and_marker(styles[place], tuple(styles)) for place in names}
    panels = 1 if clusters is None else 2
    legend_rows = -(-len(names) // _LEGEND_COLUMNS)
    figure, (axes,) = canvas((WIDTH / panels if panels > 1 else 5.6) + 0.45 + 0.14 * legend_rows, columns=panels)
    _scatter(axes[0], points, labels, looks, f"{title}, by style")
    if clusters is not None:
        found = [int(cluster) for cluster in np.unique(clusters)]
        kinds = tuple(f"cluster {cluster}" for cluster in found if cluster >= 0)
        cluster_looks = {c: colour_and_marker(f"cluster {c}", kinds) if c >= 0 else (NOISE, "o") for c in found}
        noise = float(np.mean(clusters < 0))
        heading = f"by cluster: {len(kinds)}" + (f", and {noise:.0%} noise (grey)" if noise else "")
        _scatter(axes[1], points, clusters, cluster_looks, heading)
    counts = np.bincount(labels, minlength=len(styles))
    marks = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5, markeredgewidth=0)
        for colour, marker in looks.values()
    ]
    texts = [f"{name} · {counts[place]:,}" for place, name in names.items()]
    figure.legend(marks, texts, loc="outside lower center", ncols=_LEGEND_COLUMNS, handletextpad=0.1, columnspacing=1)
    figure.draw_without_rendering()  # fixes the layout, so that places in pixels mean something
    figure.set_layout_engine("none")
    _name(axes[0], points, labels, {place: (name, looks[place][0]) for place, name in names.items()})
    if clusters is not None:
        numbers = {c: (str(c), cluster_looks[c][0]) for c in found if c >= 0}
        if len(numbers) <= _MOST_ROWS:  # beyond that they would hide the map
            _name(axes[1], points, clusters, numbers)
    return figure


@styled
def small_multiples(points: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """A small map for each style: its pictures in colour, all others in grey, and how many it has.

    Args:
        points: (n, 2) float, places on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
    """
    columns = min(_PANEL_COLUMNS, len(styles))
    rows = -(-len(styles) // columns)
    figure, panels = canvas(rows * (WIDTH / columns + 0.19), rows, columns)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0, hspace=0)
    low, high = _limits(points)
    # All panels share the grey, so it is drawn once, as a picture: 27 times 15,000 markers would take a while.
    ground = np.histogram2d(*points.T, bins=170, range=list(zip(low, high, strict=True)))[0].T
    shade = np.where(ground > 0, 0.45 + 0.55 * np.minimum(ground / max(np.quantile(ground[ground > 0], 0.98), 1), 1), 0)
    edges = (low[0], high[0], low[1], high[1])
    for place, axes in enumerate(panels.flat):
        if place >= len(styles):
            axes.axis("off")
            continue
        own = points[labels == place]
        colour, marker = colour_and_marker(styles[place], tuple(styles))
        axes.imshow(np.full_like(shade, 0.45), cmap="Greys", vmin=0, vmax=1, alpha=shade, origin="lower", extent=edges)
        size = float(np.clip(64 / np.sqrt(len(own) + 1), 1.0, 8))
        axes.scatter(*own.T, s=size, c=colour, marker=marker, linewidths=0, zorder=1, alpha=0.9)
        _bare(axes, low, high, raster=len(points) > RASTER_ABOVE)
        name = display_name(styles[place])
        shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        axes.set_title(shown, fontsize=TINY, weight="normal", pad=2)
        axes.text(0.97, 0.03, f"{len(own):,}", transform=axes.transAxes, ha="right", va="bottom", fontsize=TINY)
    return figure


@styled
def cluster_style_heatmap(clusters: np.ndarray, labels: np.ndarray, styles: Sequence[str]) -> "Figure":
    """What each cluster holds: a row a cluster, a column a style, in % of the cluster's pictures.

    Rows follow the style that a cluster holds most of, so that clusters that know a style make a staircase. Noise is
    the last row; of more than 60 clusters the largest are drawn.

    Args:
        clusters: (n,) int, -1 for noise.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
    """
    found, members = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(found), len(styles)))
    np.add.at(counts, (members, labels), 1)
    totals = counts.sum(axis=1)
    shares = 100 * counts / totals[:, None]
    largest = np.argsort(-np.where(found < 0, np.inf, totals), kind="stable")[:_MOST_ROWS]
    rows = sorted(largest, key=lambda row: (found[row] < 0, shares[row].argmax(), -shares[row].max()))
    names = [f"cluster {found[row]}" if found[row] >= 0 else "noise" for row in rows]
    figure, ((axes,),) = canvas(1.9 + 0.165 * len(rows))
    axes.imshow(shares[rows], cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(styles)), [display_name(style) for style in styles], rotation=90)
    axes.set_yticks(range(len(rows)), [f"{name} ({int(totals[row]):,})" for name, row in zip(names, rows, strict=True)])
    axes.tick_params(labelsize=SMALL, length=2)
    axes.set(ylabel="cluster (pictures)")
    left_out = "" if len(rows) == len(found) else f", the {len(rows)} largest of {len(found)}"
    axes.set_title(f"Of 100 pictures of a cluster, how many are of which style{left_out}")
    for i, j in zip(*np.nonzero(shares[rows] >= 5), strict=True):
        share = shares[rows[i], j]
        axes.text(j, i, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else INK, fontsize=TINY)
    return figure


def write_figures(folder: Path, figures: "Mapping[str, Figure]") -> None:
    """Write `<name>.png` and `<name>.svg` of each figure; a kill leaves an old file or a new one, never a part.

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
            figure.savefig(content, format="svg", metadata={"Date": None})  # no date, and the same ids: the same bytes
        write_bytes(folder / f"{name}.svg", content.getvalue())


def _scatter(
    axes: "Axes", points: np.ndarray, groups: np.ndarray, looks: Mapping[int, tuple[str, str]], title: str
) -> None:
    """Draw points group by group, large groups first."""
    size = float(np.clip(15_000 / len(points), 1.8, 14))
    order = small_last(groups)
    for group in dict.fromkeys(groups[order].tolist()):
        colour, marker = looks[group]
        own = points[groups == group]
        # A style of 18 pictures would not be found among 13,000 others at their size.
        grown = size * (1 + 1.5 * float(np.exp(-len(own) / 60))) if group >= 0 else size
        axes.scatter(*own.T, s=grown, c=colour, marker=marker, linewidths=0, alpha=0.8, zorder=1)
    _bare(axes, *_limits(points), raster=len(points) > RASTER_ABOVE)
    axes.set_title(title)


def _bare(axes: "Axes", low: np.ndarray, high: np.ndarray, raster: bool) -> None:
    """Axes of a map: a faint frame without numbers (they mean nothing), as far up as to the right."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="box")
    axes.spines[:].set(visible=True, color=PALE, linewidth=0.6)
    if raster:
        axes.set_rasterization_zorder(1.5)  # all points as one picture, text and frame as shapes


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right of a square around all points."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.53 * max(float((high - low).max()), 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _name(axes: "Axes", points: np.ndarray, groups: np.ndarray, names: Mapping[int, tuple[str, str]]) -> None:
    """Write (text, colour) near the middle of each group, with a line to it where the text had to move away."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.8, foreground="white")]
    texts = [
        axes.text(0, 0, name, color=_dark(colour), fontsize=TINY, weight="bold", zorder=4, path_effects=halo)
        for name, colour in names.values()
    ]
    middles = np.array([centre(points[groups == group]) for group in names])
    show: Callable[[np.ndarray], np.ndarray] = axes.transData.transform
    back = axes.transData.inverted().transform
    sizes = np.array([text.get_window_extent().size for text in texts])
    corners = place_labels(show(middles), sizes, np.zeros((0, 2)), tuple(axes.get_window_extent().padded(-2).extents))
    for text, middle, corner, size in zip(texts, show(middles), corners, sizes, strict=True):
        text.set_verticalalignment("bottom")
        text.set_position(back(corner))
        end = nearest_edge(middle, corner, size)
        if np.linalg.norm(end - middle) > 9:
            line = back(np.array([middle, end]))
            axes.plot(
                *line.T, color=text.get_color(), linewidth=0.6, zorder=3, marker="o", markevery=[0], markersize=1.6
            )


def _dark(colour: str) -> str:
    """The colour darkened until it reads as text on white."""
    from matplotlib.colors import to_hex, to_rgb

    return to_hex(np.array(to_rgb(colour)) * 0.72)
