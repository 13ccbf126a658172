"""What a run is made of, and what it will take: said before training, and all that `--dry-run` does."""

import time
from typing import Any

import torch

from wikiart_data.console import echo
from wikiart_data.images.catalog import Catalog
from wikiart_lora.adapter import Adapter
from wikiart_lora.config import TrainConfig
from wikiart_lora.families import encode_text, predict
from wikiart_lora.pipelines import Base

FAILS = (torch.OutOfMemoryError,)


def describe(
    base: Base, adapter: Adapter, catalog: Catalog, config: TrainConfig, device: torch.device, how: str, processes: int
) -> None:
    """Say what is about to happen."""
    trained = sum(weight.numel() for weight in adapter.parameters())
    frozen = sum(p.numel() for p in base.denoiser.parameters() if not p.requires_grad)
    counts = catalog.counts("train")
    what = f"{len(catalog.styles)} styles" if config.style is None else f"the style {config.style}"
    echo(
        f"{base.name} ({base.family}, {frozen / 1e6:,.1f} M parameters in its denoiser) learns {what} from "
        f"{counts.sum():,} training pictures."
    )
    kinds = [name for name, on in (("rsLoRA", config.rslora), ("DoRA", config.dora)) if on]
    kinds += [f"LoRA+ × {config.plus:g}"] if config.plus != 1 else []
    extra = (", " + ", ".join(kinds)) if kinds else ""
    of_text = {"none": "", "attention": ", text encoders too", "words": ", text encoders and words too"}
    what = f"rank {config.rank}, {config.targets} layers{of_text[config.text_encoder]}{extra}"
    echo(f"Adapter: {what}: {trained:,} trainable parameters.")
    where = f"{device}" + (f", {processes} processes" if processes > 1 else "")
    echo(f"{config.steps:,} steps of {config.batch_size} pictures at {config.size} px on {where}, in {how}.")


def memory(base: Base, adapter: Adapter) -> dict[str, int]:
    """Bytes that are known beforehand.

    The base's weights; and of the adapter weights, gradients, AdamW's two means and the average, all float32.
    """
    frozen = sum(p.numel() * p.element_size() for p in base.denoiser.parameters() if not p.requires_grad)
    return {"base": frozen, "adapter": 5 * 4 * sum(weight.numel() for weight in adapter.parameters())}


def dry_run(
    base: Base, adapter: Adapter, catalog: Catalog, config: TrainConfig, device: torch.device, autocast: Any
) -> None:
    """Measure one step on noise, and say what the run would take. Nothing is written."""
    known = memory(base, adapter)
    echo(
        f"Memory for weights: {known['base'] / 1e9:.2f} GB for the denoiser, {known['adapter'] / 1e9:.3f} GB for the "
        "adapter with gradients, optimiser and average."
    )
    number = max(1, config.batch_size // config.accumulate)
    text = {name: values.detach() for name, values in encode_text(base, ["a painting"] * number).items()}
    noisy = torch.randn(number, *_latent_shape(base, config), device=device)
    times = torch.full((number,), 500.0, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = 0.0
    try:
        for _ in range(2):  # the first one also chooses kernels
            began = time.monotonic()
            with autocast():
                said = predict(base, base.denoiser, noisy, times, text)
            said.square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.monotonic() - began
    except FAILS:
        echo(f"A part of {number} pictures does not fit on {device}: training would halve it until it does.")
        return
    finally:
        for weight in adapter.parameters():
            weight.grad = None
    if device.type == "cuda":
        echo(f"Peak with a part of {number} pictures: {torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB.")
    whole = seconds * config.accumulate * config.steps
    echo(
        f"A step takes about {seconds * config.accumulate:.2f} s, training about {whole / 60:.0f} min; beside it "
        f"encoding {len(catalog):,} pictures once, and grids."
    )


def _latent_shape(base: Base, config: TrainConfig) -> tuple[int, int, int]:
    from wikiart_lora.families import encode_pictures

    blank = torch.zeros(1, 3, config.size, config.size, device=next(base.denoiser.parameters()).device)
    return tuple(encode_pictures(base, blank).shape[1:])
