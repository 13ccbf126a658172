"""Noise, what is to be predicted, and how errors are weighted: the formulas of diffusion and of flow matching."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """How a base was trained, read from its scheduler."""

    kind: str
    """epsilon, v_prediction, sample, or flow."""
    alphas: Tensor
    """(T,) float32: share of the picture's variance left at each timestep (ᾱ); empty for flow matching."""
    shift: float = 1.0
    """Of flow matching: above 1, more noise is seen."""


def schedule_of(scheduler: Any) -> Schedule:
    """Read a diffusers scheduler."""
    config = scheduler.config
    if "FlowMatch" in type(scheduler).__name__:
        return Schedule("flow", torch.empty(0), float(config.get("shift", 1.0)))
    from diffusers import DDPMScheduler

    ddpm = DDPMScheduler.from_config(config)  # some samplers keep other tables; training is on DDPM's
    return Schedule(config.get("prediction_type", "epsilon"), ddpm.alphas_cumprod.float())


def draw_times(schedule: Schedule, number: int, generator: torch.Generator) -> Tensor:
    """(number,) float32 timesteps in 0..1000.

    Uniform whole numbers for diffusion; for flow matching logit-normal (Esser et al. 2024, eq. 19 with m = 0, s = 1),
    shifted as the base's scheduler is (eq. 23).
    """
    if schedule.kind != "flow":
        return torch.randint(len(schedule.alphas), (number,), generator=generator).float()
    sigma = torch.sigmoid(torch.randn(number, generator=generator))
    return 1000 * schedule.shift * sigma / (1 + (schedule.shift - 1) * sigma)


def draw_noise(like: Tensor, offset: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of the shape (B, C, h, w), on the CPU.

    `offset` adds a share that is one number a channel, so that very dark and very bright pictures can be learned
    (noise offset, Guttenberg 2023).
    """
    noise = torch.randn(like.shape, generator=generator)
    if offset:
        noise = noise + offset * torch.randn(*like.shape[:2], 1, 1, generator=generator)
    return noise


def add_noise(schedule: Schedule, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """√ᾱ x + √(1 − ᾱ) ε (Ho et al. 2020, eq. 4), or (1 − σ) x + σ ε for flow matching; (B, C, h, w)."""
    keep, share = _shares(schedule, times)
    return keep * clean + share * noise


def target(schedule: Schedule, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """What the network is to say: ε; v = √ᾱ ε − √(1 − ᾱ) x (Salimans & Ho 2022, app. D); x; or the flow ε − x."""
    if schedule.kind == "flow":
        return noise - clean
    keep, share = _shares(schedule, times)
    return {"epsilon": noise, "v_prediction": keep * noise - share * clean, "sample": clean}[schedule.kind]


def weights(schedule: Schedule, times: Tensor, gamma: float) -> Tensor:
    """(B,) weight of each picture's mean squared error: min-SNR-γ (Hang et al. 2023, §3.4).

    In terms of what the network predicts: min(SNR, γ) / SNR for ε, / (SNR + 1) for v, min(SNR, γ) for x. 1 with
    γ = 0, and for flows.
    """
    if schedule.kind == "flow" or not gamma:
        return torch.ones(len(times), device=times.device)
    alphas = schedule.alphas.to(times.device)[times.long()]
    snr = alphas / (1 - alphas)
    capped = snr.clamp(max=gamma)
    if schedule.kind == "sample":
        return capped
    return capped / snr.clamp(min=1e-8) if schedule.kind == "epsilon" else capped / (snr + 1)


def diffusion_loss(
    schedule: Schedule, said: Tensor, clean: Tensor, noise: Tensor, times: Tensor, gamma: float
) -> Tensor:
    """The mean over the batch of weighted mean squared errors: a number."""
    errors = (said - target(schedule, clean, noise, times)).square().mean(dim=(1, 2, 3))
    return (weights(schedule, times, gamma) * errors).mean()


def _shares(schedule: Schedule, times: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of picture and noise, each (B, 1, 1, 1)."""
    if schedule.kind == "flow":
        sigma = (times / 1000)[:, None, None, None]
        return 1 - sigma, sigma
    alphas = schedule.alphas.to(times.device)[times.long()][:, None, None, None]
    return alphas.sqrt(), (1 - alphas).sqrt()
