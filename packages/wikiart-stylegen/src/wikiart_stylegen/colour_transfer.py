"""Transfer of colour statistics: the cheap baseline of style transfer, without any learning.

The pixels of an image get the mean and the covariance, in CIE L*a*b*, of the pixels of the target style's training
images (Reinhard et al. 2001, with the full covariance by the linear Monge-Kantorovich map of Pitié & Kokaram 2007).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages

COLOUR_IMAGES = 100
"""Training images from which the colour statistics of a style are taken, at most."""

_RGB_TO_XYZ = (  # linear sRGB (D65) to XYZ relative to the white point, so that white is (1, 1, 1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
_XYZ_TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
_DELTA = 6 / 29


def rgb_to_lab(images: Tensor) -> Tensor:
    """Convert sRGB (N, 3, H, W) in [0, 1] to CIE L*a*b* of the same shape, L* in 0..100."""
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055).clamp(min=0) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", linear.new_tensor(_RGB_TO_XYZ), linear)
    f = torch.where(xyz > _DELTA**3, xyz.clamp(min=1e-12) ** (1 / 3), xyz / (3 * _DELTA**2) + 4 / 29)
    lab = torch.einsum("ij,njhw->nihw", linear.new_tensor(_XYZ_TO_LAB), f)
    lab[:, 0] -= 16
    return lab


def lab_to_rgb(lab: Tensor) -> Tensor:
    """CIE L*a*b* (N, 3, H, W) → sRGB of the same shape, clamped to [0, 1]."""
    fy = (lab[:, 0] + 16) / 116
    f = torch.stack([fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200], dim=1)
    xyz = torch.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29))
    linear = torch.einsum("ij,njhw->nihw", torch.linalg.inv(lab.new_tensor(_RGB_TO_XYZ)), xyz).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-12) ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class ColourStatistics:
    """Mean (3,) and covariance (3, 3) of pixels in CIE L*a*b*, float64."""

    mean: Tensor
    covariance: Tensor


def colour_statistics(images: Tensor) -> ColourStatistics:
    """The colour statistics of all pixels of images (N, 3, H, W) in [0, 1]."""
    pixels = rgb_to_lab(images.double()).permute(1, 0, 2, 3).flatten(1)
    return ColourStatistics(pixels.mean(dim=1), torch.cov(pixels))


def transfer_colours(images: Tensor, target: ColourStatistics) -> Tensor:
    """Give each image the mean and covariance of a target: (N, 3, H, W) in [0, 1] → the same shape, clamped."""
    lab = rgb_to_lab(images.double())
    pixels = lab.flatten(2)
    mean = pixels.mean(dim=2, keepdim=True)
    centred = pixels - mean
    # A small multiple of the identity keeps the map finite for images of one colour.
    covariance = centred @ centred.mT / centred.shape[2] + 1e-3 * torch.eye(3, dtype=torch.float64)
    root = _matrix_sqrt(covariance)
    inverse_root = torch.linalg.inv(root)
    maps = inverse_root @ _matrix_sqrt(root @ target.covariance @ root) @ inverse_root
    moved = maps @ centred + target.mean[:, None]
    return lab_to_rgb(moved.view_as(lab)).to(images.dtype)


def transfer_to_styles(packed: PackedImages, images: Tensor, target_styles: np.ndarray) -> Tensor:
    """Images (N, 3, S, S) with the colour statistics of their target styles' training images."""
    train, labels, device_images = packed.rows("train"), packed.catalog.labels, DeviceImages(packed)
    recoloured = torch.empty_like(images)
    for label in np.unique(target_styles):
        rows = train[labels[train] == label]
        rows = np.sort(np.random.default_rng(0).choice(rows, min(COLOUR_IMAGES, len(rows)), replace=False))
        statistics = colour_statistics(next(device_images.in_order(rows, COLOUR_IMAGES, packed.size)))
        selected = torch.from_numpy(target_styles == label)
        recoloured[selected] = transfer_colours(images[selected], statistics)
    return recoloured


def _matrix_sqrt(matrices: Tensor) -> Tensor:
    """Square roots of symmetric positive semi-definite matrices (..., 3, 3)."""
    values, vectors = torch.linalg.eigh(matrices)
    return vectors * values.clamp(min=0).sqrt()[..., None, :] @ vectors.mT
