"""What `wikiart-cluster compare` measured, and its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wikiart_autoencode.clustering.config import Method
from wikiart_autoencode.clustering.density import Parameters
from wikiart_autoencode.clustering.scores import ClusteringScores, mean_and_std
from wikiart_autoencode.evaluation.baseline_codes import PIXELS, UNTRAINED
from wikiart_autoencode.evaluation.probes import CodeMetrics
from wikiart_data.console import echo
from wikiart_data.results.serialization import from_plain
from wikiart_data.results.statistics import Estimate
from wikiart_data.results.tables import Cell, Number, Table, print_table

REFERENCES = (PIXELS, UNTRAINED)
"""Rows that each row is compared with."""


@dataclass(frozen=True)
class SeedScores:
    """What one seed gave."""

    ami: float
    nmi: float
    ari: float
    noise: float
    clusters: int


@dataclass(frozen=True, kw_only=True, repr=False)
class MethodScores(ClusteringScores):
    """Scores of one method on one kind of code, with the first seed."""

    parameters: Parameters
    note: str = ""
    over_seeds: tuple[SeedScores, ...] = ()
    """Of each seed, the first one included."""
    ami_interval: tuple[float, float] | None = None
    """95 %, over pictures and seeds (module `intervals`), about the mean over seeds."""
    nmi_interval: tuple[float, float] | None = None
    ari_interval: tuple[float, float] | None = None
    ami_gains: dict[str, Estimate] = field(default_factory=dict)
    """AMI minus that of each of REFERENCES by the same method, on the same half samples."""

    def mean(self, name: str) -> float:
        """Mean over seeds of a field of `SeedScores`."""
        return mean_and_std([getattr(scores, name) for scores in self.over_seeds or (self,)])[0]

    def number(self, name: str, unit: str = "", digits: int = 3) -> Number:
        """Mean over seeds of a field of `SeedScores`, with its interval or else the standard deviation over seeds."""
        mean, std = mean_and_std([getattr(scores, name) for scores in self.over_seeds or (self,)])
        between = getattr(self, f"{name}_interval", None)
        return Number(mean, unit, digits, between, None if between or len(self.over_seeds) < 2 else std)


@dataclass(frozen=True)
class CodeRow:
    """One kind of code."""

    name: str
    dimensions: int
    clusters: dict[str, dict[Method, MethodScores]]
    """By split (train, test) and method."""
    metrics: CodeMetrics
    map_gains: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """MAP@R of each kind of retrieval minus that of each of REFERENCES, from a bootstrap over the same queries."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CodeRow":
        """Read a row of a result.json; earlier versions called `name` `space`, and `metrics` `space_measures`."""
        earlier = {"space": "name", "space_measures": "metrics"}
        return from_plain(cls, {earlier.get(key, key): value for key, value in content.items()})


@dataclass(frozen=True)
class CodeComparison:
    """What result.json of a comparison holds."""

    seed: int
    n: dict[str, int]
    """Codes per split."""
    data_fingerprint: str
    rows: tuple[CodeRow, ...]
    kind: str = "codes"
    title: str = "Clusters and style in different codes"
    command: str = "wikiart-cluster compare"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CodeComparison":
        """Read the content of a result.json."""
        return from_plain(cls, {"title": cls.title, **content})


def print_tables(result: CodeComparison) -> None:
    """Print the tables of a comparison, separated by empty lines."""
    for table in tables(result):
        print_table(table)
        echo()


def tables(result: CodeComparison) -> list[Table]:
    """AMI of methods × codes, more of each method, then how well style is classified and retrieved from each code."""
    methods = list(result.rows[0].clusters["train"])
    shown = [ami_table(result, split) for split in ("train", "test")] if len(methods) > 1 else []
    for method in methods:
        shown.append(method_table(result, method))
        if any(row.clusters["train"][method].ami_gains for row in result.rows):
            shown.append(gain_table(result, method))
    kinds = dict.fromkeys(kind for row in result.rows for kind in row.metrics.retrieval)
    return [*shown, classification_table(result), *(retrieval_table(result, kind) for kind in kinds)]


def ami_table(result: CodeComparison, split: str) -> Table:
    """AMI of clusters and styles by code and method."""
    methods = list(result.rows[0].clusters[split])
    rows = [(row.name, *(row.clusters[split][method].number("ami") for method in methods)) for row in result.rows]
    permuted = [result.rows[0].clusters[split][method].ami_permuted for method in methods]
    rows.append(("permuted labels", *(Number(mean, digits=3, std=std) for mean, std in permuted)))
    title = f"AMI of clusters and styles, {result.n[split]:,} images of {split}"
    return Table(title, ("codes", *methods), tuple(rows), _note(result))


