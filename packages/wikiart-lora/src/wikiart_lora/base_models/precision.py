"""The type of a base's weights and of the computation, and quantised weights."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, cast

import torch
from torch import nn

from wikiart_data.errors import InputError, how_to_install
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


def import_quantizer(kind: str) -> Any:
    """The library that quantises to nf4 (bitsandbytes) or fp8 (torchao).

    Raises:
        InputError: it is not installed.
    """
    library = {"nf4": "bitsandbytes", "fp8": "torchao"}[kind]
    try:
        return import_module(library)
    except ImportError as error:
        raise InputError(
            f"--quantize {kind} needs {library}, which is not installed: {how_to_install('quantize', library)}.",
            field="--quantize",
        ) from error


def fp8_config(network: str) -> Any:
    """Diffusers' configuration for loading one network of a pipeline, `unet` or `transformer`, with e4m3 weights.

    Raises:
        InputError: torchao is not installed.
    """
    import_quantizer("fp8")
    diffusers: Any = import_module("diffusers")
    config = diffusers.TorchAoConfig(import_module("torchao.quantization").Float8WeightOnlyConfig())
    return diffusers.PipelineQuantizationConfig(quant_mapping={network: config})


def quantize_nf4(network: nn.Module, dtype: torch.dtype) -> None:
    """Replace the linear layers of a network in main memory by 4-bit ones (QLoRA, Dettmers et al. 2023).

    diffusers' own loading to nf4 refuses machines without a GPU, moves the network there at once, and reads no single
    files. Weights are quantised on the CPU, so that they are the same wherever they compute.

    Args:
        network: its other layers stay as they are.
        dtype: of the computation.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    layers = import_quantizer("nf4").nn
    settings = {"compress_statistics": True, "quant_type": "nf4"}  # the scales of blocks are quantised as well
    for parent in list(network.modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is nn.Linear:
                quantised = layers.Linear4bit(
                    linear.in_features, linear.out_features, linear.bias is not None, dtype, device="meta", **settings
                )
                weight = layers.Params4bit(linear.weight.data, requires_grad=False, module=quantised, **settings)
                quantised.weight, quantised.bias = weight.to("cpu"), linear.bias  # moving it quantises it
                setattr(parent, name, quantised)
    cast(Any, network).is_loaded_in_4bit = True  # peft and diffusers ask for it
