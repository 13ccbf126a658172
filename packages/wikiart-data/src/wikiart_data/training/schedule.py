"""Around an optimiser's step: the learning-rate schedule, the averaged weights, gradients over several processes."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from accelerate import Accelerator

WARMUP = 0.15
"""Fraction of the steps in which the learning rate rises linearly; then it falls along half a cosine."""


def warmup_cosine(total_steps: int, lowest: float = 0.0) -> Callable[[int], float]:
    """Linear warm-up, then cosine decay to `lowest`: a factor for `torch.optim.lr_scheduler.LambdaLR`.

    The optimiser's step k (counted from 0) takes the factor of (k + 1) / total_steps: the first step is not lost at a
    learning rate of 0, and the last one ends at `lowest`.
    """

    def factor(step: int) -> float:
        done = min(1.0, (step + 1) / max(1, total_steps))
        value = done / WARMUP if done < WARMUP else (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2
        return max(lowest, value)

    return factor


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the exponential moving average of the weights towards the model's: ema ← decay · ema + (1 − decay) · model.

    In the first steps the decay is lower, (1 + step) / (10 + step), so that the average does not remember the random
    initialisation. Buffers of integers are copied.
    """
    decay = min(decay, (1 + step) / (10 + step))
    averaged, current = ema.state_dict().values(), model.state_dict().values()
    pairs = list(zip(averaged, current, strict=True))
    floats = [pair for pair in pairs if pair[0].dtype.is_floating_point]
    old_values, new_values = [old for old, _ in floats], [new for _, new in floats]
    torch._foreach_lerp_(old_values, new_values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
    for old, new in pairs:
        if not old.dtype.is_floating_point:
            old.copy_(new)


def average_gradients(accelerator: "Accelerator", parameters: Iterable[nn.Parameter]) -> None:
    """Average every gradient over the processes; call it before the optimiser's step.

    For training steps that DistributedDataParallel does not fit: several optimisers that share networks, or a step
    that one process may have to repeat. One all-reduce a step, after the whole backward pass.
    """
    if accelerator.num_processes == 1:
        return
    parameters = list(parameters)
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    assert isinstance(flat, torch.Tensor)
    for p, mean in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = mean.view_as(p)
