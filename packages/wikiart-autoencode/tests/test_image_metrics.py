"""Image metrics and losses against their formulas and torchmetrics."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from wikiart_autoencode.evaluation.codecs import RatePoint, rate_curve
from wikiart_autoencode.evaluation.evaluate import psnr_at
from wikiart_autoencode.evaluation.image_metrics import METRICS, ReconstructionScores, mse, psnr, ssim
from wikiart_autoencode.losses import charbonnier_loss, psnr_loss, reconstruction_loss


def pair(height: int = 40, width: int = 52) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    target = torch.rand(3, 3, height, width)
    return (target + torch.tensor([0.02, 0.1, 0.4]).view(3, 1, 1, 1) * torch.randn_like(target)).clamp(0, 1), target


def test_mse_and_psnr_are_of_each_picture():
    prediction, target = pair()
    for row in range(3):
        error = float(np.square(prediction[row].double().numpy() - target[row].double().numpy()).mean())
        assert mse(prediction, target)[row].item() == pytest.approx(error, rel=1e-5)
        assert psnr(prediction, target)[row].item() == pytest.approx(10 * math.log10(1 / error), rel=1e-5)


def test_a_perfect_picture_has_finite_psnr_and_ssim_1():
    _, target = pair()
    assert psnr(target, target).tolist() == pytest.approx([100.0] * 3)
    assert ssim(target, target).tolist() == pytest.approx([1.0] * 3)


def test_ssim_is_torchmetrics_where_the_window_lies_in_the_picture():
    prediction, target = pair()
    _, whole = structural_similarity_index_measure(
        prediction, target, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = whole[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(prediction, target), inside, atol=1e-4)


def test_charbonnier_is_squared_near_0_and_absolute_far_away():
    target = torch.zeros(1, 3, 4, 4)
    assert charbonnier_loss(target, target).item() == pytest.approx(0.0, abs=1e-7)
    assert charbonnier_loss(target + 1e-3, target).item() == pytest.approx(1e-6 / (2 * 0.01), rel=0.01)
    assert charbonnier_loss(target + 0.5, target).item() == pytest.approx(0.5 - 0.01, rel=0.01)


def test_decibels_are_minus_the_mean_psnr_in_hundreds():
    prediction, target = pair()
    prediction, target = prediction[1:], target[1:]  # far below 50 dB
    assert psnr_loss(prediction, target).item() == pytest.approx(
        -psnr(prediction, target).mean().item() / 100, abs=1e-4
    )
    assert psnr_loss(target, target).item() == pytest.approx(-0.5)  # 50 dB and no more


@pytest.mark.parametrize(("pixels", "distance"), [("psnr", psnr_loss), ("charbonnier", charbonnier_loss)])
def test_the_ssim_term_is_1_minus_ssim(pixels: str, distance: Callable):
    prediction, target = pair()
    without = reconstruction_loss(prediction, target, 0.0, pixels)
    assert without == distance(prediction, target)
    assert reconstruction_loss(prediction, target, 0.3, pixels).item() == pytest.approx(
        without.item() + 0.3 * (1 - ssim(prediction, target).mean().item()), rel=1e-5
    )


def test_ssim_is_exact_under_autocast():
    prediction, target = pair()
    exact = ssim(prediction, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssim(prediction, target), exact)


def test_means_are_over_images_and_intervals_contain_them():
    values = np.random.default_rng(0).normal([0.01, 25, 0.8], [0.002, 3, 0.05], size=(500, 3))
    scores = ReconstructionScores.from_images(torch.from_numpy(values))
    assert scores.n == 500
    for column, name in enumerate(METRICS):
        mean, (low, high) = getattr(scores, name), getattr(scores, f"{name}_interval")
        assert mean == pytest.approx(values[:, column].mean())
        assert (high - low) / 2 == pytest.approx(1.96 * values[:, column].std() / math.sqrt(500), rel=0.1)
        assert low < mean < high
    assert "\n" not in repr(scores)


def test_psnr_is_interpolated_within_a_curve_only():
    curve = [RatePoint(1536.0, 0.0, 24.0, 0.0), RatePoint(512.0, 0.0, 22.0, 0.0)]
    assert [psnr_at(curve, size) for size in (512, 1024, 1536, 511, 1537)] == [22.0, 23.0, 24.0, None, None]


def test_the_payload_is_what_is_left_without_headers_and_tables():
    """Files of one quality differ in their payload alone, so the difference of two is that of their payloads."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 32, 32, generator=random)
    flat = torch.full((1, 3, 32, 32), 0.5)
    for file_format, least in (("JPEG", 250), ("WebP", 20)):
        (plain, *_), (rich, *_) = (rate_curve([images], file_format) for images in (flat, noise))
        headers = plain.bytes - plain.payload
        assert headers >= least
        assert 0 < plain.payload < rich.payload
        assert rich.bytes - rich.payload == pytest.approx(headers, abs=120)  # optimised Huffman tables differ
    assert psnr_at([rich, plain], rich.payload, payload=True) == pytest.approx(rich.psnr)
