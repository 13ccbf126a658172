"""Paired comparison of two methods on the same test images over several seeds: difference, interval, p value.

The interval and p describe the sampling of test images, given these trained networks: would the difference remain if
other images of the same styles had been drawn for testing? They do not describe networks trained again from another
initialisation or on other images. That variation is reported separately, as ± std over seeds; a difference that is
significant here but smaller than that std may still vanish in another training run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BOOTSTRAPS = 2_000
PERMUTATIONS = 10_000
_CHUNK = 4_000_000
"""Numbers drawn at once, 8 bytes each."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two methods in one metric, as a fraction in [-1, 1]."""

    difference: float
    interval: tuple[float, float]
    """95 % interval."""
    p: float
    """Two-sided."""
    p_holm: float | None = None
    """p adjusted for the number of methods."""


def style_weights(labels: np.ndarray) -> np.ndarray:
    """Weights that turn a sum over images into a mean over styles: 1 / (K n_c) for K styles, n_c images of style c.

    Args:
        labels: (N,) int, the true style of each image.

    Returns:
        (N,) float64, sums to 1.
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / (len(counts) * counts[index])


def compare_paired(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, labels: np.ndarray, seed: int = 0
) -> PairedDifference:
    """The weighted accuracy of one method minus another's on the same images, its 95 % interval, and a two-sided p.

    The difference d_i of an image is the fraction of the first method's seeds that classify it correctly minus the
    second's; the statistic is sum w_i d_i. Weights 1/N compare top-1 accuracy, `style_weights` balanced accuracy.

    The interval is a percentile bootstrap that resamples images within each style. p is that of a permutation test
    that flips signs: under the null hypothesis d_i and −d_i are equally likely. With one seed each and equal weights
    this is McNemar's exact test; the count has the +1 correction (Phipson & Smyth 2010), so p is at least
    1 / (PERMUTATIONS + 1). A style's only image is the same in every resample, so it adds no width to the interval of
    a balanced accuracy, which is too narrow then; p does account for it. Where the two disagree, trust p.

    Args:
        first: (S, N) bool, which images each of S seeds of the first method classifies correctly.
        second: (T, N) bool, the same for the second method, with the images in the same order.
        weights: (N,) float, sums to 1.
        labels: (N,) int, the true styles.
        seed: of the random draws.

    Raises:
        ValueError: shapes do not match, there are no images, or the weights do not sum to 1.
    """
    number = len(labels)
    if number == 0:
        raise ValueError("no images to compare on")
    for name, array in (("first", first), ("second", second)):
        if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != number:
            raise ValueError(f"{name} has shape {array.shape}, expected (seeds, {number})")
    if weights.shape != (number,) or not np.isclose(weights.sum(), 1):
        raise ValueError(f"weights must have shape ({number},) and sum to 1")
    # Integers until the last step, so that equal differences stay equal and can be drawn together below.
    counts = first.astype(bool).sum(axis=0) * len(second) - second.astype(bool).sum(axis=0) * len(first)
    differences = weights * (counts / (len(first) * len(second)))
    random = np.random.default_rng(seed)
    low, high = np.percentile(_bootstrap(differences, labels, random), [2.5, 97.5])
    return PairedDifference(float(differences.sum()), (float(low), float(high)), _permutation_test(differences, random))


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p values for their number; valid under any dependence (Holm 1979).

    The smallest of m is multiplied by m, the next by m − 1 and so on; none becomes smaller than a preceding one, or
    larger than 1. They are returned in the order given.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(values, kind="stable")):
        highest = max(highest, min(1.0, (len(values) - rank) * float(values[index])))
        adjusted[index] = highest
    return adjusted


def _bootstrap(differences: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(BOOTSTRAPS,) sums of `differences`, with the images of each style resampled with replacement.

    Images of one style with the same difference are drawn together: the counts of each value are multinomial.
    """
    sums = np.zeros(BOOTSTRAPS)
    for style in np.unique(labels):
        values, counts = np.unique(differences[labels == style], return_counts=True)
        total = int(counts.sum())
        for chunk in _chunks(BOOTSTRAPS, len(values)):
            sums[chunk] += random.multinomial(total, counts / total, size=chunk.stop - chunk.start) @ values
    return sums


def _permutation_test(differences: np.ndarray, random: np.random.Generator) -> float:
    """Two-sided p of the sum of `differences` under random signs.

    Among n differences of one magnitude, a Binomial(n, ½) number is positive, so they are drawn together.
    """
    magnitudes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    # Sums that are equal mathematically differ in the last bits: without a tolerance, ties would be lost.
    threshold = abs(float(differences.sum())) - 1e-9 * float(np.abs(differences).sum())
    as_extreme = 0
    for chunk in _chunks(PERMUTATIONS, len(magnitudes)):
        positive = random.binomial(counts, 0.5, size=(chunk.stop - chunk.start, len(magnitudes)))
        as_extreme += int((np.abs((2 * positive - counts) @ magnitudes) >= threshold).sum())
    return (as_extreme + 1) / (PERMUTATIONS + 1)


def _chunks(draws: int, width: int) -> list[slice]:
    """`draws` in slices of at most _CHUNK numbers, when a draw takes `width` of them."""
    step = max(1, _CHUNK // max(1, width))
    return [slice(start, min(start + step, draws)) for start in range(0, draws, step)]
