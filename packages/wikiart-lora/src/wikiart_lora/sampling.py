"""Images from prompts, by the diffusers pipeline itself; one seed per image, the same noise with any adapter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import track
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.styles import display_name, style_index
from wikiart_data.training.device import use_bf16
from wikiart_lora.adapter import set_strength
from wikiart_lora.base_models.families import TextEmbeddings, decode_latents, encode_captions
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.captions import caption_for
from wikiart_lora.config import TrainConfig
from wikiart_lora.figures import image_grid
from wikiart_lora.memory import Parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE_PIXELS, DECODE_PIXELS = 1 << 20, 1 << 18
"""Pixels that are generated and decoded at once: four images of 512 px, and one."""
TEXT_BATCH = 8
"""Prompts that are encoded at once."""
GRID_STYLES, GRID_TITLES = 5, 4
"""Rows of the grid, and its columns; each column is sampled with and without the adapter."""


def sampling_defaults(base: BaseModel) -> tuple[int, float, float]:
    """Number of denoising steps, guidance scale and guidance rescale that suit a base."""
    # Without signal at the last timestep, guidance adds too much contrast; 0.7 is the value of Lin et al. 2023.
    rescale = 0.7 if base.pipeline.scheduler.config.get("rescale_betas_zero_snr") else 0.0
    if base.geometry.side <= 64:
        return 20, 3.0, rescale
    if is_turbo(base.name):
        return 4, 1.0, rescale  # distilled: guidance is built in
    return 30, 4.0 if base.family == "flux2" else 7.0, rescale


def is_turbo(name: str) -> bool:
    """Whether a base is a distilled one by its short name or hub name; the path of a folder says nothing."""
    return "turbo" in name.rpartition("/")[2].lower() and not Path(name).expanduser().is_dir()


@torch.no_grad()
def sample_images(
    base: BaseModel,
    prompts: Sequence[str],
    seeds: Sequence[int],
    size: int | tuple[int, int],
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    guidance_rescale: float | None = None,
    batch_size: int = 16,
    label: str = "generating",
) -> Tensor:
    """Generate images in three stages: captions, latents, pixels. On a GPU only the networks of one stage are there.

    Args:
        base: with or without an adapter.
        prompts: N.
        seeds: N, of the noise; it is drawn on the CPU, so that a GPU generates the same image.
        size: side in pixels, or (height, width).
        num_inference_steps: denoising steps (default: what suits the base).
        guidance_scale: of classifier-free guidance (default: what suits the base).
        guidance_rescale: φ, how far the guided prediction gets the spread of the unguided one (Lin et al. 2023, §3.4);
            not for FLUX.2 (default: what suits the base).
        batch_size: images at once, at most; large ones are generated fewer at a time.
        label: of the progress bar.

    Returns:
        (N, 3, H, W) float32 in [0, 1] on the CPU.

    Raises:
        InputError: there is too little memory for one image, or FLUX.2 is given a `guidance_rescale`.
    """
    height, width = (size, size) if isinstance(size, int) else size
    default_steps, default_scale, default_rescale = sampling_defaults(base)
    steps = default_steps if num_inference_steps is None else num_inference_steps
    scale = default_scale if guidance_scale is None else guidance_scale
    rescale = default_rescale if guidance_rescale is None else guidance_rescale
    if rescale and base.family == "flux2":
        raise InputError(
            "--guidance-rescale: the pipeline of FLUX.2 has no such setting; leave it out.", field="--guidance-rescale"
        )
    rescaling = {"guidance_rescale": rescale} if rescale else {}
    # On a GPU the weights themselves are in half precision; on a CPU they are not, and autocast is faster.
    bf16 = base.device.type == "cpu" and use_bf16(base.device)
    parts = Parts.by_pixels(SAMPLE_PIXELS, height, width, label, most=batch_size)
    decoding = Parts.by_pixels(DECODE_PIXELS, height, width, "decoding images", most=batch_size)

    def denoise(part: slice) -> Tensor:
        with torch.autocast(base.device.type, torch.bfloat16, enabled=bf16):
            latents = base.pipeline(
                **_prompt_arguments(base, [text[prompt] for prompt in prompts[part]], text[""]),
                height=height,
                width=width,
                num_inference_steps=steps,
                guidance_scale=scale,
                **rescaling,
                generator=[torch.Generator().manual_seed(int(seed)) for seed in seeds[part]],
                output_type="latent",
            ).images.float()
        return latents.cpu()

    number = len(prompts)
    base.use("text")
    with torch.autocast(base.device.type, torch.bfloat16, enabled=bf16):
        text = _encode_prompts(base, prompts)
    base.use("denoiser")
    latents = torch.cat(list(track(parts.map(number, denoise), -(-number // parts.size), label, "batches")))
    base.use("autoencoder")
    return torch.cat(list(decoding.map(number, lambda part: decode_sampled(base, latents[part]).cpu())))


def _encode_prompts(base: BaseModel, prompts: Sequence[str]) -> dict[str, TextEmbeddings]:
    """The embeddings of each prompt and of the empty one, on the device, as training encodes them."""
    unique = sorted({"", *prompts})
    parts = Parts(TEXT_BATCH, "encoding prompts")
    encoded = list(parts.map(len(unique), lambda part: encode_captions(base, unique[part])))
    values = {name: torch.cat([part[name] for part in encoded]) for name in encoded[0]}
    return {prompt: {name: rows[index] for name, rows in values.items()} for index, prompt in enumerate(unique)}


def _prompt_arguments(base: BaseModel, text: Sequence[TextEmbeddings], empty: TextEmbeddings) -> dict[str, Tensor]:
    """The arguments of a pipeline for prompts that are encoded; '' is what guidance leads away from."""
    prompt = {name: torch.stack([row[name] for row in text]) for name in empty}
    negative = {name: torch.stack([empty[name]] * len(text)) for name in empty}
    arguments = {"prompt_embeds": prompt["embeds"], "negative_prompt_embeds": negative["embeds"]}
    if base.family == "sdxl":
        arguments |= {"pooled_prompt_embeds": prompt["pooled"], "negative_pooled_prompt_embeds": negative["pooled"]}
    return arguments


def decode_sampled(base: BaseModel, latents: Tensor) -> Tensor:
    """Latents (B, C, h, w) as a pipeline returns them → images (B, 3, H, W) float32 in [0, 1]."""
    if base.family != "flux2":
        return decode_latents(base, latents)
    vae = base.pipeline.vae
    decoded = vae.decode(latents.to(vae.device, vae.dtype)).sample.float()  # the pipeline has rescaled them already
    return (decoded / 2 + 0.5).clamp(0, 1)


def before_and_after(base: BaseModel, catalog: Catalog, titles: list[str], config: TrainConfig) -> "Figure":
    """The sample grid of training: styles × titles, each by the base alone and with the adapter in its current state.

    Prompts and seeds are the same at every call.
    """
    if config.style is None:
        by_size = np.argsort(-catalog.counts("train"), kind="stable")
        labels = by_size[np.linspace(0, len(by_size) - 1, min(GRID_STYLES, len(by_size))).astype(int)]
    else:
        labels = np.array([style_index(config.style, catalog.styles, field="--style")])
    choices = [titles[row] for row in catalog.rows("valid")] or titles
    choices = sorted({title for title in choices if title}) or [""]
    columns = [choices[index] for index in np.linspace(0, len(choices) - 1, GRID_TITLES).astype(int)]
    prompts = [
        caption_for(catalog.styles[label], title, trigger=config.trigger) for label in labels for title in columns
    ]
    seeds = [config.seed + column for _ in labels for column in range(len(columns))]
    with_and_without = []
    for strength in (0.0, 1.0):
        set_strength(base, strength)
        steps = config.num_inference_steps
        with_and_without.append(sample_images(base, prompts, seeds, config.size, steps, label="sampling the grid"))
    # (styles, titles, without and with, 3, H, W), the last two of the columns next to each other
    images = torch.stack(with_and_without, dim=1)
    images = images.view(len(labels), len(columns), 2, *images.shape[2:]).flatten(1, 2)
    headings = [heading for _ in columns for heading in ("base", "adapted")]
    return image_grid(images, [display_name(catalog.styles[label]) for label in labels], headings)
