"""Every method finds well separated clusters; density methods find noise and note when there is much."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from wikiart_autoencode.clustering import density, methods
from wikiart_autoencode.clustering.density import default_min_samples, knee
from wikiart_autoencode.clustering.methods import DENSITY_METHODS, METHODS, Clustering, cluster
from wikiart_data.errors import InputError


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """(320, 24) float32 in four clusters of 140, 100, 50 and 30, and which."""
    codes, places = make_blobs([140, 100, 50, 30], 24, cluster_std=1.0, random_state=0)
    return (codes * 50 + 1_000).astype(np.float32), places


def check(clustering: Clustering, number: int) -> None:
    """Check what the docstring of `Clustering` promises."""
    sizes = np.bincount(clustering.labels[clustering.labels >= 0])
    assert (clustering.labels.shape, clustering.labels.dtype) == ((number,), np.int64)
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    assert clustering.n_clusters == len(sizes)
    assert clustering.noise_fraction == (clustering.labels == -1).mean()
    json.dumps(clustering.parameters)


@pytest.mark.parametrize("method", METHODS)
def test_blobs_are_found(blobs, method):
    codes, places = blobs
    clustering = cluster(codes, method, n_clusters=4)
    check(clustering, 320)
    if method in DENSITY_METHODS:  # it may call a blob's rim noise
        assert clustering.noise_fraction < 0.25
        assert clustering.n_clusters == 4
        inside = clustering.labels >= 0
        assert adjusted_rand_score(places[inside], clustering.labels[inside]) > 0.98
    else:
        assert adjusted_rand_score(places, clustering.labels) > 0.98
        assert clustering.noise_fraction == 0
    assert clustering.note == ""


@pytest.mark.parametrize("method", METHODS)
def test_the_same_codes_give_the_same_clusters(method):
    codes = np.random.default_rng(1).normal(size=(260, 30)).astype(np.float32)
    first, again = (cluster(codes, method, n_clusters=5, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.parameters == again.parameters


@pytest.mark.parametrize("method", METHODS)
def test_scale_and_offset_do_not_matter(blobs, method):
    codes = blobs[0][::2]
    first, again = cluster(codes, method, n_clusters=4), cluster(codes / 4_096 - 8, method, n_clusters=4)
    assert adjusted_rand_score(first.labels, again.labels) > 0.97


@pytest.mark.parametrize("method", DENSITY_METHODS)
def test_noise_between_clusters_is_found(method):
    codes, _ = make_blobs([150, 150], 6, cluster_std=0.3, center_box=(-4, 4), random_state=1)
    far = np.random.default_rng(0).uniform(-12, 12, size=(30, 6))
    clustering = cluster(np.concatenate([codes, far]), method)
    assert (clustering.labels[300:] == -1).mean() > 0.8
    assert (clustering.labels[:300] >= 0).mean() > 0.8


@pytest.mark.parametrize(("noise", "largest", "number"), [(1.0, 0, "No"), (0.55, 0.2, "55%"), (0.1, 0.8, "80%")])
def test_density_methods_note_that_they_found_little(noise, largest, number):
    labels = np.arange(1_000) % 3 + 1
    labels[: round(1_000 * largest)] = 0
    labels[1_000 - round(1_000 * noise) :] = -1
    note = methods._caveat(labels)
    assert number in note
    assert "--method kmeans" in note


def test_ordinary_clusters_need_no_note():
    assert methods._caveat(np.arange(1_000) % 5 - 1) == ""


def test_one_gaussian_gets_a_note():
    codes = np.random.default_rng(0).normal(size=(600, 40))
    for method in DENSITY_METHODS:
        clustering = cluster(codes, method)
        check(clustering, 600)
        assert clustering.note


@pytest.mark.parametrize("method", ["agglomerative", "spectral", "optics", "hdbscan"])
def test_many_codes_are_fitted_on_a_sample(blobs, method, monkeypatch):
    monkeypatch.setattr(methods, "SAMPLE", 200)
    monkeypatch.setattr(methods, "HDBSCAN_SAMPLE", 200)
    codes, places = blobs
    clustering = cluster(codes, method, n_clusters=4)
    check(clustering, 320)
    assert "Fitted on 200 of 320 codes" in clustering.note
    inside = clustering.labels >= 0
    assert inside.mean() > 0.8
    assert adjusted_rand_score(places[inside], clustering.labels[inside]) > 0.98


def test_density_methods_use_few_dimensions(blobs):
    assert cluster(blobs[0], "dbscan").parameters["dimensions"] == 10
    assert cluster(blobs[0][:, :6], "hdbscan").parameters["dimensions"] == 6


def test_hdbscan_keeps_the_components_in_which_many_clusters_differ(monkeypatch):
    codes, places = make_blobs([25] * 24, 60, center_box=(-1.7, 1.7), random_state=0)  # centres span 23 dimensions
    good = adjusted_rand_score(places, cluster(codes, "hdbscan").labels)
    monkeypatch.setattr(methods, "HDBSCAN_DIMENSIONS", methods.DENSITY_DIMENSIONS)
    assert good > 0.9
    assert adjusted_rand_score(places, cluster(codes, "hdbscan").labels) < good - 0.1


def test_hdbscan_is_the_library_with_the_chosen_parameters(blobs):
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


def test_dbscan_shrinks_eps_where_neighbours_would_fill_the_memory(monkeypatch):
    codes = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    _, wide = density.dbscan(codes)
    monkeypatch.setattr(density, "MAX_PAIRS", 2_000)
    _, narrow = density.dbscan(codes)
    assert narrow["eps"] < wide["eps"]


def test_the_knee_by_hand():
    assert knee(np.array([0.0, 0.1, 0.2, 0.3, 5.0, 10.0])) == 3
    assert knee(np.zeros(4)) == 3


@pytest.mark.parametrize(("shape", "least"), [((10_000, 10), 20), ((10_000, 2), 4), ((100, 10), 5), ((12, 10), 3)])
def test_default_min_samples(shape, least):
    assert default_min_samples(np.zeros(shape)) == least


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=40))
@settings(deadline=None)
def test_clusters_are_numbered_by_size(labels):
    numbered = methods._largest_first(np.array(labels))
    check(Clustering(numbered, "kmeans", {}), len(labels))
    assert adjusted_rand_score(labels, numbered) == pytest.approx(1)
    np.testing.assert_array_equal(numbered == -1, np.array(labels) == -1)


@pytest.mark.parametrize("method", METHODS)
def test_equal_codes_are_refused(method):
    with pytest.raises(InputError) as error:
        cluster(np.ones((40, 6)), method, n_clusters=3)
    assert error.value.field == "--clusters"


@pytest.mark.parametrize("method", METHODS)
def test_few_distinct_codes_are_clustered(method):
    codes = np.repeat(np.eye(6), 10, axis=0)
    check(cluster(codes, method, n_clusters=3), 60)


def test_fewer_codes_than_clusters():
    with pytest.raises(InputError) as error:
        cluster(np.random.default_rng(0).normal(size=(20, 6)), "kmeans", n_clusters=27)
    assert error.value.field == "--clusters"


@pytest.mark.parametrize("method", METHODS)
def test_very_few_codes(method):
    check(cluster(np.random.default_rng(0).normal(size=(8, 12)), method, n_clusters=3), 8)


@pytest.mark.parametrize("number", [2, 3])
def test_spectral_clustering_needs_more_codes_than_clusters(number):
    codes = np.random.default_rng(0).normal(size=(number + 1, 5))
    assert cluster(codes, "spectral", number).n_clusters == number
    with pytest.raises(InputError) as error:
        cluster(codes[:number], "spectral", number)
    assert error.value.field == "--clusters"
