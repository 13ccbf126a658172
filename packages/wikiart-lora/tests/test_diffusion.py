"""The formulas of the papers, computed by hand for single numbers."""

import math

import numpy as np
import pytest
import torch

from wikiart_lora.diffusion import (
    NoiseSchedule,
    add_noise,
    diffusion_loss,
    min_snr_weights,
    prediction_target,
    read_schedule,
    sample_noise,
    sample_timesteps,
)

ALPHAS = torch.tensor([0.99, 0.8, 0.5, 0.1, 0.0])
CLEAN, NOISE = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -3.0)


@pytest.mark.parametrize("time", [0, 1, 2, 3, 4])
def test_velocity_and_noise_against_the_formulas(time):
    a, at = ALPHAS[time].item(), torch.tensor([float(time)])
    x, e = 2.0, -3.0
    for kind, expected in (
        ("epsilon", e),
        ("sample", x),
        ("v_prediction", math.sqrt(a) * e - math.sqrt(1 - a) * x),
    ):
        schedule = NoiseSchedule(kind, ALPHAS)
        assert prediction_target(schedule, CLEAN, NOISE, at).item() == pytest.approx(expected, abs=1e-6)
        noisy = math.sqrt(a) * x + math.sqrt(1 - a) * e
        assert add_noise(schedule, CLEAN, NOISE, at).item() == pytest.approx(noisy, abs=1e-6)


def test_the_image_follows_from_noisy_image_and_velocity():
    """X = √ᾱ x_t − √(1 − ᾱ) v, whatever the timestep: which is why v can be predicted instead of x."""
    schedule, times = NoiseSchedule("v_prediction", ALPHAS), torch.arange(5.0)
    clean, noise = torch.randn(5, 2, 3, 3), torch.randn(5, 2, 3, 3)
    noisy, velocity = add_noise(schedule, clean, noise, times), prediction_target(schedule, clean, noise, times)
    signal_rate, noise_rate = ALPHAS.sqrt()[:, None, None, None], (1 - ALPHAS).sqrt()[:, None, None, None]
    torch.testing.assert_close(signal_rate * noisy - noise_rate * velocity, clean)


@pytest.mark.parametrize(
    ("kind", "expected_weight"),
    [
        ("epsilon", lambda snr: min(snr, 5) / snr),
        ("v_prediction", lambda snr: min(snr, 5) / (snr + 1)),
        ("sample", lambda snr: min(snr, 5)),
    ],
)
def test_min_snr_weights_against_the_paper(kind, expected_weight):
    weights = min_snr_weights(NoiseSchedule(kind, ALPHAS), torch.arange(4.0), 5.0)
    expected = [expected_weight(a / (1 - a)) for a in ALPHAS[:4].tolist()]
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-5)
    assert (min_snr_weights(NoiseSchedule(kind, ALPHAS), torch.arange(4.0), 0.0) == 1).all()


def test_flow_matching_against_the_formulas():
    schedule, at = NoiseSchedule("flow", torch.empty(0)), torch.tensor([250.0])
    assert add_noise(schedule, CLEAN, NOISE, at).item() == pytest.approx(0.75 * 2.0 + 0.25 * -3.0)
    assert prediction_target(schedule, CLEAN, NOISE, at).item() == -5.0
    assert (min_snr_weights(schedule, at, 5.0) == 1).all()


def test_flow_timesteps_are_logit_normal_and_shifted():
    generator = torch.Generator().manual_seed(0)
    plain = sample_timesteps(NoiseSchedule("flow", torch.empty(0)), 20_000, generator) / 1000
    assert plain.logit().mean().abs() < 0.03
    assert abs(plain.logit().std() - 1) < 0.03
    generator.manual_seed(0)
    shifted = sample_timesteps(NoiseSchedule("flow", torch.empty(0), shift=3.0), 20_000, generator) / 1000
    torch.testing.assert_close(shifted, 3 * plain / (1 + 2 * plain))


def test_schedule_is_read_from_the_scheduler():
    import diffusers

    eps = read_schedule(diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"))
    assert eps.kind == "epsilon"
    betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000) ** 2
    torch.testing.assert_close(eps.alphas_cumprod, (1 - betas).cumprod(0), rtol=1e-4, atol=1e-6)
    zero = read_schedule(diffusers.DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True))
    assert zero.alphas_cumprod[-1] == 0
    flow = read_schedule(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    assert (flow.kind, flow.shift) == ("flow", 3.0)


def test_noise_offset_is_constant_over_each_channel():
    like = torch.empty(64, 4, 8, 8)
    plain = sample_noise(like, 0.0, torch.Generator().manual_seed(0))
    offset = sample_noise(like, 0.5, torch.Generator().manual_seed(0)) - plain
    assert offset.var(dim=(2, 3)).max() < 1e-10
    assert abs(offset[:, :, 0, 0].std() - 0.5) < 0.1


def test_loss_is_the_mean_of_weighted_errors():
    schedule, times = NoiseSchedule("epsilon", ALPHAS), torch.tensor([0.0, 3.0])
    clean, noise, prediction = (torch.randn(2, 3, 4, 4) for _ in range(3))
    snr = [0.99 / 0.01, 0.1 / 0.9]
    errors = [((prediction[i] - noise[i]) ** 2).mean().item() for i in range(2)]
    by_hand = sum(min(s, 5) / s * error for s, error in zip(snr, errors, strict=True)) / 2
    assert diffusion_loss(schedule, prediction, clean, noise, times, 5.0).item() == pytest.approx(by_hand, rel=1e-4)
