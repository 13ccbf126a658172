"""`wikiart-cluster compare`: style in codes, in pixels, in colours, in an untrained encoder, and chance."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from wikiart_autoencode.clustering.cluster_codes import catalog_of, find_codes
from wikiart_autoencode.clustering.comparison import (
    REFERENCES,
    CodeComparison,
    CodeRow,
    MethodScores,
    SeedScores,
    print_tables,
    tables,
)
from wikiart_autoencode.clustering.config import ClusterOptions, CompareOptions, Method
from wikiart_autoencode.clustering.intervals import ResampledAgreement, difference, interval, resampled_agreement
from wikiart_autoencode.clustering.methods import cluster, number_of_clusters
from wikiart_autoencode.clustering.scores import agreement
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation.baseline_codes import baseline_codes, judge_codes
from wikiart_autoencode.evaluation.probes import code_metrics
from wikiart_autoencode.evaluation.retrieval import QueryScores, query_scores_of_test
from wikiart_autoencode.figures import ami_figure
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.packed import pack
from wikiart_data.results.folder import write_results
from wikiart_data.results.statistics import Estimate, bootstrap_mean
from wikiart_data.training.device import select_device
from wikiart_data.training.run import read_run_record


def compare(options: CompareOptions) -> CodeComparison:
    """Measure every kind of code, print the tables, and write RUNS/compare-codes/result.json.

    Raises:
        InputError: codes, data or the judge cannot be used, or a split has no codes.
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
    if empty := [split for split in SPLITS if not len(first.rows(split))]:
        raise InputError(
            f"{paths[0]} has no codes of {' and '.join(empty)}: codes are compared on test, after fitting on train and "
            "choosing on valid.",
            field=paths[0],
        )
    catalog = catalog_of(paths[0], source, first)
    loaded = [_aligned(codes, first, path) for path, codes in zip(paths, loaded, strict=True)]
    device = select_device(options.device)
    size = _image_size(paths[0])
    packed = pack(catalog, size, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)

    seeds = range(options.seed, options.seed + options.seeds)
    kinds = {name: [codes] * len(seeds) for name, codes in zip(_names(paths), loaded, strict=True)}
    for seed in seeds:
        for name, codes in baseline_codes(packed, first.codes.shape[1], device, seed):
            kinds.setdefault(name, []).append(_aligned(codes, first, paths[0]))
    if options.judge:
        codes = _aligned(judge_codes(options.judge, packed, device), first, paths[0])
        kinds["judge (trained with labels)"] = [codes] * len(seeds)

    rows, samples = [], {}
    for name, codes_by_seed in kinds.items():
        echo(f"{name} …")
        clusters: dict[str, dict[Method, MethodScores]] = {}
        # Test is clustered separately from train: a judge, and only a judge, has memorised the labels of train.
        for split, method in product(("train", "test"), options.methods):
            scores, samples[name, split, method] = method_scores(codes_by_seed, split, method, options)
            clusters.setdefault(split, {})[method] = scores
        codes = codes_by_seed[0]
        rows.append(CodeRow(name, codes.codes.shape[1], clusters, code_metrics(codes, seed=options.seed)))
    queries = {name: query_scores_of_test(codes_by_seed[0]) for name, codes_by_seed in kinds.items()}
    rows = with_gains(rows, samples, queries, options.seed)
    counts = {split: len(first.rows(split)) for split in SPLITS}
    result = CodeComparison(options.seed, counts, catalog.fingerprint, tuple(rows))
    folder = options.runs / "compare-codes"
    write_results(folder, result, tables(result), {"ami": ami_figure(result)})
    echo()
    print_tables(result)
    echo(f"Everything is in {folder}/ (open index.html).")
    return result


