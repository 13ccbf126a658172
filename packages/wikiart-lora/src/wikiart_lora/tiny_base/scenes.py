"""The training data of `tiny`: plain renderings of scenes, which show no style, their captions, and augmentation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_data.images.catalog import Catalog
from wikiart_data.sample.build import VERSION
from wikiart_data.sample.painters import PHOTOGRAPH, paint
from wikiart_data.sample.scenes import SCENES, Scene

FIRST_SEED = 1_000_000
"""Far beyond the sample set's seeds: the base has seen none of the scenes that others are evaluated on."""
SIDE = 96
"""Side of the renderings in pixels: 1.5 times what `tiny` generates, so that crops are magnified."""


def make_scenes(number: int) -> list[Scene]:
    """`number` scenes, the kinds in turn."""
    return [Scene(SCENES[index % len(SCENES)], FIRST_SEED + index // len(SCENES)) for index in range(number)]


def render(scenes: Sequence[Scene]) -> Tensor:
    """Plain renderings: (N, SIDE, SIDE, 3) uint8 in 0..255. About a millisecond each."""
    return torch.from_numpy(np.stack([paint(scene, PHOTOGRAPH, SIDE) for scene in scenes]))


def scene_catalog(number: int) -> Catalog:
    """The renderings as a catalog, for the run's record; none of them is on disk."""
    files = tuple(f"train/{PHOTOGRAPH}/{scene.kind}-{scene.seed}.png" for scene in make_scenes(number))
    zeros = np.zeros(number, dtype=np.int64)
    root = Path(f"sample-v{VERSION}")
    return Catalog(root, (PHOTOGRAPH,), files, zeros, np.array(["train"] * number), zeros, zeros)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change colours and add dots, streaks and hard edges, each to some of the images.

    The autoencoder must see what no plain rendering shows, to reproduce brush marks later, without seeing a style.

    Args:
        images: (B, 3, S, S) float in [0, 1].
        generator: on the CPU.

    Returns:
        (B, 3, S, S) float32 in [0, 1].
    """
    number, _, size, _ = images.shape

    def mask(probability: float) -> Tensor:
        return (torch.rand(number, 1, 1, 1, generator=generator) < probability).float()

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(number, *shape, generator=generator)

    colours = torch.eye(3) + mask(0.5)[..., 0] * 0.5 * torch.randn(number, 3, 3, generator=generator)
    images = torch.einsum("bij,bjhw->bihw", colours, images - 0.5) * uniform(0.6, 1.4, 1, 1, 1) + 0.5
    # Noise at scales between a pixel and an eighth of the image, stretched along one axis: dots or streaks.
    high, wide = (int(size / 2 ** torch.randint(0, 4, (), generator=generator)) for _ in "yx")
    marks = F.interpolate(torch.randn(number, 3, high, wide, generator=generator), (size, size), mode="bilinear")
    images = images + mask(0.5) * uniform(0.0, 0.3, 1, 1, 1) * marks
    # Hard edges: a region is taken from another image.
    field = F.interpolate(torch.randn(number, 1, 8, 8, generator=generator), (size, size), mode="bicubic")
    images = torch.where((field > 0.5) & (mask(0.3) > 0), images.roll(1, 0), images)
    levels = uniform(3, 8, 1, 1, 1)
    images = torch.where(mask(0.2) > 0, (images * levels).round() / levels, images)
    return images.clamp(0, 1)
