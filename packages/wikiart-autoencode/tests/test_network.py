"""The autoencoder's shapes, gradients and code."""

import pytest
import torch

from wikiart_autoencode.network import AutoencoderNet, Block, ChannelNorm, Decoder, Encoder, factor


@pytest.mark.parametrize("size", [64, 96, 128])
def test_a_spatial_code_has_48_times_fewer_numbers_than_the_picture(size):
    images = torch.rand(2, 3, size, size)
    ours, code = AutoencoderNet(size=size)(images)
    assert ours.shape == images.shape
    assert code.shape == (2, 4, size // 8, size // 8)
    assert images.numel() == 48 * code.numel()


@pytest.mark.parametrize("numbers", [16, 256])
def test_a_vector_code_is_one_row(numbers):
    ours, code = AutoencoderNet(code=numbers, size=64, width=0.25)(torch.rand(3, 3, 64, 64))
    assert ours.shape == (3, 3, 64, 64)
    assert code.shape == (3, numbers)


def test_a_spatial_autoencoder_takes_other_sizes_than_it_was_made_for():
    network = AutoencoderNet(size=64).eval()
    assert network(torch.rand(1, 3, 96, 96))[0].shape == (1, 3, 96, 96)


@pytest.mark.parametrize("code", [None, 32])
def test_gradient_reaches_every_weight(code):
    network = AutoencoderNet(code=code, size=64, width=0.25)
    ours, _ = network(torch.rand(4, 3, 64, 64))
    ours.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("code", [None, 32])
def test_code_numbers_have_mean_0_and_variance_1_in_training(code):
    codes = AutoencoderNet(code=code, size=64, width=0.25).encoder(torch.rand(64, 3, 64, 64))
    assert codes.mean(dim=(0, *range(2, codes.ndim))).abs().max() < 1e-4
    assert (codes.var(dim=(0, *range(2, codes.ndim)), unbiased=False) - 1).abs().max() < 0.01


def test_channel_norm_is_layer_norm_over_channels():
    x, norm = torch.randn(2, 8, 3, 5), ChannelNorm(8)
    torch.nn.init.normal_(norm.weight)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    assert torch.allclose(norm(x), expected * norm.weight.view(1, -1, 1, 1), atol=1e-5)


def test_a_fresh_block_is_nearly_the_identity():
    x = torch.randn(2, 16, 6, 6)
    assert (Block(16)(x) - x).abs().max() < 0.1 * x.std()


def test_a_decoder_hands_its_conditions_to_every_block_and_to_nothing_else():
    seen = []

    class Conditional(Block):
        def forward(self, x, condition):
            seen.append(condition)
            return super().forward(x)

    decoder = Decoder((16, 32), blocks=3, block=Conditional)
    style = torch.rand(2, 5)
    assert decoder(torch.rand(2, 4, 4, 4), style).shape == (2, 3, 32, 32)
    assert len(seen) == 6
    assert all(condition is style for condition in seen)


def test_the_encoders_maps_are_what_the_code_is_made_of():
    encoder = Encoder((16, 32)).eval()
    images = torch.rand(2, 3, 64, 64)
    assert encoder.maps(images).shape == (2, 32, 64 // factor((16, 32)), 64 // factor((16, 32)))
    assert torch.equal(encoder(images), encoder.standard(encoder.to_code(encoder.maps(images))))