def method_scores(
    codes_by_seed: Sequence[Codes], split: str, method: Method, options: CompareOptions
) -> tuple[MethodScores, ResampledAgreement]:
    """Cluster the codes of one split with each seed, into at most half as many clusters as there are codes.

    Args:
        codes_by_seed: what each seed clusters; the same codes unless their encoder is random.
        split: train or test.
        method: of clustering.
        options: number of clusters and the first seed.

    Returns:
        The scores, and those of half samples.
    """
    clusterings, over_seeds = [], []
    for seed, codes in enumerate(codes_by_seed, options.seed):
        selected = codes.select(split)
        n_clusters = number_of_clusters(codes, options.clusters)
        clustering = cluster(selected, method, min(n_clusters, len(selected) // 2), seed)
        clusterings.append(clustering)
        values = agreement(clustering.labels, selected.labels)
        over_seeds.append(
            SeedScores(values.ami, values.nmi, values.ari, clustering.noise_fraction, clustering.n_clusters)
        )
    labels = codes_by_seed[0].labels[codes_by_seed[0].rows(split)]
    samples = resampled_agreement([clustering.labels for clustering in clusterings], labels, options.seed)
    first = clusterings[0]
    scores = MethodScores(
        **vars(first.scores), parameters=first.parameters, note=first.note, over_seeds=tuple(over_seeds)
    )
    return replace(
        scores,
        ami_interval=interval(scores.mean("ami"), samples.ami),
        nmi_interval=interval(scores.mean("nmi"), samples.nmi),
        ari_interval=interval(scores.mean("ari"), samples.ari),
    ), samples


def with_gains(
    rows: Sequence[CodeRow],
    samples: Mapping[tuple[str, str, Method], ResampledAgreement],
    queries: Mapping[str, Mapping[str, QueryScores]],
    seed: int,
) -> list[CodeRow]:
    """The rows with their differences to each of REFERENCES, in AMI and in MAP@R.

    Args:
        rows: of all kinds of code, the references among them.
        samples: by kind of code, split and method.
        queries: by kind of code and kind of retrieval.
        seed: of the bootstrap over queries.
    """
    by_name = {row.name: row for row in rows}
    references = [name for name in REFERENCES if name in by_name]

    def ami_gain(row: CodeRow, split: str, method: Method, reference: str) -> Estimate:
        scores, others = row.clusters[split][method], by_name[reference].clusters[split][method]
        halves, of_reference = samples[row.name, split, method], samples[reference, split, method]
        return difference(scores.mean("ami"), others.mean("ami"), halves.ami, of_reference.ami, scores.n)

    def map_gain(name: str, kind: str, reference: str) -> Estimate:
        own, others = queries[name][kind], queries[reference][kind]
        return bootstrap_mean(own.average_precision - others.average_precision, seed)

    def gains(row: CodeRow) -> CodeRow:
        others = [reference for reference in references if reference != row.name]
        clusters = {
            split: {
                method: replace(scores, ami_gains={name: ami_gain(row, split, method, name) for name in others})
                for method, scores in methods.items()
            }
            for split, methods in row.clusters.items()
        }
        kinds = {kind: {name: map_gain(row.name, kind, name) for name in others} for kind in queries[row.name]}
        return replace(row, clusters=clusters, map_gains=kinds)

    return [gains(row) for row in rows]


def _aligned(codes: Codes, first: Codes, path: Path) -> Codes:
    """The codes of the pictures of `first`, in its order: differences are paired picture by picture.

    Raises:
        InputError: a picture is missing.
    """
    row_of = {file: row for row, file in enumerate(codes.files.tolist())}
    rows = [row_of.get(file) for file in first.files.tolist()]
    if None in rows or len(row_of) < len(codes):
        raise InputError(
            f"{path} was computed from other pictures than the others: they cannot be compared.", field=path
        )
    return codes.select(np.array(rows))


def _image_size(path: Path) -> int:
    """Side of the images that codes were computed from, if the file lies in a run folder; otherwise 128."""
    return read_run_record(path.parent)["config"]["size"] if (path.parent / "run.json").exists() else 128


def _names(paths: Sequence[Path]) -> list[str]:
    """A description of each file of codes; of two alike, the folder says which is which."""
    names = [_description(path) for path in paths]
    return [
        f"{name}, {path.parent.name}" if names.count(name) > 1 else name
        for name, path in zip(names, paths, strict=True)
    ]


def _description(path: Path) -> str:
    """The form of the codes and their objective, if the file lies in a run folder; otherwise its name."""
    if not (path.parent / "run.json").exists():
        return path.stem
    config = read_run_record(path.parent)["config"]
    form = f"vector code ({config['code']})" if config["code"] else "spatial code"
    return form if config["objective"] == "none" else f"{form}, {config['objective']}"
