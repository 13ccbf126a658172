"""`wikiart-lora pretrain`: the base `tiny` from nothing; first the autoencoder, then text encoder and UNet."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment, random_boxes, resize, resized_crops
from wikiart_data.images.batches import step_seed
from wikiart_data.images.catalog import Catalog
from wikiart_data.sample import caption
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora.base_models.loading import load_autoencoder_weights, use_unfused_attention
from wikiart_lora.base_models.sources import quiet_loading
from wikiart_lora.config import PretrainConfig
from wikiart_lora.tiny_base.networks import SIZE, make_scheduler, make_text_encoder, make_unet, make_vae
from wikiart_lora.tiny_base.scenes import augment, make_scenes, render, scene_catalog
from wikiart_lora.tiny_base.vocabulary import make_tokenizer

PART = Part("lora-pretrain", "A small diffusion model", "wikiart-lora pretrain")
SAVE_EVERY = 250
"""Steps between two checkpoints."""
CAPTION_DROPOUT = 0.1
"""Probability of training an image without its caption, for classifier-free guidance (Ho & Salimans 2022)."""
CROPS = Augment(crop=(0.3, 1.0), ratio=1.2, flip=0.5, brightness=0.0, contrast=0.0)


@dataclass(frozen=True)
class Scenes:
    """The training data."""

    catalog: Catalog
    images: Tensor
    """(N, SIDE, SIDE, 3) uint8."""
    captions: Sequence[str]


@dataclass(frozen=True)
class Encoded:
    """The training data of the second stage."""

    latents: Tensor
    """(2, N, CHANNELS, 16, 16) float32 with a standard deviation of 1, of the images as they are and mirrored."""
    tokens: Tensor
    """(N + 1, L) int64; the last row is the empty caption."""


class Trainer:
    """Networks, averages and data of both stages."""

    def __init__(self, config: PretrainConfig, scenes: Scenes, device: torch.device, bf16: bool):
        self.config, self.scenes, self.device = config, scenes, device
        self.autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=bf16)
        self.tokenizer: Any = make_tokenizer(scenes.captions)
        self.vae = make_vae()
        if config.autoencoder:
            self.vae.load_state_dict(load_autoencoder_weights(config.autoencoder, self.vae))
        self.vae.to(device, memory_format=torch.channels_last)
        self.text_encoder = make_text_encoder(
            len(self.tokenizer), self.tokenizer.model_max_length, self.tokenizer.eos_token_id
        ).to(device)
        self.unet = make_unet().to(device, memory_format=torch.channels_last)
        if device.type == "cpu":
            use_unfused_attention(self.unet, self.text_encoder)
        self.denoiser = nn.ModuleDict({"text_encoder": self.text_encoder, "unet": self.unet})
        self.averages = nn.ModuleDict({"vae": copy.deepcopy(self.vae), "denoiser": copy.deepcopy(self.denoiser)})
        self.scheduler = make_scheduler()

    def autoencoder_loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of the first stage on augmented crops of some scenes (B,)."""
        boxes = random_boxes(len(rows), CROPS, generator)
        images = resized_crops(self.scenes.images[rows].to(self.device), boxes, SIZE).div_(255)
        images = augment(images.cpu(), generator).to(self.device) * 2 - 1
        with self.autocast():
            posterior = self.vae.encode(images.contiguous(memory_format=torch.channels_last)).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator).to(self.device)
            reconstruction = self.vae.decode(posterior.mean + posterior.std * noise).sample.float()
        return reconstruction_loss(reconstruction, images) + self.config.kl * posterior.kl().mean()

    def denoiser_loss(self, encoded: Encoded, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of the second stage on some scenes (B,): mean squared error of the velocity.

        All noise levels have equal weight: on so few latents, layout and colours are decided at high noise.
        """
        number = len(rows)
        dropped = torch.rand(number, generator=generator) < CAPTION_DROPOUT
        tokens = torch.where(dropped[:, None], encoded.tokens[-1], encoded.tokens[rows]).to(self.device)
        mirrored = torch.rand(number, generator=generator) < 0.5
        clean = torch.where(mirrored[:, None, None, None], encoded.latents[1, rows], encoded.latents[0, rows])
        clean = clean.to(self.device)
        timesteps = torch.randint(self.scheduler.config.num_train_timesteps, (number,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        timesteps = timesteps.to(self.device)
        noisy = self.scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        with self.autocast():
            velocity = self.unet(noisy, timesteps, self.text_encoder(tokens)[0]).sample.float()
        return F.mse_loss(velocity, self.scheduler.get_velocity(clean, noise, timesteps))

    @torch.no_grad()
    def encode(self) -> Encoded:
        """Encode all scenes with the averaged autoencoder."""
        echo("Encoding all scenes.")
        images, scale = self.scenes.images, self.latent_scale()
        views = [
            torch.cat([self._latents(images[start : start + 256], mirrored) for start in range(0, len(images), 256)])
            for mirrored in (False, True)
        ]
        padding = {"padding": "max_length", "max_length": self.tokenizer.model_max_length, "truncation": True}
        tokens = self.tokenizer([*self.scenes.captions, ""], return_tensors="pt", **padding).input_ids
        return Encoded(torch.stack(views) * scale, tokens)

    def _latents(self, images: Tensor, mirrored: bool) -> Tensor:
        """Images (B, S, S, 3) uint8 → unscaled means of their latents: (B, CHANNELS, 16, 16) float32 on the CPU."""
        inputs = resize(images.to(self.device), SIZE, flip=mirrored).div_(255) * 2 - 1
        vae: Any = self.averages["vae"]
        with self.autocast():
            return vae.encode(inputs).latent_dist.mean.float().cpu()

    @torch.no_grad()
    def latent_scale(self) -> float:
        """The factor that gives latents a standard deviation of 1, as in Stable Diffusion."""
        return 1 / self._latents(self.scenes.images[:512], False).std().item()

    def save(self, folder: Path) -> None:
        """Write the averaged weights as an fp16 pipeline that `StableDiffusionPipeline.from_pretrained` loads."""
        from diffusers import StableDiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]

        vae: Any = copy.deepcopy(self.averages["vae"])
        vae.register_to_config(scaling_factor=self.latent_scale())
        denoiser: Any = copy.deepcopy(self.averages["denoiser"])
        pipeline = StableDiffusionPipeline(
            vae=vae.half(),
            text_encoder=denoiser["text_encoder"].half(),
            tokenizer=self.tokenizer,
            unet=denoiser["unet"].half(),
            scheduler=make_scheduler(),
            safety_checker=None,  # pyright: ignore[reportArgumentType]
            feature_extractor=None,  # pyright: ignore[reportArgumentType]
            requires_safety_checker=False,
        )
        with quiet_loading():
            pipeline.save_pretrained(folder, safe_serialization=True)


def load_scenes(config: PretrainConfig) -> Scenes:
    """Render the training data."""
    scenes = make_scenes(config.num_scenes)
    echo(f"Rendering {config.num_scenes:,} plain scenes.")
    return Scenes(scene_catalog(config.num_scenes), render(scenes), [caption(scene) for scene in scenes])


def pretrain(config: PretrainConfig) -> None:
    """Train all of `tiny` and write it in the layout of a diffusers pipeline.

    Raises:
        InputError: the options or the run's folder cannot be used.
    """
    if create_accelerator(config.device).num_processes > 1:
        raise InputError("pretrain runs in one process: start it without accelerate launch.", field="pretrain")
    run = TrainingRun.open(PART, config, lambda options, _: options, load_scenes)
    config = run.config
    trainer = Trainer(config, run.data, run.device, run.bf16)
    vae, denoiser, averages = trainer.vae, trainer.denoiser, trainer.averages
    networks = {"autoencoder": vae, "text encoder": trainer.text_encoder, "UNet": trainer.unet}
    sizes = ", ".join(f"{name} {sum(p.numel() for p in x.parameters()) / 1e6:.2f} M" for name, x in networks.items())
    echo(f"{len(trainer.tokenizer):,} tokens; {sizes} parameters; {run.device}, {'bf16' if run.bf16 else 'fp32'}.")
    # One optimizer for both stages: it skips parameters without a gradient.
    groups = muon_groups(vae, config.lr, 0.0, first="encoder.conv_in")
    groups += muon_groups(denoiser, config.lr, 0.01, first="unet.conv_in")
    optimizer = Muon([group for group in groups if group["params"]])
    vae_steps = 0 if config.autoencoder else config.vae_steps
    total = vae_steps + config.steps
    stages = warmup_cosine(vae_steps), warmup_cosine(config.steps)
    scheduler = LambdaLR(optimizer, lambda step: stages[0](step) if step < vae_steps else stages[1](step - vae_steps))
    run.attach(vae=vae, denoiser=denoiser, averages=averages, optimizer=optimizer, scheduler=scheduler)
    encoded = None
    for interval in run.epochs(-(-total // SAVE_EVERY)):
        first = interval * SAVE_EVERY
        last = min(first + SAVE_EVERY, total)
        steps = range(first + run.first_step, last)
        for _, step in run.steps(steps, last - first, f"steps to {last:,} of {total:,}"):
            generator = torch.Generator().manual_seed(step_seed(config.seed, 0, step))
            rows = torch.randint(config.num_scenes, (config.batch_size,), generator=generator)
            if step < vae_steps:
                loss = trainer.autoencoder_loss(rows, generator)
            else:
                encoded = encoded or trainer.encode()
                loss = trainer.denoiser_loss(encoded, rows, generator)
            loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            if step < vae_steps:
                update_ema(averages["vae"], vae, config.ema, step)
            else:
                update_ema(averages["denoiser"], denoiser, config.ema, step - vae_steps)
            run.record_losses(loss=loss)
        stage = "autoencoder" if last <= vae_steps else "denoiser"
        line = f"step {last:6,} of {total:,}  {stage} loss {run.losses['loss']:.4f}"
        run.log(line, step=last, stage=stage, loss=run.losses["loss"])
        if last > vae_steps:
            trainer.save(run.folder / "base")
    run.finish({"steps": total, "train_seconds": round(run.seconds, 1)}, [], {})
    run.close()
    echo(f"The base is in {run.folder / 'base'}/, in the layout of a diffusers pipeline.")


def reconstruction_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error of pixels, and of differences between neighbours, which keeps edges sharp.

    Both are (B, 3, S, S); the result is a scalar.
    """
    dx = F.l1_loss(reconstruction.diff(dim=3), images.diff(dim=3))
    dy = F.l1_loss(reconstruction.diff(dim=2), images.diff(dim=2))
    return F.l1_loss(reconstruction, images) + 0.5 * (dx + dy)
