"""Several processes, the result of one: what a step computes from a batch is computed from the whole batch.

Each process holds every `world`-th image of a batch (`Batches`). Gradients of a loss that is a mean over images are
averaged anyway; what mixes images within a batch must be exchanged: the statistics of batch normalisation, the partners
of MixUp and CutMix, and the codes whose variance and covariance a loss is about. With one process nothing here does
anything.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def synchronize_batch_norm(*modules: nn.Module) -> None:
    """Let batch normalisation see the whole batch: in place, before `accelerate` wraps the modules.

    On GPUs it becomes `torch.nn.SyncBatchNorm`, which takes no tensors of the CPU; there `ReducedBatchNorm` does the
    same. Names and values of parameters and buffers stay.

    Args:
        modules: networks that contain batch normalisation, or not.
    """
    if world_size() == 1:
        return
    for module in modules:
        norms = [child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm)]
        if norms and next(iter(norms[0].buffers())).is_cuda:
            nn.SyncBatchNorm.convert_sync_batchnorm(module)
        else:
            for norm in norms:
                norm.__class__ = ReducedBatchNorm  # the same module, so whatever refers to it is still right


class ReducedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the images of all processes, which hold equally many; on any device.

    Mean and variance are reduced one after the other: the mean of squares minus the square of the mean would lose
    digits.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, …) → the same; in evaluation as any other batch normalisation."""
        if not self.training:
            return super().forward(input)
        dims = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        x = input.float()
        mean = _mean_over_processes(x.mean(dims))
        centred = x - mean.view(shape)
        variance = _mean_over_processes(centred.square().mean(dims))
        if self.running_mean is not None and self.running_var is not None:
            number = x.numel() // x.shape[1] * world_size()
            assert self.momentum is not None
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * number / (number - 1), self.momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        normalised = centred * scale.view(shape)
        return (normalised if self.bias is None else normalised + self.bias.view(shape)).to(input.dtype)


def gather_batch(rows: Tensor) -> Tensor:
    """The rows of all processes, with their gradients: (b, …) → (b · world, …), in the order of the processes.

    A loss of the result, the same in every process, has the gradient that it would have in one process once
    `accelerate` has averaged over the processes.
    """
    return rows if world_size() == 1 else _Gather.apply(rows)  # pyright: ignore[reportReturnType]


def previous_in_batch(rows: Tensor) -> Tensor:
    """What stands before each row in the whole batch, and for its first row, the last one: (b, …) → (b, …).

    Row k of process r is row k · world + r of the whole batch: its predecessor is row k of process r − 1, or for the
    first process, row k − 1 of the last.
    """
    world = world_size()
    if world == 1:
        return rows.roll(1, 0)
    rank, received = dist.get_rank(), torch.empty_like(rows, memory_format=torch.contiguous_format)
    exchanges = [
        dist.P2POp(dist.isend, rows.contiguous(), (rank + 1) % world),
        dist.P2POp(dist.irecv, received, (rank - 1) % world),
    ]
    for exchange in dist.batch_isend_irecv(exchanges):
        exchange.wait()
    return received.roll(1, 0) if rank == 0 else received


def _mean_over_processes(tensor: Tensor) -> Tensor:
    return _Sum.apply(tensor) / world_size()  # pyright: ignore[reportOperatorIssue]


class _Sum(torch.autograd.Function):
    """The sum over all processes; each process's gradient is the sum of all of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """The rows of all processes; a row's gradient is the sum of those that all processes have for it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]
