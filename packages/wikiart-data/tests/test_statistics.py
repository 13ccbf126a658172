"""Statistics of images against values that are known without them."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from wikiart_data.results import Estimate, from_plain, json_text
from wikiart_data.results.statistics import bootstrap_mean, in_top_k, kid, proportion, squared_mmd


def test_a_proportion_has_wilsons_interval():
    estimate = proportion(np.array([True] * 8 + [False] * 2))
    assert (estimate.value, estimate.n) == (0.8, 10)
    assert estimate.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_a_mean_has_an_interval_of_two_standard_errors():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    assert bootstrap_mean(values).interval == pytest.approx((values.mean() - 0.196, values.mean() + 0.196), abs=0.03)


def test_an_estimate_is_read_back_from_json_and_becomes_a_cell():
    estimate = proportion(np.array([True, False]))
    content = json.loads(json_text(estimate))
    assert content == json.loads(json.dumps(asdict(estimate)))
    assert from_plain(Estimate, content) == estimate
    assert str(estimate.number("%", baseline=0.25)) == "50.0 % (9.5–90.5; baseline 25.0)"


def test_in_top_k():
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    labels = torch.tensor([1, 2])
    assert in_top_k(probabilities, labels, 1).tolist() == [False, True]
    assert in_top_k(probabilities, labels, 2).tolist() == [True, True]
    assert in_top_k(probabilities, labels, 9).tolist() == [True, True]


def test_the_squared_mmd_is_the_unbiased_one():
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


def test_kid_separates_another_distribution_from_the_same_one():
    generator = torch.Generator().manual_seed(0)
    real, same = torch.randn(300, 8, generator=generator), torch.randn(200, 8, generator=generator)
    other = 0.7 + torch.randn(200, 8, generator=generator)
    alike, unlike = kid(real, same), kid(real, other)
    assert alike.interval[0] < 0 < alike.interval[1]
    assert unlike.interval[0] > alike.interval[1]
    assert (alike.n, kid(real, same)) == (200, alike)
    scaled = kid(10 * real, 10 * other)
    assert scaled.value == pytest.approx(unlike.value, rel=1e-4)


def test_tables_and_estimates_need_no_torch():
    code = "import sys; from wikiart_data.results import Estimate, Table, from_plain; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.strip() == "False"
