"""The paired comparison against exact tests, formulas and worked examples."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control
from sklearn.metrics import balanced_accuracy_score

from wikiart_classify import significance
from wikiart_classify.significance import PairedDifference, compare_paired, holm, style_weights


def outcomes(*patterns: tuple[str, int]) -> np.ndarray:
    """(1, N) bool: each pattern of 0 and 1, repeated."""
    return np.array([[digit == "1" for pattern, times in patterns for digit in pattern * times]])


def equal(number: int) -> np.ndarray:
    return np.full(number, 1 / number)


@pytest.mark.parametrize(("better", "worse"), [(30, 14), (9, 9), (12, 3), (5, 0), (1, 0)])
def test_one_seed_and_equal_weights_give_mcnemars_exact_test(better, worse):
    first = outcomes(("1", better), ("0", worse), ("1", 40), ("0", 60))
    second = outcomes(("0", better), ("1", worse), ("1", 40), ("0", 60))
    number = first.shape[1]
    result = compare_paired(first, second, equal(number), np.zeros(number, dtype=int))
    exact = binomtest(better, better + worse).pvalue
    # Four standard errors of 10,000 permutations, and the +1.
    assert result.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / significance.PERMUTATIONS) + 1.5e-4)
    assert result.difference == pytest.approx((better - worse) / number)


@pytest.mark.parametrize("largest", range(3, 40))
def test_ties_are_counted_despite_rounding(largest):
    # Two images of each of three styles differ: 2 of 64 sign patterns give as large a sum, added in another order.
    labels = np.repeat([0, 1, 2], [3, 7, largest])
    first = np.concatenate([np.arange(count) < 2 for count in (3, 7, largest)])[None]
    result = compare_paired(first, np.zeros_like(first), style_weights(labels), labels)
    assert result.p == pytest.approx(2 / 64, abs=0.008)


def test_p_equals_full_enumeration_when_seeds_and_weights_differ():
    random = np.random.default_rng(4)
    labels = np.array([0] * 7 + [1] * 3 + [2])
    first, second = random.random((3, 11)) < 0.7, random.random((3, 11)) < 0.4
    weights = style_weights(labels)
    differences = weights * (first.mean(axis=0) - second.mean(axis=0))
    sums = np.array([np.dot(signs, differences) for signs in itertools.product((1, -1), repeat=11)])
    exact = (np.abs(sums) >= abs(differences.sum()) - 1e-12).mean()
    assert 0.01 < exact < 0.9
    assert compare_paired(first, second, weights, labels).p == pytest.approx(exact, abs=0.02)


def test_difference_is_that_of_mean_balanced_accuracies():
    random = np.random.default_rng(5)
    labels = random.choice(6, size=300, p=[0.5, 0.2, 0.15, 0.1, 0.04, 0.01])
    predictions = [
        [np.where(random.random(300) < accuracy, labels, 5 - labels) for _ in range(3)] for accuracy in (0.6, 0.4)
    ]
    first, second = (np.array([guess == labels for guess in guesses]) for guesses in predictions)
    means = [np.mean([balanced_accuracy_score(labels, guess) for guess in guesses]) for guesses in predictions]
    result = compare_paired(first, second, style_weights(labels), labels)
    assert result.difference == pytest.approx(means[0] - means[1])
    assert result.interval[0] < result.difference < result.interval[1]


def test_interval_has_the_width_of_the_formula():
    # One style of 400 images, differences +1, −1 and 0 with frequencies 0.3, 0.1, 0.6: variance 0.4 − 0.2² = 0.36.
    first = outcomes(("1", 120), ("0", 40), ("1", 240))
    second = outcomes(("0", 120), ("1", 40), ("1", 240))
    low, high = compare_paired(first, second, equal(400), np.zeros(400, dtype=int)).interval
    half = 1.96 * np.sqrt(0.36 / 400)
    assert [low, high] == pytest.approx([0.2 - half, 0.2 + half], abs=0.006)


def test_images_are_resampled_within_their_style():
    # All of one style better, all of the other worse: resampling within styles changes nothing, across them it would.
    labels = np.array([0] * 50 + [1] * 50)
    better = (labels == 0)[None]
    assert compare_paired(better, ~better, equal(100), labels).interval == pytest.approx([0, 0])


def test_swapping_the_methods_changes_the_sign():
    random = np.random.default_rng(6)
    first, second = random.random((2, 80)) < 0.6, random.random((2, 80)) < 0.4
    labels = np.zeros(80, dtype=int)
    one, other = compare_paired(first, second, equal(80), labels), compare_paired(second, first, equal(80), labels)
    assert one.difference == -other.difference != 0
    assert one.p == pytest.approx(other.p, abs=0.02)


def test_identical_methods():
    same = np.random.default_rng(7).random((3, 40)) < 0.5
    result = compare_paired(same, same[::-1], equal(40), np.zeros(40, dtype=int))
    assert result == PairedDifference(0.0, (0.0, 0.0), 1.0)


def test_p_is_uniform_under_the_null_hypothesis(monkeypatch):
    monkeypatch.setattr(significance, "PERMUTATIONS", 1_000)
    monkeypatch.setattr(significance, "BOOTSTRAPS", 2)  # of the interval, which is not looked at
    random = np.random.default_rng(8)
    labels = random.integers(0, 4, 120)
    draws = [random.random((2, 3, 120)) < 0.5 for _ in range(200)]
    small = [compare_paired(first, second, style_weights(labels), labels).p <= 0.1 for first, second in draws]
    assert np.mean(small) == pytest.approx(0.1, abs=0.07)


def test_memory_for_ten_thousand_images_of_different_weight():
    random = np.random.default_rng(9)
    weights = random.random(10_000)
    first, second = random.random((3, 10_000)) < 0.5, random.random((3, 10_000)) < 0.5
    tracemalloc.start()
    compare_paired(first, second, weights / weights.sum(), np.zeros(10_000, dtype=int))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_draws_in_several_chunks_are_all_made(monkeypatch):
    first, second = outcomes(("1", 30), ("0", 20)), outcomes(("0", 30), ("1", 20))
    whole = compare_paired(first, second, equal(50), np.zeros(50, dtype=int))
    monkeypatch.setattr(significance, "_CHUNK", 777)
    parts = compare_paired(first, second, equal(50), np.zeros(50, dtype=int))
    assert parts.p == pytest.approx(whole.p, abs=0.02)
    assert parts.interval == pytest.approx(whole.interval, abs=0.03)


@pytest.mark.parametrize(
    ("first", "weights", "message"),
    [
        (np.ones((1, 3), dtype=bool), equal(4), "first has shape"),
        (np.ones(4, dtype=bool), equal(4), "first has shape"),
        (np.ones((1, 4), dtype=bool), np.ones(4), "sum to 1"),
    ],
)
def test_mismatched_shapes_and_weights_are_refused(first, weights, message):
    with pytest.raises(ValueError, match=message):
        compare_paired(first, np.ones((1, 4), dtype=bool), weights, np.zeros(4, dtype=int))


def test_style_weights():
    weights = style_weights(np.array([7, 2, 2, 2, 7, 5]))
    assert weights == pytest.approx([1 / 6, 1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 3])


def test_holm_of_a_worked_example():
    # In order 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last is raised to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_lies_between_no_adjustment_and_bonferroni():
    values = np.random.default_rng(10).random(9) ** 3
    adjusted = np.array(holm(values))
    assert (adjusted <= np.minimum(1, 9 * values)).all()
    assert (adjusted >= false_discovery_control(values) - 1e-12).all()
    assert adjusted[values.argmin()] == pytest.approx(min(1, 9 * values.min()))
