"""Every figure against an independent implementation."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, top_k_accuracy_score

from wikiart_classify.scores import most_confused, scores

STYLES = ("A", "B", "C", "D", "E")
COUNTS = np.array([300, 220, 60, 50, 9])


@pytest.fixture
def guesses() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = random.choice(5, size=400, p=[0.5, 0.25, 0.12, 0.1, 0.03])
    logits = random.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares, labels


def test_agrees_with_scikit_learn(guesses):
    shares, labels = guesses
    result = scores(shares, labels, STYLES, COUNTS)
    named = shares.argmax(axis=1)
    assert result["top1"] == pytest.approx((named == labels).mean())
    assert result["top3"] == pytest.approx(top_k_accuracy_score(labels, shares, k=3))
    assert result["balanced"] == pytest.approx(balanced_accuracy_score(labels, named))
    assert result["macro_f1"] == pytest.approx(f1_score(labels, named, average="macro"))
    recalls = recall_score(labels, named, average=None)
    assert result["many"] == pytest.approx(recalls[:2].mean())
    assert result["medium"] == pytest.approx(recalls[2:4].mean())
    assert result["few"] == pytest.approx(recalls[4])
    assert result["majority"] == pytest.approx((labels == 0).mean())
    assert [row["recall"] for row in result["per_style"]] == pytest.approx(recalls.tolist())


def test_wilson_interval_is_the_textbook_one():
    # Wilson 1927 for 8 of 10 at 95 %: (0.4902, 0.9433), as in Newcombe 1998's formula.
    shares = np.eye(2)[[0] * 8 + [1] * 2]
    result = scores(shares, np.zeros(10, dtype=int), ("A", "B"), np.array([5, 5]))
    assert result["top1"] == 0.8
    assert result["top1_interval"] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_styles_without_pictures_do_not_count():
    labels = np.array([0, 0, 2, 2])
    shares = np.eye(4)[[0, 0, 2, 3]]
    result = scores(shares, labels, ("A", "B", "C", "D"), np.array([9, 9, 9, 9]))
    assert result["styles_scored"] == 2
    assert result["balanced"] == pytest.approx(0.75)
    assert result["macro_f1"] == pytest.approx((1.0 + 2 / 3) / 2)
    assert result["per_style"][1]["recall"] is None
    assert result["many"] is None


def test_majority_is_the_most_frequent_style_of_train_not_of_test():
    labels = np.array([1, 1, 1, 0])
    result = scores(np.eye(2)[labels], labels, ("A", "B"), np.array([100, 10]))
    assert result["majority"] == 0.25


def test_bootstrap_interval_has_the_right_width():
    # One style, 100 pictures, half right: the standard error of the recall is 0.05.
    shares = np.eye(2)[[0] * 50 + [1] * 50]
    low, high = scores(shares, np.zeros(100, dtype=int), ("A", "B"), np.array([1, 1]))["balanced_interval"]
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)


def test_most_confused_pairs():
    labels = np.array([0] * 5 + [1] * 3)
    named = np.array([1, 1, 1, 0, 0, 1, 1, 0])
    result = scores(np.eye(2)[named], labels, ("A", "B"), np.array([5, 3]))
    assert most_confused(result) == [("A", "B", 3, 5), ("B", "A", 1, 3)]


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no pictures"):
        scores(np.empty((0, 2)), np.empty(0, dtype=int), ("A", "B"), np.array([1, 1]))


def test_a_group_of_styles_with_hardly_a_picture_gets_no_interval():
    labels = np.array([0] * 50 + [1, 2, 3])
    result = scores(np.eye(4)[labels], labels, ("A", "B", "C", "D"), np.array([300, 5, 5, 5]))
    assert result["few"] == 1.0
    assert result["few_interval"] is None
    assert result["many_interval"] is not None
