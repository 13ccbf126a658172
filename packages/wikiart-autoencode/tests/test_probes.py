"""Nearest neighbours and the linear probe against scikit-learn, and codes unrelated to style."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation import probes
from wikiart_autoencode.evaluation.probes import code_metrics, neighbours, probe, vote
from wikiart_data.errors import InputError


def make_codes(spread: float, knows: bool = True, number: int = 900, seed: int = 0) -> Codes:
    """Codes of five unequally frequent styles about their means, or around means unrelated to style."""
    random = np.random.default_rng(seed)
    labels = random.choice(5, size=number, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    means = random.normal(size=(5, 16)) * 3
    about = labels if knows else random.integers(0, 5, number)
    return Codes(
        codes=40 * (means[about] + spread * random.normal(size=(number, 16))) + 7,
        labels=labels,
        files=np.array([f"{row}.jpg" for row in range(number)]),
        styles=np.array(list("abcdef")),  # the sixth has no picture
        split=random.choice(["train", "valid", "test"], size=number, p=[0.6, 0.15, 0.25]),
    )


def test_codes_that_separate_styles_score_above_chance():
    result = code_metrics(make_codes(3.0))
    for name in ("knn_top1", "knn_balanced", "probe_top1", "probe_balanced"):
        low, high = getattr(result, f"{name}_interval")
        mean, std = getattr(result, f"{name}_permuted")
        assert 0.75 < low <= getattr(result, name) <= high <= 1
        assert mean + 5 * std < getattr(result, name)
    assert result.silhouette > 0.1 > result.silhouette_permuted[0]
    assert result.styles_scored == 5
    assert result.chance == pytest.approx(1 / 5)
    assert result.probe_c in probes.PENALTIES
    json.dumps(asdict(result), allow_nan=False)
    assert result == code_metrics(make_codes(3.0))


def test_codes_unrelated_to_style_score_chance():
    codes = make_codes(1.0, knows=False)
    result = code_metrics(codes)
    assert result.majority == pytest.approx((codes.labels[codes.rows("test")] == 0).mean())
    for name in ("knn", "probe"):
        assert getattr(result, f"{name}_top1") < result.majority + 0.06
        assert getattr(result, f"{name}_balanced") == pytest.approx(0.2, abs=0.06)
        assert getattr(result, f"{name}_balanced_permuted")[0] == pytest.approx(0.2, abs=0.04)
    assert abs(result.silhouette) < 0.05


def test_scores_and_intervals_are_those_of_the_formulas(monkeypatch):
    codes = make_codes(6.0)
    train, test = codes.rows("train"), codes.rows("test")
    labels = codes.labels[test]
    result = code_metrics(codes, permutations=2)
    assert result.knn_metric in ("euclidean", "cosine")
    centre = codes.codes[train].mean(axis=0)
    model = KNeighborsClassifier(20, metric=result.knn_metric).fit(codes.codes[train] - centre, codes.labels[train])
    named = vote(codes.labels[train][model.kneighbors(codes.codes[test] - centre, return_distance=False)])
    hits = int((named == labels).sum())
    interval = binomtest(hits, len(labels)).proportion_ci(method="wilson")
    assert result.knn_top1 == hits / len(labels)
    assert result.knn_top1_interval == pytest.approx([interval.low, interval.high])
    assert result.knn_balanced == pytest.approx(balanced_accuracy_score(labels, named))
    low, high = result.knn_balanced_interval
    assert low < result.knn_balanced < high
    assert named.shape == labels.shape


def test_cosine_is_selected_where_lengths_are_random():
    plain = make_codes(1.0)
    random = np.random.default_rng(1)
    directions = np.linalg.qr(random.normal(size=(16, 16)))[0][plain.labels]
    lengths = np.exp(random.uniform(-5, 0, (len(plain), 1))) * random.choice([-1, 1], (len(plain), 1))
    codes = lengths * (directions + 0.2 * random.normal(size=plain.codes.shape))
    stretched = Codes(codes, plain.labels, plain.files, plain.styles, plain.split)
    assert code_metrics(plain, permutations=2).knn_metric == "euclidean"
    assert code_metrics(stretched, permutations=2).knn_metric == "cosine"


@pytest.mark.parametrize("number", [1, 7, 50, 80])
def test_neighbours_are_scikit_learns(number, monkeypatch):
    monkeypatch.setattr(probes, "_CHUNK", 17)
    random = np.random.default_rng(number)
    train, test = random.normal(size=(50, 9)), random.normal(size=(40, 9))
    number = min(number, 50)
    expected = KNeighborsClassifier(number).fit(train, np.zeros(50)).kneighbors(test, return_distance=False)
    np.testing.assert_array_equal(neighbours(train, test, number), expected)


def test_votes_by_hand():
    # Two of 3; one of each, so the nearest; two twos and two sevens, a seven nearest.
    np.testing.assert_array_equal(vote(np.array([[1, 3, 3, 0], [4, 1, 0, 2], [7, 2, 2, 7]])), [3, 4, 7])


def test_the_penalty_is_chosen_on_valid():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    codes = random.normal(size=(60, 200)).astype(np.float32)
    codes[:, 0] += 3 * labels  # 1 of 200 dimensions is informative; without a penalty the others dominate
    c, named = probe(codes[:30], labels[:30], codes[30:], labels[30:], codes[30:])
    hits = {
        one: (probes._fit(codes[:30], labels[:30], [one])[0].predict(codes[30:]) == labels[30:]).sum()
        for one in probes.PENALTIES
    }
    assert abs(hits[c] - max(hits.values())) <= 1  # each started elsewhere here
    assert (named == labels[30:]).mean() > 0.6


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_split_without_codes_is_named(split):
    codes = make_codes(1.0, number=60)
    others = codes.split != split
    without = Codes(codes.codes[others], codes.labels[others], codes.files[others], codes.styles, codes.split[others])
    with pytest.raises(InputError) as error:
        code_metrics(without)
    assert error.value.field == split


def test_a_single_style_is_refused():
    codes = make_codes(1.0, number=60)
    one = Codes(codes.codes, np.zeros(60, dtype=int), codes.files, codes.styles, codes.split)
    with pytest.raises(InputError) as error:
        code_metrics(one)
    assert error.value.field == "train"
