"""The result of `compare`: one row per method, with its runs; means over seeds and the Pareto frontier."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wikiart_classify.significance import PairedDifference
from wikiart_data.results.serialization import from_plain

Metric = Literal[
    "majority",
    "top1",
    "top3",
    "balanced",
    "frequent",
    "macro_f1",
    "many",
    "medium",
    "few",
    "ece",
    "nll",
    "calibrated_nll",
    "train_seconds",
]
Kind = Literal["models", "imbalance", "artists", "recipes", "data"]


@dataclass(frozen=True)
class RunMetrics:
    """Metrics of one training run, as fractions, and its cost."""

    seed: int
    n: int
    majority: float
    styles_scored: int
    top1: float
    top3: float
    balanced: float
    macro_f1: float
    many: float | None
    medium: float | None
    few: float | None
    ece: float
    valid_top1: float
    valid_balanced: float
    train_seconds: float
    seconds_to_40_percent: float | None
    """Seconds of training until top-1 accuracy on valid reached 40 %."""
    parameters: int
    epochs: int
    tau: float | None
    """Strength that a post-hoc method chose on valid."""
    size: int
    frequent: float | None = None
    """Balanced accuracy over the styles with at least 50 training images; None in results of earlier versions."""
    nll: float | None = None
    """Mean negative log-likelihood; None in results of earlier versions."""
    calibrated_nll: float | None = None
    """The same after the temperature that makes it smallest; recipes only."""


@dataclass(frozen=True)
class StyleRecalls:
    """Recall of one style by method, as fractions, means over seeds."""

    style: str
    train: int
    n: int
    """Scored images of the style."""
    recalls: Mapping[str, float]


@dataclass(frozen=True)
class Differences:
    """Differences to the first row of a comparison."""

    top1: PairedDifference
    balanced: PairedDifference


@dataclass(frozen=True)
class ComparedMethod:
    """One row: a network, a method against imbalance, or a way to split the data."""

    method: str
    label: str
    paper: str
    runs: tuple[RunMetrics, ...]
    """One per seed."""
    versus: Differences | None = None


@dataclass(frozen=True)
class SweepPoint:
    """Accuracies of the unbalanced networks after logit adjustment of strength tau, means over seeds."""

    tau: float
    top1: float
    balanced: float


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`, as result.json holds it."""

    kind: Kind
    seeds: tuple[int, ...]
    split: str
    n: int
    majority: float
    rows: tuple[ComparedMethod, ...]
    sweep: tuple[SweepPoint, ...] = ()
    per_style: tuple[StyleRecalls, ...] = ()
    """Recall of every style that has scored images, of each method against imbalance."""
    title: str = ""
    command: str = ""
    options: Mapping[str, Any] | None = None
    data_fingerprint: str = ""
    device: str = ""
    processes: int = 1
    versions: Mapping[str, str] | None = None
    git_commit: str | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Comparison":
        """A comparison from a result.json.

        Raises:
            InputError: a field is missing or of the wrong type.
        """
        return from_plain(cls, content)

    def __repr__(self) -> str:
        return (
            f"Comparison({self.kind}, {len(self.rows)} rows, {len(self.seeds)} seeds, {self.n:,} {self.split} images)"
        )


def mean_and_std(row: ComparedMethod, metric: Metric) -> tuple[float, float | None] | None:
    """Mean and sample standard deviation of a metric over a row's seeds.

    The deviation is None for one seed; the result is None if a run lacks the metric.
    """
    values = [getattr(run, metric) for run in row.runs]
    if not values or None in values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def pareto_frontier(rows: Sequence[ComparedMethod]) -> list[str]:
    """The methods that no other dominates in mean top-1 and balanced accuracy, in ascending order of top-1.

    A method is dominated by one that is at least as good in both and better in one; of two equal ones both stay.
    """
    means = {row.method: (_mean(row, "top1"), _mean(row, "balanced")) for row in rows}
    front = [
        name
        for name, (top1, balanced) in means.items()
        if not any(x >= top1 and y >= balanced and (x, y) != (top1, balanced) for x, y in means.values())
    ]
    return sorted(front, key=lambda name: means[name])


def _mean(row: ComparedMethod, metric: Metric) -> float:
    return statistics.mean(getattr(run, metric) for run in row.runs)
