"""The third stage of `tiny`: text encoder and UNet on the latents of scenes; writes the whole base."""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.images.augment import resize
from wikiart_data.images.batches import step_seed
from wikiart_data.images.catalog import Catalog
from wikiart_data.sample import caption
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_lora.base_models.fingerprints import fingerprint
from wikiart_lora.base_models.loading import use_unfused_attention
from wikiart_lora.base_models.sources import quiet_loading
from wikiart_lora.tiny_base.autoencoder import (
    count_parameters,
    interval_steps,
    load_autoencoder,
    number_of_intervals,
    open_stage,
)
from wikiart_lora.tiny_base.config import DenoiserOptions
from wikiart_lora.tiny_base.marks import marked_picture
from wikiart_lora.tiny_base.networks import SIZE, make_scheduler, make_text_encoder, make_unet
from wikiart_lora.tiny_base.pictures import number_of_workers, start_workers
from wikiart_lora.tiny_base.scenes import SIDE, make_scenes, render, scene_catalog
from wikiart_lora.tiny_base.vocabulary import make_tokenizer

DENOISER = Part(
    "pretrain-denoiser",
    "A small diffusion model",
    "wikiart-lora pretrain-denoiser",
    ("wikiart-lora --base RUN/base",),
)
CAPTION_DROPOUT = 0.1
"""Probability of training an image without its caption, for classifier-free guidance (Ho & Salimans 2022)."""
MARKED = 0.5
"""Probability of random marks at the timesteps where they are seen."""
LATENTS = "latents.safetensors"
"""In the run's folder: encoding the scenes takes minutes of a CPU, so it is done once."""


@dataclass(frozen=True)
class Captions:
    """What the run knows of its data before anything is rendered."""

    catalog: Catalog
    texts: list[str]


@dataclass(frozen=True)
class Latents:
    """The training data, with a standard deviation of about 1; of the images as they are and mirrored."""

    plain: Tensor
    """(2, N, C, 16, 16) float16."""
    marked: Tensor
    """(2, M, C, 16, 16) float16: the first M scenes with random marks."""
    scale: float
    """What the autoencoder's latents were multiplied with."""

    def draw(self, rows: Tensor, with_marks: Tensor, generator: torch.Generator) -> Tensor:
        """Latents (B, C, 16, 16) float32 of scenes, mirrored at random.

        Args:
            rows: (B,) int64, scenes; below M where there are marks.
            with_marks: (B,) bool, which scenes are seen with random marks.
            generator: draws which are mirrored.
        """
        mirrored = torch.randint(2, (len(rows),), generator=generator)
        clean = self.plain[mirrored, rows]
        clean[with_marks] = self.marked[mirrored[with_marks], rows[with_marks]]
        return clean.float()


