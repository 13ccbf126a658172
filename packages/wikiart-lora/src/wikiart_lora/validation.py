"""The loss on valid: always the same pictures, captions, timesteps and noise, so that two numbers can be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wikiart_lora.families import Text, predict
from wikiart_lora.noise import Schedule, add_noise, diffusion_loss, draw_noise
from wikiart_lora.pipelines import Base

LEVELS = (100.0, 300.0, 500.0, 700.0, 900.0)
"""Timesteps at which it is measured, of 1000."""
MOST = 54
"""Pictures, two a style if there are 27."""


@dataclass(frozen=True)
class Example:
    """One picture of valid and its noise."""

    row: int
    """Of the catalog."""
    latents: Tensor
    """(1, C, h, w)."""
    noise: Tensor
    """(levels, C, h, w)."""


def chosen_rows(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Up to MOST rows of valid, spread over the styles as evenly as they come."""
    order = np.argsort(labels[rows], kind="stable")
    places = np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)
    return rows[order[np.unique(places)]]


def make_examples(rows: np.ndarray, latents: Callable[[np.ndarray], Tensor], seed: int) -> list[Example]:
    """Read the examples once.

    Args:
        rows: of valid.
        latents: (1,) rows → (1, C, h, w).
        seed: of the noise.
    """
    found = []
    for number, row in enumerate(rows):
        one = latents(np.array([row]))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        noise = draw_noise(one.expand(len(LEVELS), -1, -1, -1), 0.0, generator)
        found.append(Example(int(row), one, noise))
    return found


@torch.no_grad()
def validation_loss(
    base: Base,
    schedule: Schedule,
    examples: list[Example],
    text_of: Callable[[np.ndarray], Text],
    device: torch.device,
    autocast: Any,
) -> float:
    """Mean squared error without weights, over all examples and levels.

    Args:
        base: with the adapter that is to be measured.
        schedule: of the base.
        examples: as `make_examples` gives them.
        text_of: (1,) rows → embeddings of their first captions, by text encoders that may be adapted too.
        device: of the base.
        autocast: what to compute under.
    """
    total = 0.0
    times = torch.tensor(LEVELS, device=device)
    for example in examples:
        clean = example.latents.to(device).expand(len(LEVELS), -1, -1, -1)
        noise = example.noise.to(device)
        said_in_words = text_of(np.array([example.row]))
        text = {name: one.to(device).expand(len(LEVELS), *one.shape[1:]) for name, one in said_in_words.items()}
        with autocast():
            said = predict(base, base.denoiser, add_noise(schedule, clean, noise, times), times, text)
        total += diffusion_loss(schedule, said, clean, noise, times, gamma=0.0).item()
    return total / max(1, len(examples))
