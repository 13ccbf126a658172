"""Reading a comparison's rows: mean and spread over seeds, and which methods no other beats."""

import statistics
from collections.abc import Sequence
from typing import Any


def spread(row: dict[str, Any], key: str) -> tuple[float, float | None] | None:
    """Mean and sample standard deviation of a figure over a method's seeds.

    The deviation is None with one seed; there is nothing at all if a run lacks the figure.
    """
    values = [run.get(key) for run in row["runs"]]
    if not values or None in values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def frontier(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The methods that none beats in both top-1 and balanced accuracy (means over seeds), lowest top-1 first.

    A method is beaten by one at least as good in both and better in one; of two with equal means both stay.
    """
    means = {row["method"]: (_mean(row, "top1"), _mean(row, "balanced")) for row in rows}
    kept = [
        name
        for name, (top1, balanced) in means.items()
        if not any(x >= top1 and y >= balanced and (x, y) != (top1, balanced) for x, y in means.values())
    ]
    return sorted(kept, key=lambda name: means[name])


def _mean(row: dict[str, Any], key: str) -> float:
    return statistics.mean(run[key] for run in row["runs"])
