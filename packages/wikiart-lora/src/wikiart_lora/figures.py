"""Figures of a LoRA run: learning curves, grids of images, the evaluation."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wikiart_data.results.figures import ACCENT, INK, LINES, PALE, SECOND, TINY, WIDTH, canvas, count_axis, styled
from wikiart_data.styles import display_name
from wikiart_lora.score import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def learning_curve(metrics: list[dict[str, Any]]) -> "Figure":
    """Training loss, which varies with the timesteps drawn, and validation loss, which does not."""
    figure, ((left, right),) = canvas(2.4, columns=2)
    steps = [line["step"] for line in metrics]
    left.plot(steps, [line["loss"] for line in metrics], color=INK, marker=".")
    left.set(title="Training loss", xlabel="step")
    right.plot(steps, [line["valid"] for line in metrics], marker=".", label="with the style", **LINES[0])
    right.set(title="Validation loss", xlabel="step")
    swapped = {line["step"]: line["valid_swapped"] for line in metrics if "valid_swapped" in line}
    if swapped:  # without, captions name no style, or there is only one
        right.plot([*swapped], [*swapped.values()], marker=".", label="with another style", **LINES[1])
        right.set(title="Validation loss by caption")
        right.legend()
    for axes in (left, right):
        count_axis(axes, steps)
    return figure


@styled
def image_grid(images: Tensor, rows: Sequence[str], columns: Sequence[str]) -> "Figure":
    """A grid of images with labelled rows and columns.

    Args:
        images: (R, C, 3, H, W) float in [0, 1].
        rows: R labels.
        columns: C labels.
    """
    high, wide = len(rows), len(columns)
    label = 1.1
    side = min(1.4, (WIDTH - label) / wide)
    height, width = images.shape[-2:]
    figure, grid = canvas(high * side * height / width + 0.4, rows=high, columns=wide)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            axes.imshow(images[row, column].permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(columns[column], fontsize=TINY, fontweight="normal", loc="center")
        line[0].set_ylabel(rows[row], rotation=0, ha="right", va="center", fontsize=TINY)
    return figure


PAIR_COLUMNS = 6
"""Styles per row in a figure of pairs."""


@styled
def pairs_figure(before: Tensor, after: Tensor, names: Sequence[str]) -> "Figure":
    """Two images per style, the base's on the left, in a figure that fits a page; the first row has column heads.

    Args:
        before: (N, 3, H, W) float in [0, 1], by the base.
        after: (N, 3, H, W), with the adapter, at the same prompts and seeds.
        names: N.
    """
    columns = min(PAIR_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    aspect = before.shape[-2] / before.shape[-1] / 2
    figure, grid = canvas(rows * (WIDTH / columns * aspect + 0.16) + 0.25, rows=rows, columns=columns)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.01, wspace=0.0, hspace=0.0)
    for axes in grid.flat:
        axes.set_axis_off()
    height, width = before.shape[-2:]
    gap = torch.ones(3, height, max(1, width // 32))
    for index, (axes, left, right, name) in enumerate(zip(grid.flat, before, after, names, strict=False)):
        axes.imshow(torch.cat([left, gap, right], dim=2).permute(1, 2, 0).numpy(), interpolation="nearest")
        is_first_row = index < columns
        title = f"\n{name}" if is_first_row else name
        axes.set_title(title, fontsize=TINY, fontweight="normal", loc="center", pad=2)
        for place, head in ((0.25, "base"), (0.75, "adapted")) if is_first_row else ():
            where: Any = {"textcoords": "offset points", "ha": "center", "annotation_clip": False}
            axes.annotate(
                head, (place, 1), (0, 11), "axes fraction", fontsize=TINY, fontweight="bold", **where
            ).set_in_layout(False)
    return figure


@styled
def score_figure(result: "Score | Mapping[str, Any]") -> "Figure":
    """Hit rate and KID by style, with and without the adapter; from a score or the content of its result.json."""
    score = result if isinstance(result, Score) else Score.from_json(result)
    figure, ((left, right),) = canvas(max(2.6, 0.17 * len(score.per_style) + 0.8), columns=2)
    both = [(row.style, row.base, row.adapted) for row in score.per_style]
    hit_rates = [(a.top1.value, b.top1.value, style) for style, b, a in both if a.top1 and b.top1]
    kids = {style: (a.kid.value, b.kid.value) for style, b, a in both if a.kid and b.kid}
    hit_rates.sort(key=lambda row: row[0])
    positions = range(len(hit_rates))
    left.barh(positions, [100 * adapted for adapted, _, _ in hit_rates], color=ACCENT, height=0.7, label="adapted")
    left.plot([100 * base for _, base, _ in hit_rates], positions, "|", color=SECOND, markersize=7, label="base")
    left.set_yticks(positions, [display_name(style) for _, _, style in hit_rates], fontsize=TINY)
    left.set(title="Recognised in the style of the prompt", xlabel="%", xlim=(0, 100))
    left.legend(loc="lower right")
    styles = [style for _, _, style in hit_rates if style in kids]
    positions = range(len(styles))
    right.barh(positions, [kids[style][0] for style in styles], color=PALE, height=0.7, label="adapted")
    right.plot([kids[style][1] for style in styles], positions, "|", color=SECOND, markersize=7, label="base")
    right.set_yticks(positions, [display_name(style) for style in styles], fontsize=TINY)
    right.set(title="KID to real paintings", xlabel="lower is better")
    return figure
