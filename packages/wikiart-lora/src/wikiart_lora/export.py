"""`wikiart-lora export`: an adapter in the formats that other programs read.

`peft` has diffusers' own key names, `kohya` those of kohya's sd-scripts. In both the scale is folded into B and alpha
equals the rank, so that programs that read alpha and programs that do not apply the same update.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.training.checkpoints import read_model, write_model
from wikiart_data.training.run import find_model
from wikiart_lora.adapter import fold_scale
from wikiart_lora.config import trained_styles
from wikiart_lora.model_card import model_card, push
from wikiart_lora.options import ExportOptions

KOHYA_PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
"""Network → prefix of kohya's keys; with two text encoders the first is lora_te1."""
READERS = {
    "peft": "diffusers (load_lora_weights), and ComfyUI for FLUX.2",
    "kohya": "ComfyUI, A1111, Forge, InvokeAI and stable-diffusion.cpp, and diffusers",
}
"""Programs that read a format."""
BASE_VERSIONS = {
    "sd15": "sd_v1",
    "sd21": "sd_v2",
    "sd-turbo": "sd_v2",
    "sdxl": "sdxl_base_v1-0",
    "sdxl-turbo": "sdxl_base_v1-0",
}
"""Short name of a base → kohya's `ss_base_model_version`."""


def export(options: ExportOptions) -> None:
    """Write the file and the model card next to it, and upload both if requested.

    Raises:
        InputError: there is no such run, the format does not fit its base, the file or the card exists or cannot be
            written, or the hub cannot be reached.
    """
    file = find_model(options.model, options.runs, "lora")
    card = options.to.with_suffix(".md")
    for path in (options.to, card):
        if path.exists() and not options.overwrite:
            raise InputError(f"{path} exists: choose another file, or replace it with --overwrite.", field="--to")
    tensors, metadata = read_model(file)
    if "lora_adapter_metadata" not in metadata:
        raise InputError(f"{file} is no adapter written by wikiart-lora.", field=file)
    settings = json.loads(metadata.pop("lora_adapter_metadata"))
    metadata.pop("crc32")
    tensors = fold_scale(tensors, settings)
    if options.format == "kohya":
        tensors = to_kohya(tensors)
        config = json.loads(metadata["config"])
        # Without lora_adapter_metadata, diffusers takes rank and alpha from the tensors, as in kohya's own files.
        metadata |= kohya_metadata(config, trained_styles(config.get("style"), json.loads(metadata["styles"])))
    else:
        metadata["lora_adapter_metadata"] = json.dumps(with_unit_scale(settings), sort_keys=True)
    # Made before anything is written: it needs the run's folder, and not the model.safetensors alone.
    text = model_card(file.parent, options.to.name)
    try:
        options.to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{options.to.parent} cannot be created ({error.strerror}).", field="--to") from error
    write_model(options.to, tensors, metadata)
    write_bytes(card, text.encode())
    echo(f"{options.to}: {len(tensors):,} tensors in the format {options.format}, for {READERS[options.format]}.")
    echo("The model card is next to it.")
    if options.push_to_hub:
        push(file.parent, options.push_to_hub, options.to)


def with_unit_scale(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Peft's settings for tensors whose scale has been folded into B: alpha = rank, no rsLoRA."""
    changed = dict(settings)
    for key in settings:
        network, _, name = key.rpartition(".")
        if name == "lora_alpha":
            changed[key] = settings[f"{network}.r"]
        elif name == "use_rslora":
            changed[key] = False
    return changed


def to_kohya(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an adapter's keys to kohya's and give every layer an alpha that equals its rank.

    Args:
        tensors: `unet.….lora_A.weight`, as diffusers names them, with the scale folded into B.

    Raises:
        InputError: the format cannot hold this adapter.
    """
    renamed: dict[str, Tensor] = {}
    two_encoders = any(name.startswith("text_encoder_2.") for name in tensors)
    for name, value in tensors.items():
        network, _, rest = name.partition(".")
        if network not in KOHYA_PREFIXES:
            raise InputError(
                "--format kohya is for UNet families (SD 1.x, 2.x, SDXL): this adapter is for a transformer, and "
                "programs read those in the format peft.",
                field="--format",
            )
        if "lora_embedding" in rest:
            raise InputError(
                "--format kohya has no keys for token embeddings: train with --text-encoder attention (or none), or "
                "export in the format peft.",
                field="--format",
            )
        if "lora_magnitude_vector" in rest:
            raise InputError(
                "--format kohya cannot hold DoRA: programs divide its dora_scale by different norms, so the result "
                "would depend on the program. Export in the format peft, or train without --dora.",
                field="--format",
            )
        prefix = "lora_te1" if network == "text_encoder" and two_encoders else KOHYA_PREFIXES[network]
        layer, _, factor = rest.rpartition(".lora_")
        layer = f"{prefix}_{layer.replace('.', '_')}"
        renamed[f"{layer}.lora_{'down' if factor == 'A.weight' else 'up'}.weight"] = value.contiguous()
        if factor == "A.weight":
            renamed[f"{layer}.alpha"] = torch.tensor(float(len(value)))
    return renamed


def kohya_metadata(config: Mapping[str, Any], styles: Sequence[str]) -> dict[str, str]:
    """What kohya's scripts write into a file, and what other programs show of it."""
    known = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": config["rank"],
        "ss_network_alpha": config["rank"],
        "ss_sd_model_name": config["base"],
        "ss_resolution": f"({config['size']}, {config['size']})",
        "ss_max_train_steps": config["steps"],
        "ss_total_batch_size": config["batch_size"],
        "ss_learning_rate": config["lr"],
        "ss_lr_scheduler": config["lr_scheduler"],
        "ss_network_dropout": config["lora_dropout"],
        "ss_seed": config["seed"],
        "ss_tag_frequency": json.dumps({"styles": dict.fromkeys(styles, 1)}),
    }
    if version := BASE_VERSIONS.get(config["base"]):
        known |= {"ss_base_model_version": version, "ss_v2": str(version == "sd_v2")}
    return {name: str(value) for name, value in known.items()}
