"""Guided upsampling: sharp where the image is, without its noise."""

import torch
import torch.nn.functional as F

from wikiart_stylegen.upsampling import guided_upsampling, luminance


def half(image: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(image, 4)


def edge_image() -> torch.Tensor:
    """(1, 3, 256, 256): dark on the left, bright on the right, with an edge that no small pixel shares."""
    image = torch.full((1, 3, 256, 256), 0.2)
    image[..., 130:] = 0.8
    return image


def test_an_edge_is_as_sharp_as_in_the_image_and_has_the_colours_of_the_repaint():
    image = edge_image()
    colours = torch.tensor([0.9, 0.4, 0.1])[None, :, None, None], torch.tensor([0.1, 0.3, 0.9])[None, :, None, None]
    painted = torch.where(image > 0.5, colours[0], colours[1])
    result = guided_upsampling(half(painted), half(image), image)
    bicubic = F.interpolate(half(painted), (256, 256), mode="bicubic")
    inner = (..., slice(32, -32))
    assert (result - painted)[inner].abs().mean() < 0.5 * (bicubic - painted)[inner].abs().mean()
    steepest = (result[0, 0, 128].diff()).abs().max()
    assert steepest > 0.6 * 0.8 > (bicubic[0, 0, 128].diff()).abs().max()


def test_noise_of_the_photograph_does_not_come_back_where_the_repaint_is_flat():
    generator = torch.Generator().manual_seed(0)
    noisy = (0.5 + 0.05 * torch.randn(1, 3, 256, 256, generator=generator)).clamp(0, 1)
    flat = torch.full((1, 3, 64, 64), 0.3)
    result = guided_upsampling(flat, half(noisy), noisy)
    assert (result - 0.3).abs().max() < 1e-4


def test_brush_marks_that_the_image_lacks_stay():
    image, x = torch.full((1, 3, 256, 256), 0.5), torch.arange(64)
    marks = (0.5 + 0.2 * torch.sin(x * 0.8)).expand(1, 3, 64, 64)
    result = guided_upsampling(marks, half(image), image)
    torch.testing.assert_close(result, F.interpolate(marks, (256, 256), mode="bicubic"), atol=5e-3, rtol=0)


def test_the_luminance_of_white_is_1():
    torch.testing.assert_close(luminance(torch.ones(1, 3, 2, 2)), torch.ones(1, 1, 2, 2))
