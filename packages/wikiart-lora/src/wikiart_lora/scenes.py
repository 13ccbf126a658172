"""What `tiny` is pretrained on: plain renderings of scenes, no style among them, and what each shows in words."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.catalog import Catalog
from wikiart_data.sample.build import VERSION
from wikiart_data.sample.painters import PHOTOGRAPH, paint
from wikiart_data.sample.scenes import SCENES, Scene, caption

FIRST = 1_000_000
"""First seed: far beyond the sample set's, so that the base has seen none of the scenes that others are tested on."""
SIDE = 96
"""Pixels: half as much again as `tiny` paints, so that a crop shows things larger."""


def scenes(number: int) -> list[Scene]:
    """`number` scenes, the kinds in turn."""
    return [Scene(SCENES[place % len(SCENES)], FIRST + place // len(SCENES)) for place in range(number)]


def photographs(shown: list[Scene]) -> Tensor:
    """Plain renderings: (N, SIDE, SIDE, 3) uint8 in 0..255. About a millisecond each."""
    return torch.from_numpy(np.stack([paint(scene, PHOTOGRAPH, SIDE) for scene in shown]))


def captions(shown: list[Scene]) -> list[str]:
    """What each scene shows, in words."""
    return [caption(scene) for scene in shown]


def as_catalog(number: int) -> Catalog:
    """The renderings as a run's folder wants to know them: nothing of them is on disk."""
    files = tuple(f"train/{PHOTOGRAPH}/{scene.kind}-{scene.seed}.png" for scene in scenes(number))
    nothing = np.zeros(number, dtype=np.int64)
    root = Path(f"sample-v{VERSION}")
    return Catalog(root, (PHOTOGRAPH,), files, nothing, np.array(["train"] * number), nothing, nothing)
