"""The type of a base's weights and of the computation, and quantised weights."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import torch

from wikiart_data.errors import InputError
from wikiart_data.training.device import use_bf16


def choose_precision(device: torch.device, requested: str) -> tuple[str, str]:
    """`bf16`, `fp16` or `fp32`, and the reason in words."""
    if requested != "auto":
        return requested, "as requested"
    if device.type == "cuda":
        if use_bf16(device):
            return "bf16", "this GPU computes bf16 at full speed, and its range needs no loss scaling"
        return "fp16", "this GPU is too old for bf16; the loss is scaled to stay in fp16's range"
    if use_bf16(device):
        return "bf16", "this CPU has bf16 instructions; the base stays in fp32"
    return "fp32", f"this {device.type} device is not faster with less"


def weights_dtype(device: torch.device, precision: str) -> torch.dtype:
    """Type of the frozen base's weights: that of the computation on a GPU, always float32 on a CPU."""
    if device.type != "cuda":
        return torch.float32
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


Autocast = Callable[[], AbstractContextManager[Any]]


def autocast_for(device: torch.device, precision: str) -> Autocast:
    """The context of the computation: `with autocast(): …`."""
    if precision == "fp32":
        return nullcontext
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype)


def quantization_config(kind: str, network: str, dtype: torch.dtype) -> Any:
    """Diffusers' configuration for loading one network of a pipeline with quantised linear layers.

    Args:
        kind: nf4 (QLoRA, Dettmers et al. 2023; bitsandbytes) or fp8 (e4m3 weights; torchao).
        network: unet or transformer.
        dtype: of the computation.

    Raises:
        InputError: the library is not installed.
    """
    diffusers: Any = import_module("diffusers")
    library = "bitsandbytes" if kind == "nf4" else "torchao"
    try:
        import_module(library)
    except ImportError as error:
        raise InputError(
            f"--quantize {kind} needs {library}: install it with `pip install 'wikiart-lora[quantize]'`.",
            field="--quantize",
        ) from error
    if kind == "nf4":
        config = diffusers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    else:
        config = diffusers.TorchAoConfig(import_module("torchao.quantization").Float8WeightOnlyConfig())
    return diffusers.PipelineQuantizationConfig(quant_mapping={network: config})
