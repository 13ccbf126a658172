"""Learning-rate schedule and averaged weights."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.training.schedule import update_ema, warmup_cosine


def test_the_schedule_rises_then_falls_to_zero():
    factor = warmup_cosine(100)
    values = [factor(step) for step in range(100)]
    peak = values.index(max(values))
    assert values[peak] == pytest.approx(1.0)
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[0] > 0
    assert values[-1] == pytest.approx(0.0)


def test_the_schedule_ends_at_its_lowest_value():
    factor = warmup_cosine(100, lowest=0.1)
    assert min(factor(step) for step in range(50, 130)) == 0.1


def test_every_group_of_an_optimizer_follows_the_schedule():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.2}, {"params": weights[1:], "lr": 0.03}])
    scheduler = LambdaLR(optimizer, warmup_cosine(20))
    for step in range(20):
        factor = warmup_cosine(20)(step)
        assert [group["lr"] for group in optimizer.param_groups] == [0.2 * factor, 0.03 * factor]
        optimizer.step()
        scheduler.step()


def test_the_average_moves_by_its_decay():
    ema, model = nn.Linear(3, 2), nn.Linear(3, 2)
    before, target = ema.weight.clone(), model.weight.clone()
    update_ema(ema, model, 0.9, step=10_000)
    assert torch.allclose(ema.weight, 0.9 * before + 0.1 * target, atol=1e-6)
    update_ema(ema, model, 0.999, step=0)  # in the first step the average takes nine tenths of the new weights
    assert torch.allclose(ema.weight, 0.1 * (0.9 * before + 0.1 * target) + 0.9 * target, atol=1e-6)


def test_integer_buffers_are_copied():
    ema, model = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model(torch.randn(4, 3))
    update_ema(ema, model, 0.9, step=5)
    assert ema.num_batches_tracked == model.num_batches_tracked == 1
