"""Reconstruction against bytes: 8-bit codes, and images compressed as JPEG and WebP."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import image_scores
from wikiart_data.images.pixels import to_pixels

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
    payload: float | None = None
    """Of a file format: bytes per image without headers and tables, which are most of a very small JPEG file."""


def quantize_8_bit(code: Tensor, deviations: Tensor | float = 1.0) -> Tensor:
    """Round each number of a code to one of 256 values within ± CODE_RANGE deviations; the shape is unchanged."""
    step = 2 * CODE_RANGE / 255
    steps = (code / deviations).clamp(-CODE_RANGE, CODE_RANGE).add(CODE_RANGE).div(step).round()
    return (steps * step - CODE_RANGE) * deviations


def compress(images: Tensor, file_format: Format, quality: int) -> Iterator[tuple[int, int, Tensor]]:
    """Write each image as a file and read it back: (bytes, bytes of the payload, (3, S, S) float in [0, 1]).

    Args:
        images: (B, 3, S, S) float in [0, 1].
        file_format: JPEG (with optimised Huffman tables) or WebP (with its slowest, best method).
        quality: as the format defines it.
    """
    for pixels in to_pixels(images):
        file = io.BytesIO()
        if file_format == "JPEG":
            Image.fromarray(pixels).save(file, file_format, quality=quality, optimize=True)
        else:
            Image.fromarray(pixels).save(file, file_format, quality=quality, method=6)
        with Image.open(file) as picture:
            decoded = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
        content = file.getvalue()
        yield len(content), payload_bytes(content, file_format), torch.from_numpy(decoded).permute(2, 0, 1)


def payload_bytes(content: bytes, file_format: Format) -> int:
    """Bytes of a file that hold the picture itself.

    Of a JPEG file those after the header of its scan: not the quantisation and Huffman tables. Of a WebP file those
    after the 20 bytes of the container; its own tables are part of the compressed stream.
    """
    if file_format == "WebP":
        return len(content) - 20
    start = 2
    while content[start + 1] != 0xDA:  # each segment is FF, its kind, and its length with these two bytes
        start += 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    header = 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    return len(content) - start - header - 2  # FF D9 at the end


def rate_curve(batches: Iterable[Tensor], file_format: Format) -> tuple[RatePoint, ...]:
    """Mean bytes, payload, MSE, PSNR and SSIM at each quality setting of a format.

    Args:
        batches: images (B, 3, S, S) float in [0, 1].
        file_format: JPEG or WebP.
    """
    sizes: dict[int, list[tuple[int, int]]] = {quality: [] for quality in QUALITIES[file_format]}
    scores: dict[int, list[Tensor]] = {quality: [] for quality in QUALITIES[file_format]}
    for images in batches:
        for quality in QUALITIES[file_format]:
            files, payloads, decoded = zip(*compress(images, file_format, quality), strict=True)
            sizes[quality] += zip(files, payloads, strict=True)
            scores[quality].append(image_scores(torch.stack(decoded), images))
    curve = []
    for quality in QUALITIES[file_format]:
        size, payload = np.mean(sizes[quality], axis=0).tolist()
        values = torch.cat(scores[quality]).mean(dim=0).tolist()
        curve.append(RatePoint(size, *values, quality=quality, payload=payload))
    return tuple(curve)
