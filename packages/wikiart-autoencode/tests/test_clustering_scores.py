"""Agreement scores against scikit-learn and by hand, silhouettes, and the same for permuted labels."""

import json
import time
from dataclasses import asdict

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs

from wikiart_autoencode.clustering import scores
from wikiart_autoencode.clustering.scores import agreement, clustering_scores, silhouette

NAMES = ("ami", "nmi", "ari", "homogeneity", "completeness", "purity")


@st.composite
def clusterings(draw) -> tuple[np.ndarray, np.ndarray]:
    """Clusters, noise among them, and labels of the same pictures."""
    number = draw(st.integers(1, 60))
    clusters = draw(st.lists(st.integers(-1, draw(st.integers(-1, 6))), min_size=number, max_size=number))
    labels = draw(st.lists(st.integers(0, draw(st.integers(0, 6))), min_size=number, max_size=number))
    return np.array(clusters), np.array(labels)


@given(clusterings())
@example((np.zeros(5, dtype=int), np.zeros(5, dtype=int)))
@example((np.arange(6), np.arange(6)))
@example((np.full(4, -1), np.array([0, 0, 1, 2])))
@settings(deadline=None, max_examples=60)
def test_scores_are_scikit_learns_with_noise_as_one_cluster(clustering):
    clusters, labels = clustering
    ours = agreement(clusters, labels)
    assert ours.ami == pytest.approx(reference.adjusted_mutual_info_score(labels, clusters), abs=1e-6)
    assert ours.nmi == pytest.approx(reference.normalized_mutual_info_score(labels, clusters), abs=1e-9)
    assert ours.ari == pytest.approx(reference.adjusted_rand_score(labels, clusters), abs=1e-9)
    assert ours.homogeneity == pytest.approx(reference.homogeneity_score(labels, clusters), abs=1e-9)
    assert ours.completeness == pytest.approx(reference.completeness_score(labels, clusters), abs=1e-9)
    assert tuple(asdict(ours)) == NAMES


