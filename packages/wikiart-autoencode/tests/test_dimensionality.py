"""Dimensionality reduction against scikit-learn, t-SNE, and its cache."""

import sys
import types

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.neighbors import KNeighborsClassifier

from wikiart_autoencode.clustering import dimensionality
from wikiart_autoencode.clustering.dimensionality import reduce_dimensions
from wikiart_data.errors import InputError


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """(120, 60) float32 in four clusters, and which."""
    codes, places = make_blobs(120, 60, centers=4, cluster_std=1.0, random_state=0)
    return codes.astype(np.float32), places


def cached(tmp_path) -> list:
    return sorted((tmp_path / "cache" / "maps").glob("*"))


@pytest.mark.parametrize(("to", "reference"), [("pca", PCA), ("svd", TruncatedSVD)])
def test_linear_reductions_are_scikit_learns(blobs, to, reference, tmp_path):
    codes = blobs[0] + 3
    ours = reduce_dimensions(codes, to, 5, seed=1)
    assert (ours.shape, ours.dtype) == ((120, 5), np.float32)
    np.testing.assert_allclose(ours, reference(5, random_state=1).fit_transform(codes), rtol=1e-3, atol=1e-3)
    assert cached(tmp_path) == []  # faster to compute than to read


def test_pca_in_two_dimensions_by_hand():
    codes = np.array([[0, 0, 5], [2, 0, 5], [4, 0, 5], [6, 0, 5]])
    np.testing.assert_allclose(np.abs(reduce_dimensions(codes, "pca", 1)[:, 0]), [3, 1, 1, 3], atol=1e-5)


def test_tsne_keeps_neighbours_and_is_deterministic(blobs, tmp_path):
    codes, places = blobs
    first = reduce_dimensions(codes, "tsne", seed=3, cache_dir=tmp_path / "a")
    again = reduce_dimensions(codes, "tsne", seed=3, cache_dir=tmp_path / "b")
    assert (first.shape, first.dtype) == ((120, 2), np.float32)
    np.testing.assert_array_equal(first, again)
    assert KNeighborsClassifier(5).fit(first, places).score(first, places) > 0.98


@pytest.mark.parametrize("number", [5, 6, 20])
def test_tsne_of_very_few_codes(number):
    codes = np.random.default_rng(0).normal(size=(number, 8))
    assert np.isfinite(reduce_dimensions(codes, "tsne")).all()


def test_tsne_of_equal_codes_stays_finite():
    codes = np.repeat(np.eye(4), 10, axis=0)
    assert np.isfinite(reduce_dimensions(codes, "tsne")).all()


def test_a_map_is_read_from_the_cache(blobs, tmp_path, monkeypatch):
    first = reduce_dimensions(blobs[0], "tsne")
    (path,) = cached(tmp_path)
    assert path.name.startswith("tsne-")
    monkeypatch.setattr(dimensionality, "_tsne", lambda *_: pytest.fail("it was computed again"))
    np.testing.assert_array_equal(reduce_dimensions(blobs[0], "tsne"), first)


def test_the_cache_key_depends_on_everything_that_matters(tmp_path, monkeypatch):
    calls = []

    def fake(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
        calls.append((dimensions, seed))
        return np.full((len(codes), dimensions), float(seed), dtype=np.float32)

    monkeypatch.setattr(dimensionality, "_tsne", fake)
    codes = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    for _ in range(2):
        reduce_dimensions(codes, "tsne")
        reduce_dimensions(codes, "tsne", seed=1)
        reduce_dimensions(codes, "tsne", dimensions=1)
        reduce_dimensions(codes + 1, "tsne")
        reduce_dimensions(codes.reshape(20, 2), "tsne")
        monkeypatch.setattr(dimensionality, "PERPLEXITY", 30.0)
    assert len(calls) == len(cached(tmp_path)) == 5
    monkeypatch.setattr(dimensionality, "PERPLEXITY", 12.0)
    reduce_dimensions(codes, "tsne")
    assert len(calls) == 6


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "other shape", "nan", "no zip"])
def test_a_damaged_cache_file_is_replaced(tmp_path, monkeypatch, damage):
    calls = []
    monkeypatch.setattr(dimensionality, "_tsne", lambda codes, *_: calls.append(1) or codes[:, :2].copy())
    codes = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    reduce_dimensions(codes, "tsne")
    (path,) = cached(tmp_path)
    content = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            place = content.index(b"NUMPY") + 140
            path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        case "other shape":
            np.savez(path, map=np.zeros((9, 2), dtype=np.float32))
        case "nan":
            np.savez(path, map=np.full((10, 2), np.nan, dtype=np.float32))
        case "no zip":
            path.write_text("hello")
    np.testing.assert_array_equal(reduce_dimensions(codes, "tsne"), codes[:, :2])
    assert len(calls) == 2
    assert cached(tmp_path) == [path]
    reduce_dimensions(codes, "tsne")
    assert len(calls) == 2  # the file was repaired


def test_a_cache_that_cannot_be_written_is_not_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dimensionality, "_tsne", lambda codes, *_: codes[:, :2])
    (tmp_path / "cache").write_text("a file where the folder should be")
    codes = np.eye(8, dtype=np.float32)
    np.testing.assert_array_equal(reduce_dimensions(codes, "tsne"), codes[:, :2])
    assert "could not be cached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "number", "dimensions", "field"),
    [
        ("pca", 4, 5, "dimensions"),
        ("pca", 4, 0, "dimensions"),
        ("tsne", 50, 3, "dimensions"),
        ("tsne", 4, 2, "codes"),
    ],
)
def test_impossible_dimensions_are_refused(method, number, dimensions, field):
    with pytest.raises(InputError) as error:
        reduce_dimensions(np.random.default_rng(0).normal(size=(number, 10)), method, dimensions)
    assert error.value.field == field


def test_a_missing_umap_names_the_package(monkeypatch):
    def missing(name: str) -> str:
        raise dimensionality.PackageNotFoundError(name)

    monkeypatch.setattr(dimensionality, "version", missing)
    with pytest.raises(InputError) as error:
        reduce_dimensions(np.eye(8), "umap")
    assert error.value.field == "--reduce"
    assert "umap-learn" in str(error.value)


def test_umap_gets_the_components_and_the_seed(blobs, monkeypatch):
    arguments = {}

    class UMAP:
        def __init__(self, **options):
            arguments.update(options)

        def fit_transform(self, codes: np.ndarray) -> np.ndarray:
            arguments["shape"] = codes.shape
            return codes[:, : arguments["n_components"]].astype(np.float64)

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr(dimensionality, "version", lambda _: "0")
    points = reduce_dimensions(blobs[0], "umap", 3, seed=7)
    assert (points.shape, points.dtype) == ((120, 3), np.float32)
    assert arguments["shape"] == (120, 50)
    assert (arguments["random_state"], arguments["n_neighbors"]) == (7, 15)
