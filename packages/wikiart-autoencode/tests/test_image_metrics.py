"""Image metrics and losses against their formulas and torchmetrics."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from wikiart_autoencode.evaluation.codecs import RatePoint
from wikiart_autoencode.evaluation.evaluate import psnr_at
from wikiart_autoencode.evaluation.image_metrics import METRICS, ReconstructionScores, mse, psnr, ssim
from wikiart_autoencode.losses import charbonnier_loss, psnr_loss, reconstruction_loss


def pair(height: int = 40, width: int = 52) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    truth = torch.rand(3, 3, height, width)
    return (truth + torch.tensor([0.02, 0.1, 0.4]).view(3, 1, 1, 1) * torch.randn_like(truth)).clamp(0, 1), truth


def test_mse_and_psnr_are_of_each_picture():
    ours, truth = pair()
    for place in range(3):
        error = float(np.square(ours[place].double().numpy() - truth[place].double().numpy()).mean())
        assert mse(ours, truth)[place].item() == pytest.approx(error, rel=1e-5)
        assert psnr(ours, truth)[place].item() == pytest.approx(10 * math.log10(1 / error), rel=1e-5)


def test_a_perfect_picture_has_finite_psnr_and_ssim_1():
    _, truth = pair()
    assert psnr(truth, truth).tolist() == pytest.approx([100.0] * 3)
    assert ssim(truth, truth).tolist() == pytest.approx([1.0] * 3)


def test_ssim_is_torchmetrics_where_the_window_lies_in_the_picture():
    ours, truth = pair()
    _, whole = structural_similarity_index_measure(
        ours, truth, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = whole[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(ours, truth), inside, atol=1e-4)


def test_charbonnier_is_squared_near_0_and_absolute_far_away():
    truth = torch.zeros(1, 3, 4, 4)
    assert charbonnier_loss(truth, truth).item() == pytest.approx(0.0, abs=1e-7)
    assert charbonnier_loss(truth + 1e-3, truth).item() == pytest.approx(1e-6 / (2 * 0.01), rel=0.01)
    assert charbonnier_loss(truth + 0.5, truth).item() == pytest.approx(0.5 - 0.01, rel=0.01)


def test_decibels_are_minus_the_mean_psnr_in_hundreds():
    ours, truth = pair()
    ours, truth = ours[1:], truth[1:]  # far below 50 dB
    assert psnr_loss(ours, truth).item() == pytest.approx(-psnr(ours, truth).mean().item() / 100, abs=1e-4)
    assert psnr_loss(truth, truth).item() == pytest.approx(-0.5)  # 50 dB and no more


@pytest.mark.parametrize(("pixels", "distance"), [("psnr", psnr_loss), ("charbonnier", charbonnier_loss)])
def test_the_ssim_term_is_1_minus_ssim(pixels: str, distance: Callable):
    ours, truth = pair()
    without = reconstruction_loss(ours, truth, 0.0, pixels)
    assert without == distance(ours, truth)
    assert reconstruction_loss(ours, truth, 0.3, pixels).item() == pytest.approx(
        without.item() + 0.3 * (1 - ssim(ours, truth).mean().item()), rel=1e-5
    )


def test_ssim_is_exact_under_autocast():
    ours, truth = pair()
    exact = ssim(ours, truth)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssim(ours, truth), exact)


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
