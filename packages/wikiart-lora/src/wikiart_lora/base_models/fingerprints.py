"""Fingerprints of networks: to know whether a cache is of these weights, and to notice another base under a name."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from wikiart_lora.base_models.loading import BaseModel


def fingerprint(*modules: nn.Module) -> str:
    """8 hex digits over every weight, its name, type and shape, and over the configuration."""
    crc = 0
    for module in modules:
        config: Any = getattr(module, "config", {})
        settings = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        settings = {key: value for key, value in settings.items() if not key.startswith("_")}
        crc = zlib.crc32(json.dumps(settings, sort_keys=True, default=str).encode(), crc)
        for name, tensor in sorted(module.state_dict().items()):
            crc = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), crc)
            crc = _crc_of(tensor, crc)
    return f"{crc:08x}"


def fingerprints(base: BaseModel) -> dict[str, str]:
    """A fingerprint of each network of a base, without an adapter, to notice another base under the same name.

    Weights are rounded to bf16 first, so that a run can continue on a device on which the base is kept in another type.
    Where it was loaded in fp16 or quantised, rounding twice may differ, and the fingerprint says so: `fp16-…`, `nf4-…`.
    """
    kind = "fp16" if base.denoiser.dtype == torch.float16 else "bf16"
    networks = {"autoencoder": base.pipeline.vae, base.denoiser_name: base.denoiser, **base.text_encoders}
    prints = {}
    for name, network in networks.items():
        crc = 0
        for key, tensor in sorted(network.state_dict().items()):
            crc = zlib.crc32(f"{key} {tuple(tensor.shape)}".encode(), crc)
            # Tensors of torchao are a class of their own, whose bytes cannot be read.
            plain = tensor.dequantize() if type(tensor) not in (torch.Tensor, nn.Parameter) else tensor
            crc = _crc_of(plain.bfloat16() if plain.is_floating_point() else plain, crc)
        quantised = base.quantize != "none" and name == base.denoiser_name
        prints[name] = f"{base.quantize if quantised else kind}-{crc:08x}"
    return prints


def same_weights(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether two results of `fingerprints` can be of the same base."""
    return first.keys() == second.keys() and all(
        one == other or one.partition("-")[0] != other.partition("-")[0]
        for one, other in ((first[name], second[name]) for name in first)
    )


def _crc_of(tensor: torch.Tensor, crc: int) -> int:
    flat = tensor.detach().cpu().contiguous().flatten()
    return zlib.crc32(flat.view(torch.uint8).numpy().data if flat.numel() else b"", crc)
