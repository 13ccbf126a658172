"""The formulas of diffusion and of flow matching: noise, prediction target, loss weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseSchedule:
    """How a base was trained, read from its scheduler."""

    kind: str
    """What the network predicts: epsilon, v_prediction, sample, or flow."""
    alphas_cumprod: Tensor
    """(T,) float32: fraction of the image's variance left at each timestep (ᾱ); empty for flow matching."""
    shift: float = 1.0
    """Shift of flow matching: above 1, timesteps with more noise are drawn more often."""
    dynamic_shift: tuple[float, float, float, float] | None = None
    """For a shift that grows with the image: log shift at two numbers of tokens, and these numbers; None for `shift`
    at every size."""

    def shift_at(self, tokens: int) -> float:
        """The shift for images of a number of tokens: of FLUX.2, one token for 16 × 16 pixels."""
        if self.dynamic_shift is None:
            return self.shift
        low, high, tokens_low, tokens_high = self.dynamic_shift
        return math.exp(low + (high - low) * (tokens - tokens_low) / (tokens_high - tokens_low))


def read_schedule(scheduler: Any) -> NoiseSchedule:
    """The noise schedule of a diffusers scheduler."""
    config = scheduler.config
    if "FlowMatch" in type(scheduler).__name__:
        if not config.get("use_dynamic_shifting"):
            return NoiseSchedule("flow", torch.empty(0), float(config.get("shift", 1.0)))
        names = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
        low, high, tokens_low, tokens_high = (float(config[name]) for name in names)
        return NoiseSchedule("flow", torch.empty(0), dynamic_shift=(low, high, tokens_low, tokens_high))
    from diffusers import DDPMScheduler  # pyright: ignore[reportPrivateImportUsage]

    ddpm: Any = DDPMScheduler.from_config(config)  # some samplers keep other tables; training uses DDPM's
    return NoiseSchedule(config.get("prediction_type", "epsilon"), ddpm.alphas_cumprod.float())


def sample_timesteps(schedule: NoiseSchedule, number: int, generator: torch.Generator, tokens: int = 0) -> Tensor:
    """(number,) float32 timesteps in 0..1000.

    Uniform integers for diffusion; for flow matching logit-normal (Esser et al. 2024, eq. 19 with m = 0, s = 1),
    shifted as in the base's scheduler (eq. 23); FLUX.2's shift grows with the number of tokens of the image.
    """
    if schedule.kind != "flow":
        return torch.randint(len(schedule.alphas_cumprod), (number,), generator=generator).float()
    sigma = torch.sigmoid(torch.randn(number, generator=generator))
    shift = schedule.shift_at(tokens)
    return 1000 * shift * sigma / (1 + (shift - 1) * sigma)


def sample_noise(like: Tensor, offset: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of the shape (B, C, h, w), on the CPU.

    `offset` adds noise that is constant over each channel, so that very dark and very bright images can be learned
    (noise offset, Guttenberg 2023).
    """
    noise = torch.randn(like.shape, generator=generator)
    if offset:
        noise = noise + offset * torch.randn(*like.shape[:2], 1, 1, generator=generator)
    return noise


def add_noise(schedule: NoiseSchedule, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """√ᾱ x + √(1 − ᾱ) ε (Ho et al. 2020, eq. 4), or (1 − σ) x + σ ε for flow matching; (B, C, h, w)."""
    signal_rate, noise_rate = _rates(schedule, timesteps)
    return signal_rate * clean + noise_rate * noise


def prediction_target(schedule: NoiseSchedule, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """ε; v = √ᾱ ε − √(1 − ᾱ) x (Salimans & Ho 2022, app. D); x; or the flow ε − x. All (B, C, h, w)."""
    if schedule.kind == "flow":
        return noise - clean
    signal_rate, noise_rate = _rates(schedule, timesteps)
    return {"epsilon": noise, "v_prediction": signal_rate * noise - noise_rate * clean, "sample": clean}[schedule.kind]


def min_snr_weights(schedule: NoiseSchedule, timesteps: Tensor, gamma: float) -> Tensor:
    """(B,) weight of each image's mean squared error: min-SNR-γ (Hang et al. 2023, §3.4).

    In terms of what the network predicts: min(SNR, γ) / SNR for ε, / (SNR + 1) for v, min(SNR, γ) for x. All 1 for
    γ = 0 and for flow matching.
    """
    if schedule.kind == "flow" or not gamma:
        return torch.ones(len(timesteps), device=timesteps.device)
    alphas = schedule.alphas_cumprod.to(timesteps.device)[timesteps.long()]
    snr = alphas / (1 - alphas)
    capped = snr.clamp(max=gamma)
    if schedule.kind == "sample":
        return capped
    return capped / snr.clamp(min=1e-8) if schedule.kind == "epsilon" else capped / (snr + 1)


def diffusion_loss(
    schedule: NoiseSchedule, prediction: Tensor, clean: Tensor, noise: Tensor, timesteps: Tensor, gamma: float
) -> Tensor:
    """Mean over the batch of the weighted mean squared errors: a scalar."""
    target = prediction_target(schedule, clean, noise, timesteps)
    errors = (prediction - target).square().mean(dim=(1, 2, 3))
    return (min_snr_weights(schedule, timesteps, gamma) * errors).mean()


def _rates(schedule: NoiseSchedule, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of image and noise, each (B, 1, 1, 1)."""
    if schedule.kind == "flow":
        sigma = (timesteps / 1000)[:, None, None, None]
        return 1 - sigma, sigma
    alphas = schedule.alphas_cumprod.to(timesteps.device)[timesteps.long()][:, None, None, None]
    return alphas.sqrt(), (1 - alphas).sqrt()
