"""`wikiart-lora export`: an adapter in the formats that other programs read."""

import json
import math
from typing import Any

import torch
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.training.checkpoints import read_model, write_model
from wikiart_data.training.run import find_model
from wikiart_lora.card import card, push
from wikiart_lora.config import ExportConfig

KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
"""What kohya's names begin with; with two text encoders the first is lora_te1."""


def export(config: ExportConfig) -> None:
    """Write the file and the model card beside it.

    Raises:
        InputError: there is no such run, the format does not fit its base, or the file exists.
    """
    file = find_model(config.model, config.runs, "lora")
    if config.to.exists() and not config.overwrite:
        raise InputError(f"{config.to} exists: name another file, or replace it with --overwrite.")
    tensors, about = read_model(file)
    if "lora_adapter_metadata" not in about:
        raise InputError(f"{file} is no adapter that wikiart-lora wrote.")
    kept = {key: value for key, value in about.items() if key != "crc32"}
    if config.format == "kohya":
        tensors = to_kohya(tensors, json.loads(about["lora_adapter_metadata"]))
        # Without it, diffusers takes rank and alpha from the tensors, as kohya's own files have it.
        kept.pop("lora_adapter_metadata")
    try:
        config.to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{config.to.parent} cannot be made ({error.strerror}).") from error
    write_model(config.to, tensors, kept)
    write_bytes(config.to.with_suffix(".md"), card(file.parent, config.to.name).encode())
    echo(f"{config.to}: {len(tensors):,} tensors in the format {config.format}; the model card is beside it.")
    if config.push_to_hub:
        push(file.parent, config.push_to_hub)


def to_kohya(tensors: dict[str, Tensor], settings: dict[str, Any]) -> dict[str, Tensor]:
    """Rename an adapter to kohya's names and give every layer its alpha.

    Args:
        tensors: `unet.….lora_A.weight`, as diffusers names them.
        settings: peft's, by network: `unet.r`, `unet.lora_alpha`, `unet.use_rslora`, …

    Raises:
        InputError: a network of this base has no names in kohya's format.
    """
    found: dict[str, Tensor] = {}
    two = any(name.startswith("text_encoder_2.") for name in tensors)
    for name, value in tensors.items():
        network, _, rest = name.partition(".")
        if network not in KOHYA:
            raise InputError(
                "--format kohya is for UNet families (SD 1.x, 2.x, SDXL): this adapter is a transformer's, and "
                "programs read those in the format peft."
            )
        if "lora_embedding" in rest:
            raise InputError(
                "--format kohya has no place for embeddings of words: train with --text-encoder attention (or none), "
                "or export in the format peft."
            )
        start = "lora_te1" if network == "text_encoder" and two else KOHYA[network]
        for ours, theirs in (
            (".lora_A.weight", ".lora_down.weight"),
            (".lora_B.weight", ".lora_up.weight"),
            (".lora_magnitude_vector", ".dora_scale"),
        ):
            if rest.endswith(ours):
                layer = f"{start}_{rest.removesuffix(ours).replace('.', '_')}"
                found[layer + theirs] = value.contiguous()
                break
        else:
            raise InputError(f"{name} has no name in kohya's format.")
        rank, alpha = settings[f"{network}.r"], settings[f"{network}.lora_alpha"]
        # kohya divides alpha by the rank; rsLoRA divides by the root, so its alpha is larger there.
        scale = alpha / math.sqrt(rank) if settings.get(f"{network}.use_rslora") else alpha / rank
        found[layer + ".alpha"] = torch.tensor(float(scale * rank))
    return found
