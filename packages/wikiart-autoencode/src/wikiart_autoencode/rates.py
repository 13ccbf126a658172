"""Reconstruction against bytes: 8-bit codes of autoencoders and of PCA, beside JPEG and WebP."""

import io
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.quality import mse, psnr, ssim

QUALITIES = {"JPEG": (1, 2, 4, 7, 10, 15, 20, 30, 45, 60), "WebP": (0, 2, 5, 10, 20, 35, 50, 65, 80)}
"""Settings that are tried; the lowest files each format can make are among them."""
REACH = 4.0
"""Codes are kept from −REACH to REACH standard deviations, in 256 steps."""


def in_8_bits(code: Tensor, deviations: Tensor | float = 1.0) -> Tensor:
    """A code after rounding each number to one of 256 values between ± REACH deviations; the same shape."""
    step = 2 * REACH / 255
    steps = (code / deviations).clamp(-REACH, REACH).add(REACH).div(step).round()
    return (steps * step - REACH) * deviations


def measured(ours: Tensor, truth: Tensor) -> Tensor:
    """(B, 3): MSE on 0..1, PSNR in dB and SSIM of each picture; both (B, 3, S, S) in 0..1."""
    ours = ours.clamp(0, 1)
    return torch.stack([mse(ours, truth), psnr(ours, truth), ssim(ours, truth)], dim=1)


def as_files(images: Tensor, kind: str, quality: int) -> Iterator[tuple[int, Tensor]]:
    """Each picture written as a file and read again: (bytes of the file, (3, S, S) float in 0..1).

    Args:
        images: (B, 3, S, S) float in 0..1.
        kind: JPEG (tables optimised for the picture) or WebP (its slowest, best method).
        quality: as the format counts it.
    """
    options = {"optimize": True} if kind == "JPEG" else {"method": 6}
    for picture in (images * 255).round().byte().permute(0, 2, 3, 1).numpy():
        content = io.BytesIO()
        Image.fromarray(picture).save(content, kind, quality=quality, **options)
        with Image.open(content) as read:
            pixels = np.asarray(read.convert("RGB"), dtype=np.float32) / 255
        yield len(content.getvalue()), torch.from_numpy(pixels).permute(2, 0, 1)


def file_curve(images: Tensor, kind: str) -> list[dict[str, float]]:
    """Mean bytes, MSE, PSNR and SSIM at each setting of a format, over pictures (N, 3, S, S)."""
    curve = []
    for quality in QUALITIES[kind]:
        sizes, pictures = zip(*as_files(images, kind, quality), strict=True)
        found = measured(torch.stack(pictures), images).mean(dim=0).tolist()
        curve.append({"quality": quality, "bytes": float(np.mean(sizes)), **dict(zip(NAMES, found, strict=True))})
    return curve


NAMES = ("mse", "psnr", "ssim")
