"""What a judge's answers say of pictures: hits, shares and means with their intervals, distances between sets.

Features are (N, d), probabilities (N, styles). Every interval holds 95 %.
"""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from torch import Tensor

BOOTSTRAPS = 2000
"""Draws of a mean's interval; each is a weighted sum."""
HALVES = 200
"""Half samples of a KID's interval; each is a distance of its own."""


def wilson(in_top_k: int, number: int) -> list[float]:
    """The interval of a share, hits of a number of pictures (Wilson 1927): low, high."""
    interval = binomtest(in_top_k, number).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]


def proportion(in_top_k: np.ndarray) -> dict[str, Any]:
    """A share of pictures and Wilson's interval: (N,) bool → value, interval, n."""
    return {"value": float(in_top_k.mean()), "interval": wilson(int(in_top_k.sum()), len(in_top_k)), "n": len(in_top_k)}


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A mean over pictures and its bootstrap interval: (N,) float → value, interval, n."""
    random, number = np.random.default_rng(seed), len(values)
    drawn = random.multinomial(number, np.full(number, 1 / number), size=BOOTSTRAPS) @ values / number
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": float(values.mean()), "interval": [float(low), float(high)], "n": number}


def in_top_k(probabilities: Tensor, wanted: Tensor, first: int) -> np.ndarray:
    """(N,) bool: is the wanted style (N,) among the judge's `first` likeliest of (N, C)?"""
    first = min(first, probabilities.shape[1])
    return (probabilities.topk(first, dim=1).indices == wanted[:, None]).any(dim=1).numpy()


def squared_mmd(real: Tensor, painted: Tensor) -> float:
    """KID: unbiased MMD² with the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, §4); at least two of each."""
    x, y = real.double(), painted.double()
    dimension = x.shape[1]
    within_x, within_y, between = ((a @ b.T / dimension + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    mean_x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
    mean_y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return float(mean_x + mean_y - 2 * between.mean())


def feature_scale(features: Tensor) -> float:
    """Root mean square of features (N, d): divided by it, those of judges of other widths can be compared."""
    return features.square().mean().sqrt().clamp(min=1e-6).item()


def kid(real: Tensor, painted: Tensor, scale: float | None = None, seed: int = 0) -> dict[str, Any]:
    """KID, and an interval from redrawing half of the painted pictures at a time, without replacement.

    Half samples vary about as much around the whole as the whole does around the truth (Politis & Romano 1994).

    Args:
        real: (n, d).
        painted: (m, d).
        scale: what features are divided by (default: the length of the real ones).
        seed: of the half samples.
    """
    scale = feature_scale(real) if scale is None else scale
    real, painted = real / scale, painted / scale
    value = squared_mmd(real, painted)
    random, half = np.random.default_rng(seed), max(2, len(painted) // 2)
    halves = [squared_mmd(real, painted[random.permutation(len(painted))[:half]]) for _ in range(HALVES)]
    low, high = np.percentile(np.array(halves) - value, [2.5, 97.5])
    return {"value": value, "interval": [float(value - high), float(value - low)], "n": len(painted)}
