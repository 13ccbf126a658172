"""The validation loss: the same images, captions, timesteps and noise every time, so that values are comparable."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wikiart_lora.base_models.families import TextEmbeddings, predict
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.base_models.precision import Autocast
from wikiart_lora.diffusion import NoiseSchedule, add_noise, diffusion_loss, sample_noise
from wikiart_lora.memory import Parts

TIMESTEPS = (100.0, 300.0, 500.0, 700.0, 900.0)
"""Timesteps at which the loss is measured, of 1000."""
MAX_IMAGES = 54
"""Images measured: two per style if there are 27."""


@dataclass(frozen=True)
class Example:
    """One validation image and its noise."""

    row: int
    """Of the catalog."""
    latents: Tensor
    """(1, C, h, w)."""
    noise: Tensor
    """(timesteps, C, h, w)."""


def validation_rows(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Up to MAX_IMAGES rows of valid, spread over the styles as evenly as they occur."""
    order = np.argsort(labels[rows], kind="stable")
    indices = np.linspace(0, len(rows) - 1, min(MAX_IMAGES, len(rows))).astype(int)
    return rows[order[np.unique(indices)]]


def make_examples(rows: np.ndarray, latents: Callable[[np.ndarray], Tensor], seed: int) -> list[Example]:
    """Read the examples once.

    Args:
        rows: of valid.
        latents: (1,) rows → (1, C, h, w).
        seed: of the noise.
    """
    examples = []
    for number, row in enumerate(rows):
        latent = latents(np.array([row]))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        noise = sample_noise(latent.expand(len(TIMESTEPS), -1, -1, -1), 0.0, generator)
        examples.append(Example(int(row), latent, noise))
    return examples


@torch.no_grad()
def validation_loss(
    base: BaseModel,
    schedule: NoiseSchedule,
    examples: list[Example],
    embeddings: Callable[[np.ndarray], TextEmbeddings],
    autocast: Autocast,
) -> float:
    """Unweighted mean squared error over all examples and timesteps.

    Args:
        base: with the adapter to be measured.
        schedule: of the base.
        examples: as returned by `make_examples`.
        embeddings: (1,) rows → embeddings of their first captions; the text encoders may be adapted too.
        autocast: context of the computation.
    """
    device, total = base.device, 0.0
    parts = Parts(len(TIMESTEPS), "validating")
    timesteps = torch.tensor(TIMESTEPS, device=device)
    for example in examples:
        clean = example.latents.to(device).expand(len(TIMESTEPS), -1, -1, -1)
        noise = example.noise.to(device)
        noisy = add_noise(schedule, clean, noise, timesteps)
        caption = embeddings(np.array([example.row]))
        text = {name: values.to(device).expand(len(TIMESTEPS), *values.shape[1:]) for name, values in caption.items()}
        predict_part = partial(_predict_part, base, noisy, timesteps, text, autocast)
        prediction = torch.cat(list(parts.map(len(TIMESTEPS), predict_part)))
        total += diffusion_loss(schedule, prediction, clean, noise, timesteps, gamma=0.0).item()
    return total / max(1, len(examples))


def _predict_part(
    base: BaseModel, noisy: Tensor, timesteps: Tensor, text: TextEmbeddings, autocast: Autocast, part: slice
) -> Tensor:
    some = {name: values[part] for name, values in text.items()}
    with autocast():
        return predict(base, base.denoiser, noisy[part], timesteps[part], some)