def pretrain_denoiser(options: DenoiserOptions) -> Path:
    """Train text encoder and UNet; returns the run's folder, which holds the base as `base`, a diffusers pipeline.

    The UNet predicts velocity (Salimans & Ho 2022), all noise levels with equal weight: on so few latents, layout and
    colours are decided at high noise. Scenes with random marks are seen at low noise only, where the layout is visible
    already. What the UNet learns from them is to finish surfaces of any kind, not to prefer one.

    Raises:
        InputError: the options, the autoencoder or the run's folder cannot be used.
    """
    run = open_stage(DENOISER, options, load_captions)
    config: DenoiserOptions = run.config
    device, texts = run.device, run.data.texts
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=run.bf16)
    vae = load_autoencoder(config.autoencoder).to(device, memory_format=torch.channels_last).requires_grad_(False)
    tokenizer: Any = make_tokenizer(texts)
    text_encoder = make_text_encoder(len(tokenizer), tokenizer.model_max_length, tokenizer.eos_token_id)
    unet = make_unet(vae.config.latent_channels, config.widths)
    if config.init is not None:
        load_weights(config.init, {"unet": unet, "text_encoder": text_encoder})
    unet = unet.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        use_unfused_attention(unet, text_encoder)
    denoiser = nn.ModuleDict({"text_encoder": text_encoder, "unet": unet}).to(device)
    average, noise_scheduler = copy.deepcopy(denoiser), make_scheduler()
    predict_velocity = VelocityModel(unet)
    num_timesteps = noise_scheduler.config["num_train_timesteps"]
    optimizer = Muon(muon_groups(denoiser, config.lr, 0.01, first="unet.conv_in"))
    scheduler = LambdaLR(optimizer, warmup_cosine(config.steps))
    run.attach(denoiser=denoiser, average=average, optimizer=optimizer, scheduler=scheduler)
    echo(
        f"{len(tokenizer):,} tokens; text encoder {count_parameters(text_encoder):.2f} M, UNet "
        f"{count_parameters(unet):.2f} M parameters; {device}, {'bf16' if run.bf16 else 'fp32'}."
    )
    latents = load_latents(run.folder / LATENTS, vae, config, autocast)
    if device.type == "cuda":
        shape = (config.batch_size, *latents.plain.shape[2:])
        predict_velocity = capture(predict_velocity, shape, tokenizer.model_max_length, device, run.bf16)
    padding = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
    tokens = tokenizer([*texts, ""], return_tensors="pt", **padding).input_ids
    for interval in run.epochs(number_of_intervals(config, config.steps)):
        steps, number, label = interval_steps(run, interval)
        for _, step in run.steps(steps, number, label):
            generator = torch.Generator().manual_seed(step_seed(config.seed, 0, step))
            timesteps = torch.randint(num_timesteps, (config.batch_size,), generator=generator)
            chances = torch.rand(2, config.batch_size, generator=generator)
            with_marks = (timesteps < config.marked_below) & (chances[0] < MARKED)
            rows = torch.randint(config.num_scenes, (config.batch_size,), generator=generator)
            rows = torch.where(with_marks, rows % latents.marked.shape[1], rows)
            words = torch.where((chances[1] < CAPTION_DROPOUT)[:, None], tokens[-1], tokens[rows]).to(device)
            clean = latents.draw(rows, with_marks, generator).to(device)
            noise = torch.randn(clean.shape, generator=generator).to(device)
            timesteps = timesteps.to(device)
            noisy: Any = noise_scheduler.add_noise(clean, noise, timesteps)
            with autocast():
                embeds = text_encoder(words)[0]
                velocity = predict_velocity(noisy.contiguous(memory_format=torch.channels_last), timesteps, embeds)
            loss = F.mse_loss(velocity, noise_scheduler.get_velocity(clean, noise, timesteps))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
            update_ema(average, denoiser, config.ema, step)
            run.record_losses(loss=loss)
        run.log(f"step {steps.stop:6,}  loss {run.losses['loss']:.4f}", step=steps.stop, loss=run.losses["loss"])
        save_base(run.folder / "base", vae, latents.scale, tokenizer, average)
    run.finish({"steps": config.steps, "train_seconds": round(run.seconds, 1)}, [], {})
    run.close()
    echo(f"The base is in {run.folder / 'base'}/, in the layout of a diffusers pipeline.")
    return run.folder


class VelocityModel(nn.Module):
    """A diffusers UNet as a function of tensors: (B, C, H, W) at timesteps (B,) → (B, C, H, W) float32."""

    def __init__(self, unet: Any):
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        """Predicted velocity."""
        return self.unet(noisy, timesteps, embeds).sample.float()


def capture(model: VelocityModel, shape: tuple[int, ...], length: int, device: torch.device, bf16: bool) -> Any:
    """The same model with forward and backward pass as one CUDA graph each.

    The UNet is so small that a GPU computes its kernels sooner than Python launches them.

    Args:
        model: on the GPU, in the mode in which it is trained.
        shape: of the noisy latents, (B, C, H, W).
        length: of the captions, in tokens.
        device: of the model.
        bf16: whether autocast is used.
    """
    noisy = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    timesteps = torch.zeros(shape[0], dtype=torch.int64, device=device)
    width = model.unet.config.cross_attention_dim
    embeds = torch.randn(shape[0], length, width, device=device, requires_grad=True)
    # Gradients are accumulated in another stream than the one that captures, each after a wait for it.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    # Autocast's cache of cast weights would be captured as it is now, and never follow the weights.
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
        return torch.cuda.make_graphed_callables(model, (noisy, timesteps, embeds))


