"""Is it the style, is it still the picture: measures of repainted pictures. Images are (N, 3, S, S) float in 0..1."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

POOL = 100
"""Pictures among which an input must be found again."""


def relief(images: Tensor, side: int = 32) -> Tensor:
    """Where a picture has edges, coarsely: (N, 3, S, S) → (N, side²), rows of mean 0 and length 1.

    The size of the grey picture's gradient, averaged over a grid: what a repaint must not move, whatever its colours.
    """
    grey = images.float().mean(dim=1, keepdim=True)
    across, down = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    size = F.adaptive_avg_pool2d((across.square() + down.square() + 1e-8).sqrt(), side).flatten(1)
    return F.normalize(size - size.mean(dim=1, keepdim=True), dim=1)


def edge_correlation(ours: Tensor, images: Tensor) -> np.ndarray:
    """(N,): Pearson correlation of the two pictures' reliefs, −1..1."""
    return (relief(ours) * relief(images)).sum(dim=1).numpy()


def found_again(ours: Tensor, images: Tensor, pool: int = POOL, seed: int = 0) -> np.ndarray:
    """(N,) bool: is the input the nearest of `pool` pictures (itself and random others) to its own repaint?

    By relief, which no network made; chance is 1 / pool.
    """
    number = len(images)
    generator = torch.Generator().manual_seed(seed)
    ours, known = relief(ours), relief(images)
    answers = []
    for row in range(number):
        others = torch.randperm(number - 1, generator=generator)[: pool - 1]
        others = others + (others >= row)
        answers.append(bool((known[others] @ ours[row]).max() < known[row] @ ours[row]))
    return np.array(answers)


def wanted_styles(labels: np.ndarray, allowed: Sequence[int], seed: int = 0) -> np.ndarray:
    """For each picture another style than its own out of `allowed`, all about equally often: (N,) int → (N,)."""
    random = np.random.default_rng(seed)
    allowed = np.asarray(allowed)
    drawn = allowed[random.integers(0, len(allowed), size=len(labels))]
    while (same := drawn == labels).any():
        drawn[same] = allowed[random.integers(0, len(allowed), size=int(same.sum()))]
    return drawn
