"""Pictures of an autoencoder: the learning curve, grids of reconstructions, strips between two pictures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wikiart_data.results.figures import ACCENT, INK, SECOND, SMALL, THIRD, WIDTH, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERROR_GAIN = 4.0
"""Errors are shown so many times larger than they are."""


@styled
def learning_curve(metrics: list[dict[str, Any]]) -> "Figure":
    """Loss in training, and PSNR and SSIM on valid, an epoch at a time."""
    figure, ((left, middle, right),) = canvas(2.4, columns=3)
    epochs = [line["epoch"] + 1 for line in metrics]
    for axes, key, colour, title, unit in (
        (left, "loss", INK, "Training loss", ""),
        (middle, "psnr", ACCENT, "PSNR on valid", "dB"),
        (right, "ssim", SECOND, "SSIM on valid", ""),
    ):
        axes.plot(epochs, [line[key] for line in metrics], color=colour)
        axes.set(title=title, xlabel="epoch", ylabel=unit)
    return figure


@styled
def reconstruction_grid(images: Tensor, ours: Tensor) -> "Figure":
    """Three rows: originals, reconstructions, and the absolute error, enlarged.

    Args:
        images: (N, 3, S, S) float in 0..1.
        ours: the same shape.
    """
    columns = len(images)
    figure, grid = canvas(WIDTH / columns * 3 + 0.5, rows=3, columns=columns)
    error = (ERROR_GAIN * (ours - images).abs()).clamp(0, 1)
    named = ("original", "reconstruction", f"error × {ERROR_GAIN:g}")
    for row, (name, pictures) in zip(grid, zip(named, (images, ours, error), strict=True), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture.permute(1, 2, 0).float().clamp(0, 1).numpy())
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(name)
    mean = -10 * torch.log10((ours - images).square().mean(dim=(1, 2, 3)).clamp(min=1e-10))
    for axes, value in zip(grid[1], mean.tolist(), strict=True):
        axes.set_xlabel(f"{value:.1f} dB", labelpad=1)
    return figure


@styled
def rate_figure(result: dict[str, Any]) -> "Figure":
    """PSNR and SSIM against bytes: curves of PCA, JPEG and WebP, and a point an autoencoder.

    Args:
        result: of `wikiart-autoencode measure`.
    """
    figure, ((left, right),) = canvas(3.0, columns=2)
    looks = {"PCA": (SECOND, "o"), "JPEG": (INK, "s"), "WebP": (THIRD, "^")}
    for axes, key, title in ((left, "psnr", "PSNR, dB"), (right, "ssim", "SSIM")):
        for name, curve in result["curves"].items():
            colour, marker = looks[name]
            ordered = sorted(curve, key=lambda point: point["bytes"])
            points = [[point[of] for point in ordered] for of in ("bytes", key)]
            axes.plot(*points, color=colour, marker=marker, markersize=3, linewidth=1, label=name)
        for point in result["codes"]:
            form = "vector" if point["code"] else "spatial"
            axes.plot(point["bytes"], point[key], "*", color=ACCENT, markersize=9, zorder=3)
            # Where the curves leave room: they run above a spatial code, and to the right of a vector.
            offset, side = ((0, 7), "center") if point["code"] else ((6, -8), "left")
            look = {"textcoords": "offset points", "color": ACCENT, "fontsize": SMALL, "ha": side}
            axes.annotate(f"{form}, {point['bytes']:,}", (point["bytes"], point[key]), xytext=offset, **look)
        axes.set(title=title, xlabel="bytes a picture", xscale="log")
        axes.set_xticks(ticks := [16, 64, 256, 1024, 4096], [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
    left.legend(loc="upper left")
    return figure


@styled
def strip(rows: Mapping[str, Tensor], ends: Tensor) -> "Figure":
    """Named rows of pictures between two others, which stand at both ends as they are.

    Args:
        rows: name → (N, 3, S, S) float in 0..1.
        ends: (2, 3, S, S), the pictures at the left and right.
    """
    columns = len(next(iter(rows.values()))) + 2
    figure, grid = canvas(WIDTH / columns * len(rows) + 0.4, rows=len(rows), columns=columns)
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, torch.cat([ends[:1], pictures, ends[1:]]), strict=True):
            axes.imshow(picture.permute(1, 2, 0).float().clamp(0, 1).numpy())
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    grid[0][0].set_title("from")
    grid[0][-1].set_title("to")
    return figure