def load_captions(config: DenoiserOptions) -> Captions:
    """The captions of all scenes."""
    return Captions(scene_catalog(config.num_scenes), [caption(scene) for scene in make_scenes(config.num_scenes)])


def load_weights(base: Path, networks: dict[str, nn.Module]) -> None:
    """Read the networks of a base, by the names of their folders.

    Raises:
        InputError: there is no such base, or its networks are of other sizes.
    """
    from safetensors.torch import load_file

    try:
        for name, network in networks.items():
            path = next((base / name).glob("*.safetensors"), base / name)
            network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"--init {base} holds no unet/ and text_encoder/ like those that would be trained here: {error}",
            field="--init",
        ) from error


def load_latents(path: Path, vae: Any, config: DenoiserOptions, autocast: Any) -> Latents:
    """Read the latents of an earlier session of this run, or render and encode all scenes and write them."""
    from safetensors.torch import save

    print_of_vae = fingerprint(vae)
    if path.is_file():
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            if metadata["autoencoder"] == print_of_vae:
                return Latents(file.get_tensor("plain"), file.get_tensor("marked"), float(metadata["scale"]))

    def encode(pictures: np.ndarray) -> Tensor:
        views = []
        for mirrored in (False, True):
            images = resize(torch.from_numpy(pictures).to(vae.device), SIZE, flip=mirrored).div_(255) * 2 - 1
            with torch.no_grad(), autocast():
                views.append(vae.encode(images.contiguous(memory_format=torch.channels_last)).latent_dist.mean)
        return torch.stack(views).float().cpu()

    part, chunks = 64, {}
    workers = number_of_workers(config, vae.device)
    with start_workers(workers) if workers else nullcontext() as executor:
        for name, number in (("plain", config.num_scenes), ("marked", min(config.num_marked, config.num_scenes))):
            starts = range(0, number, part)
            ranges = [(start, min(start + part, number)) for start in starts]
            draw = partial(draw_scenes, name, config.seed)
            pictures = (executor.map if executor else map)(draw, *zip(*ranges, strict=True))
            label = f"rendering and encoding {name} scenes"
            chunks[name] = torch.cat([encode(drawn) for drawn in track(pictures, len(starts), label, "parts")], 1)
    scale = 1 / chunks["plain"].std().item()
    latents = {name: (scale * values).half() for name, values in chunks.items()}
    write_bytes(path, save(latents, {"autoencoder": print_of_vae, "scale": repr(scale)}))
    return Latents(latents["plain"], latents["marked"], scale)


def draw_scenes(kind: str, seed: int, first: int, last: int) -> np.ndarray:
    """Scenes `first` to `last`, `plain` or `marked` with random marks: (last - first, SIDE, SIDE, 3) uint8."""
    scenes = make_scenes(last)[first:]
    if kind == "plain":
        return render(scenes).numpy()
    rngs = (np.random.default_rng([seed, index]) for index in range(first, last))
    return np.stack(
        [marked_picture(scene, SIDE, rng, keep_scene=True) for scene, rng in zip(scenes, rngs, strict=True)]
    )


def save_base(folder: Path, vae: Any, scale: float, tokenizer: Any, average: Any) -> None:
    """Write the averaged weights as an fp16 pipeline that `StableDiffusionPipeline.from_pretrained` loads."""
    from diffusers import StableDiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]

    vae, average = copy.deepcopy(vae), copy.deepcopy(average)
    vae.register_to_config(scaling_factor=scale, _name_or_path="")  # no path of the machine that trained it
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=average["text_encoder"].half(),
        tokenizer=tokenizer,
        unet=average["unet"].half(),
        scheduler=make_scheduler(),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    with quiet_loading():
        pipeline.save_pretrained(folder, safe_serialization=True)
