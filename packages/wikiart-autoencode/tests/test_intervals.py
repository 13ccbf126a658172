"""Intervals of agreement against fresh samples of pictures, seeds, and paired differences."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from wikiart_autoencode.clustering import intervals
from wikiart_autoencode.clustering.intervals import difference, interval, resampled_agreement


def population(n: int, random: np.random.Generator, kept: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Styles of n pictures, and clusters that are the style with probability `kept`, else random."""
    labels = random.choice(5, n, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    return labels, np.where(random.random(n) < kept, labels, random.integers(0, 5, n))


def test_half_samples_vary_as_fresh_samples_of_pictures_do():
    random = np.random.default_rng(0)
    fresh = [adjusted_mutual_info_score(*population(300, random)) for _ in range(150)]
    labels, clusters = population(300, random)
    samples = resampled_agreement([clusters], labels)
    assert samples.ami.std() == pytest.approx(np.std(fresh), rel=0.3)
    value = adjusted_mutual_info_score(labels, clusters)
    low, high = interval(value, samples.ami)
    assert low < value < high
    assert high - low == pytest.approx(3.92 * np.std(fresh), rel=0.35)
    assert samples.nmi.mean() > samples.ami.mean()  # not corrected for chance
    assert (samples.ari > 0).all()


def test_seeds_widen_the_interval(monkeypatch):
    monkeypatch.setattr(intervals, "HALF_SAMPLES", 40)
    random = np.random.default_rng(1)
    labels, good = population(400, random, 0.8)
    bad = np.where(random.random(400) < 0.3, labels, random.integers(0, 5, 400))
    alone, both = resampled_agreement([good], labels).ami, resampled_agreement([good, bad], labels).ami
    assert both.std() > 3 * alone.std()


def test_a_paired_difference_is_narrower_than_two_intervals(monkeypatch):
    monkeypatch.setattr(intervals, "HALF_SAMPLES", 60)
    random = np.random.default_rng(2)
    labels, first = population(300, random)
    second = np.where(random.random(300) < 0.05, random.integers(0, 5, 300), first)  # nearly the same clusters
    scores = [adjusted_mutual_info_score(labels, clusters) for clusters in (first, second)]
    samples = [resampled_agreement([clusters], labels, seed=3).ami for clusters in (first, second)]
    gain = difference(scores[0], scores[1], samples[0], samples[1], 300)
    low, high = interval(scores[0], samples[0])
    assert gain.value == pytest.approx(scores[0] - scores[1])
    assert gain.interval[0] < gain.value < gain.interval[1]
    assert gain.interval[1] - gain.interval[0] < 0.6 * (high - low)
    itself = difference(scores[0], scores[0], samples[0], samples[0], 300)
    assert itself.interval == (0, 0)
