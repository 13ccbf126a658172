"""Is it the style, is it still the picture: measures of repainted pictures. Images are (N, 3, S, S) float in 0..1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor

POOL = 100
"""Pictures among which an input must be found again."""
BOOTSTRAPS = 200


def share(hits: np.ndarray) -> dict[str, Any]:
    """A share of pictures with its 95 % interval (Wilson): (N,) bool → value, interval, n."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return {"value": float(hits.mean()), "interval": [float(interval.low), float(interval.high)], "n": len(hits)}


def mean(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A mean over pictures with its 95 % bootstrap interval: (N,) float → value, interval, n."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(values), np.full(len(values), 1 / len(values)), size=2000) @ values / len(values)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": float(values.mean()), "interval": [float(low), float(high)], "n": len(values)}


def hits(probabilities: Tensor, wanted: Tensor, first: int) -> np.ndarray:
    """(N,) bool: is the wanted style (N,) among the judge's `first` likeliest of (N, C)?"""
    return (probabilities.topk(first, dim=1).indices == wanted[:, None]).any(dim=1).numpy()


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


def kernel_distance(real: Tensor, painted: Tensor) -> float:
    """KID: unbiased MMD² with the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, §4); features (N, d) and (M, d)."""
    x, y = real.double(), painted.double()
    dimension = x.shape[1]
    within_x, within_y, between = ((a @ b.T / dimension + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    mean_x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
    mean_y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return float(mean_x + mean_y - 2 * between.mean())


def kid(real: Tensor, painted: Tensor, seed: int = 0) -> dict[str, Any]:
    """KID with a 95 % interval from redrawing the painted pictures without replacement, half of them at a time.

    Features are divided by the real ones' root mean square first, so that judges of other widths can be compared.
    """
    scale = real.square().mean().sqrt().clamp(min=1e-6)
    real, painted = real / scale, painted / scale
    random = np.random.default_rng(seed)
    half = max(2, len(painted) // 2)
    value = kernel_distance(real, painted)
    halves = [kernel_distance(real, painted[random.permutation(len(painted))[:half]]) for _ in range(BOOTSTRAPS)]
    # Half samples vary about as much around the whole as the whole does around the truth (Politis & Romano 1994).
    low, high = np.percentile(np.array(halves) - value, [2.5, 97.5])
    return {"value": value, "interval": [float(value - high), float(value - low)], "n": len(painted)}


def wanted_styles(labels: np.ndarray, allowed: Sequence[int], seed: int = 0) -> np.ndarray:
    """For each picture another style than its own out of `allowed`, all about equally often: (N,) int → (N,)."""
    random = np.random.default_rng(seed)
    allowed = np.asarray(allowed)
    drawn = allowed[random.integers(0, len(allowed), size=len(labels))]
    while (same := drawn == labels).any():
        drawn[same] = allowed[random.integers(0, len(allowed), size=int(same.sum()))]
    return drawn
