"""Repaints of any size: no grid of the code, no borders, edges of the image, none of its noise."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_stylegen.full_size import average_over_shifts, guided_upsampling, luminance
from wikiart_stylegen.metrics import lattice_amplitude


def quarter(image: torch.Tensor) -> torch.Tensor:
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
    result = guided_upsampling(quarter(painted), image)
    bicubic = F.interpolate(quarter(painted), (256, 256), mode="bicubic")
    inner = (..., slice(32, -32))
    assert (result - painted)[inner].abs().mean() < 0.5 * (bicubic - painted)[inner].abs().mean()
    steepest = (result[0, 0, 128].diff()).abs().max()
    assert steepest > 0.6 * 0.8 > (bicubic[0, 0, 128].diff()).abs().max()


def test_noise_of_the_photograph_does_not_come_back_where_the_repaint_is_flat():
    generator = torch.Generator().manual_seed(0)
    noisy = (0.5 + 0.05 * torch.randn(1, 3, 256, 256, generator=generator)).clamp(0, 1)
    flat = torch.full((1, 3, 64, 64), 0.3)
    result = guided_upsampling(flat, noisy)
    assert (result - 0.3).abs().max() < 1e-4


def test_brush_marks_that_the_image_lacks_stay():
    image, x = torch.full((1, 3, 256, 256), 0.5), torch.arange(64)
    marks = (0.5 + 0.2 * torch.sin(x * 0.8)).expand(1, 3, 64, 64)
    result = guided_upsampling(marks, image)
    torch.testing.assert_close(result, F.interpolate(marks, (256, 256), mode="bicubic"), atol=5e-3, rtol=0)


def test_the_luminance_of_white_is_1():
    torch.testing.assert_close(luminance(torch.ones(1, 3, 2, 2)), torch.ones(1, 1, 2, 2))


def test_an_edge_has_no_halo_where_the_small_repaint_is_blurred():
    image = edge_image()
    blurred = F.avg_pool2d(F.pad(quarter(image), [2, 2, 0, 0], mode="replicate"), (1, 5), stride=1)
    result = guided_upsampling(blurred, image)
    enlarged = F.interpolate(blurred, (256, 256), mode="bicubic")
    assert (result - image).abs().mean() < 0.6 * (enlarged - image).abs().mean()
    assert (result - image).abs().max() < 0.12  # 0.19 with the marks at full strength


def lattice(height: int, width: int, amplitude: float) -> Tensor:
    """Stripes at the places of the code's grid: (1, 1, H, W), with the root mean square `amplitude`."""
    x = torch.arange(width) * 2 * torch.pi / 8
    return (amplitude * 2**0.5 * torch.sin(x)).expand(1, 1, height, width)


def test_the_amplitude_of_a_lattice_is_measured_where_the_image_is_flat():
    generator = torch.Generator().manual_seed(0)
    image = torch.full((1, 3, 128, 128), 0.5)
    image[..., 64:] += 0.2 * torch.randn(1, 3, 128, 64, generator=generator)
    slope = torch.linspace(-0.2, 0.2, 128)[:, None]
    striped = image + slope + lattice(128, 128, 10 / 255)
    assert lattice_amplitude(striped, image) == pytest.approx(10, abs=0.2)
    assert lattice_amplitude(image + slope, image) < 0.5
    doubled_period = 0.5 + F.interpolate(lattice(64, 64, 10 / 255), (128, 128), mode="bicubic").expand(1, 3, 128, 128)
    assert lattice_amplitude(doubled_period, image) < 2


@pytest.mark.parametrize(("height", "width"), [(96, 131), (40, 1), (64, 64)])
def test_the_mean_over_shifts_has_less_of_the_grid_and_of_what_borders_do(height, width):
    def repaint(batch: Tensor) -> Tensor:
        assert batch.shape[2] % 8 == batch.shape[3] % 8 == 0
        painted = 1 - batch + lattice(*batch.shape[2:], 0.1)
        painted[..., :5, :] = painted[..., -5:, :] = painted[..., :5] = painted[..., -5:] = 7  # as zero padding might
        return painted

    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    average = average_over_shifts(repaint, image)
    assert average.shape == image.shape
    torch.testing.assert_close(average, 1 - image, atol=1e-5, rtol=0)  # four shifts cancel a wave of one period


def test_a_repaint_that_depends_on_no_grid_is_unchanged_by_shifts():
    image = torch.rand(3, 50, 70, generator=torch.Generator().manual_seed(0))
    blur = torch.full((3, 1, 5, 5), 1 / 25)

    def repaint(batch: Tensor) -> Tensor:
        return F.conv2d(batch, blur, padding=2, groups=3)

    mirrored = F.pad(image[None], [2] * 4, mode="reflect")
    torch.testing.assert_close(average_over_shifts(repaint, image), F.conv2d(mirrored, blur, groups=3)[0])