def method_table(result: CodeComparison, method: Method) -> Table:
    """The clusters that a method finds in each code of train, and their agreement with styles."""
    rows = []
    for row in result.rows:
        train, test = row.clusters["train"][method], row.clusters["test"][method]
        mean, std = train.ami_permuted
        rows.append(
            (
                row.name,
                train.number("ami"),
                Number(mean, digits=3, std=std),
                test.number("ami"),
                train.number("nmi"),
                train.number("ari"),
                Number(train.purity, digits=3),
                Number(train.silhouette, digits=3),
                train.number("clusters", digits=0),
                train.number("noise", "%", 0),
            )
        )
    columns = ("codes", "AMI", "permuted", "AMI on test", "NMI", "ARI", "purity", "silhouette", "clusters", "noise")
    title = f"Clusters by {method}, {result.n['train']:,} training images"
    return Table(title, columns, tuple(rows), _note(result))


def gain_table(result: CodeComparison, method: Method) -> Table:
    """AMI of each code minus that of each reference, which the same images are paired with."""
    rows: list[tuple[Cell, ...]] = []
    for row in result.rows:
        gains = [row.clusters[split][method].ami_gains for split in ("train", "test")]
        if any(gains):
            rows.append((row.name, *(_gain(of_split.get(name)) for of_split in gains for name in REFERENCES)))
    columns = tuple(f"over {name}, {split}" for split in ("train", "test") for name in REFERENCES)
    note = "An interval without 0 is a difference; the images are the same in both rows."
    return Table(f"Gain of AMI by {method}", ("codes", *columns), tuple(rows), note)


def classification_table(result: CodeComparison) -> Table:
    """Accuracy of nearest neighbours and of a linear probe."""
    rows: list[tuple[Cell, ...]] = []
    for row in result.rows:
        m = row.metrics
        rows.append(
            (
                row.name,
                Number(m.knn_top1, "%", interval=m.knn_top1_interval),
                Number(m.knn_balanced, "%", interval=m.knn_balanced_interval),
                Number(m.probe_top1, "%", interval=m.probe_top1_interval),
                Number(m.probe_balanced, "%", interval=m.probe_balanced_interval),
            )
        )
    first = result.rows[0].metrics
    majority, chance = Number(first.majority, "%"), Number(first.chance, "%")
    rows.append(("majority style", majority, chance, majority, chance))
    columns = ("codes", "20-NN", "20-NN, balanced", "linear probe", "linear probe, balanced")
    return Table(f"Style classified from codes, {result.n['test']:,} test images", columns, tuple(rows))


def retrieval_table(result: CodeComparison, kind: str) -> Table:
    """How early images of the same style or artist come, with permuted labels, and the gain over each reference."""
    rows: list[tuple[Cell, ...]] = []
    names = [name for name in REFERENCES if any(name in row.map_gains.get(kind, {}) for row in result.rows)]
    for row in result.rows:
        scores = row.metrics.retrieval.get(kind)
        if scores is None:
            continue
        mean, std = scores.map_permuted
        chance, chance_std = scores.recall_at_1_permuted
        rows.append(
            (
                row.name,
                Number(scores.map_at_r, digits=3, interval=scores.map_interval),
                Number(mean, digits=3, std=std),
                *(_gain(row.map_gains.get(kind, {}).get(name)) for name in names),
                Number(scores.recall_at_1, "%", interval=scores.recall_at_1_interval),
                Number(chance, "%", std=chance_std),
                Number(scores.recall_at_10, "%"),
            )
        )
    gains = (f"MAP@R over {name}" for name in names)
    columns = ("codes", "MAP@R", "permuted", *gains, "recall@1", "recall@1, permuted", "recall@10")
    label, similarity = kind.split(", ")
    number = next(row.metrics.retrieval[kind].n for row in result.rows if kind in row.metrics.retrieval)
    return Table(f"Retrieval by {label}, {similarity}, {number:,} test images", columns, tuple(rows))


def _gain(estimate: Estimate | None) -> Number | None:
    return None if estimate is None else Number(estimate.value, "", 3, estimate.interval, signed=True)


def _note(result: CodeComparison) -> str:
    scores = [scores for row in result.rows for scores in row.clusters["train"].values()]
    seeds = max(len(one.over_seeds) for one in scores)
    parts = [f"Means over {seeds} seeds; ± is a standard deviation."] if seeds > 1 else []
    if scores[0].ami_interval:
        varied = "images and seed" if seeds > 1 else "images"
        parts.append(f"95 % intervals vary {varied}: half samples of the images, the clusters unchanged.")
    return " ".join(parts)
