"""A GPU's memory, counted on tensors without storage: what needs how much of it can be said on any machine."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class SimulatedGpu(TorchDispatchMode):
    """Counts the bytes of live tensors, and refuses an allocation beyond its memory as a GPU does.

    Use it within `torch._subclasses.fake_tensor.FakeTensorMode`. What driver, allocator and libraries take for
    themselves is not counted.

    Args:
        weights: bytes that are there from the start.
        memory: in bytes; without it, there is no limit.
    """

    def __init__(self, weights: int, memory: int | None = None):
        super().__init__()
        self.memory, self.live, self.peak = memory, weights, weights
        self.storages: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count the storages of its results that are new.

        Raises:
            torch.OutOfMemoryError: they do not fit.
        """
        inputs = {_storage_id(tensor) for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage, key = tensor.untyped_storage(), _storage_id(tensor)
            if key in self.storages or key in inputs:
                continue
            size = storage.nbytes()
            if self.memory is not None and self.live + size > self.memory:
                raise torch.OutOfMemoryError("The simulated GPU has too little memory.")
            self.storages.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._free, key, size)
        return result

    def _free(self, key: int, size: int) -> None:
        self.storages.discard(key)
        self.live -= size


def size_of(network: nn.Module) -> int:
    """Bytes of a network's parameters."""
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _storage_id(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
