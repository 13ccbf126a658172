"""The losses of an epoch: kept on the device, read in one transfer per interval, checked and averaged."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from wikiart_data.errors import InputError


class LossMeter:
    """Adds up each loss over the steps of an epoch. `sums` and `counts` are what a checkpoint keeps of it."""

    def __init__(self, sums: Mapping[str, float] | None = None, counts: Mapping[str, int] | None = None) -> None:
        self.sums = dict(sums or {})
        """Of each loss, over the steps that were read."""
        self.counts = dict(counts or {})
        """The number of those steps; a loss need not be recorded in every step."""
        self._pending: list[tuple[int, str, Tensor]] = []

    def record(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Keep a step's losses (scalars) where they are."""
        self._pending += [(step, name, value.detach()) for name, value in losses.items()]

    def read(self, epoch: int, folder: Path) -> dict[str, float]:
        """Move what was recorded to the host in one transfer, check it and add it up.

        Args:
            epoch: the current one, counted from 0, for the error.
            folder: the run's folder, for the error.

        Returns:
            The latest value of each loss; nothing if none was recorded since the last call.

        Raises:
            InputError: one is NaN or infinite; the first such step is named.
        """
        if not self._pending:
            return {}
        pending, self._pending = self._pending, []
        values = torch.stack([value.float() for _, _, value in pending]).tolist()
        for (step, name, _), value in zip(pending, values, strict=True):
            if not math.isfinite(value):
                term = "loss" if name == "loss" else f"{name} loss"
                raise InputError(
                    f"The {term} is {value} in epoch {epoch + 1}, step {step + 1}. The last good checkpoint is kept in "
                    f"{folder}. Try a smaller --lr.",
                    field="--lr",
                )
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        return {name: value for (_, name, _), value in zip(pending, values, strict=True)}

    def means(self) -> dict[str, float]:
        """Mean of each loss over the steps that were read."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}
