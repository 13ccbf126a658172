"""The network: shapes, what the style reaches, what is taken out of the content code."""

import pytest
import torch

from wikiart_stylegen.network import StyleAutoencoder


def make(conditioning: str = "film") -> StyleAutoencoder:
    torch.manual_seed(0)
    return StyleAutoencoder(5, channels=4, style=8, conditioning=conditioning, width=0.25, blocks=1, grain=True)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
@pytest.mark.parametrize("size", [(32, 32), (40, 64)])
def test_shapes(conditioning, size):
    images, code = make(conditioning)(torch.rand(3, 3, *size), torch.tensor([0, 4, 5]))
    assert images.shape == (3, 3, *size)
    assert code.shape == (3, 4, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_gradient_reaches_the_embeddings_that_were_asked_for_and_no_others(conditioning):
    network = make(conditioning)
    images, _ = network(torch.rand(2, 3, 32, 32), torch.tensor([1, 3]))
    images.square().sum().backward()
    moved = network.embeddings.weight.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == [False, True, False, True, False, False]


def test_the_style_reaches_every_block():
    network = make()
    _, code = network(torch.rand(2, 3, 32, 32), torch.tensor([1, 3]))
    network.paint(code, network.embeddings(torch.tensor([1, 3]))).square().sum().backward()
    blocks = [block for block in network.decoder.stages if hasattr(block, "to_scale_shift")]
    assert len(blocks) == 3  # at an eighth, a quarter and half of the picture's size
    assert all(block.to_scale_shift.weight.grad.abs().sum() > 0 for block in blocks)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_two_styles_give_two_pictures_and_the_same_style_the_same(conditioning):
    network = make(conditioning).eval()
    with torch.no_grad():
        code = network.encoder(torch.rand(1, 3, 32, 32)).expand(3, -1, -1, -1)
        one, again, other = network.paint(code, network.embeddings(torch.tensor([2, 2, 0])))
    assert torch.equal(one, again)
    assert (one - other).abs().mean() > 1e-4


def test_grain_is_the_styles_and_its_seeds():
    network = make().eval()
    with torch.no_grad():
        code, vector = network.encoder(torch.rand(1, 3, 32, 32)), network.embeddings(torch.tensor([2]))
        plain, one, again, other = (network.paint(code, vector, grain) for grain in (None, 0, 0, 1))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        for block in network.decoder.modules():
            if hasattr(block, "to_grain"):
                block.to_grain.weight.zero_()  # a style that asks for none
        assert torch.equal(network.paint(code, vector, 1), plain)


def test_without_grain_no_seed_changes_anything():
    torch.manual_seed(0)
    network = StyleAutoencoder(5, channels=4, style=8, width=0.25, blocks=1).eval()
    with torch.no_grad():
        code, vector = network.encoder(torch.rand(1, 3, 32, 32)), network.embeddings(torch.tensor([2]))
        assert torch.equal(network.paint(code, vector, 1), network.paint(code, vector, None))
    assert not any("grain" in name for name in network.state_dict())


def test_strength_goes_from_the_null_style_to_the_style_and_beyond():
    network = make()
    styles = torch.tensor([0, 3])
    null = network.embeddings.weight[5]
    assert torch.equal(network.style_vector(styles, 0.0), null.expand(2, -1))
    assert torch.allclose(network.style_vector(styles, 1.0), network.embeddings(styles), atol=1e-6)
    beyond = network.style_vector(styles, 1.5) - null
    assert torch.allclose(beyond, 1.5 * (network.embeddings(styles) - null), atol=1e-6)


def test_colour_and_contrast_of_a_picture_are_not_in_its_content_code():
    """Every channel of the code has mean 0 and variance 1 in each picture: nothing global is left to read."""
    network = make().eval()
    with torch.no_grad():
        code = network.encoder(torch.stack([torch.rand(3, 64, 64), 0.2 + 0.1 * torch.rand(3, 64, 64)]))
    assert code.mean(dim=(2, 3)).abs().max() < 1e-5
    assert (code.var(dim=(2, 3), correction=0) - 1).abs().max() < 1e-2


def test_styles_are_alike_if_they_tell_the_decoder_the_same():
    network = make()
    with torch.no_grad():
        for block in network.decoder.modules():
            if hasattr(block, "to_scale_shift"):  # nobody reads the embedding's last four numbers
                block.to_scale_shift.weight[:, 4:] = 0
        network.embeddings.weight[1, :4] = network.embeddings.weight[3, :4]
    told = network.told()
    assert len(told) == 5
    assert torch.allclose(told[1], told[3])
    assert not torch.allclose(told[1], told[2])
    assert torch.equal(make("concat").told(), make("concat").embeddings.weight[:5])
