"""What differs between families of bases: how words and pictures go in, and what the network is asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wikiart_lora.pipelines import Base

TEXT_LENGTH = 128
"""Tokens of FLUX.2's prompts here. Its pipeline pads to 512, which would be 8 MB a caption in the cache."""

Text = dict[str, Tensor]
"""`embeds` (B, L, D), and for SDXL `pooled` (B, P)."""


def encode_text(base: Base, captions: Sequence[str]) -> Text:
    """Captions through the base's own text encoders, as its pipeline would: B rows of each tensor."""
    pipeline, words = base.pipeline, list(captions)
    device = next(base.denoiser.parameters()).device
    if base.family == "flux2":
        return {"embeds": pipeline.encode_prompt(words, device, max_sequence_length=TEXT_LENGTH)[0]}
    if base.family == "sdxl":
        embeds, _, pooled, _ = pipeline.encode_prompt(
            words, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"embeds": embeds, "pooled": pooled}
    return {"embeds": pipeline.encode_prompt(words, device, 1, do_classifier_free_guidance=False)[0]}


@torch.no_grad()
def encode_pictures(base: Base, images: Tensor) -> Tensor:
    """Pictures as latents of about spread 1: the mean of what the autoencoder says, without its small noise.

    Args:
        base: any.
        images: (B, 3, H, W) float32 in -1..1.

    Returns:
        (B, C, h, w) float32.
    """
    vae = base.pipeline.vae
    mean = vae.encode(images.to(vae.device, vae.dtype)).latent_dist.mode().float()
    if base.family == "flux2":
        mean = base.pipeline._patchify_latents(mean)
        centre, spread = _flux2_norm(base)
        return (mean - centre) / spread
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    return (mean - shift) * vae.config.scaling_factor


@torch.no_grad()
def decode_latents(base: Base, latents: Tensor) -> Tensor:
    """The way back: (B, C, h, w) → (B, 3, H, W) float32 in 0..1."""
    vae = base.pipeline.vae
    if base.family == "flux2":
        centre, spread = _flux2_norm(base)
        latents = base.pipeline._unpatchify_latents(latents * spread + centre)
    else:
        latents = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0.0)
    return (vae.decode(latents.to(vae.device, vae.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)


def _flux2_norm(base: Base) -> tuple[Tensor, Tensor]:
    vae = base.pipeline.vae
    spread = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt()
    return vae.bn.running_mean.view(1, -1, 1, 1), spread.view(1, -1, 1, 1)


def predict(
    base: Base, network: Callable[..., Any], noisy: Tensor, times: Tensor, text: Mapping[str, Tensor]
) -> Tensor:
    """Ask the denoiser.

    Args:
        base: any.
        network: its denoiser, perhaps wrapped.
        noisy: (B, C, h, w) latents with noise.
        times: (B,) what the scheduler calls timesteps, 0..1000; for flow matching the noise's share times 1000.
        text: as `encode_text` gives it.

    Returns:
        (B, C, h, w) float32: noise, velocity or flow, whatever the base predicts.
    """
    embeds = text["embeds"]
    if base.family == "flux2":
        pipeline, (_, _, height, width) = base.pipeline, noisy.shape
        answer = network(
            hidden_states=pipeline._pack_latents(noisy).to(embeds.dtype),
            timestep=times.to(embeds.dtype) / 1000,
            guidance=None,
            encoder_hidden_states=embeds,
            txt_ids=pipeline._prepare_text_ids(embeds).to(noisy.device),
            img_ids=pipeline._prepare_latent_ids(noisy).to(noisy.device),
            return_dict=False,
        )[0]
        return answer.transpose(1, 2).reshape(len(noisy), -1, height, width).float()
    noisy = noisy.to(embeds.dtype).contiguous(memory_format=torch.channels_last)
    if base.family == "sdxl":
        scale = base.pipeline.vae_scale_factor
        height, width = noisy.shape[2] * scale, noisy.shape[3] * scale
        # Size before, crop and size after: pictures are shown as what they are, whole and of their bucket's size.
        sizes = torch.tensor([[height, width, 0, 0, height, width]], device=noisy.device, dtype=embeds.dtype)
        added = {"text_embeds": text["pooled"], "time_ids": sizes.expand(len(noisy), -1)}
        return network(noisy, times, embeds, added_cond_kwargs=added, return_dict=False)[0].float()
    return network(noisy, times, embeds, return_dict=False)[0].float()
