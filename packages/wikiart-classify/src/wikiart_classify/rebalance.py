"""`wikiart-classify rebalance`: balance the last layer of a network that is already trained, in a run of its own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import RebalanceConfig, TrainConfig
from wikiart_classify.methods import METHODS
from wikiart_classify.recipes import RECIPES
from wikiart_classify.train import finish, open_pack, tell
from wikiart_data.cli.commands import options_from
from wikiart_data.errors import InputError
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.run import find_model, read_run_record


def rebalance(config: RebalanceConfig) -> None:
    """Write a new run with the balanced network, and print how good it is.

    Raises:
        InputError: there is no such run, it was balanced already, or its data is gone or has changed.
    """
    folder = find_model(config.model, config.runs, "classify").parent
    changes = {"runs": config.runs, "name": config.name, "overwrite": config.overwrite, "device": config.device}
    tell(*rebalanced(folder, config.balance, {**changes, "cache_dir": config.cache_dir}))


def rebalanced(folder: Path, balance: str, changes: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """Balance the network of a finished run by a method that works after training.

    Args:
        folder: of the finished run.
        balance: `crt`, `tau-norm` or `post-hoc`.
        changes: options that the new run has otherwise than the finished one.

    Raises:
        InputError: as in `rebalance`.
    """
    trained = load_network(folder / "model.safetensors")
    before = options_from(TrainConfig, read_run_record(folder)["config"])
    if before.balance != "none" or before.power > 0:
        how = METHODS[before.balance].label if before.balance != "none" else f"--power {before.power:g}"
        raise InputError(f"{folder} was trained with {how}: balancing it again would balance twice.")
    if before.model in RECIPES:
        raise InputError(f"{folder} is a baseline ({before.model}); only our own networks can be balanced afterwards.")
    config = replace(before, balance=balance, resume=None, export=None, **changes)
    if config.name is not None and (config.runs / "classify" / config.name).resolve() == folder.resolve():
        raise InputError(f"--name {config.name} is the run that is to be balanced: give the new one another name.")
    try:
        seconds = json.loads((folder / "result.json").read_text(encoding="utf-8"))["train_seconds"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} has no result.json: finish the run first.") from error
    packed = open_pack(config)
    if packed.catalog.fingerprint != read_run_record(folder)["data"]["fingerprint"]:
        raise InputError(f"{packed.catalog.root} has changed since {folder} was trained on it: train anew.")
    device = create_accelerator(config.device).device
    run = Run.start("classify", config, packed.catalog, balanced_from=str(folder))
    network = trained.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, config.precision)
    return run, finish(run, config, network, packed, device, bf16, seconds)
