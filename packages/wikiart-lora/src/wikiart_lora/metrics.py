"""Diversity and memorisation of generated images. Features are (N, d), images (N, 3, S, S) float in [0, 1]."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_data.results.statistics import BOOTSTRAP_SAMPLES, Estimate, bootstrap_mean, proportion
from wikiart_lora.score import Memorisation

THUMBNAIL = 16
"""Side of the thumbnails on which distances are measured: they show the composition and not the brushwork."""


def diversity(features: Tensor) -> float:
    """Mean cosine distance between two rows of (N, d): 0 if all are the same."""
    unit = F.normalize(features.double(), dim=1)
    n = len(unit)
    return float(1 - ((unit @ unit.T).sum() - n) / (n * (n - 1)))


def balanced_proportion(hits: np.ndarray, labels: np.ndarray, seed: int = 0) -> Estimate:
    """The proportion of hits with every style counting equally, whatever the number of its images.

    Args:
        hits: (N,) bool.
        labels: (N,) styles.
        seed: of the bootstrap samples, which are drawn within each style (Efron & Tibshirani 1993, §8.4).
    """
    random = np.random.default_rng(seed)
    by_style = [hits[labels == label] for label in np.unique(labels)]
    drawn = [random.binomial(len(style), style.mean(), BOOTSTRAP_SAMPLES) / len(style) for style in by_style]
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    value = float(np.mean([style.mean() for style in by_style]))
    return Estimate(value, (float(low), float(high)), len(hits))


def thumbnails(images: Tensor) -> Tensor:
    """(N, 3, S, S) → (N, 3·THUMBNAIL²): distances between thumbnails are small for copies."""
    return F.interpolate(images, (THUMBNAIL, THUMBNAIL), mode="area").flatten(1)


def nearest_neighbours(queries: Tensor, references: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared distance of each (N, d) to its nearest of (M, d), and that one's index: (N,), (N,) int."""
    minima = [torch.cdist(part, references).min(dim=1) for part in queries.split(256)]
    distances = torch.cat([minimum.values for minimum in minima]) / queries.shape[1] ** 0.5
    return distances.numpy(), torch.cat([minimum.indices for minimum in minima]).numpy()


def memorisation(generated: Tensor, train: Tensor, held_out: Tensor) -> Memorisation:
    """How near generated images come to training images, compared with unseen real images.

    A copy has a far smaller distance than any held-out image.

    Args:
        generated: (N, d), of `thumbnails`.
        train: (M, d).
        held_out: (K, d) of real images that were not trained on.
    """
    distances, indices = nearest_neighbours(generated, train)
    by_chance, _ = nearest_neighbours(held_out, train)
    return Memorisation(
        painted=bootstrap_mean(distances),
        held_out=bootstrap_mean(by_chance),
        closer=proportion(distances < np.percentile(by_chance, 5)),
        nearest=int(distances.argmin()),
        nearest_train=int(indices[distances.argmin()]),
    )
