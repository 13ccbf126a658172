"""One training step: its images, noise and captions, the loss, and gradients that fit into memory."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.batches import step_seed, to_device
from wikiart_lora.base_models.families import TextEmbeddings, predict
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.base_models.precision import Autocast
from wikiart_lora.captions import sample_captions
from wikiart_lora.config import TrainConfig
from wikiart_lora.dataset import LatentDataset, PriorImages
from wikiart_lora.diffusion import NoiseSchedule, add_noise, diffusion_loss, sample_noise, sample_timesteps
from wikiart_lora.optimizers import increase_accumulation


@dataclass(frozen=True)
class TrainingBatch:
    """The images of one step in this process, with everything random already drawn."""

    clean: Tensor
    """(B, C, h, w) latents."""
    noise: Tensor
    timesteps: Tensor
    """(B,)."""
    captions: list[str]
    prior: tuple[Tensor, Tensor, TextEmbeddings] | None
    """Latents, noise and embeddings of as many prior images."""


def draw_batch(
    dataset: LatentDataset,
    schedule: NoiseSchedule,
    rows: np.ndarray,
    prior: PriorImages | None,
    step: int,
    rank: int,
    world: int,
) -> TrainingBatch:
    """Read the latents of one step and draw its noise, timesteps and captions; they depend on seed and step alone.

    Everything is drawn for the whole batch, so that it is the same over any number of processes.
    """
    config, device = dataset.config, dataset.device
    seed = step_seed(config.seed, 0, step)
    generator = torch.Generator().manual_seed(seed)
    mirrored = (torch.rand(len(rows), generator=generator) < 0.5).numpy() & config.flip
    captions = sample_captions(dataset.captions, rows, config.caption_dropout, seed)
    own = np.arange(rank, len(rows), world)
    clean = to_device(dataset.latents(rows[own], mirrored[own]), device)
    tokens = clean.shape[2] * clean.shape[3]
    timesteps = sample_timesteps(schedule, len(rows), generator, tokens)
    noise = sample_noise(clean.new_empty(len(rows), *clean.shape[1:]), config.noise_offset, generator)
    prior_part = None
    if prior is not None:
        indices = torch.randint(len(prior.latents), (len(rows),), generator=generator)[own]
        latents, text = prior.read(indices, device)
        prior_noise = sample_noise(latents.new_empty(len(rows), *latents.shape[1:]), 0.0, generator)
        prior_part = (latents, to_device(prior_noise[own], device), text)
    own_captions = [captions[index] for index in own]
    return TrainingBatch(
        clean, to_device(noise[own], device), to_device(timesteps[own], device), own_captions, prior_part
    )


def batch_loss(
    base: BaseModel,
    dataset: LatentDataset,
    schedule: NoiseSchedule,
    batch: TrainingBatch,
    config: TrainConfig,
    autocast: Autocast,
    part: np.ndarray,
) -> Tensor:
    """The loss on a part (b,) of a batch, with prior preservation if there are prior images: a scalar."""
    clean, noise, timesteps = batch.clean[part], batch.noise[part], batch.timesteps[part]
    with autocast():
        text = dataset.embeddings([batch.captions[index] for index in part])
        noisy = add_noise(schedule, clean, noise, timesteps)
        prediction = predict(base, base.denoiser, noisy, timesteps, text)
    loss = diffusion_loss(schedule, prediction, clean, noise, timesteps, config.snr_gamma)
    if batch.prior is not None:
        clean, noise = batch.prior[0][part], batch.prior[1][part]
        text = {name: values[part] for name, values in batch.prior[2].items()}
        with autocast():
            noisy = add_noise(schedule, clean, noise, timesteps)
            prediction = predict(base, base.denoiser, noisy, timesteps, text)
        prior_loss = diffusion_loss(schedule, prediction, clean, noise, timesteps, config.snr_gamma)
        loss = loss + config.prior_loss_weight * prior_loss
    return loss


def backward(
    loss_of: partial[Tensor],
    batch_size: int,
    accumulation_steps: int,
    scaler: torch.amp.GradScaler,
    optimizer: torch.optim.Optimizer,
) -> tuple[Tensor, int]:
    """Accumulate the gradients of a batch; after running out of memory, start over with smaller parts.

    Args:
        loss_of: indices (b,) of the batch → loss.
        batch_size: images of this process.
        accumulation_steps: number of parts to begin with.
        scaler: of the loss.
        optimizer: whose gradients are reset before a second attempt.

    Returns:
        The mean loss, on the device, and the number of parts that fitted.

    Raises:
        InputError: not even one image fits.
    """
    while True:
        try:
            total = None
            for part in np.array_split(np.arange(batch_size), min(accumulation_steps, batch_size)):
                weight = len(part) / batch_size
                loss = loss_of(part)
                scaler.scale(weight * loss).backward()
                total = weight * loss.detach() + (0 if total is None else total)
            assert total is not None
            return total, accumulation_steps
        except torch.OutOfMemoryError as error:
            device = _device_of(optimizer)
            error.__traceback__ = None  # its frames hold the activations
        optimizer.zero_grad(set_to_none=True)
        accumulation_steps = increase_accumulation(accumulation_steps, batch_size, device)


def _device_of(optimizer: torch.optim.Optimizer) -> torch.device:
    return optimizer.param_groups[0]["params"][0].device
