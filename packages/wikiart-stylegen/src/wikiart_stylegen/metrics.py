"""Metrics of repaints: style and content. Images are (N, 3, S, S) float in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CODE_CELL = 8
"""Side in pixels of what one position of the content code paints."""
GALLERY_SIZE = 100
"""Images among which `retrieval` looks for the input, at most."""
LATTICE_SIDE = 4 * CODE_CELL
"""Side in pixels of the squares in which `lattice_amplitude` looks for the grid."""


def edge_descriptor(images: Tensor, side: int = 32) -> Tensor:
    """Coarse map of an image's edges: (N, 3, S, S) → (N, side²), rows of mean 0 and length 1.

    The gradient magnitude of the grey image, averaged over a grid: what a repaint must not move, whatever its colours.
    """
    grey = images.float().mean(dim=1, keepdim=True)
    horizontal, vertical = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    magnitude = (horizontal.square() + vertical.square() + 1e-8).sqrt()
    pooled = F.adaptive_avg_pool2d(magnitude, side).flatten(1)
    return F.normalize(pooled - pooled.mean(dim=1, keepdim=True), dim=1)


def edge_correlation(repaints: Tensor, images: Tensor, side: int = 32) -> np.ndarray:
    """(N,) in −1..1: Pearson correlation of the two images' edge descriptors of `side` by `side` cells."""
    return (edge_descriptor(repaints, side) * edge_descriptor(images, side)).sum(dim=1).numpy()


def lattice_amplitude(repaints: Tensor, images: Tensor, flat_fraction: float = 0.1) -> np.ndarray:
    """How strongly the code's grid shows on flat areas: (N, 3, H, W) in [0, 1] → (N,) in grey levels of 0..255.

    The root mean square of what repeats every 8 pixels in the grey repaint, in the squares of 32 pixels in which the
    image varies least. A picture without a grid is not at 0: a part of any texture repeats by chance.

    Args:
        repaints: at the size at which the network painted them.
        images: their inputs, of the same size; both sides are at least LATTICE_SIDE.
        flat_fraction: fraction of the squares that count as flat.
    """
    side = LATTICE_SIDE
    grey, inputs = ((255 * batch.float().mean(dim=1, keepdim=True)) for batch in (repaints, images))
    # The mean over a cell has no component that repeats with it: what is left holds all of these, and no slope.
    detail = grey - F.avg_pool2d(F.pad(grey, [4, 3, 4, 3], mode="reflect"), CODE_CELL, stride=1)
    tiles, flatness = (
        F.unfold(batch, side, stride=CODE_CELL).mT.unflatten(2, (side, side)) for batch in (detail, inputs)
    )
    number = max(1, round(flat_fraction * tiles.shape[1]))
    flattest = flatness.var(dim=(2, 3)).argsort(dim=1)[:, :number]
    window = torch.hann_window(side, device=grey.device)
    window = window[:, None] * window / window.sum().square()
    power = torch.fft.fft2(tiles.gather(1, flattest[:, :, None, None].expand(-1, -1, side, side)) * window)
    periodic = power.abs().square()[:, :, :: side // CODE_CELL, :: side // CODE_CELL]
    return periodic.sum(dim=(2, 3)).mean(dim=1).sqrt().cpu().numpy()


def retrieval(repaints: Tensor, images: Tensor, gallery_size: int = GALLERY_SIZE, seed: int = 0) -> np.ndarray:
    """(N,) bool: whether the input is the nearest of `gallery_size` images to its repaint.

    The gallery holds the input and random other inputs, all of them if N is smaller. Distances are those of
    `edge_descriptor`, which no network learned. Chance is 1 / min(gallery_size, N).
    """
    number = len(images)
    generator = torch.Generator().manual_seed(seed)
    queries, gallery = edge_descriptor(repaints), edge_descriptor(images)
    retrieved = []
    for row in range(number):
        others = torch.randperm(number - 1, generator=generator)[: gallery_size - 1]
        others = others + (others >= row)
        retrieved.append(bool((gallery[others] @ queries[row] < gallery[row] @ queries[row]).all()))
    return np.array(retrieved)


def assign_target_styles(labels: np.ndarray, allowed: Sequence[int], seed: int = 0) -> np.ndarray:
    """Draw for each image a style other than its own, uniformly out of `allowed`: (N,) int → (N,)."""
    random = np.random.default_rng(seed)
    candidates = np.asarray(allowed)
    targets = candidates[random.integers(0, len(candidates), size=len(labels))]
    while (same := targets == labels).any():
        targets[same] = candidates[random.integers(0, len(candidates), size=int(same.sum()))]
    return targets
