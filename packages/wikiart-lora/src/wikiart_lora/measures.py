"""What is said of painted pictures. Features are (N, d), pictures (N, 3, S, S) float in 0..1."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_data.results.guessed_tables import bootstrap_mean, proportion

SMALL = 16
"""Side of the small pictures that stand for what is where; finer detail is the brush."""


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
        "painted": bootstrap_mean(ours),
        "held_out": bootstrap_mean(theirs),
        "closer": proportion(ours < np.percentile(theirs, 5)),
        "nearest": int(ours.argmin()),
        "nearest_train": int(places[ours.argmin()]),
    }
