"""Metrics of repaints: style and content. Images are (N, 3, S, S) float in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GALLERY_SIZE = 100
"""Images among which `retrieval` looks for the input."""


def edge_descriptor(images: Tensor, side: int = 32) -> Tensor:
    """Coarse map of an image's edges: (N, 3, S, S) → (N, side²), rows of mean 0 and length 1.

    The gradient magnitude of the grey image, averaged over a grid: what a repaint must not move, whatever its colours.
    """
    grey = images.float().mean(dim=1, keepdim=True)
    horizontal, vertical = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    magnitude = (horizontal.square() + vertical.square() + 1e-8).sqrt()
    pooled = F.adaptive_avg_pool2d(magnitude, side).flatten(1)
    return F.normalize(pooled - pooled.mean(dim=1, keepdim=True), dim=1)


def edge_correlation(repaints: Tensor, images: Tensor) -> np.ndarray:
    """(N,) in −1..1: Pearson correlation of the two images' edge descriptors."""
    return (edge_descriptor(repaints) * edge_descriptor(images)).sum(dim=1).numpy()


def retrieval(repaints: Tensor, images: Tensor, gallery_size: int = GALLERY_SIZE, seed: int = 0) -> np.ndarray:
    """(N,) bool: whether the input is the nearest of `gallery_size` images to its repaint.

    The gallery holds the input and random other inputs. Distances are those of `edge_descriptor`, which no network
    learned. Chance is 1 / gallery_size.
    """
    number = len(images)
    generator = torch.Generator().manual_seed(seed)
    queries, gallery = edge_descriptor(repaints), edge_descriptor(images)
    retrieved = []
    for row in range(number):
        others = torch.randperm(number - 1, generator=generator)[: gallery_size - 1]
        others = others + (others >= row)
        retrieved.append(bool((gallery[others] @ queries[row]).max() < gallery[row] @ queries[row]))
    return np.array(retrieved)


def assign_target_styles(labels: np.ndarray, allowed: Sequence[int], seed: int = 0) -> np.ndarray:
    """Draw for each image a style other than its own, uniformly out of `allowed`: (N,) int → (N,)."""
    random = np.random.default_rng(seed)
    candidates = np.asarray(allowed)
    targets = candidates[random.integers(0, len(candidates), size=len(labels))]
    while (same := targets == labels).any():
        targets[same] = candidates[random.integers(0, len(candidates), size=int(same.sum()))]
    return targets
