"""What a run trains, and the memory and time it needs: printed before training, and all that `--dry-run` does."""

import time

import torch

from wikiart_data.console import echo
from wikiart_data.images.catalog import Catalog
from wikiart_data.styles import style_index
from wikiart_lora.adapter import Adapter
from wikiart_lora.base_models.families import encode_captions, encode_images, predict
from wikiart_lora.base_models.loading import Autocast, BaseModel
from wikiart_lora.config import TrainConfig

_TEXT = {"none": "", "attention": ", text encoders", "embeddings": ", text encoders with token embeddings"}


def print_plan(
    base: BaseModel, adapter: Adapter, catalog: Catalog, config: TrainConfig, precision: str, processes: int
) -> None:
    """Print base, data, adapter, steps, device and precision."""
    trainable = sum(weight.numel() for weight in adapter.parameters())
    frozen = sum(p.numel() for p in base.denoiser.parameters() if not p.requires_grad)
    counts = catalog.counts("train")
    if config.style is None:
        data = f"{len(catalog.styles)} styles, {counts.sum():,} training images"
    else:
        label = style_index(config.style, catalog.styles, field="--style")
        data = f"the style {catalog.styles[label]}, {counts[label]:,} training images"
    echo(f"Base: {base.name} ({base.family}), {frozen / 1e6:,.1f} M parameters in its denoiser. Data: {data}.")
    variants = [name for name, used in (("rsLoRA", config.rslora), ("DoRA", config.dora)) if used]
    variants += [f"LoRA+ with ratio {config.loraplus_ratio:g}"] if config.loraplus_ratio != 1 else []
    extra = (", " + ", ".join(variants)) if variants else ""
    what = f"rank {config.rank}, {config.targets} layers{_TEXT[config.text_encoder]}{extra}"
    echo(f"Adapter: {what}: {trainable:,} trainable parameters.")
    where = f"{base.device}" + (f", {processes} processes" if processes > 1 else "")
    echo(f"{config.steps:,} steps of {config.batch_size} images at {config.size} px on {where}, in {precision}.")


def weight_memory(base: BaseModel, adapter: Adapter) -> dict[str, int]:
    """Bytes of the base's weights, and of the adapter: weights, gradients, AdamW's two moments, average; float32."""
    frozen = sum(p.numel() * p.element_size() for p in base.denoiser.parameters() if not p.requires_grad)
    return {"base": frozen, "adapter": 5 * 4 * sum(weight.numel() for weight in adapter.parameters())}


def dry_run(base: BaseModel, adapter: Adapter, catalog: Catalog, config: TrainConfig, autocast: Autocast) -> None:
    """Measure one step on noise, and print what the run would need. Nothing is written."""
    device, memory = base.device, weight_memory(base, adapter)
    echo(
        f"Memory for weights: {memory['base'] / 1e9:.2f} GB for the denoiser, {memory['adapter'] / 1e9:.3f} GB for the "
        "adapter with gradients, optimizer state and average."
    )
    number = max(1, config.batch_size // config.gradient_accumulation_steps)
    text = {name: values.detach() for name, values in encode_captions(base, ["a painting"] * number).items()}
    noisy = torch.randn(number, *_latent_shape(base, config), device=device)
    timesteps = torch.full((number,), 500.0, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = 0.0
    try:
        for _ in range(2):  # the first one also selects kernels
            began = time.monotonic()
            with autocast():
                prediction = predict(base, base.denoiser, noisy, timesteps, text)
            prediction.square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.monotonic() - began
    except torch.OutOfMemoryError:
        echo(f"{number} images at once do not fit on {device}: training would use more gradient-accumulation steps.")
        return
    finally:
        for weight in adapter.parameters():
            weight.grad = None
    if device.type == "cuda":
        echo(f"Peak memory with {number} images at once: {torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB.")
    step = seconds * config.gradient_accumulation_steps
    echo(
        f"A step takes about {step:.2f} s, training about {step * config.steps / 60:.0f} min, in addition to encoding "
        f"{len(catalog):,} images once, and to sample grids."
    )


def _latent_shape(base: BaseModel, config: TrainConfig) -> tuple[int, ...]:
    blank = torch.zeros(1, 3, config.size, config.size, device=base.device)
    return tuple(encode_images(base, blank).shape[1:])
