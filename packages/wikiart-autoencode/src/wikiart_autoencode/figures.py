"""Figures: learning curves, grids of reconstructions, interpolation strips, quality against bytes, AMI of codes."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import psnr
from wikiart_data.results.figures import (
    ACCENT,
    FAINT,
    INK,
    PALE,
    SECOND,
    SMALL,
    THIRD,
    TINY,
    WIDTH,
    canvas,
    count_axis,
    markers,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wikiart_autoencode.clustering.comparison import CodeComparison
    from wikiart_autoencode.evaluation.evaluate import RateComparison

CAPTION_LETTERS = 130
"""Letters of the smallest type that fit across a figure."""
ERROR_GAIN = 4.0
"""Factor by which errors are enlarged to be visible."""


@styled
def learning_curve(metrics: Sequence[Mapping[str, Any]]) -> "Figure":
    """Training loss, and PSNR and SSIM on valid, per epoch.

    Args:
        metrics: lines of metrics.jsonl.
    """
    figure, ((left, middle, right),) = canvas(2.4, columns=3)
    epochs = [line["epoch"] + 1 for line in metrics]
    for axes, key, colour, title, unit in (
        (left, "loss", INK, "Training loss", ""),
        (middle, "psnr", ACCENT, "PSNR on valid", "dB"),
        (right, "ssim", SECOND, "SSIM on valid", ""),
    ):
        axes.plot(epochs, [line[key] for line in metrics], color=colour, **markers(len(epochs)))
        axes.set(title=title, xlabel="epoch", ylabel=unit)
        count_axis(axes, epochs)
    return figure


@styled
def reconstruction_grid(images: Tensor, reconstructions: Tensor, captions: Sequence[str] | None = None) -> "Figure":
    """Three rows: originals, reconstructions with their PSNR, and the absolute error, enlarged.

    Args:
        images: (N, 3, S, S) float in [0, 1].
        reconstructions: the same shape.
        captions: a text for every image, written above its column.
    """
    columns = len(images)
    wrapped = [textwrap.fill(caption, max(8, CAPTION_LETTERS // columns)) for caption in captions or ()]
    lines = max((caption.count("\n") + 1 for caption in wrapped), default=0)
    figure, grid = canvas(WIDTH / columns * 3 + 0.5 + 0.1 * lines, rows=3, columns=columns)
    for axes, caption in zip(grid[0], wrapped, strict=False):
        axes.set_title(caption, fontsize=TINY, fontweight="normal", loc="center")
    error = (ERROR_GAIN * (reconstructions - images).abs()).clamp(0, 1)
    rows = {"original": images, "reconstruction": reconstructions, f"error × {ERROR_GAIN:g}": error}
    for row, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            _show(axes, picture)
        row[0].set_ylabel(name)
    for axes, value in zip(grid[1], psnr(reconstructions, images).tolist(), strict=True):
        axes.set_xlabel(f"{value:.1f} dB", labelpad=1)
    return figure


@styled
def rate_figure(result: "RateComparison") -> "Figure":
    """PSNR and SSIM against bytes: curves of PCA, JPEG and WebP, and a point for each autoencoder."""
    figure, ((left, right),) = canvas(3.0, columns=2)
    looks = {"PCA": (SECOND, "o"), "JPEG": (INK, "s"), "WebP": (THIRD, "^")}
    for axes, metric, title in ((left, "psnr", "PSNR, dB"), (right, "ssim", "SSIM")):
        for name, curve in result.curves.items():
            colour, marker = looks[name]
            points = sorted(curve, key=lambda point: point.bytes)
            x, y = [point.bytes for point in points], [getattr(point, metric) for point in points]
            axes.plot(x, y, color=colour, marker=marker, markersize=3, linewidth=1, label=name)
        for code in result.codes:
            x, y = code.bytes, getattr(code, metric)
            axes.plot(x, y, "*", color=ACCENT, markersize=9, zorder=3)
            # Where the curves leave room: above a vector code, to the right of a spatial one.
            offset, side = ((0, 7), "center") if code.code else ((6, -8), "left")
            look = {"textcoords": "offset points", "color": ACCENT, "fontsize": SMALL, "ha": side}
            axes.annotate(f"{'vector' if code.code else 'spatial'}, {x:,}", (x, y), xytext=offset, **look)
        axes.set(title=title, xlabel="bytes per image", xscale="log")
        axes.set_xticks(ticks := [16, 64, 256, 1024, 4096], [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
    left.legend(loc="upper left")
    return figure


@styled
def ami_figure(result: "CodeComparison") -> "Figure":
    """AMI of clusters and styles by code: a bar for the first method with its 95 % interval, marks for the others."""
    first, *others = result.rows[0].clusters["train"]
    names = [row.name for row in result.rows]
    figure, ((left, right),) = canvas(0.9 + (0.38 if others else 0.3) * len(names), columns=2)
    rise, height = (0.16, 0.46) if others else (0.0, 0.62)  # marks below the bar leave its interval in sight
    markers, colours = ("o", "s", "^", "D", "v", "P", "X", "<"), (SECOND, THIRD, ACCENT)
    for axes, split in ((left, "train"), (right, "test")):
        for y, row in enumerate(result.rows):
            scores = row.clusters[split]
            # What was trained with labels is a bound, not a competitor.
            colour = PALE if "labels" in row.name else FAINT
            axes.barh(y - rise, scores[first].mean("ami"), height, color=colour)
            if between := scores[first].ami_interval:
                axes.plot(between, (y - rise, y - rise), color=INK, linewidth=1.4, solid_capstyle="butt")
        for index, method in enumerate(others):
            look = {"color": colours[index % len(colours)], "markersize": 3.2, "markeredgewidth": 0}
            values = [row.clusters[split][method].mean("ami") for row in result.rows]
            heights = [y + 0.27 for y in range(len(names))]
            axes.plot(values, heights, markers[index % len(markers)], linestyle="", label=method, **look)
        axes.set(title=f"{result.n[split]:,} images of {split}", xlabel=f"AMI (0: chance); bars: {first}")
        axes.set_yticks(range(len(names)), names if axes is left else [""] * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.axvline(0, color=INK, linewidth=0.8)
    if others:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
    return figure


@styled
def interpolation_strip(rows: Mapping[str, Tensor], ends: Tensor) -> "Figure":
    """Named rows of images between two others, which are shown unchanged at both ends of each row.

    Args:
        rows: name → (N, 3, S, S) float in [0, 1].
        ends: (2, 3, S, S), the images at the left and right.
    """
    columns = len(next(iter(rows.values()))) + 2
    figure, grid = canvas(WIDTH / columns * len(rows) + 0.4, rows=len(rows), columns=columns)
    for row, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(row, torch.cat([ends[:1], pictures, ends[1:]]), strict=True):
            _show(axes, picture)
        row[0].set_ylabel(name)
    grid[0][0].set_title("from")
    grid[0][-1].set_title("to")
    return figure


def _show(axes: "Axes", picture: Tensor) -> None:
    axes.imshow(picture.permute(1, 2, 0).float().clamp(0, 1).numpy())
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
