"""The formulas on paper, written out by hand for single numbers."""

import math

import numpy as np
import pytest
import torch

from wikiart_lora.noise import Schedule, add_noise, diffusion_loss, draw_noise, draw_times, schedule_of, target, weights

ALPHAS = torch.tensor([0.99, 0.8, 0.5, 0.1, 0.0])
CLEAN, NOISE = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -3.0)


@pytest.mark.parametrize("time", [0, 1, 2, 3, 4])
def test_velocity_and_noise_against_the_formulas(time):
    a, at = ALPHAS[time].item(), torch.tensor([float(time)])
    x, e = 2.0, -3.0
    for kind, said in (
        ("epsilon", e),
        ("sample", x),
        ("v_prediction", math.sqrt(a) * e - math.sqrt(1 - a) * x),
    ):
        schedule = Schedule(kind, ALPHAS)
        assert target(schedule, CLEAN, NOISE, at).item() == pytest.approx(said, abs=1e-6)
        noisy = math.sqrt(a) * x + math.sqrt(1 - a) * e
        assert add_noise(schedule, CLEAN, NOISE, at).item() == pytest.approx(noisy, abs=1e-6)


def test_picture_is_found_again_from_velocity():
    """x = √ᾱ x_t − √(1 − ᾱ) v, whatever the timestep: what makes v a prediction."""
    schedule, times = Schedule("v_prediction", ALPHAS), torch.arange(5.0)
    clean, noise = torch.randn(5, 2, 3, 3), torch.randn(5, 2, 3, 3)
    noisy, said = add_noise(schedule, clean, noise, times), target(schedule, clean, noise, times)
    keep, share = ALPHAS.sqrt()[:, None, None, None], (1 - ALPHAS).sqrt()[:, None, None, None]
    torch.testing.assert_close(keep * noisy - share * said, clean)


@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        ("epsilon", lambda snr: min(snr, 5) / snr),
        ("v_prediction", lambda snr: min(snr, 5) / (snr + 1)),
        ("sample", lambda snr: min(snr, 5)),
    ],
)
def test_min_snr_weights_against_the_paper(kind, by_hand):
    found = weights(Schedule(kind, ALPHAS), torch.arange(4.0), 5.0)
    expected = [by_hand(a / (1 - a)) for a in ALPHAS[:4].tolist()]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert (weights(Schedule(kind, ALPHAS), torch.arange(4.0), 0.0) == 1).all()


def test_flow_matching_against_the_formulas():
    schedule, at = Schedule("flow", torch.empty(0)), torch.tensor([250.0])
    assert add_noise(schedule, CLEAN, NOISE, at).item() == pytest.approx(0.75 * 2.0 + 0.25 * -3.0)
    assert target(schedule, CLEAN, NOISE, at).item() == -5.0
    assert (weights(schedule, at, 5.0) == 1).all()


def test_flow_times_are_logit_normal_and_shifted():
    generator = torch.Generator().manual_seed(0)
    plain = draw_times(Schedule("flow", torch.empty(0)), 20_000, generator) / 1000
    assert plain.logit().mean().abs() < 0.03
    assert abs(plain.logit().std() - 1) < 0.03
    generator.manual_seed(0)
    shifted = draw_times(Schedule("flow", torch.empty(0), shift=3.0), 20_000, generator) / 1000
    torch.testing.assert_close(shifted, 3 * plain / (1 + 2 * plain))


def test_schedule_is_read_from_the_scheduler():
    import diffusers

    eps = schedule_of(diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"))
    assert eps.kind == "epsilon"
    betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000) ** 2
    torch.testing.assert_close(eps.alphas, (1 - betas).cumprod(0), rtol=1e-4, atol=1e-6)
    zero = schedule_of(diffusers.DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True))
    assert zero.alphas[-1] == 0
    flow = schedule_of(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    assert (flow.kind, flow.shift) == ("flow", 3.0)


def test_noise_offset_is_one_number_a_channel():
    like = torch.empty(64, 4, 8, 8)
    plain = draw_noise(like, 0.0, torch.Generator().manual_seed(0))
    offset = draw_noise(like, 0.5, torch.Generator().manual_seed(0)) - plain
    assert offset.var(dim=(2, 3)).max() < 1e-10
    assert abs(offset[:, :, 0, 0].std() - 0.5) < 0.1


def test_loss_is_the_mean_of_weighted_errors():
    schedule, times = Schedule("epsilon", ALPHAS), torch.tensor([0.0, 3.0])
    clean, noise, said = (torch.randn(2, 3, 4, 4) for _ in range(3))
    snr = [0.99 / 0.01, 0.1 / 0.9]
    errors = [((said[i] - noise[i]) ** 2).mean().item() for i in range(2)]
    by_hand = sum(min(s, 5) / s * error for s, error in zip(snr, errors, strict=True)) / 2
    assert diffusion_loss(schedule, said, clean, noise, times, 5.0).item() == pytest.approx(by_hand, rel=1e-4)
