"""Pictures from prompts: the pipeline of diffusers itself, a picture a seed, the same noise whatever the adapter."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wikiart_data.console import track
from wikiart_data.training.device import use_bf16
from wikiart_lora.families import TEXT_LENGTH, decode_latents
from wikiart_lora.pipelines import Base


def defaults(base: Base) -> tuple[int, float]:
    """Sampling steps and guidance that suit a base."""
    if base.side <= 64:
        return 20, 3.0
    if "turbo" in base.name:
        return 4, 1.0  # distilled: guidance is built in
    return (30, 4.0) if base.family == "flux2" else (30, 7.0)


@torch.no_grad()
def paint(
    base: Base,
    prompts: Sequence[str],
    seeds: Sequence[int],
    side: int | tuple[int, int],
    sampling: int | None = None,
    guidance: float | None = None,
    batch: int = 16,
    label: str = "painting",
) -> Tensor:
    """Paint.

    Args:
        base: with or without an adapter.
        prompts: N.
        seeds: N, of the noise; drawn on the CPU, so that a GPU paints the same picture.
        side: in pixels, or (height, width).
        sampling: steps (default: what suits the base).
        guidance: (default: what suits the base).
        batch: pictures at once.
        label: of the progress.

    Returns:
        (N, 3, H, W) float32 in 0..1 on the CPU.
    """
    height, width = (side, side) if isinstance(side, int) else side
    steps, scale = defaults(base)
    device = base.denoiser.device
    # Caching moves these off the GPU to make room for training; here they are needed again.
    base.pipeline.to(device)
    more = {"max_sequence_length": TEXT_LENGTH} if base.family == "flux2" else {}
    # On a GPU the weights themselves are in half precision; on a CPU they are not, and autocast is what is fast.
    bf16 = device.type == "cpu" and use_bf16(device)
    found = []
    starts = range(0, len(prompts), batch)
    for start in track(starts, len(starts), label, "batches"):
        noise = [torch.Generator().manual_seed(int(seed)) for seed in seeds[start : start + batch]]
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            latents = base.pipeline(
                prompt=list(prompts[start : start + batch]),
                height=height,
                width=width,
                num_inference_steps=steps if sampling is None else sampling,
                guidance_scale=scale if guidance is None else guidance,
                generator=noise,
                output_type="latent",
                **more,
            ).images
        latents = latents.float()
        if base.family == "flux2":  # its pipeline has unpacked and rescaled them already
            images = base.pipeline.vae.decode(latents).sample.float()
            found.append((images / 2 + 0.5).clamp(0, 1).cpu())
        else:
            found.append(decode_latents(base, latents).cpu())
    return torch.cat(found)
