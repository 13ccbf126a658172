"""Retrieval by hand, chance, hubs, and single queries."""

import numpy as np
import pytest

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation import retrieval as module
from wikiart_autoencode.evaluation.retrieval import query_scores_of_test, retrieval, retrieval_of_test


def test_retrieval_by_hand():
    # By angle, the query at 0° ranks 9°, 20°, 90°; labels a a b a: R = 2, hits at ranks 1 (and 3, too late): 1/2 · 1.
    angles = np.deg2rad([0, 9, 20, 90])
    codes, labels = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([0, 0, 1, 0])
    # 9° ranks 0°, 20°: hits 1, 0 → 1/2. 90° ranks 20°, 9°, 0°: hits 0, 1 → 1/2 · 1/2. The only b is left out.
    result = retrieval(codes, labels, permutations=2)
    assert result is not None
    assert result.n == 3
    assert result.map_at_r == pytest.approx((1 / 2 + 1 / 2 + 1 / 4) / 3)
    assert result.recall_at_1 == pytest.approx(2 / 3)
    assert result.recall_at_10 == 1


def test_csls_finds_a_hub_less_often():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 6)
    codes = np.eye(8)[labels] + 0.2 * random.normal(size=(48, 8))
    codes = np.concatenate([codes, np.full((8, 8), 0.5)])  # eight codes that are near to everything
    labels = np.concatenate([labels, np.full(8, 8)])
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    hubs = [(labels[module._ranking(unit, name)[:48, :10]] == 8).mean() for name in ("cosine", "CSLS")]
    assert hubs[1] < 0.8 * hubs[0]


def test_retrieval_is_1_for_separate_labels_and_chance_for_random_ones():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 200)
    codes = np.eye(4)[labels] + 0.01 * random.normal(size=(200, 4))
    result = retrieval(codes, labels)
    assert result is not None
    mean, std = result.map_permuted
    assert result.map_at_r == result.recall_at_1 == pytest.approx(1)
    assert mean + 5 * std < 0.5
    assert result.recall_at_1_permuted[0] < 0.5
    assert retrieval(codes[:3], np.arange(3)) is None
    assert result.map_interval == pytest.approx((1, 1))


def test_single_queries_of_test_average_to_the_scores_by_style_and_by_artist():
    random = np.random.default_rng(0)
    labels, artists = random.integers(0, 3, 120), random.integers(0, 10, 120)
    codes = Codes(
        codes=np.eye(10)[artists] + 0.4 * random.normal(size=(120, 10)),  # the artist, but not the style
        labels=labels,
        files=np.array([f"test/s/painter-{artist}_{row}.jpg" for row, artist in enumerate(artists)]),
        styles=np.array(["a", "b", "c"]),
        split=np.array(["train", "test"])[(np.arange(120) % 4 > 0).astype(int)],
    )
    scores, queries = retrieval_of_test(codes, permutations=3), query_scores_of_test(codes)
    assert scores.keys() == queries.keys() == {f"{a}, {b}" for a in ("style", "artist") for b in ("cosine", "CSLS")}
    for kind, of_kind in scores.items():
        assert queries[kind].average_precision.mean() == pytest.approx(of_kind.map_at_r)
        assert queries[kind].first.mean() == pytest.approx(of_kind.recall_at_1)
        low, high = of_kind.map_interval
        assert low < of_kind.map_at_r < high
    style, artist = (scores[f"{kind}, cosine"] for kind in ("style", "artist"))
    assert artist.map_interval[0] > artist.map_permuted[0] + 5 * artist.map_permuted[1]
    assert style.map_interval[0] < style.map_permuted[0] + 2 * style.map_permuted[1]
