"""Reconstruction against bytes: 8-bit codes, and images compressed as JPEG and WebP."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import image_scores

Format = Literal["JPEG", "WebP"]

QUALITIES: dict[Format, tuple[int, ...]] = {
    "JPEG": (1, 2, 4, 7, 10, 15, 20, 30, 45, 60),
    "WebP": (0, 2, 5, 10, 20, 35, 50, 65, 80),
}
"""Quality settings of each curve, including those of the smallest files that the format can make."""
CODE_RANGE = 4.0
"""Codes are quantised between −CODE_RANGE and CODE_RANGE standard deviations, in 256 steps."""


@dataclass(frozen=True)
class RatePoint:
    """Mean size and quality of compressed images."""

    bytes: float
    """Per image."""
    mse: float
    psnr: float
    """In dB."""
    ssim: float
    quality: int | None = None
    """Of a file format: the encoder's quality setting."""


def quantize_8_bit(code: Tensor, deviations: Tensor | float = 1.0) -> Tensor:
    """Round each number of a code to one of 256 values within ± CODE_RANGE deviations; the shape is unchanged."""
    step = 2 * CODE_RANGE / 255
    steps = (code / deviations).clamp(-CODE_RANGE, CODE_RANGE).add(CODE_RANGE).div(step).round()
    return (steps * step - CODE_RANGE) * deviations


def compress(images: Tensor, file_format: Format, quality: int) -> Iterator[tuple[int, Tensor]]:
    """Write each image as a file and read it back: (bytes of the file, (3, S, S) float in [0, 1]).

    Args:
        images: (B, 3, S, S) float in [0, 1].
        file_format: JPEG (with optimised Huffman tables) or WebP (with its slowest, best method).
        quality: as the format defines it.
    """
    for pixels in (images * 255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        if file_format == "JPEG":
            Image.fromarray(pixels).save(file, file_format, quality=quality, optimize=True)
        else:
            Image.fromarray(pixels).save(file, file_format, quality=quality, method=6)
        with Image.open(file) as picture:
            decoded = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
        yield len(file.getvalue()), torch.from_numpy(decoded).permute(2, 0, 1)


def rate_curve(images: Tensor, file_format: Format) -> list[RatePoint]:
    """Mean bytes, MSE, PSNR and SSIM of images (N, 3, S, S) at each quality setting of a format."""
    curve = []
    for quality in QUALITIES[file_format]:
        sizes, decoded = zip(*compress(images, file_format, quality), strict=True)
        scores = image_scores(torch.stack(decoded), images).mean(dim=0).tolist()
        curve.append(RatePoint(float(np.mean(sizes)), *scores, quality=quality))
    return curve
