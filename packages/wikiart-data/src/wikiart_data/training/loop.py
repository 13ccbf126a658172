"""The parts of a training loop that do not depend on what is trained: each part's own loop calls them in sight."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from wikiart_data.cli.commands import options_from
from wikiart_data.errors import InputError
from wikiart_data.images.packed import PackedImages

if TYPE_CHECKING:
    from accelerate import Accelerator

WARMUP = 0.15
"""Share of the steps in which the learning rate rises; then it falls along half a cosine."""

Config = TypeVar("Config")


def warmup_cosine(done: float) -> float:
    """Share of the peak learning rate after a share `done` of all steps: up in a line, down along half a cosine."""
    if done < WARMUP:
        return done / WARMUP
    return (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights a little towards the trained ones; faster in the first steps, while all is new."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, fresh in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(fresh, 1 - decay)
        else:
            kept.copy_(fresh)


def average_gradients(accelerator: "Accelerator", weights: Iterable[nn.Parameter]) -> None:
    """Over several processes, every gradient becomes the mean over them; call it before the optimiser's step.

    For what DistributedDataParallel does not fit: several optimisers that share networks, or a step that may be tried
    again in one process only. One exchange a step, after all of backward.
    """
    if accelerator.num_processes == 1:
        return
    weights = list(weights)
    gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in weights]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    for weight, mean in zip(weights, flat.split([weight.numel() for weight in weights]), strict=True):
        weight.grad = mean.view_as(weight)


def options_for_resume(config: Config, record: Mapping[str, Any]) -> Config:
    """The options a run was started with; only where things lie and the device may be others now.

    Args:
        config: as the user gave it, with `resume` set.
        record: the run's run.json.

    Raises:
        InputError: other options were given, which would be ignored.
    """
    kind = type(config)
    here = {field.name: getattr(config, field.name) for field in fields(config)}  # type: ignore[arg-type]
    given = {key: value for key, value in here.items() if value != getattr(kind, key)}
    if other := sorted(given.keys() - {"resume", "config", "data", "cache_dir", "device", "export"}):
        names = ", ".join("--" + name.replace("_", "-") for name in other)
        raise InputError(f"--resume goes on with the options the run was started with: leave out {names}.")
    return options_from(kind, {**record["config"], **given})


def check_training_data(packed: PackedImages, batch_size: int, processes: int) -> None:
    """Find out before a run's folder is made whether it can be run.

    Raises:
        InputError: the batch fits neither the data nor the processes, or there is nothing to measure progress on.
    """
    number = len(packed.rows("train"))
    if batch_size > number:
        raise InputError(f"--batch-size {batch_size} is more than the {number} training pictures.")
    if batch_size % processes:
        raise InputError(f"--batch-size {batch_size} cannot be shared by {processes} processes.")
    if not len(packed.rows("valid")):
        raise InputError(
            f"{packed.catalog.root} has no readable picture in valid, and progress is measured on valid: add some (a "
            "style needs four artworks before one of them is taken out of train)."
        )


def check_finite(folder: Path, epoch: int, *networks: nn.Module) -> None:
    """Look before saving: a last step can break the weights after the loss was still a number.

    Raises:
        InputError: a weight is NaN or infinite.
    """
    for network in networks:
        if not all(value.isfinite().all() for value in network.state_dict().values()):
            raise InputError(
                f"Weights are no numbers any more in epoch {epoch + 1}. The last good checkpoint, if there is one, is "
                f"kept in {folder}. Try a smaller --lr."
            )
