"""The pictures of an epoch and their order: one number leads from the natural distribution to a uniform one."""

from collections.abc import Iterator

import numpy as np


class BalancedSampler:
    """Draws an epoch of rows in which style c has a proportion of n_c^(1 - power).

    Power 0 is the natural distribution (each picture once), 1 is uniform over styles, ½ lies between (square-root
    sampling, Mikolov et al. 2013; for images Mahajan et al. 2018, §2.3). Three guarantees that independent weighted
    draws do not give keep the noise of an epoch low:

    - a style is drawn its expected number of times, rounded up or down at random so that the mean is exact;
    - within a style every picture is drawn k times before any is drawn k + 2 times;
    - an epoch depends on (seed, epoch) alone, so a resumed run sees the same pictures as an uninterrupted one.

    It works as the `sampler` of a torch `DataLoader`; call `set_epoch` before each epoch, as for a
    `DistributedSampler`. `Batches` shards an epoch over several processes.

    Args:
        labels: (n,) integers, the style of each row.
        power: 0 natural … 1 uniform.
        length: draws in an epoch (default n).
        seed: of the whole run.

    Raises:
        ValueError: labels are empty, or power is not in 0..1.
    """

    def __init__(self, labels: np.ndarray, power: float = 0.0, *, length: int | None = None, seed: int = 0):
        labels = np.asarray(labels)
        if labels.ndim != 1 or len(labels) == 0:
            raise ValueError("labels must be a non-empty row of integers")
        if not 0.0 <= power <= 1.0:
            raise ValueError(f"power {power} is not in 0..1")
        self.power, self.seed = power, seed
        self.length = len(labels) if length is None else length
        self.styles = np.unique(labels)
        self.rows_of = [np.flatnonzero(labels == label) for label in self.styles]
        self._epoch = 0

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        drawn = f"{self.length:,} draws from {len(self.styles)} styles"
        return f"BalancedSampler({drawn}, power {self.power}, seed {self.seed})"

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that iteration yields."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.epoch(self._epoch).tolist())

    def expected_draws(self) -> np.ndarray:
        """(styles present,) float64: mean draws of each style in an epoch; they sum to `length`."""
        counts = np.array([len(rows) for rows in self.rows_of], dtype=np.float64)
        weights = counts ** (1.0 - self.power)
        return self.length * weights / weights.sum()

    def epoch(self, epoch: int) -> np.ndarray:
        """(length,) int64: the rows of one epoch, shuffled."""
        random = np.random.default_rng((self.seed, epoch))
        # Systematic rounding (Madow 1949): one random offset added to the running sum gives every style the floor or
        # the ceiling of its expectation, with the right mean, and the exact total.
        edges = np.floor(np.concatenate([[0.0], np.cumsum(self.expected_draws())]) + random.random() + 1e-9)
        edges[0], edges[-1] = 0, self.length
        quotas = np.diff(edges).astype(np.int64)
        drawn = [_even_draws(rows, quota, random) for rows, quota in zip(self.rows_of, quotas, strict=True)]
        return random.permutation(np.concatenate(drawn))


def _even_draws(rows: np.ndarray, quota: int, random: np.random.Generator) -> np.ndarray:
    rounds = -(-quota // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(max(rounds, 1))])[:quota]
