"""`wikiart-cluster compare`: style in codes, in pixels, in colours, in an untrained encoder, and chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_autoencode.clustering.cluster_codes import catalog_of, find_codes
from wikiart_autoencode.clustering.config import ClusterOptions, CompareOptions, Method
from wikiart_autoencode.clustering.density import Parameters
from wikiart_autoencode.clustering.methods import cluster
from wikiart_autoencode.clustering.scores import ClusteringScores, agreement, mean_and_std
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation.baseline_codes import baseline_codes, judge_codes
from wikiart_autoencode.evaluation.probes import CodeMetrics, code_metrics
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.packed import pack
from wikiart_data.results.folder import write_results
from wikiart_data.results.serialization import from_plain
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.run import read_run_record


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

    def spread(self, name: str, unit: str = "", digits: int = 3) -> Number:
        """Mean and standard deviation over seeds of a field of `SeedScores`."""
        mean, std = mean_and_std([getattr(scores, name) for scores in self.over_seeds or (self,)])
        return Number(mean, unit, digits, std=std if len(self.over_seeds) > 1 else None)


@dataclass(frozen=True)
class CodeRow:
    """One kind of code."""

    space: str
    """Its name."""
    dimensions: int
    clusters: dict[str, dict[Method, MethodScores]]
    """By split (train, test) and method."""
    space_measures: CodeMetrics


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


def compare(options: CompareOptions) -> CodeComparison:
    """Measure every kind of code, print the tables, and write RUNS/compare-codes/result.json.

    Raises:
        InputError: codes, data or the judge cannot be used.
    """
    source = ClusterOptions(
        data=options.data,
        runs=options.runs,
        device=options.device,
        cache_dir=options.cache_dir,
        max_bad_fraction=options.max_bad_fraction,
    )
    paths = [path / "codes.npz" if path.is_dir() else path for path in options.codes] or [find_codes(source)]
    loaded = [Codes.load(path) for path in paths]
    first = loaded[0]
    catalog = catalog_of(paths[0], source, first)
    for path, codes in zip(paths, loaded, strict=True):
        if set(codes.files) != set(first.files):
            raise InputError(
                f"{path} was computed from other pictures than {paths[0]}: they cannot be compared.", field=path
            )
    device = create_accelerator(options.device).device
    size = _image_size(paths[0])
    packed = pack(catalog, size, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)

    seeds = range(options.seed, options.seed + options.seeds)
    kinds = {_description(path): [codes] * len(seeds) for path, codes in zip(paths, loaded, strict=True)}
    for seed in seeds:
        for name, codes in baseline_codes(packed, first.codes.shape[1], device, seed):
            kinds.setdefault(name, []).append(codes)
    if options.judge:
        kinds["judge (trained with labels)"] = [judge_codes(options.judge, packed, device)] * len(seeds)

    rows = []
    for name, codes_by_seed in kinds.items():
        echo(f"{name} …")
        # Test is clustered separately from train: a judge, and only a judge, has memorised the labels of train.
        clusters: dict[str, dict[Method, MethodScores]] = {
            split: {method: method_scores(codes_by_seed, split, method, options) for method in options.methods}
            for split in ("train", "test")
        }
        codes = codes_by_seed[0]
        rows.append(CodeRow(name, codes.codes.shape[1], clusters, code_metrics(codes, seed=options.seed)))
    counts = {split: len(first.rows(split)) for split in ("train", "valid", "test")}
    result = CodeComparison(options.seed, counts, catalog.fingerprint, tuple(rows))
    folder = options.runs / "compare-codes"
    write_results(folder, result, tables(result), {})
    echo()
    print_tables(result)
    echo(f"Everything is in {folder}/ (open index.html).")
    return result


def print_tables(result: CodeComparison) -> None:
    """Print the tables of a comparison, separated by empty lines."""
    for table in tables(result):
        print_table(table)
        echo()


def tables(result: CodeComparison) -> list[Table]:
    """AMI of methods × codes, more of each method, then how well style is classified and retrieved from each code."""
    methods = list(result.rows[0].clusters["train"])
    shown = [ami_table(result, split) for split in ("train", "test")] if len(methods) > 1 else []
    shown += [method_table(result, method) for method in methods]
    accuracies: list[tuple[str | Number | None, ...]] = []
    for row in result.rows:
        m = row.space_measures
        accuracies.append(
            (
                row.space,
                Number(m.knn_top1, "%", interval=m.knn_top1_interval),
                Number(m.knn_balanced, "%", interval=m.knn_balanced_interval),
                Number(m.probe_top1, "%", interval=m.probe_top1_interval),
                Number(m.probe_balanced, "%", interval=m.probe_balanced_interval),
            )
        )
    first = result.rows[0].space_measures
    majority, chance = Number(first.majority, "%"), Number(first.chance, "%")
    accuracies.append(("majority style", majority, chance, majority, chance))
    columns = ("codes", "20-NN", "20-NN, balanced", "linear probe", "linear probe, balanced")
    shown.append(Table(f"Style classified from codes, {result.n['test']:,} test images", columns, tuple(accuracies)))
    kinds = dict.fromkeys(kind for row in result.rows for kind in row.space_measures.retrieval)
    return shown + [retrieval_table(result, kind) for kind in kinds]


def ami_table(result: CodeComparison, split: str) -> Table:
    """AMI of clusters and styles by code and method."""
    methods = list(result.rows[0].clusters[split])
    rows = [(row.space, *(row.clusters[split][method].spread("ami") for method in methods)) for row in result.rows]
    permuted = [result.rows[0].clusters[split][method].ami_permuted for method in methods]
    rows.append(("permuted labels", *(Number(mean, digits=3, std=std) for mean, std in permuted)))
    title = f"AMI of clusters and styles, {result.n[split]:,} images of {split}"
    return Table(title, ("codes", *methods), tuple(rows), _seeds_note(result))


def method_table(result: CodeComparison, method: Method) -> Table:
    """The clusters that a method finds in each code of train, and their agreement with styles."""
    rows = []
    for row in result.rows:
        train, test = row.clusters["train"][method], row.clusters["test"][method]
        mean, std = train.ami_permuted
        rows.append(
            (
                row.space,
                train.spread("ami"),
                Number(mean, digits=3, std=std),
                test.spread("ami"),
                train.spread("nmi"),
                train.spread("ari"),
                Number(train.purity, digits=3),
                Number(train.silhouette, digits=3),
                train.spread("clusters", digits=0),
                train.spread("noise", "%", 0),
            )
        )
    columns = ("codes", "AMI", "permuted", "AMI on test", "NMI", "ARI", "purity", "silhouette", "clusters", "noise")
    title = f"Clusters by {method}, {result.n['train']:,} training images"
    return Table(title, columns, tuple(rows), _seeds_note(result))


def _seeds_note(result: CodeComparison) -> str:
    seeds = max(len(scores.over_seeds) for row in result.rows for scores in row.clusters["train"].values())
    return f"± is the standard deviation over {seeds} seeds." if seeds > 1 else ""


def retrieval_table(result: CodeComparison, kind: str) -> Table:
    """How early images of the same style or artist come, with permuted labels."""
    rows: list[tuple[str | Number | None, ...]] = []
    for row in result.rows:
        scores = row.space_measures.retrieval.get(kind)
        if scores is None:
            continue
        mean, std = scores.map_permuted
        chance, chance_std = scores.recall_at_1_permuted
        rows.append(
            (
                row.space,
                Number(scores.map_at_r, digits=3),
                Number(mean, digits=3, std=std),
                Number(scores.recall_at_1, "%"),
                Number(chance, "%", std=chance_std),
                Number(scores.recall_at_10, "%"),
            )
        )
    columns = ("codes", "MAP@R", "permuted", "recall@1", "recall@1, permuted", "recall@10")
    label, similarity = kind.split(", ")
    number = next(row.space_measures.retrieval[kind].n for row in result.rows if kind in row.space_measures.retrieval)
    return Table(f"Retrieval by {label}, {similarity}, {number:,} test images", columns, tuple(rows))


def method_scores(codes_by_seed: Sequence[Codes], split: str, method: Method, options: CompareOptions) -> MethodScores:
    """Cluster the codes of one split with each seed, into at most half as many clusters as there are codes.

    Args:
        codes_by_seed: what each seed clusters; the same codes unless their encoder is random.
        split: train or test.
        method: of clustering.
        options: number of clusters and the first seed.
    """
    first, over_seeds = None, []
    for seed, codes in enumerate(codes_by_seed, options.seed):
        selected = codes.select(split)
        clustering = cluster(selected, method, min(options.clusters, len(selected) // 2), seed)
        first = first or clustering
        values = agreement(clustering.labels, selected.labels)
        over_seeds.append(
            SeedScores(values.ami, values.nmi, values.ari, clustering.noise_fraction, clustering.n_clusters)
        )
    assert first is not None
    return MethodScores(
        **vars(first.scores), parameters=first.parameters, note=first.note, over_seeds=tuple(over_seeds)
    )


def _image_size(path: Path) -> int:
    """Side of the images that codes were computed from, if the file lies in a run folder; otherwise 128."""
    return read_run_record(path.parent)["config"]["size"] if (path.parent / "run.json").exists() else 128


def _description(path: Path) -> str:
    """The form of the codes and their objective, if the file lies in a run folder; otherwise its name."""
    if not (path.parent / "run.json").exists():
        return path.stem
    config = read_run_record(path.parent)["config"]
    form = f"vector code ({config['code']})" if config["code"] else "spatial code"
    return form if config["objective"] == "none" else f"{form}, {config['objective']}"
