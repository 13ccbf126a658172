"""Retrieval: whether the codes nearest to a picture's are of its style, or of its artist."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from wikiart_autoencode.clustering.scores import PERMUTATIONS, mean_and_std
from wikiart_autoencode.codes import Codes
from wikiart_data.images.artists import known_artist
from wikiart_data.images.names import artist_of
from wikiart_data.results.statistics import bootstrap_mean, proportion

Similarity = Literal["cosine", "CSLS"]
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)

_RECALL_RANKS = 10
_HUB_NEIGHBOURS = 10


@dataclass(frozen=True)
class Retrieval:
    """How often what is nearest to an image has its label; means over queries whose label occurs again, in [0, 1].

    Fields ending in `_interval` are 95 % intervals over queries among the same pictures: a bootstrap for MAP@R,
    Wilson's for recall. Fields ending in `_permuted` are (mean, standard deviation) over permutations of the labels.
    """

    n: int
    """Queries."""
    map_at_r: float
    """MAP@R (Musgrave et al. 2020): with R other codes of the query's label, the mean over the first R ranks of the
    precision up to that rank if the code there has the label, else 0."""
    recall_at_1: float
    """Queries whose nearest code has their label."""
    recall_at_10: float
    """Queries with their label among the ten nearest."""
    map_permuted: tuple[float, float]
    recall_at_1_permuted: tuple[float, float]
    map_interval: tuple[float, float] | None = None
    recall_at_1_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class QueryScores:
    """What each query retrieves, (q,) each; a query is a code whose label occurs again."""

    average_precision: np.ndarray
    """Float in [0, 1]; their mean is MAP@R."""
    first: np.ndarray
    """Bool: whether the nearest code has the query's label."""
    among_ten: np.ndarray
    """Bool: whether one of the ten nearest has it."""


def retrieval_of_test(codes: Codes, permutations: int = PERMUTATIONS, seed: int = 0) -> dict[str, Retrieval]:
    """Retrieval among the test codes, by `style, cosine`, `style, CSLS`, `artist, cosine` and `artist, CSLS`.

    Artists are those that file names give; images without one are left out, and the key if no artist occurs twice.

    Args:
        codes: with train, about whose mean angles are measured, and test.
        permutations: of the labels.
        seed: of permutations and bootstraps.
    """
    found: dict[str, Retrieval] = {}
    for kind, x, labels in _test_labels(codes):
        for similarity in SIMILARITIES:
            scores = retrieval(x, labels, similarity, permutations, seed)
            found |= {f"{kind}, {similarity}": scores} if scores else {}
    return found


def query_scores_of_test(codes: Codes) -> dict[str, QueryScores]:
    """The single queries of `retrieval_of_test`, in the order of the codes: to compare two encoders query by query."""
    return {
        f"{kind}, {similarity}": query_scores(_ranking(normalize(x), similarity), labels)
        for kind, x, labels in _test_labels(codes)
        for similarity in SIMILARITIES
        if _others(labels).any()
    }


def retrieval(
    codes: np.ndarray,
    labels: np.ndarray,
    similarity: Similarity = "cosine",
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Retrieval | None:
    """Rank the other codes for each code, and score how early those of its label come.

    Args:
        codes: (n, D) float, centred.
        labels: (n,) int.
        similarity: `cosine`, or `CSLS` (Conneau et al. 2018), which subtracts the mean cosine of a code to its ten
            nearest: a hub, near to everything, is found less often.
        permutations: of the labels.
        seed: of permutations and of the bootstrap.

    Returns:
        None if no label occurs twice.
    """
    if not _others(labels).any():
        return None
    ranked = _ranking(normalize(codes), similarity)
    random = np.random.default_rng(seed)
    by_chance = [query_scores(ranked, random.permutation(labels)) for _ in range(permutations)]
    scores = query_scores(ranked, labels)
    average, first = bootstrap_mean(scores.average_precision, seed), proportion(scores.first)
    return Retrieval(
        average.n,
        average.value,
        first.value,
        float(scores.among_ten.mean()),
        mean_and_std([float(chance.average_precision.mean()) for chance in by_chance]),
        mean_and_std([float(chance.first.mean()) for chance in by_chance]),
        average.interval,
        first.interval,
    )


def query_scores(ranked: np.ndarray, labels: np.ndarray) -> QueryScores:
    """Score each ranking.

    Args:
        ranked: (n, n − 1) int, the other codes for each code, the most similar first.
        labels: (n,) int.
    """
    others = _others(labels)
    queries = np.flatnonzero(others)
    most = max(int(others.max()), min(_RECALL_RANKS, ranked.shape[1]))  # deeper ranks count for no score
    hits = (labels[ranked[queries, :most]] == labels[queries, None]).astype(np.float64)
    precision = hits.cumsum(axis=1) / np.arange(1, most + 1)
    within = np.arange(most) < others[queries, None]
    average = (precision * hits * within).sum(axis=1) / others[queries]
    return QueryScores(average, hits[:, 0] > 0, hits[:, :_RECALL_RANKS].any(axis=1))


def normalize(codes: np.ndarray) -> np.ndarray:
    """(n, D), each of length 1: Euclidean neighbours of these are neighbours by cosine."""
    return codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)


def _others(labels: np.ndarray) -> np.ndarray:
    """(n,) int: how many other codes have the label of each."""
    return np.bincount(labels)[labels] - 1 if len(labels) else np.zeros(0, dtype=int)


def _ranking(unit: np.ndarray, similarity: Similarity) -> np.ndarray:
    """(n, n − 1) int: the other codes, the most similar first.

    Args:
        unit: (n, D) float, of length 1.
        similarity: see `retrieval`.
    """
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    if similarity == "CSLS":
        nearest = min(_HUB_NEIGHBOURS, len(unit) - 1)
        hubness = np.partition(cosine, -nearest, axis=1)[:, -nearest:].mean(axis=1)
        cosine = 2 * cosine - hubness  # the query's own mean changes no rank
    return np.argsort(-cosine, axis=1, kind="stable")[:, :-1]


def _test_labels(codes: Codes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What is retrieved, the codes of test about the mean of train, (n, D), and their labels, (n,)."""
    rows = codes.rows("test")
    test = (codes.codes[rows] - codes.codes[codes.rows("train")].mean(axis=0, dtype=np.float64)).astype(np.float32)
    yield "style", test, codes.labels[rows]
    names = [artist_of(file) for file in codes.files[rows].tolist()]
    known = np.array([known_artist(name) for name in names], dtype=bool)
    yield "artist", test[known], np.unique(names, return_inverse=True)[1][known]
