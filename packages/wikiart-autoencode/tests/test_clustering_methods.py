"""Every method finds clusters that are there; density methods find noise and say when it is much."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from wikiart_autoencode.clustering import density, methods
from wikiart_autoencode.clustering.density import knee, min_samples
from wikiart_autoencode.clustering.methods import DENSITY_METHODS, METHODS, Clustering, cluster
from wikiart_data.errors import InputError


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """(320, 24) float32 in four clusters of 140, 100, 50 and 30, and which."""
    codes, places = make_blobs([140, 100, 50, 30], 24, cluster_std=1.0, random_state=0)
    return (codes * 50 + 1_000).astype(np.float32), places


def as_said(found: Clustering, number: int) -> None:
    """What the docstring of `Clustering` promises."""
    sizes = np.bincount(found.labels[found.labels >= 0])
    assert (found.labels.shape, found.labels.dtype) == ((number,), np.int64)
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    assert found.n_clusters == len(sizes)
    assert found.noise_fraction == (found.labels == -1).mean()
    json.dumps(found.parameters)


@pytest.mark.parametrize("method", METHODS)
def test_blobs_are_found(blobs, method):
    codes, places = blobs
    found = cluster(codes, method, n_clusters=4)
    as_said(found, 320)
    if method in DENSITY_METHODS:  # it may call a blob's rim noise
        assert found.noise_fraction < 0.25
        assert found.n_clusters == 4
        inside = found.labels >= 0
        assert adjusted_rand_score(places[inside], found.labels[inside]) > 0.98
    else:
        assert adjusted_rand_score(places, found.labels) > 0.98
        assert found.noise_fraction == 0
    assert found.note == ""


@pytest.mark.parametrize("method", METHODS)
def test_the_same_codes_give_the_same_clusters(method):
    codes = np.random.default_rng(1).normal(size=(260, 30)).astype(np.float32)
    first, again = (cluster(codes, method, n_clusters=5, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.parameters == again.parameters


@pytest.mark.parametrize("method", METHODS)
def test_neither_scale_nor_place_matters(blobs, method):
    codes = blobs[0][::2]
    first, again = cluster(codes, method, n_clusters=4), cluster(codes / 4_096 - 8, method, n_clusters=4)
    assert adjusted_rand_score(first.labels, again.labels) > 0.97


@pytest.mark.parametrize("method", DENSITY_METHODS)
def test_noise_between_clusters_is_found(method):
    codes, _ = make_blobs([150, 150], 6, cluster_std=0.3, center_box=(-4, 4), random_state=1)
    far = np.random.default_rng(0).uniform(-12, 12, size=(30, 6))
    found = cluster(np.concatenate([codes, far]), method)
    assert (found.labels[300:] == -1).mean() > 0.8
    assert (found.labels[:300] >= 0).mean() > 0.8


@pytest.mark.parametrize(
    ("noise", "largest", "said"), [(1.0, 0, "No cluster"), (0.55, 0.2, "55% of"), (0.1, 0.8, "80%")]
)
def test_little_is_said_to_be_little(noise, largest, said):
    labels = np.arange(1_000) % 3 + 1
    labels[: round(1_000 * largest)] = 0
    labels[1_000 - round(1_000 * noise) :] = -1
    note = methods._caveat(labels)
    assert said in note
    assert "--method kmeans" in note


def test_ordinary_clusters_need_no_words():
    assert methods._caveat(np.arange(1_000) % 5 - 1) == ""


def test_a_cloud_without_clusters_is_not_praised():
    codes = np.random.default_rng(0).normal(size=(600, 40))
    for method in DENSITY_METHODS:
        found = cluster(codes, method)
        as_said(found, 600)
        assert found.note


@pytest.mark.parametrize("method", ["agglomerative", "spectral", "optics"])
def test_many_codes_are_fitted_on_a_sample(blobs, method, monkeypatch):
    monkeypatch.setattr(methods, "SAMPLE", 200)
    codes, places = blobs
    found = cluster(codes, method, n_clusters=4)
    as_said(found, 320)
    assert "Fitted on 200 of 320 codes" in found.note
    inside = found.labels >= 0
    assert inside.mean() > 0.8
    assert adjusted_rand_score(places[inside], found.labels[inside]) > 0.98


def test_density_methods_see_few_dimensions(blobs):
    assert cluster(blobs[0], "hdbscan").parameters["dimensions"] == 10
    assert cluster(blobs[0][:, :6], "hdbscan").parameters["dimensions"] == 6


def test_what_hdbscan_chose_is_the_best_it_tried(blobs):
    from hdbscan import HDBSCAN

    codes = methods._components(methods._standardize(blobs[0]), 10, 0)
    labels, chosen = density.hdbscan(codes, 0.4)
    alone = HDBSCAN(
        min_cluster_size=chosen["min_cluster_size"],
        min_samples=chosen["min_samples"],
        gen_min_span_tree=True,
        core_dist_n_jobs=1,
    ).fit(codes.astype(np.float64))
    np.testing.assert_array_equal(labels, alone.labels_)
    assert chosen["relative_validity"] == pytest.approx(alone.relative_validity_)


def test_dbscan_gives_way_where_neighbours_would_fill_the_memory(monkeypatch):
    codes = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    _, wide = density.dbscan(codes)
    monkeypatch.setattr(density, "MAX_PAIRS", 2_000)
    _, narrow = density.dbscan(codes)
    assert narrow["eps"] < wide["eps"]


def test_the_knee_by_hand():
    assert knee(np.array([0.0, 0.1, 0.2, 0.3, 5.0, 10.0])) == 3
    assert knee(np.zeros(4)) == 3


@pytest.mark.parametrize(("shape", "least"), [((10_000, 10), 20), ((10_000, 2), 4), ((100, 10), 5), ((12, 10), 3)])
def test_how_many_neighbours_make_a_dense_place(shape, least):
    assert min_samples(np.zeros(shape)) == least


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=40))
@settings(deadline=None)
def test_clusters_are_numbered_by_size(labels):
    numbered = methods._largest_first(np.array(labels))
    as_said(Clustering(numbered, "kmeans", {}), len(labels))
    assert adjusted_rand_score(labels, numbered) == pytest.approx(1)
    np.testing.assert_array_equal(numbered == -1, np.array(labels) == -1)


@pytest.mark.parametrize("method", METHODS)
def test_equal_codes_are_a_sentence_not_a_crash(method):
    with pytest.raises(InputError, match="give every picture the same code"):
        cluster(np.ones((40, 6)), method, n_clusters=3)


@pytest.mark.parametrize("method", METHODS)
def test_many_equal_codes_are_sorted_all_the_same(method):
    codes = np.repeat(np.eye(6), 10, axis=0)
    as_said(cluster(codes, method, n_clusters=3), 60)


def test_fewer_codes_than_clusters():
    with pytest.raises(InputError, match="20 codes, 20 of them distinct, cannot be divided into 27"):
        cluster(np.random.default_rng(0).normal(size=(20, 6)), "kmeans")


@pytest.mark.parametrize("method", METHODS)
def test_very_few_codes(method):
    as_said(cluster(np.random.default_rng(0).normal(size=(8, 12)), method, n_clusters=3), 8)
