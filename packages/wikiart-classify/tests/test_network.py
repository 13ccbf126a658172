"""Shapes and gradients of the network, and its optimiser's parameter groups."""

import pytest
import torch

from wikiart_classify.config import TrainConfig
from wikiart_classify.network import PRESETS, ResidualBlock, SqueezeExcite, StyleNet
from wikiart_classify.training import size_at
from wikiart_data.training.muon import muon_groups


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [32, 61, 96])
def test_any_square_image_gives_one_logit_per_style(preset, size):
    network = StyleNet(27, preset).eval()
    images = torch.rand(2, 3, size, size)
    assert network(images).shape == (2, 27)
    assert network.features(images).shape == (2, network.head.in_features)


def test_every_parameter_gets_a_gradient():
    network = StyleNet(5)
    network(torch.rand(4, 3, 48, 48)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_residual_block_halves_and_widens():
    assert ResidualBlock(8, 12, stride=2)(torch.rand(1, 8, 10, 10)).shape == (1, 12, 5, 5)


def test_squeeze_excite_scales_whole_channels():
    x = torch.rand(2, 16, 5, 5) + 0.1
    gains = SqueezeExcite(16)(x) / x
    assert torch.allclose(gains, gains[:, :, :1, :1].expand_as(gains), atol=1e-5)
    assert gains.min() > 0
    assert gains.max() < 1


def test_muon_updates_the_kernels_and_adamw_the_rest():
    network = StyleNet(5, "tiny")
    kernels, rest = muon_groups(network, lr=0.02, weight_decay=0.1)
    assert all(p.ndim == 4 for p in kernels["params"])
    assert any(p is network.stem.weight for p in rest["params"])
    assert any(p is network.head.weight for p in rest["params"])
    assert (kernels["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    ids = [id(p) for group in (kernels, rest) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())


def test_training_images_grow_to_their_full_size():
    config = TrainConfig(data="", size=160, epochs=50)
    sizes = [size_at(epoch, config) for epoch in range(50)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (64, 160)
    assert sizes.count(160) == 10
    assert set(sizes) == {64, 80, 96, 112, 128, 144, 160}
    assert size_at(0, TrainConfig(data="", size=100, epochs=1)) <= 100
    assert size_at(9, TrainConfig(data="", size=100, epochs=10)) == 100
