"""The network's shapes and gradients."""

import pytest
import torch

from wikiart_classify.config import TrainConfig
from wikiart_classify.network import PRESETS, ChannelGate, Residual, StyleNet
from wikiart_classify.optimizer import Muon, muon_groups, orthogonalised
from wikiart_classify.train import follow, schedule, size_at


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [32, 61, 96])
def test_any_square_gives_one_logit_a_style(preset, size):
    network = StyleNet(27, preset).eval()
    images = torch.rand(2, 3, size, size)
    assert network(images).shape == (2, 27)
    assert network.features(images).shape == (2, network.head.in_features)


def test_gradient_reaches_every_weight():
    network = StyleNet(5)
    network(torch.rand(4, 3, 48, 48)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_residual_halves_and_widens():
    assert Residual(8, 12, stride=2)(torch.rand(1, 8, 10, 10)).shape == (1, 12, 5, 5)


def test_gate_scales_whole_channels():
    x = torch.rand(2, 16, 5, 5) + 0.1
    gains = ChannelGate(16)(x) / x
    assert torch.allclose(gains, gains[:, :, :1, :1].expand_as(gains), atol=1e-5)
    assert gains.min() > 0
    assert gains.max() < 1


def test_muon_takes_the_kernels_and_adamw_the_rest():
    network = StyleNet(5, "tiny")
    kernels, rest = muon_groups(network, lr=0.02, weight_decay=0.1)
    assert all(p.ndim == 4 for p in kernels["params"])
    assert any(p is network.stem.weight for p in rest["params"])
    assert any(p is network.head.weight for p in rest["params"])
    assert (kernels["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    ids = [id(p) for group in (kernels, rest) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_orthogonalised_keeps_directions_and_evens_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    result = orthogonalised(matrix).float()
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # In the singular basis of the input the result is (nearly) diagonal: no direction was turned.
    diagonal = u.mT @ result @ vh.mT
    assert (diagonal - torch.diag(diagonal.diag())).abs().max() < 0.05


def test_the_adamw_half_is_torchs_adamw():
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    mine = Muon([{"params": list(ours.parameters()), "kind": "adamw", "lr": 0.01, "weight_decay": 0.1}])
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(5):
        x = torch.randn(8, 4)
        for layer, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_a_muon_step_follows_the_formula():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(6, 2, 3, 3))
    before, grads = kernel.detach().clone(), [torch.randn(6, 2, 3, 3) for _ in range(2)]
    optimizer = Muon([{"params": [kernel], "kind": "muon", "lr": 0.1, "weight_decay": 0.5}], momentum=0.8)
    for grad in grads:
        kernel.grad = grad.clone()
        optimizer.step()
    expected = before * 0.95 - 0.1 * orthogonalised(grads[0].flatten(1) * 1.8).view_as(before).float()
    second = grads[1] + 0.8 * (0.8 * grads[0] + grads[1])
    expected = expected * 0.95 - 0.1 * orthogonalised(second.flatten(1)).view_as(before).float()
    assert torch.allclose(kernel, expected, atol=1e-5)


def test_schedule_rises_then_falls_to_zero():
    values = [schedule(done / 100) for done in range(101)]
    peak = values.index(max(values))
    assert values[peak] == pytest.approx(1.0)
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[-1] == pytest.approx(0.0)


def test_pictures_grow_to_their_full_size():
    config = TrainConfig(size=128, epochs=30)
    sizes = [size_at(epoch, config) for epoch in range(30)]
    assert sizes == [64] * 6 + [80] * 6 + [96] * 6 + [112] * 6 + [128] * 6
    assert size_at(0, TrainConfig(size=100, epochs=1)) <= 100
    assert size_at(9, TrainConfig(size=100, epochs=10)) == 100


def test_average_follows_at_its_decay():
    average, network = StyleNet(2), StyleNet(2)
    before, target = average.head.weight.clone(), network.head.weight.clone()
    follow(average, network, 0.9, step=10_000)
    assert torch.allclose(average.head.weight, 0.9 * before + 0.1 * target, atol=1e-6)
    follow(average, network, 0.999, step=0)  # at the first step the average all but jumps
    assert torch.allclose(average.head.weight, 0.1 * (0.9 * before + 0.1 * target) + 0.9 * target, atol=1e-6)
