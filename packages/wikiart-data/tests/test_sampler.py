import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from wikiart_data.images.sampler import BalancedSampler

# Labels of up to seven styles with 1 to 60 pictures each, in any order, with gaps between the labels.
counts = some.lists(some.integers(1, 60), min_size=1, max_size=7)
powers = some.one_of(some.sampled_from([0.0, 0.5, 1.0]), some.floats(0, 1))
quick = settings(max_examples=60, deadline=None)


def labels_of(counts: list[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(3 * np.arange(len(counts)) + 1, counts))


def draws_of(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Draws of each style in an epoch."""
    return np.array([(labels[rows] == style).sum() for style in np.unique(labels)])


@quick
@given(counts, powers, some.integers(1, 300))
def test_expected_draws_are_in_proportion_to_count_to_the_one_minus_power(counts, power, length):
    sampler = BalancedSampler(labels_of(counts), power, length=length)
    weights = [n ** (1 - power) for n in counts]
    assert sampler.expected_draws() == pytest.approx([length * weight / sum(weights) for weight in weights])
    assert sampler.styles.tolist() == [3 * place + 1 for place in range(len(counts))]


def test_expected_draws_of_an_example():
    labels = np.repeat([0, 1, 2], [100, 25, 4])
    assert BalancedSampler(labels, 0).expected_draws() == pytest.approx([100, 25, 4])
    assert BalancedSampler(labels, 0.5, length=170).expected_draws() == pytest.approx([100, 50, 20])
    assert BalancedSampler(labels, 1).expected_draws() == pytest.approx([43, 43, 43])


@quick
@given(counts, powers, some.integers(1, 300), some.integers(0, 10**9), some.integers(0, 1000))
def test_an_epoch_draws_each_style_the_floor_or_ceiling_of_its_expectation(counts, power, length, seed, epoch):
    labels = labels_of(counts)
    sampler = BalancedSampler(labels, power, length=length, seed=seed)
    rows = sampler.epoch(epoch)
    assert len(rows) == length
    drawn, expected = draws_of(labels, rows), sampler.expected_draws()
    # The millionth forgives an expectation that is a whole number but for rounding.
    assert (drawn >= np.floor(expected - 1e-6)).all()
    assert (drawn <= np.ceil(expected + 1e-6)).all()


@quick
@given(counts, powers, some.integers(1, 400), some.integers(0, 10**9))
def test_within_a_style_no_picture_is_two_ahead(counts, power, length, seed):
    labels = labels_of(counts)
    times = np.bincount(BalancedSampler(labels, power, length=length, seed=seed).epoch(0), minlength=len(labels))
    for style in np.unique(labels):
        assert np.ptp(times[labels == style]) <= 1


@quick
@given(counts, some.integers(0, 10**9), some.integers(0, 1000))
def test_at_power_0_an_epoch_is_a_permutation(counts, seed, epoch):
    rows = BalancedSampler(labels_of(counts), 0, seed=seed).epoch(epoch)
    assert sorted(rows.tolist()) == list(range(sum(counts)))


@quick
@given(counts, some.integers(0, 10**9))
def test_at_power_1_every_style_is_reached_equally_often(counts, seed):
    labels = labels_of(counts)
    drawn = draws_of(labels, BalancedSampler(labels, 1, length=20 * len(counts), seed=seed).epoch(0))
    assert drawn.tolist() == [20] * len(counts)


@pytest.mark.parametrize("power", [0.25, 0.5, 0.9])
def test_means_over_many_epochs_match(power: float):
    labels = labels_of([50, 20, 7, 1])
    sampler = BalancedSampler(labels, power, length=61)
    epochs = 2000
    drawn = np.array([draws_of(labels, sampler.epoch(epoch)) for epoch in range(epochs)])
    # Each draw is floor or ceiling, so its variance is at most 1/4; five standard errors of the mean.
    assert np.abs(drawn.mean(axis=0) - sampler.expected_draws()).max() < 5 * 0.5 / epochs**0.5


def test_every_picture_of_a_style_is_drawn_equally_often():
    labels = labels_of([40, 4])
    sampler = BalancedSampler(labels, 1, length=10)  # 5 of the 40 an epoch
    seen = np.bincount(np.concatenate([sampler.epoch(epoch) for epoch in range(400)]), minlength=44)
    frequent = seen[labels == 1]  # `labels_of` calls the first style 1
    assert frequent.sum() == 2000
    assert 20 < frequent.min() <= frequent.max() < 90  # 50 expected, a standard deviation of 6.6


def test_the_order_is_shuffled():
    labels = np.repeat([0, 1], 500)
    rows = BalancedSampler(labels).epoch(0)
    assert 400 < (labels[rows][:-1] != labels[rows][1:]).sum() < 600  # 499.5 expected, a standard deviation of 16


def test_reproducible_and_different_by_seed_and_epoch():
    labels = labels_of([30, 10, 5])
    epochs = {(seed, e): tuple(BalancedSampler(labels, 0.5, seed=seed).epoch(e)) for seed in range(3) for e in range(3)}
    assert len(set(epochs.values())) == 9
    for (seed, epoch), rows in epochs.items():
        assert tuple(BalancedSampler(labels, 0.5, seed=seed).epoch(epoch)) == rows


def test_set_epoch_chooses_what_iteration_yields():
    sampler = BalancedSampler(labels_of([30, 10, 5]), 0.5)
    first = list(sampler)
    assert first == list(sampler) == sampler.epoch(0).tolist()
    sampler.set_epoch(7)
    assert list(sampler) == sampler.epoch(7).tolist() != first
    assert all(isinstance(row, int) for row in sampler)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": np.array([], dtype=int)}, "labels must be a non-empty row"),
        ({"labels": np.zeros((2, 2), dtype=int)}, "labels must be a non-empty row"),
        ({"power": -0.1}, r"power -0\.1 is not in 0\.\.1"),
        ({"power": 1.01}, r"power 1\.01 is not in 0\.\.1"),
        ({"power": float("nan")}, r"power nan is not in 0\.\.1"),
    ],
)
def test_errors(arguments: dict, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        BalancedSampler(**({"labels": np.array([0, 1])} | arguments))
