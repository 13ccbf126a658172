"""The network: shapes, what the style changes, what the content code does not hold."""

import pytest
import torch

from wikiart_stylegen.network import StyleAutoencoder, StyledBlock


def make(conditioning: str = "film") -> StyleAutoencoder:
    torch.manual_seed(0)
    return StyleAutoencoder(5, channels=4, embedding_dim=8, conditioning=conditioning, width=0.25, blocks=1, noise=True)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
@pytest.mark.parametrize("size", [(32, 32), (40, 64)])
def test_shapes(conditioning, size):
    images, code = make(conditioning)(torch.rand(3, 3, *size), torch.tensor([0, 4, 5]))
    assert images.shape == (3, 3, *size)
    assert code.shape == (3, 4, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_gradients_reach_only_the_embeddings_in_use(conditioning):
    network = make(conditioning)
    images, _ = network(torch.rand(2, 3, 32, 32), torch.tensor([1, 3]))
    images.square().sum().backward()
    changed = network.embeddings.weight.grad.abs().sum(dim=1) > 0
    assert changed.tolist() == [False, True, False, True, False, False]


def test_every_block_depends_on_the_style():
    network = make()
    _, code = network(torch.rand(2, 3, 32, 32), torch.tensor([1, 3]))
    network.decode(code, network.embeddings(torch.tensor([1, 3]))).square().sum().backward()
    blocks = [block for block in network.decoder.stages if isinstance(block, StyledBlock)]
    assert len(blocks) == 3  # at an eighth, a quarter and half of the image's side
    assert all(block.to_scale_shift.weight.grad.abs().sum() > 0 for block in blocks)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_repaints_differ_between_styles(conditioning):
    network = make(conditioning).eval()
    with torch.no_grad():
        code = network.encoder(torch.rand(1, 3, 32, 32)).expand(3, -1, -1, -1)
        first, again, other = network.decode(code, network.embeddings(torch.tensor([2, 2, 0])))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 1e-4


def test_noise_depends_on_style_and_seed():
    network = make().eval()
    with torch.no_grad():
        code, vector = network.encoder(torch.rand(1, 3, 32, 32)), network.embeddings(torch.tensor([2]))
        plain, first, again, other = (network.decode(code, vector, seed) for seed in (None, 0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        for block in network.decoder.modules():
            if isinstance(block, StyledBlock):
                block.to_noise_scale.weight.zero_()
        assert torch.equal(network.decode(code, vector, 1), plain)


def test_without_noise_the_seed_changes_nothing():
    torch.manual_seed(0)
    network = StyleAutoencoder(5, channels=4, embedding_dim=8, width=0.25, blocks=1).eval()
    with torch.no_grad():
        code, vector = network.encoder(torch.rand(1, 3, 32, 32)), network.embeddings(torch.tensor([2]))
        assert torch.equal(network.decode(code, vector, 1), network.decode(code, vector, None))
    assert not any("noise" in name for name in network.state_dict())


def test_strength_interpolates_from_the_null_style_and_extrapolates():
    network = make()
    styles = torch.tensor([0, 3])
    null = network.embeddings.weight[5]
    assert torch.equal(network.style_vectors(styles, 0.0), null.expand(2, -1))
    assert torch.allclose(network.style_vectors(styles, 1.0), network.embeddings(styles), atol=1e-6)
    beyond = network.style_vectors(styles, 1.5) - null
    assert torch.allclose(beyond, 1.5 * (network.embeddings(styles) - null), atol=1e-6)


def test_content_codes_hold_no_global_colour_and_contrast():
    network = make().eval()
    with torch.no_grad():
        code = network.encoder(torch.stack([torch.rand(3, 64, 64), 0.2 + 0.1 * torch.rand(3, 64, 64)]))
    assert code.mean(dim=(2, 3)).abs().max() < 1e-5
    assert (code.var(dim=(2, 3), correction=0) - 1).abs().max() < 1e-2


def test_modulation_compares_what_the_decoder_reads():
    network = make()
    with torch.no_grad():
        for block in network.decoder.modules():
            if isinstance(block, StyledBlock):  # no block reads the last four numbers of an embedding
                block.to_scale_shift.weight[:, 4:] = 0
        network.embeddings.weight[1, :4] = network.embeddings.weight[3, :4]
    modulation = network.modulation()
    assert len(modulation) == 5
    assert torch.allclose(modulation[1], modulation[3])
    assert not torch.allclose(modulation[1], modulation[2])
    assert torch.equal(make("concat").modulation(), make("concat").embeddings.weight[:5])
