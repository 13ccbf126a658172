"""Which pictures an epoch shows, and in what order: from natural to uniform over styles by one number."""

from collections.abc import Iterator

import numpy as np


class BalancedSampler:
    """Draws an epoch of rows in which style c has a share proportional to n_c^(1 - power).

    Power 0 is the natural distribution (each picture once), 1 is uniform over styles, ½ lies between (square-root
    sampling, Mikolov et al. 2013; for images Mahajan et al. 2018, §2.3). Three promises beyond independent weighted
    draws, which keep an epoch's noise low:

    - a style is drawn its expected number of times, rounded up or down at random so that the mean is exact;
    - within a style every picture is drawn k times before any is drawn k + 2 times;
    - an epoch depends on (seed, epoch) alone, so a resumed run sees what the unbroken one would have seen.

    Over several processes the one global epoch is dealt out like cards: process r takes places r, r + world, … The
    shares are disjoint places of equal length; fewer than `world` places at the end are dropped.

    Args:
        labels: (n,) integers, the style of each row.
        power: 0 natural … 1 uniform.
        length: draws in an epoch, over all processes (default n).
        seed: of the whole run.
        rank: this process, in 0..world-1.
        world: number of processes.

    Raises:
        ValueError: labels are empty, or power, rank or world are out of range.
    """

    def __init__(
        self,
        labels: np.ndarray,
        power: float = 0.0,
        *,
        length: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        labels = np.asarray(labels)
        if labels.ndim != 1 or len(labels) == 0:
            raise ValueError("labels must be a non-empty row of integers")
        if not 0.0 <= power <= 1.0:
            raise ValueError(f"power {power} is not in 0..1")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not in 0..{world - 1}")
        self.power, self.seed, self.rank, self.world = power, seed, rank, world
        self.length = len(labels) if length is None else length
        self.rows_of = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.styles = np.unique(labels)
        self._epoch = 0

    def __len__(self) -> int:
        return self.length // self.world

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that iteration yields."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.epoch(self._epoch)[self.rank :: self.world].tolist())

    def expected_draws(self) -> np.ndarray:
        """(styles present,) float64: mean draws of each style in an epoch; they sum to `length`."""
        counts = np.array([len(rows) for rows in self.rows_of], dtype=np.float64)
        shares = counts ** (1.0 - self.power)
        return self.length * shares / shares.sum()

    def epoch(self, epoch: int) -> np.ndarray:
        """(length - length % world,) int64: the rows of one epoch over all processes, shuffled."""
        random = np.random.default_rng((self.seed, epoch))
        # Systematic rounding (Madow 1949): one random offset under the running sum gives every style the floor or
        # the ceiling of its expectation, with the right mean, and the exact total.
        edges = np.floor(np.concatenate([[0.0], np.cumsum(self.expected_draws())]) + random.random() + 1e-9)
        edges[0], edges[-1] = 0, self.length
        quotas = np.diff(edges).astype(np.int64)
        drawn = [_even_draws(rows, quota, random) for rows, quota in zip(self.rows_of, quotas, strict=True)]
        rows = random.permutation(np.concatenate(drawn))
        return rows[: self.length - self.length % self.world]


def _even_draws(rows: np.ndarray, quota: int, random: np.random.Generator) -> np.ndarray:
    rounds = -(-quota // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(max(rounds, 1))])[:quota]
