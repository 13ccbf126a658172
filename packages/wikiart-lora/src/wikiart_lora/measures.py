"""What is said of painted pictures. Features are (N, d), pictures (N, 3, S, S) float in 0..1."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor

DRAWS = 200
"""Of the bootstrap and of half samples."""
SMALL = 16
"""Side of the small pictures that stand for what is where; finer detail is the brush."""


def share(hits: np.ndarray) -> dict[str, Any]:
    """A share of pictures with its 95 % interval (Wilson): (N,) bool → value, interval, n."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return {"value": float(hits.mean()), "interval": [float(interval.low), float(interval.high)], "n": len(hits)}


def mean(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A mean with its 95 % bootstrap interval: (N,) float → value, interval, n."""
    random = np.random.default_rng(seed)
    drawn = values[random.integers(len(values), size=(DRAWS * 5, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": float(values.mean()), "interval": [float(low), float(high)], "n": len(values)}


def hits(probabilities: Tensor, wanted: Tensor, first: int) -> np.ndarray:
    """(N,) bool: is the wanted style (N,) among the judge's `first` likeliest of (N, C)?"""
    first = min(first, probabilities.shape[1])
    return (probabilities.topk(first, dim=1).indices == wanted[:, None]).any(dim=1).numpy()


def kernel_distance(real: Tensor, painted: Tensor) -> float:
    """KID: unbiased MMD² with the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, §4); at least two of each."""
    x, y = real.double(), painted.double()
    dimension = x.shape[1]
    within_x, within_y, between = ((a @ b.T / dimension + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    mean_x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
    mean_y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return float(mean_x + mean_y - 2 * between.mean())


def kid(real: Tensor, painted: Tensor, scale: float, seed: int = 0) -> dict[str, Any]:
    """KID with a 95 % interval from half samples of the painted pictures (Politis & Romano 1994).

    Args:
        real: (n, d) features.
        painted: (m, d) features.
        scale: features are divided by it, so that judges of other widths can be compared.
        seed: of the half samples.
    """
    real, painted = real / scale, painted / scale
    value = kernel_distance(real, painted)
    random, half = np.random.default_rng(seed), max(2, len(painted) // 2)
    halves = [kernel_distance(real, painted[random.permutation(len(painted))[:half]]) for _ in range(DRAWS)]
    low, high = np.percentile(np.array(halves) - value, [2.5, 97.5])
    return {"value": value, "interval": [float(value - high), float(value - low)], "n": len(painted)}


def diversity(features: Tensor) -> float:
    """Mean distance between two pictures, 1 − cosine: 0 if all are the same."""
    unit = F.normalize(features.double(), dim=1)
    n = len(unit)
    return float(1 - ((unit @ unit.T).sum() - n) / (n * (n - 1)))


def small(images: Tensor) -> Tensor:
    """(N, 3, S, S) → (N, 3·SMALL²): each picture small, for distances in which a copy is near."""
    return F.interpolate(images, (SMALL, SMALL), mode="area").flatten(1)


def nearest(pictures: Tensor, known: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared distance of each (N, d) to the nearest of (M, d), and which one that is: (N,), (N,) int."""
    found = [torch.cdist(part, known).min(dim=1) for part in pictures.split(256)]
    distances = torch.cat([one.values for one in found]) / pictures.shape[1] ** 0.5
    return distances.numpy(), torch.cat([one.indices for one in found]).numpy()


def memorisation(painted: Tensor, train: Tensor, held_out: Tensor) -> dict[str, Any]:
    """How near painted pictures come to training pictures, beside how near unseen real pictures come by chance.

    A copy has a far smaller distance than any held-out picture; `closer` is the share of painted pictures that are
    nearer to a training picture than 95 % of the held-out ones are.

    Args:
        painted: (N, d), of `small`.
        train: (M, d).
        held_out: (K, d) of valid.
    """
    ours, places = nearest(painted, train)
    theirs, _ = nearest(held_out, train)
    return {
        "painted": mean(ours),
        "held_out": mean(theirs),
        "closer": share(ours < np.percentile(theirs, 5)),
        "nearest": int(ours.argmin()),
        "nearest_train": int(places[ours.argmin()]),
    }
