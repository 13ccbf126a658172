"""The scenes that `tiny` learns to paint: plain renderings, which show no style."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
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
