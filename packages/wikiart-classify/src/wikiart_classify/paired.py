"""Two methods on the same test pictures, several seeds each: is one better, by how much, how sure is that?

What is covered, and what is not. The interval and p speak of the sampling of test pictures, **given these trained
networks**: had other pictures of the same styles been drawn for testing, would the difference still be there? They say
nothing about networks trained again from other starting weights or on other training pictures. That spread is shown
separately, as ± std over seeds; a difference that is sure for these pictures and smaller than that std is not settled.
"""

from collections.abc import Sequence

import numpy as np

BOOTSTRAPS = 2_000
FLIPS = 10_000
_CHUNK = 4_000_000
"""Numbers drawn at once, 8 bytes each."""


def style_weights(labels: np.ndarray) -> np.ndarray:
    """Weights that make a sum over pictures a mean over styles: 1 / (K n_c), K styles present, n_c pictures of one.

    Args:
        labels: (N,) int, the true style of each picture.

    Returns:
        (N,) float64, sums to 1.
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / (len(counts) * counts[place])


def compare_paired(
    ours: np.ndarray, theirs: np.ndarray, weights: np.ndarray, labels: np.ndarray, seed: int = 0
) -> dict[str, float | list[float]]:
    """The weighted difference of two methods' hits on the same pictures, its 95 % interval, and a two-sided p.

    A picture's difference d_i is the share of our seeds that hit it less the share of theirs; the statistic is
    sum w_i d_i. Weights 1/N compare top-1, `style_weights` balanced accuracy.

    The interval is a bootstrap (percentiles) that draws pictures anew within each style. p comes from random sign
    flips: if the methods were alike, each picture's d_i would as likely be −d_i. With one seed each and equal weights
    this is McNemar's exact test; the count has the +1 correction (Phipson & Smyth 2010), so p is never below
    1 / (FLIPS + 1). A style's only picture stays the same however often it is redrawn, so it adds nothing to the
    interval of a balanced accuracy, which is too narrow then; p does count it. Where the two disagree, believe p.

    Args:
        ours: (S, N) bool, hits of our S seeds.
        theirs: (T, N) bool, hits of theirs on the same pictures in the same order.
        weights: (N,) float, sums to 1.
        labels: (N,) int, the true styles.
        seed: of the draws; the same seed gives the same answer.

    Returns:
        "difference" (ours − theirs, a share in −1..1), "interval" [low, high], "p".

    Raises:
        ValueError: shapes that do not fit, no picture, or weights that do not sum to 1.
    """
    number = len(labels)
    if number == 0:
        raise ValueError("no pictures to compare on")
    for name, array in (("ours", ours), ("theirs", theirs)):
        if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != number:
            raise ValueError(f"{name} has the shape {array.shape}, and (seeds, {number}) is needed")
    if weights.shape != (number,) or not np.isclose(weights.sum(), 1):
        raise ValueError(f"weights must be ({number},) and sum to 1")
    # In whole numbers until the last step: equal differences stay equal, and can be drawn together below.
    seeds, others = len(ours), len(theirs)
    wins = ours.astype(bool).sum(axis=0) * others - theirs.astype(bool).sum(axis=0) * seeds
    shares = weights * (wins / (seeds * others))
    random = np.random.default_rng(seed)
    return {
        "difference": float(shares.sum()),
        "interval": [float(value) for value in np.percentile(_redrawn(shares, labels, random), [2.5, 97.5])],
        "p": _flipped(shares, random),
    }


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p values for their number, in the order given; valid however they depend on one another (Holm 1979).

    The smallest of m is multiplied by m, the next by m − 1 and so on; none ends below one that was smaller, or above 1.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(np.argsort(values, kind="stable")):
        highest = max(highest, min(1.0, (len(values) - rank) * float(values[place])))
        adjusted[place] = highest
    return adjusted


def _redrawn(shares: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(BOOTSTRAPS,) sums of `shares`, as many pictures of each style drawn anew with replacement.

    Pictures of one style with the same share are drawn together: how often each share comes up is multinomial.
    """
    sums = np.zeros(BOOTSTRAPS)
    for style in np.unique(labels):
        values, counts = np.unique(shares[labels == style], return_counts=True)
        total = int(counts.sum())
        for part in _parts(BOOTSTRAPS, len(values)):
            sums[part] += random.multinomial(total, counts / total, size=part.stop - part.start) @ values
    return sums


def _flipped(shares: np.ndarray, random: np.random.Generator) -> float:
    """Two-sided p of the sum of `shares` under random signs.

    Of n shares of the same size a Binomial(n, ½) number is positive, so those are drawn together.
    """
    sizes, counts = np.unique(np.abs(shares[shares != 0]), return_counts=True)
    # Sums that are equal on paper differ in the last bits: without some room, ties would be lost.
    least = abs(float(shares.sum())) - 1e-9 * float(np.abs(shares).sum())
    as_large = 0
    for part in _parts(FLIPS, len(sizes)):
        positive = random.binomial(counts, 0.5, size=(part.stop - part.start, len(sizes)))
        as_large += int((np.abs((2 * positive - counts) @ sizes) >= least).sum())
    return (as_large + 1) / (FLIPS + 1)


def _parts(draws: int, width: int) -> list[slice]:
    """`draws` in slices of at most _CHUNK numbers, when a draw takes `width`."""
    step = max(1, _CHUNK // max(1, width))
    return [slice(start, min(start + step, draws)) for start in range(0, draws, step)]
