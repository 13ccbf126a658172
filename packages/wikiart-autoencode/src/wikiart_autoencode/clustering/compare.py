"""`wikiart-cluster compare`: style in codes, in pixels, in colours, in an untrained encoder, and chance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_autoencode.clustering.cluster_codes import catalog_of, find_codes
from wikiart_autoencode.clustering.config import ClusterOptions, CompareOptions, Method
from wikiart_autoencode.clustering.density import Parameters
from wikiart_autoencode.clustering.methods import cluster
from wikiart_autoencode.clustering.scores import ClusteringScores
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


@dataclass(frozen=True, kw_only=True, repr=False)
class MethodScores(ClusteringScores):
    """Scores of one method on one kind of code."""

    parameters: Parameters
    note: str = ""


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

    def kinds_of_codes() -> Iterator[tuple[str, Codes]]:
        for path, codes in zip(paths, loaded, strict=True):
            yield _description(path), codes
        yield from baseline_codes(packed, first.codes.shape[1], device, options.seed)
        if options.judge:
            yield "judge (trained with labels)", judge_codes(options.judge, packed, device)

    rows = []
    for name, codes in kinds_of_codes():
        echo(f"{name} …")
        # Test is clustered separately from train: a judge, and only a judge, has memorised the labels of train.
        clusters: dict[str, dict[Method, MethodScores]] = {
            split: {method: method_scores(codes, split, method, options) for method in options.methods}
            for split in ("train", "test")
        }
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
    """For each method the agreement of clusters and styles; then how well style is classified from each code."""
    shown = []
    for method in result.rows[0].clusters["train"]:
        rows: list[tuple[str | Number | None, ...]] = []
        for row in result.rows:
            train, test = row.clusters["train"][method], row.clusters["test"][method]
            mean, std = train.ami_permuted
            values = (train.ami, test.ami, train.ari, train.purity, train.silhouette)
            ami, *others = (Number(value, digits=3) for value in values)
            rows.append((row.space, Number(row.dimensions), ami, Number(mean, digits=3, std=std), *others))
        columns = ("codes", "dimensions", "AMI", "AMI, permuted labels", "AMI on test", "ARI", "purity", "silhouette")
        title = f"Clusters by {method}, {result.n['train']:,} training images"
        shown.append(Table(title, columns, tuple(rows)))
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
    if any(row.space_measures.style_retrieval is not None for row in result.rows):
        shown.append(retrieval_table(result))
    return shown


def retrieval_table(result: CodeComparison) -> Table:
    """MAP@R for style and for artist, with permuted labels."""
    rows: list[tuple[str | Number | None, ...]] = []
    for row in result.rows:
        cells = []
        for kind in ("style", "artist"):
            mean, std = getattr(row.space_measures, f"{kind}_retrieval_permuted") or (None, None)
            cells += [
                Number(getattr(row.space_measures, f"{kind}_retrieval"), digits=3),
                Number(mean, digits=3, std=std),
            ]
        rows.append((row.space, *cells))
    columns = ("codes", "style", "style, permuted", "artist", "artist, permuted")
    return Table(f"Retrieval among {result.n['test']:,} test images, MAP@R by cosine", columns, tuple(rows))


def method_scores(codes: Codes, split: str, method: Method, options: CompareOptions) -> MethodScores:
    """Cluster the codes of one split, into at most half as many clusters as there are codes, and score the result."""
    selected = codes.select(split)
    clustering = cluster(selected, method, min(options.clusters, len(selected) // 2), options.seed)
    return MethodScores(**vars(clustering.scores), parameters=clustering.parameters, note=clustering.note)


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
