"""Pictures of a style autoencoder: learning curves, and the grid of pictures × styles."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from wikiart_data.results.figures import ACCENT, INK, PALE, SECOND, TINY, WIDTH, canvas, styled
from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_COLUMNS = 14
"""Styles in a row of the grid; more are laid in further rows."""


@styled
def learning_curve(metrics: list[dict[str, Any]], terms: Sequence[str]) -> "Figure":
    """Each loss, an epoch at a time, and the PSNR of pictures rebuilt in their own style."""
    figure, rows = canvas(3.4, rows=2, columns=-(-(len(terms) + 1) // 2))
    epochs = [line["epoch"] + 1 for line in metrics]
    for axes, key in zip(rows.flat, ("psnr", *terms), strict=False):
        colour, title = (ACCENT, "rebuilt, dB (valid)") if key == "psnr" else (INK, key)
        axes.plot(epochs, [line[key] for line in metrics], color=colour)
        axes.set(title=title)
    for axes in rows.flat[len(terms) + 1 :]:
        axes.axis("off")
    for axes in rows[-1]:
        axes.set_xlabel("epoch")
    return figure


@styled
def style_grid(images: Tensor, painted: Tensor, labels: Sequence[int], styles: Sequence[str]) -> "Figure":
    """Each picture and what becomes of it in every style; the true style is framed.

    Args:
        images: (N, 3, S, S) float in 0..1.
        painted: (N, C, 3, S, S) float in 0..1.
        labels: the true style of each picture.
        styles: C names.
    """
    blocks = [range(start, min(start + _COLUMNS, len(styles))) for start in range(0, len(styles), _COLUMNS)]
    columns = 1 + min(_COLUMNS, len(styles))
    number = len(images)
    side = WIDTH / columns
    figure, grid = canvas(side * number * len(blocks) + 0.75 * len(blocks), rows=number * len(blocks), columns=columns)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    for block, places in enumerate(blocks):
        for row in range(number):
            line = grid[block * number + row]
            for axes, place in zip(line, [None, *places], strict=False):
                picture = images[row] if place is None else painted[row, place]
                axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="lanczos")
                axes.set(xticks=[], yticks=[])
                framed = place is None or place == labels[row]
                axes.spines[:].set_visible(framed)
                axes.spines[:].set(color=INK if place is None else ACCENT, linewidth=2 if framed else 0)
                if row == 0:
                    name = "input" if place is None else textwrap.fill(display_name(styles[place]), 16)
                    axes.set_title(name, rotation=90, fontsize=TINY, fontweight="normal", loc="center", pad=2)
            for axes in line[1 + len(places) :]:
                axes.axis("off")
    return figure


@styled
def proof_figure(result: dict[str, Any]) -> "Figure":
    """Judge hits of every variant with intervals, hits by style, and what of the content is kept.

    Args:
        result: of `wikiart-stylegen evaluate`.
    """
    figure, ((left, right),) = canvas(3.6, columns=2)
    rows = list(result["rows"].values())
    for place, row in enumerate(rows):
        value, (low, high) = row["top1"]["value"], row["top1"]["interval"]
        left.barh(place, 100 * value, color=ACCENT if place == 0 else PALE, height=0.7)
        left.plot([100 * low, 100 * high], [place, place], color=INK, linewidth=1)
    left.axvline(100 * result["chance"]["top1"], color=SECOND, linewidth=1, linestyle=":", label="chance")
    left.set_yticks(range(len(rows)), [row["label"] for row in rows])
    left.invert_yaxis()
    left.set(title="Named by the judge as the wanted style", xlabel="%", xlim=(0, 100))
    left.legend(loc="lower right")
    per_style = sorted(result["per_style"], key=lambda row: row["value"])
    places = range(len(per_style))
    right.barh(places, [100 * row["value"] for row in per_style], color=ACCENT, height=0.7)
    right.set_yticks(places, [f"{display_name(row['style'])} ({row['n']})" for row in per_style], fontsize=TINY)
    right.set(title="… by style", xlabel="%", xlim=(0, 100))
    return figure


@styled
def strip_figure(pictures: Tensor, names: Sequence[str]) -> "Figure":
    """Pictures side by side, each named: (N, 3, H, W) float in 0..1."""
    number, _, height, width = pictures.shape
    figure, (line,) = canvas(WIDTH / number * height / width + 0.3, columns=number)
    for axes, picture, name in zip(line, pictures, names, strict=True):
        axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(name, fontsize=TINY, fontweight="normal", loc="center")
    return figure


@styled
def embeddings_figure(similarity: "np.ndarray", points: "np.ndarray", styles: Sequence[str]) -> "Figure":
    """Cosine similarity of what styles tell the decoder, ordered so that likes stand together, and their 2-D map.

    Args:
        similarity: (C, C) in −1..1.
        points: (C, 2).
        styles: C names.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    order = leaves_list(linkage(similarity, "average")).tolist()
    figure, ((left, right),) = canvas(4.2, columns=2)
    names = [display_name(styles[place]) for place in order]
    shown = left.imshow(similarity[order][:, order], cmap="RdBu_r", vmin=-1, vmax=1)
    left.set_xticks(range(len(names)), names, rotation=90, fontsize=TINY)
    left.set_yticks(range(len(names)), names, fontsize=TINY)
    left.set_title("Cosine similarity of styles")
    figure.colorbar(shown, ax=left, shrink=0.6)
    for place, (x, y) in enumerate(points):
        colour, marker = colour_and_marker(styles[place], tuple(styles))
        right.plot(x, y, marker, color=colour, markersize=5, markeredgewidth=0)
        right.annotate(display_name(styles[place]), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=TINY)
    right.set(title="The same, by PCA", xticks=[], yticks=[])
    return figure
