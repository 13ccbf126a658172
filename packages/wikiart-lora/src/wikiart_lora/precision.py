"""In which numbers to compute, and why."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from wikiart_data.training.device import use_bf16


def choose_precision(device: torch.device, asked: str) -> tuple[str, str]:
    """`bf16`, `fp16` or `fp32`, and the reason in words."""
    if asked != "auto":
        return asked, "as asked"
    if device.type == "cuda":
        if use_bf16(device):
            return "bf16", "this GPU computes bf16 at full speed, and its range needs no loss scaling"
        return "fp16", "this GPU is too old for bf16; the loss is scaled to stay in fp16's range"
    if use_bf16(device):
        return "bf16", "this CPU has instructions for it; the base stays in fp32"
    return "fp32", f"this {device.type} device is not faster with less"


def weights_type(device: torch.device, precision: str) -> torch.dtype:
    """What the frozen base is kept in: on a GPU what is computed in, on a CPU always float32."""
    if device.type != "cuda":
        return torch.float32
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def autocast_for(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    """What to compute under: `with autocast(): …`."""
    if precision == "fp32":
        return nullcontext
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype)
