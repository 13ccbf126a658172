"""What differs between the families of base models: how captions and images are encoded, and how noise is predicted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wikiart_lora.base_models.loading import BaseModel

TextEmbeddings = dict[str, Tensor]
"""`embeds` (B, L, D), and for SDXL `pooled` (B, P)."""


def encode_captions(base: BaseModel, captions: Sequence[str]) -> TextEmbeddings:
    """Captions → embeddings by the base's own text encoders, as in its pipeline: B rows of each tensor."""
    pipeline, texts, device = base.pipeline, list(captions), base.device
    if base.family == "flux2":
        return {"embeds": pipeline.encode_prompt(texts, device, max_sequence_length=base.text.max_sequence_length)[0]}
    skip = base.text.clip_skip or None
    if base.family == "sdxl":
        embeds, _, pooled, _ = pipeline.encode_prompt(
            texts, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False, clip_skip=skip
        )
        text = {"embeds": embeds, "pooled": pooled}
        if not pipeline.config.force_zeros_for_empty_prompt:
            return text
        # The pipeline of SDXL takes zeros for an empty prompt, so dropped captions must be trained as zeros.
        given = torch.tensor([bool(caption) for caption in texts], device=embeds.device)
        return {name: values * given.view(-1, *[1] * (values.ndim - 1)) for name, values in text.items()}
    if skip is None:
        return {"embeds": pipeline.encode_prompt(texts, device, 1, do_classifier_free_guidance=False)[0]}
    return {"embeds": _encode_with_clip_skip(pipeline, texts, device, skip)}


def _encode_with_clip_skip(pipeline: Any, texts: Sequence[str], device: torch.device, skip: int) -> Tensor:
    """The embeddings before the last `skip` layers, normalised as the last one's are: (B, L, D).

    As in the pipeline of Stable Diffusion, whose own clip skip fails with transformers 5 (diffusers 0.42).
    """
    encoder, tokenizer = pipeline.text_encoder, pipeline.tokenizer
    tokens = tokenizer(
        list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    mask = tokens.attention_mask.to(device) if getattr(encoder.config, "use_attention_mask", False) else None
    output = encoder(tokens.input_ids.to(device), attention_mask=mask, output_hidden_states=True)
    return getattr(encoder, "text_model", encoder).final_layer_norm(output.hidden_states[-(skip + 1)])


@torch.no_grad()
def encode_images(base: BaseModel, images: Tensor) -> Tensor:
    """Images → latents with a standard deviation of about 1: the mean of the posterior, without sampling.

    Args:
        base: of any family.
        images: (B, 3, H, W) float32 in [-1, 1].

    Returns:
        (B, C, h, w) float32.
    """
    vae = base.pipeline.vae
    mean = vae.encode(images.to(vae.device, vae.dtype)).latent_dist.mode().float()
    if base.family == "flux2":
        mean = base.pipeline._patchify_latents(mean)
    shift, scale = _latents_norm(base, mean)
    return (mean - shift) * scale


@torch.no_grad()
def decode_latents(base: BaseModel, latents: Tensor) -> Tensor:
    """The inverse of `encode_images`: (B, C, h, w) → (B, 3, H, W) float32 in [0, 1]."""
    vae = base.pipeline.vae
    latents = latents.to(vae.device)
    shift, scale = _latents_norm(base, latents)
    latents = latents / scale + shift
    if base.family == "flux2":
        latents = base.pipeline._unpatchify_latents(latents)
    return (vae.decode(latents.to(vae.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)


def _latents_norm(base: BaseModel, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """Shift and scale that give a base's latents a mean of about 0 and a standard deviation of about 1."""
    vae = base.pipeline.vae
    if base.family == "flux2":
        deviation = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt()
        return vae.bn.running_mean.view(1, -1, 1, 1).to(like), deviation.view(1, -1, 1, 1).to(like).reciprocal()
    means, deviations = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if base.family == "sdxl" and means is not None and deviations is not None:  # as in its pipeline, which SD's has not
        mean, deviation = (torch.tensor(values).view(1, -1, 1, 1).to(like) for values in (means, deviations))
        return mean, vae.config.scaling_factor / deviation
    return getattr(vae.config, "shift_factor", None) or 0.0, vae.config.scaling_factor


def predict(
    base: BaseModel, network: Callable[..., Any], noisy: Tensor, timesteps: Tensor, text: Mapping[str, Tensor]
) -> Tensor:
    """Run the denoiser.

    Args:
        base: of any family.
        network: its denoiser, perhaps wrapped.
        noisy: (B, C, h, w) latents with noise.
        timesteps: (B,) in 0..1000; for flow matching the fraction of noise times 1000.
        text: as returned by `encode_captions`.

    Returns:
        (B, C, h, w) float32: noise, velocity or flow, whichever the base predicts.
    """
    embeds = text["embeds"]
    if base.family == "flux2":
        pipeline, (_, _, height, width) = base.pipeline, noisy.shape
        output = network(
            hidden_states=pipeline._pack_latents(noisy).to(embeds.dtype),
            timestep=timesteps.to(embeds.dtype) / 1000,
            guidance=None,
            encoder_hidden_states=embeds,
            txt_ids=pipeline._prepare_text_ids(embeds).to(noisy.device),
            img_ids=pipeline._prepare_latent_ids(noisy).to(noisy.device),
            return_dict=False,
        )[0]
        return output.transpose(1, 2).reshape(len(noisy), -1, height, width).float()
    noisy = noisy.to(embeds.dtype).contiguous(memory_format=torch.channels_last)
    if base.family == "sdxl":
        scale = base.pipeline.vae_scale_factor
        height, width = noisy.shape[2] * scale, noisy.shape[3] * scale
        # Original size, crop offset, target size: each image counts as uncropped and of its bucket's size.
        sizes = torch.tensor([[height, width, 0, 0, height, width]], device=noisy.device, dtype=embeds.dtype)
        added = {"text_embeds": text["pooled"], "time_ids": sizes.expand(len(noisy), -1)}
        return network(noisy, timesteps, embeds, added_cond_kwargs=added, return_dict=False)[0].float()
    return network(noisy, timesteps, embeds, return_dict=False)[0].float()
