"""Every metric against an independent implementation."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, top_k_accuracy_score

from wikiart_classify.scores import Confusion, Scores, calibration_error, most_frequent_confusions, score
from wikiart_data.results.serialization import json_text

STYLES = ("A", "B", "C", "D", "E")
COUNTS = np.array([300, 220, 60, 50, 9])


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = random.choice(5, size=400, p=[0.5, 0.25, 0.12, 0.1, 0.03])
    logits = random.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, labels


def test_agrees_with_scikit_learn(predictions):
    probabilities, labels = predictions
    result = score(probabilities, labels, STYLES, COUNTS)
    predicted = probabilities.argmax(axis=1)
    assert result.top1 == pytest.approx((predicted == labels).mean())
    assert result.top3 == pytest.approx(top_k_accuracy_score(labels, probabilities, k=3))
    assert result.balanced == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    recalls = recall_score(labels, predicted, average=None)
    assert result.many == pytest.approx(recalls[:2].mean())
    assert result.medium == pytest.approx(recalls[2:4].mean())
    assert result.few == pytest.approx(recalls[4])
    assert result.majority == pytest.approx((labels == 0).mean())
    assert [row.recall for row in result.per_style] == pytest.approx(recalls.tolist())


def test_wilson_interval_equals_the_textbook_example():
    # Wilson 1927 for 8 of 10 at 95 %: (0.4902, 0.9433), as in Newcombe 1998's formula.
    probabilities = np.eye(2)[[0] * 8 + [1] * 2]
    result = score(probabilities, np.zeros(10, dtype=int), ("A", "B"), np.array([5, 5]))
    assert result.top1 == 0.8
    assert result.top1_interval == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_styles_without_images_do_not_count():
    labels = np.array([0, 0, 2, 2])
    probabilities = np.eye(4)[[0, 0, 2, 3]]
    result = score(probabilities, labels, ("A", "B", "C", "D"), np.array([9, 9, 9, 9]))
    assert result.styles_scored == 2
    assert result.balanced == pytest.approx(0.75)
    assert result.macro_f1 == pytest.approx((1.0 + 2 / 3) / 2)
    assert result.per_style[1].recall is None
    assert result.many is None


def test_majority_is_the_most_frequent_style_of_train_not_of_test():
    labels = np.array([1, 1, 1, 0])
    result = score(np.eye(2)[labels], labels, ("A", "B"), np.array([100, 10]))
    assert result.majority == 0.25


def test_bootstrap_interval_has_the_right_width():
    # One style, 100 images, half of them correct: the standard error of the recall is 0.05.
    probabilities = np.eye(2)[[0] * 50 + [1] * 50]
    low, high = score(probabilities, np.zeros(100, dtype=int), ("A", "B"), np.array([1, 1])).balanced_interval
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)


def test_most_frequent_confusions():
    labels = np.array([0] * 5 + [1] * 3)
    predicted = np.array([1, 1, 1, 0, 0, 1, 1, 0])
    result = score(np.eye(2)[predicted], labels, ("A", "B"), np.array([5, 3]))
    assert most_frequent_confusions(result) == [Confusion("A", "B", 3, 5), Confusion("B", "A", 1, 3)]
    assert most_frequent_confusions(result, 1) == [Confusion("A", "B", 3, 5)]


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="images"):
        score(np.empty((0, 2)), np.empty(0, dtype=int), ("A", "B"), np.array([1, 1]))


def test_a_group_of_styles_with_very_few_images_gets_no_interval():
    labels = np.array([0] * 50 + [1, 2, 3])
    result = score(np.eye(4)[labels], labels, ("A", "B", "C", "D"), np.array([300, 5, 5, 5]))
    assert result.few == 1.0
    assert result.few_interval is None
    assert result.many_interval is not None


def two(confidence: np.ndarray) -> np.ndarray:
    """(N, 2) probabilities of predicting style 0 with these confidences, each at least ½."""
    return np.stack([confidence, 1 - confidence], axis=1)


def test_calibration_error_of_a_worked_example():
    # Ten bins. (0.9, 1]: 0.95 and 0.97 with one correct, a gap of |0.5 - 0.96|; (0.6, 0.7]: 0.65 right, a gap of 0.35.
    probabilities = two(np.array([0.95, 0.97, 0.65]))
    labels = np.array([0, 1, 0])
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(2 / 3 * 0.46 + 1 / 3 * 0.35)
    assert score(probabilities, labels, ("A", "B"), np.array([5, 5])).ece == calibration_error(probabilities, labels)


def test_gaps_of_opposite_sign_cancel_within_a_bin_and_not_between_bins():
    labels = np.array([0, 1])
    assert calibration_error(two(np.array([0.55, 0.52])), labels, bins=10) == pytest.approx(abs(0.45 - 0.52) / 2)
    assert calibration_error(two(np.array([0.55, 0.95])), labels, bins=10) == pytest.approx((0.45 + 0.95) / 2)


def test_a_bin_holds_its_upper_edge():
    labels = np.array([0, 1])
    # With four bins 0.75 probabilities one with 0.6, not with 0.8.
    assert calibration_error(two(np.array([0.75, 0.6])), labels, bins=4) == pytest.approx(abs(0.25 - 0.6) / 2)
    assert calibration_error(two(np.array([0.75, 0.8])), labels, bins=4) == pytest.approx((0.25 + 0.8) / 2)


def test_a_confidence_of_1_is_in_the_last_bin():
    assert calibration_error(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 0])) == pytest.approx(0.25)
    assert calibration_error(np.eye(3)[[0, 1]], np.array([0, 1])) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_true_probabilities_are_calibrated(dtype):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5] * 5, size=40_000)
    labels = (random.random((40_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=4)
    assert calibration_error(probabilities.astype(dtype), labels) < 0.01


def test_overconfidence_is_the_gap_to_the_accuracy():
    random = np.random.default_rng(0)
    correct = random.random(40_000) < 0.7
    probabilities = two(np.full(40_000, 0.9))
    assert calibration_error(probabilities, np.where(correct, 0, 1)) == pytest.approx(0.9 - correct.mean())
    assert calibration_error(probabilities, np.where(correct, 0, 1)) == pytest.approx(0.2, abs=0.01)


def test_scores_survive_json(predictions):
    probabilities, labels = predictions
    result = score(probabilities, labels, STYLES, COUNTS)
    assert Scores.from_json(json.loads(json_text(result))) == result


@pytest.mark.parametrize("styles", [2, 3])
def test_few_styles_can_be_scored(styles):
    labels = np.arange(styles).repeat(4)
    result = score(np.eye(styles)[labels], labels, STYLES[:styles], COUNTS[:styles])
    assert (result.top1, result.top3, result.balanced, result.macro_f1) == (1.0, 1.0, 1.0, 1.0)
