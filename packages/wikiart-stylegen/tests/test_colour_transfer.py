"""Transfer of colour statistics against known colours and statistics."""

import pytest
import torch

from wikiart_stylegen.colour_transfer import colour_statistics, lab_to_rgb, rgb_to_lab, transfer_colours


@pytest.mark.parametrize(
    ("rgb", "lab"),  # CIE L*a*b* of sRGB under D65, from any colour calculator
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    image = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    assert rgb_to_lab(image).flatten().tolist() == pytest.approx(lab, abs=0.02)


def test_lab_and_back():
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(images)), images, atol=1e-6, rtol=0)


def test_a_recoloured_image_has_the_target_statistics():
    torch.manual_seed(0)
    images = 0.3 + 0.4 * torch.rand(2, 3, 32, 32, dtype=torch.float64)
    # Unlike in mean, spread and correlation of the channels, and far enough from black and white not to be clamped.
    noise = 0.06 * torch.randn(4, 3, 32, 32, dtype=torch.float64)
    noise[:, 1] += noise[:, 0]
    target = colour_statistics((torch.tensor([0.55, 0.5, 0.4])[:, None, None] + noise).clamp(0.05, 0.95))
    for recoloured in transfer_colours(images, target):
        statistics = colour_statistics(recoloured[None])
        torch.testing.assert_close(statistics.mean, target.mean, atol=0.2, rtol=0)
        torch.testing.assert_close(statistics.covariance, target.covariance, atol=3.0, rtol=0.05)


def test_an_image_of_one_colour_takes_the_mean_colour():
    torch.manual_seed(0)
    target = colour_statistics(0.4 + 0.1 * torch.rand(2, 3, 16, 16))
    recoloured = transfer_colours(torch.full((1, 3, 8, 8), 0.7), target)
    assert recoloured.isfinite().all()
    torch.testing.assert_close(colour_statistics(recoloured).mean, target.mean, atol=0.2, rtol=0)