@given(clusterings(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_names_and_order_do_not_matter(clustering, random):
    clusters, labels = clustering
    order = np.array(random.sample(range(len(labels)), len(labels)))
    names = np.array(random.sample(range(50), 10))
    again = agreement(names[clusters][order], names[labels][order])
    assert asdict(again) == pytest.approx(asdict(agreement(clusters, labels)), abs=1e-9)


def test_purity_and_entropies_by_hand():
    # Cluster 0 holds 3 of style 0 and 1 of style 1; noise holds 1 and 3: 6 of 8 are right.
    clusters = np.array([0, 0, 0, 0, -1, -1, -1, -1])
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    ours = agreement(clusters, labels)
    assert ours.purity == 6 / 8
    shared = np.log(2) - (-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    for name in ("nmi", "homogeneity", "completeness"):
        assert getattr(ours, name) == pytest.approx(shared / np.log(2))
    # Pairs of 28: 6 together in both; 12 in clusters, 12 in styles; chance 144 / 28.
    assert ours.ari == pytest.approx((6 - 144 / 28) / (12 - 144 / 28))


def test_noise_counts_as_one_cluster():
    labels = np.repeat([0, 1, 2, 3], 25)
    few = np.where(np.arange(100) % 25 < 3, labels, -1)  # 88 % noise, the rest is right
    result = clustering_scores(np.random.default_rng(0).normal(size=(100, 3)), few, labels)
    assert (result.noise, result.clusters) == (0.88, 4)
    assert result.purity == pytest.approx((12 + 22) / 100)
    assert result.ami < 0.3


def test_all_noise_scores_zero():
    labels = np.repeat([0, 1], 20)
    result = clustering_scores(np.eye(40), np.full(40, -1), labels)
    assert (result.noise, result.clusters, result.silhouette) == (1.0, 0, None)
    assert result.ami == pytest.approx(0, abs=1e-9)
    assert result.silhouette_permuted is None
    json.dumps(asdict(result), allow_nan=False)


def test_permuted_labels_score_chance_and_true_ones_more():
    random = np.random.default_rng(0)
    labels = random.choice(27, size=3_000, p=np.linspace(1, 5, 27) / np.linspace(1, 5, 27).sum())
    codes = random.normal(size=(27, 8))[labels] + random.normal(size=(3_000, 8)) * 0.2
    clusters = np.where(random.random(3_000) < 0.7, labels, random.integers(-1, 27, 3_000))
    result = clustering_scores(codes, clusters, labels, permutations=20, seed=1)
    for name in ("ami", "ari", "silhouette"):
        mean, std = getattr(result, f"{name}_permuted")
        assert abs(mean) < 0.08 if name == "silhouette" else abs(mean) < 0.005
        assert 0 < std < 0.02
    assert result.ami_permuted[0] < 0.01 < result.nmi_permuted[0]  # why ami is the headline
    for name in (*NAMES, "silhouette"):
        mean, std = getattr(result, f"{name}_permuted")
        assert getattr(result, name) > mean + 5 * std
    assert result == clustering_scores(codes, clusters, labels, permutations=20, seed=1)
    json.dumps(asdict(result), allow_nan=False)


def test_permuted_scores_are_scores_of_permuted_labels():
    random = np.random.default_rng(3)
    clusters, labels = random.integers(-1, 5, 200), random.integers(0, 4, 200)
    result = clustering_scores(random.normal(size=(200, 3)), clusters, labels, permutations=4, seed=9)
    dealer = np.random.default_rng(9)
    values = [reference.adjusted_mutual_info_score(dealer.permutation(labels), clusters) for _ in range(4)]
    assert result.ami_permuted == pytest.approx([np.mean(values), np.std(values, ddof=1)], abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_silhouette_is_scikit_learns_over_what_is_not_noise(seed):
    random = np.random.default_rng(seed)
    codes = random.normal(size=(700, 12)).astype(np.float32) + 100
    clusters = random.integers(-1, 9, 700)
    clusters[0] = 30  # alone in its cluster
    codes[5:9] = codes[5]  # equal codes
    clustered = clusters >= 0
    assert silhouette(codes, clusters) == pytest.approx(
        reference.silhouette_score(codes[clustered].astype(np.float64), clusters[clustered]), abs=1e-6
    )


def test_silhouette_by_hand():
    # On a line at 0, 1 | 4, 6: a and b of each are (1, 5), (1, 4), (2, 3.5), (2, 5.5).
    by_hand = np.mean([4 / 5, 3 / 4, 1.5 / 3.5, 3.5 / 5.5])
    codes = np.array([[0.0], [1.0], [4.0], [6.0], [99.0]])
    assert silhouette(codes, np.array([5, 5, 2, 2, -1])) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("clusters", [[0, 0, 0, 0], [-1, -1, 0, 0], [-1, -1, -1, -1], [0, 1, 2, 3], [0, 1, -1, -1]])
def test_silhouette_is_none_where_it_is_not_defined(clusters):
    assert silhouette(np.eye(4), np.array(clusters)) is None


def test_a_large_silhouette_is_of_a_seeded_sample(monkeypatch):
    codes, clusters = make_blobs(900, 4, centers=3, cluster_std=3.0, random_state=0)
    whole = silhouette(codes, clusters)
    monkeypatch.setattr(scores, "SILHOUETTE_SAMPLE", 300)
    assert silhouette(codes, clusters, seed=1) == silhouette(codes, clusters, seed=1) != whole
    assert silhouette(codes, clusters, seed=1) == pytest.approx(whole, abs=0.05)


def test_twenty_permutations_cost_little():
    random = np.random.default_rng(0)
    clusters, labels = random.integers(0, 27, 15_000), random.integers(0, 27, 15_000)
    start = time.process_time()
    for _ in range(20):
        agreement(clusters, random.permutation(labels))
    assert time.process_time() - start < 5


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="for each image"):
        agreement(np.zeros(3, dtype=int), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="for each image"):
        agreement(np.zeros(0, dtype=int), np.zeros(0, dtype=int))
