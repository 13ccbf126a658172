"""Figures: learning curves, grids of images × styles, the evaluation, similarities of styles."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from wikiart_data.results.figures import ACCENT, INK, PALE, SECOND, TINY, WIDTH, canvas, count_axis, markers, styled
from wikiart_data.results.label_placement import label_points
from wikiart_data.styles import colour_and_marker, display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from wikiart_stylegen.results import EvaluationResult

SIMILARITY_RANGE = 0.5
"""Cosine similarities beyond ± this have the colours of the ends."""
_COLUMNS = 14
"""Styles per row of the grid; further styles go to further rows."""


@styled
def learning_curve(metrics: list[dict[str, Any]], losses: Sequence[str]) -> "Figure":
    """Mean of each loss per epoch, and the PSNR of validation images reconstructed in their own style.

    Args:
        metrics: the lines of metrics.jsonl.
        losses: keys of the losses.
    """
    figure, rows = canvas(3.4, rows=2, columns=-(-(len(losses) + 1) // 2))
    epochs = [line["epoch"] + 1 for line in metrics]
    for axes, key in zip(rows.flat, ("psnr", *losses), strict=False):
        colour, title = (ACCENT, "PSNR, dB (valid)") if key == "psnr" else (INK, f"{key} loss")
        axes.plot(epochs, [line[key] for line in metrics], color=colour, **markers(len(epochs)))
        axes.set(title=title)
        count_axis(axes, epochs)
    for axes in rows.flat[len(losses) + 1 :]:
        axes.axis("off")
    for axes in rows[-1]:
        axes.set_xlabel("epoch")
    return figure


@styled
def style_grid(
    images: Tensor,
    repaints: Tensor,
    labels: Sequence[int],
    styles: Sequence[str],
    captions: Sequence[str] | None = None,
) -> "Figure":
    """Images and their repaints in every style; the inputs and their own styles are framed.

    Args:
        images: (N, 3, S, S) float in [0, 1].
        repaints: (N, C, 3, S, S) float in [0, 1].
        labels: the style of each image; −1 where it is not known.
        styles: names of the C styles.
        captions: a text for every image, written above its row.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    blocks = [range(start, min(start + _COLUMNS, len(styles))) for start in range(0, len(styles), _COLUMNS)]
    columns = 1 + min(_COLUMNS, len(styles))
    number = len(images)
    row_height = WIDTH / columns + (0.2 if captions else 0.0)
    upright = columns > 8  # few styles have room for their names
    height = row_height * number * len(blocks) + (0.75 if upright else 0.25) * len(blocks)
    figure, grid = canvas(height, rows=number * len(blocks), columns=columns)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)  # what `canvas` sets
    layout.set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    for block, block_labels in enumerate(blocks):
        for row in range(number):
            line = grid[block * number + row]
            columns_of_block: list[int | None] = [None, *block_labels]
            for axes, label in zip(line, columns_of_block, strict=False):
                image = images[row] if label is None else repaints[row, label]
                axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="lanczos")
                axes.set(xticks=[], yticks=[])
                framed = label is None or label == labels[row]
                axes.spines[:].set_visible(framed)
                axes.spines[:].set(color=INK if label is None else ACCENT, linewidth=2 if framed else 0)
                title = ""
                if row == 0:
                    title = "input" if label is None else textwrap.fill(display_name(styles[label]), 16)
                if captions and not upright:
                    title += "\n"  # the row's caption stands there
                if title:
                    rotation = 90 if upright else 0
                    axes.set_title(
                        title, rotation=rotation, fontsize=TINY, fontweight="normal", loc="center", pad=2, wrap=False
                    )
            if captions:
                line[0].annotate(
                    captions[row],
                    (0, 1),
                    (0, 2),
                    "axes fraction",
                    "offset points",
                    fontsize=TINY,
                    annotation_clip=False,
                ).set_in_layout(False)
            for axes in line[1 + len(block_labels) :]:
                axes.axis("off")
    return figure


@styled
def evaluation_figure(result: "EvaluationResult") -> "Figure":
    """Judge accuracy of every kind of image with 95 % intervals, and by target style with that on real paintings."""
    figure, ((left, right),) = canvas(3.6, columns=2)
    variants = list(result.variants.values())
    for row, variant in enumerate(variants):
        low, high = variant.top1.interval
        left.barh(row, 100 * variant.top1.value, color=ACCENT if row == 0 else PALE, height=0.7)
        left.plot([100 * low, 100 * high], [row, row], color=INK, linewidth=1)
    left.axvline(100 / result.styles, color=SECOND, linewidth=1, linestyle=":", label="chance")
    left.set_yticks(range(len(variants)), [variant.label for variant in variants])
    left.invert_yaxis()
    left.set(title="Recognised by the judge as the target style", xlabel="%", xlim=(0, 100))
    left.legend(loc="lower right")
    per_style = sorted(result.per_style, key=lambda score: score.repaints.value)
    names = [f"{display_name(score.style)} ({score.repaints.n})" for score in per_style]
    right.barh(range(len(per_style)), [100 * score.repaints.value for score in per_style], color=ACCENT, height=0.7)
    real = [(100 * score.real.value, row) for row, score in enumerate(per_style) if score.real is not None]
    if real:
        right.plot(*zip(*real, strict=True), "|", color=INK, markersize=6, markeredgewidth=1.5, label="real paintings")
        right.legend(loc="lower right")
    right.set_yticks(range(len(per_style)), names, fontsize=TINY)
    right.set(title="… by target style", xlabel="%", xlim=(0, 100))
    return figure


@styled
def strip_figure(images: Sequence["Image.Image"], titles: Sequence[str]) -> "Figure":
    """Images of one size side by side, each with a title."""
    number, (width, height) = len(images), images[0].size
    figure, (line,) = canvas(WIDTH / number * height / width + 0.3, columns=number)
    for axes, image, title in zip(line, images, titles, strict=True):
        axes.imshow(image, interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=TINY, fontweight="normal", loc="center")
    return figure


@styled
def embeddings_figure(similarity: np.ndarray, points: np.ndarray, styles: Sequence[str]) -> "Figure":
    """Pairwise similarities of the learned styles, in the order of a hierarchical clustering, and a 2-D map of them.

    Args:
        similarity: (C, C) cosine similarities of the decoder's parameters under each style.
        points: (C, 2).
        styles: names of the C styles.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    order: list[int] = leaves_list(linkage(similarity, "average")).tolist()
    figure, ((left, right),) = canvas(4.2, columns=2)
    names = [display_name(styles[label]) for label in order]
    # Each style is equal to itself; without the diagonal the colours can span what the others reach.
    others = np.ma.masked_array(similarity[order][:, order], np.eye(len(order), dtype=bool))
    matrix = left.imshow(others, cmap="RdBu_r", vmin=-SIMILARITY_RANGE, vmax=SIMILARITY_RANGE)
    left.set_xticks(range(len(names)), names, rotation=90, fontsize=TINY)
    left.set_yticks(range(len(names)), names, fontsize=TINY)
    left.set_title("Cosine similarity of styles")
    figure.colorbar(matrix, ax=left, shrink=0.6, extend="both")
    names_in_order = tuple(styles)
    looks = [colour_and_marker(style, names_in_order) for style in names_in_order]
    for (x, y), (colour, marker) in zip(points.tolist(), looks, strict=True):
        right.plot(x, y, marker, color=colour, markersize=5, markeredgewidth=0)
    right.set(title="Map of styles (PCA)", xticks=[], yticks=[])
    right.margins(0.08)
    label_points(right, points, [(display_name(style), INK) for style in names_in_order], points, size=TINY)
    return figure
