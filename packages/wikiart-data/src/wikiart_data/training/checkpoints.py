"""Weights on disk: safetensors with the options and the class list inside, a checksum over all of it, never half."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes


def write_model(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors and text metadata as safetensors, with a CRC-32 over both, atomically."""
    whole = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(whole, {**about, "crc32": str(_crc(whole, about))}))


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and metadata of a file that `write_model` wrote.

    Raises:
        InputError: the file is missing, truncated, damaged, or lacks our metadata.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no dict)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} cannot be read, it is truncated or no safetensors file ({error}).") from error
    if not {"config", "styles", "crc32"} <= about.keys():
        raise InputError(f"{path} was not written by this toolkit: it carries no options and class list.")
    if str(_crc(tensors, about)) != about["crc32"]:
        raise InputError(f"{path} is damaged: its content does not match its checksum.")
    return tensors, about


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a model, all of them or none.

    Raises:
        InputError: names or shapes differ; the sentence names the file and one difference.
    """
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if own != given:
        odd = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        name = odd[0]
        raise InputError(
            f"{path} holds another model: {len(odd)} of its tensors do not fit, such as {name!r} with shape "
            f"{given.get(name, 'missing')} where {own.get(name, 'none')} is expected."
        )
    model.load_state_dict(dict(tensors))


def _crc(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> int:
    crc = zlib.crc32(json.dumps({key: about[key] for key in sorted(about) if key != "crc32"}).encode())
    for name in sorted(tensors):
        # The type and the shape too: the same bytes read as others would be other weights.
        crc = zlib.crc32(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode(), crc)
        crc = zlib.crc32(tensors[name].detach().contiguous().flatten().view(torch.uint8).numpy(), crc)
    return crc
