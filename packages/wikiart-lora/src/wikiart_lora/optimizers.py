"""The optimizer, and what is done when a step runs out of memory."""

import io
import math
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import torch

from wikiart_data.console import echo
from wikiart_data.errors import InputError, how_to_install
from wikiart_data.training.muon import Muon
from wikiart_lora.adapter import Adapter, parameter_groups
from wikiart_lora.config import TrainConfig


def make_optimizer(adapter: Adapter, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, 8-bit AdamW, or Muon.

    Muon moves both factors of a layer's change along all their directions equally, so that what a rare style needs is
    learned as soon as what all styles need. Vectors, which only DoRA has, and token embeddings, most of which a batch
    does not use, are left to AdamW.

    Raises:
        InputError: adamw8bit or prodigy is requested and its library is missing.
    """
    groups = parameter_groups(adapter, config)
    if config.optimizer == "muon":
        for_adamw = {
            id(weight) for name, weight in adapter.by_name.items() if weight.ndim < 2 or "lora_embedding" in name
        }
        return Muon(
            [
                {"params": weights, "kind": kind, "lr": group["lr"] * ratio, "weight_decay": config.weight_decay}
                for group in groups
                for kind, ratio in (("muon", 1.0), ("adamw", 0.15))
                if (weights := [w for w in group["params"] if (id(w) in for_adamw) == (kind == "adamw")])
            ]
        )
    if config.optimizer == "prodigy":
        return _prodigy(groups, config)
    if config.optimizer == "adamw":
        fused = groups[0]["params"][0].is_cuda or None  # None: as torch chooses
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=fused)
    try:
        optim: Any = import_module("bitsandbytes.optim")
    except ImportError as error:
        raise InputError(
            "--optimizer adamw8bit needs bitsandbytes, which is not installed: "
            f"{how_to_install('eightbit', 'bitsandbytes')}.",
            field="--optimizer",
        ) from error
    return optim.AdamW8bit(groups, weight_decay=config.weight_decay)


def _prodigy(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    """Prodigy (Mishchenko & Defazio 2024), which finds the learning rate itself; `lr` multiplies it."""
    try:
        from prodigyopt import Prodigy  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError as error:
        raise InputError(
            f"--optimizer prodigy needs prodigyopt, which is not installed: {how_to_install('prodigy', 'prodigyopt')}.",
            field="--optimizer",
        ) from error
    if len({group["lr"] for group in groups}) > 1:
        raise InputError(
            "--optimizer prodigy finds one learning rate for all weights: leave out --loraplus-ratio, and give "
            "--text-encoder-lr the value of --lr.",
            field="--optimizer",
        )
    options: dict[str, Any] = {"weight_decay": config.weight_decay, "use_bias_correction": True}
    with redirect_stdout(io.StringIO()):  # it prints that its weight decay is decoupled
        return Prodigy(groups, safeguard_warmup=True, **options)


def lr_factor(kind: str, warmup_ratio: float, total_steps: int) -> Callable[[int], float]:
    """The learning-rate schedule: a factor of the peak for `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        kind: after the warm-up: cosine, linear or constant.
        warmup_ratio: fraction of the steps in which the factor rises linearly.
        total_steps: of the whole run. Step k, counted from 0, takes the factor at (k + 1) / total_steps.
    """

    def factor(step: int) -> float:
        done = min(1.0, (step + 1) / total_steps)
        if done < warmup_ratio:
            return done / warmup_ratio
        if kind == "constant" or warmup_ratio == 1:
            return 1.0
        if kind == "linear":
            return 1 - (done - warmup_ratio) / (1 - warmup_ratio)
        return (1 + math.cos(math.pi * (done - warmup_ratio) / (1 - warmup_ratio))) / 2

    return factor


def increase_accumulation(accumulation_steps: int, batch_size: int, device: torch.device) -> int:
    """After running out of memory: process the batch in twice as many parts.

    Args:
        accumulation_steps: parts so far.
        batch_size: images per step in this process.
        device: that ran out of memory.

    Raises:
        InputError: a part is one image already.
    """
    if accumulation_steps >= batch_size:
        raise InputError(
            f"{device} has too little memory for one image. Try --gradient-checkpointing, a smaller --size or --rank, "
            "or another base; `wikiart-lora --base list` shows what each needs.",
            field="--batch-size",
        )
    accumulation_steps = min(2 * accumulation_steps, batch_size)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    echo(
        f"Out of memory on {device}: using {accumulation_steps} gradient-accumulation steps of at most "
        f"{-(-batch_size // accumulation_steps)} images; the effective batch size is unchanged. (Next time: "
        f"--gradient-accumulation-steps {accumulation_steps}.)"
    )
    return accumulation_steps
