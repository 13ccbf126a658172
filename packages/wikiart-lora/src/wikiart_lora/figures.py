"""Pictures of a LoRA run: learning curves, grids of pictures, the score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wikiart_data.results.figures import ACCENT, INK, LINES, PALE, SECOND, TINY, WIDTH, canvas, styled
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def learning_curve(metrics: list[dict[str, Any]]) -> "Figure":
    """Training loss, which jumps with the timesteps drawn, and the loss on valid, which does not."""
    figure, ((left, right),) = canvas(2.4, columns=2)
    steps = [line["step"] for line in metrics]
    left.plot(steps, [line["loss"] for line in metrics], color=INK, marker=".")
    left.set(title="Loss in training", xlabel="step")
    right.plot(steps, [line["valid"] for line in metrics], marker=".", label="told the style", **LINES[0])
    right.plot(steps, [line["valid_swapped"] for line in metrics], marker=".", label="told another", **LINES[1])
    right.set(title="Loss on valid, fixed noise", xlabel="step")
    right.legend()
    return figure


@styled
def picture_grid(pictures: Tensor, rows: Sequence[str], columns: Sequence[str]) -> "Figure":
    """A grid of pictures with named rows and columns.

    Args:
        pictures: (R, C, 3, H, W) float in 0..1.
        rows: R names.
        columns: C names.
    """
    high, wide = len(rows), len(columns)
    label = 1.1
    side = min(1.4, (WIDTH - label) / wide)
    height, width = pictures.shape[-2:]
    figure, grid = canvas(high * side * height / width + 0.4, rows=high, columns=wide)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            axes.imshow(pictures[row, column].permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(columns[column], fontsize=TINY, fontweight="normal", loc="center")
        line[0].set_ylabel(rows[row], rotation=0, ha="right", va="center", fontsize=TINY)
    return figure


PAIRS = 6
"""Styles side by side in a figure of pairs."""


@styled
def pairs_figure(before: Tensor, after: Tensor, names: Sequence[str]) -> "Figure":
    """Each style's two pictures side by side, the base's on the left, in a figure that fits a page.

    Args:
        before: (N, 3, H, W) float in 0..1, by the base.
        after: (N, 3, H, W), the same prompts and seeds with the adapter.
        names: N.
    """
    columns = min(PAIRS, len(names))
    rows = -(-len(names) // columns)
    aspect = before.shape[-2] / before.shape[-1] / 2
    figure, grid = canvas(rows * (WIDTH / columns * aspect + 0.16) + 0.1, rows=rows, columns=columns)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, wspace=0.0, hspace=0.0)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, left, right, name in zip(grid.flat, before, after, names, strict=False):
        axes.imshow(torch.cat([left, right], dim=2).permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set_title(name, fontsize=TINY, fontweight="normal", loc="center", pad=2)
    return figure


@styled
def score_figure(result: dict[str, Any]) -> "Figure":
    """Hit rate by style with and without the adapter, KID by style, and what else was measured."""
    per_style = [row for row in result["per_style"] if "adapted" in row]
    figure, ((left, right),) = canvas(max(2.6, 0.17 * len(per_style) + 0.8), columns=2)
    order = sorted(per_style, key=lambda row: row["adapted"]["top1"]["value"])
    places = range(len(order))
    left.barh(
        places, [100 * row["adapted"]["top1"]["value"] for row in order], color=ACCENT, height=0.7, label="adapted"
    )
    left.plot(
        [100 * row["base"]["top1"]["value"] for row in order], places, "|", color=SECOND, markersize=7, label="base"
    )
    left.set_yticks(places, [display_name(row["style"]) for row in order], fontsize=TINY)
    left.set(title="Named by the judge as the style asked for", xlabel="%", xlim=(0, 100))
    left.legend(loc="lower right")
    known = [row for row in order if "kid" in row["adapted"]]
    at = range(len(known))
    right.barh(at, [row["adapted"]["kid"]["value"] for row in known], color=PALE, height=0.7, label="adapted")
    right.plot([row["base"]["kid"]["value"] for row in known], at, "|", color=SECOND, markersize=7, label="base")
    right.set_yticks(at, [display_name(row["style"]) for row in known], fontsize=TINY)
    right.set(title="KID to real paintings", xlabel="less is nearer")
    return figure
