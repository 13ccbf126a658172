"""Measures of pictures against values that can be known without them."""

import numpy as np
import pytest
import torch

from wikiart_data.results.statistics import bootstrap_mean, in_top_k, kid, proportion, squared_mmd


def test_a_share_has_wilsons_interval():
    found = proportion(np.array([True] * 8 + [False] * 2))
    assert (found["value"], found["n"]) == (0.8, 10)
    assert found["interval"] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_a_mean_has_an_interval_of_two_standard_errors():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap_mean(values)
    assert found["interval"] == pytest.approx([values.mean() - 0.196, values.mean() + 0.196], abs=0.03)


def test_hits_among_the_first():
    shares = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    wanted = torch.tensor([1, 2])
    assert in_top_k(shares, wanted, 1).tolist() == [False, True]
    assert in_top_k(shares, wanted, 2).tolist() == [True, True]


def test_kernel_distance_is_the_unbiased_mmd():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 3)), random.normal(1.0, 1.0, size=(5, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    by_hand = (
        sum(k(x[i], x[j]) for i in range(4) for j in range(4) if i != j) / 12
        + sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
        - 2 * sum(k(a, b) for a in x for b in y) / 20
    )
    assert squared_mmd(torch.tensor(x), torch.tensor(y)) == pytest.approx(by_hand)


def test_kid_tells_the_same_from_another_distribution():
    generator = torch.Generator().manual_seed(0)
    real, same = torch.randn(300, 8, generator=generator), torch.randn(200, 8, generator=generator)
    other = 0.7 + torch.randn(200, 8, generator=generator)
    alike, unlike = kid(real, same), kid(real, other)
    assert alike["interval"][0] < 0 < alike["interval"][1]
    assert unlike["interval"][0] > alike["interval"][1]
    scaled = kid(10 * real, 10 * other)
    assert scaled["value"] == pytest.approx(unlike["value"], rel=1e-4)
