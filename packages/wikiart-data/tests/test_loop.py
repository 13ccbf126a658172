"""The pieces of a training loop."""

import pytest
import torch

from wikiart_data.training.loop import update_ema, warmup_cosine


def test_schedule_rises_then_falls_to_zero():
    values = [warmup_cosine(done / 100) for done in range(101)]
    peak = values.index(max(values))
    assert values[peak] == pytest.approx(1.0)
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[-1] == pytest.approx(0.0)


def test_average_follows_at_its_decay():
    average, network = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before, target = average.weight.clone(), network.weight.clone()
    update_ema(average, network, 0.9, step=10_000)
    assert torch.allclose(average.weight, 0.9 * before + 0.1 * target, atol=1e-6)
    update_ema(average, network, 0.999, step=0)  # at the first step the average all but jumps
    assert torch.allclose(average.weight, 0.1 * (0.9 * before + 0.1 * target) + 0.9 * target, atol=1e-6)
