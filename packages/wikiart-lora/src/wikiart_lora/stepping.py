"""Parts of a training step that are no part of its idea: the optimiser, and too little memory."""

import torch

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.training.muon import Muon
from wikiart_lora.adapter import Adapter, groups
from wikiart_lora.config import TrainConfig


def make_optimizer(adapter: Adapter, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, its 8-bit form, or Muon.

    With Muon both factors of a layer's change move along all their directions at once, so that what a rare style needs
    is learned as soon as what all styles need. Vectors, which only DoRA has, and the embeddings of words, most of which
    a batch does not use, take AdamW's step.

    Raises:
        InputError: 8 bits are asked for and bitsandbytes is missing.
    """
    sharing = groups(adapter, config.lr, config.text_lr, config.plus)
    if config.optimizer == "muon":
        plain = {id(weight) for name, weight in adapter.named.items() if weight.ndim < 2 or "lora_embedding" in name}
        split = [
            {"params": weights, "kind": kind, "lr": one["lr"] * rate, "weight_decay": config.weight_decay}
            for one in sharing
            for kind, rate in (("muon", 1.0), ("adamw", 0.15))
            if (weights := [weight for weight in one["params"] if (id(weight) in plain) == (kind == "adamw")])
        ]
        return Muon(split)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(sharing, weight_decay=config.weight_decay)
    try:
        import bitsandbytes
    except ImportError as error:
        raise InputError(
            "--optimizer adamw8bit needs bitsandbytes: install it with `pip install 'wikiart-lora[eightbit]'`, or "
            "leave the option out."
        ) from error
    return bitsandbytes.optim.AdamW8bit(sharing, weight_decay=config.weight_decay)


def halved(pieces: int, number: int, device: torch.device) -> int:
    """After running out of memory: work through the batch in twice as many parts.

    Raises:
        InputError: a part is one picture already.
    """
    if pieces >= number:
        raise InputError(
            f"{device} has too little memory for one picture. Try --checkpointing, a smaller --size or --rank, or "
            "another base; `wikiart-lora --base list` says what each needs."
        )
    pieces = min(2 * pieces, number)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    echo(
        f"Out of memory on {device}: from now on a batch of {number} is worked through in {pieces} parts of at most "
        f"{-(-number // pieces)}; the steps stay the same. (Next time: --accumulate {pieces}.)"
    )
    return pieces
