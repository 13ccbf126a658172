"""`wikiart-classify compare`: train many networks on one budget: networks, methods against imbalance, or two splits.

Each run has a folder of its own below RUNS/compare-<what>/classify/. Finished runs are not repeated and interrupted
ones are resumed, so the command can be stopped and started again at any time.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wikiart_classify.classifier import Classifier, tta_logits
from wikiart_classify.comparison import ComparedMethod, Comparison, Differences, RunMetrics, SweepPoint
from wikiart_classify.config import load_packed
from wikiart_classify.figures import frontier_figure
from wikiart_classify.imbalance.methods import METHODS
from wikiart_classify.imbalance.post_hoc import TAUS, adjusted_probabilities
from wikiart_classify.imbalance.rebalance import rebalance_run
from wikiart_classify.options import CompareOptions, RebalanceOptions, TrainOptions
from wikiart_classify.scores import Scores, read_result, score
from wikiart_classify.significance import PairedDifference, compare_paired, holm, style_weights
from wikiart_classify.tables import print_comparison, tables
from wikiart_classify.training import fit
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.artists import known_artist
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.results.folder import write_results
from wikiart_data.training.run import read_run_record

MODELS = {
    "inclass": "the course's in-class network",
    "threeblock": "three blocks, the best public one",
    "small": "ours",
}
SPLITS = {
    "given": "the given split",
    "artist": "no artist in two splits",
}
TITLES = {
    "models": "Networks compared",
    "imbalance": "Methods against class imbalance compared",
    "artists": "Splits with and without shared artists compared",
}
KNOWN_ARTISTS = "the given split, known artists only"
SIZE, EPOCHS = 64, 12
"""Defaults of each run in a comparison of methods or splits."""
_SHARED_OPTIONS = ("batch_size", "artists", "mix_prob", "label_smoothing", "tau")


def compare(options: CompareOptions) -> Comparison:
    """Run what is missing, then print the tables and write result.json, the page and the figure.

    Raises:
        InputError: the data cannot be used, a name is unknown, or a finished run had other options.
    """
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    options = replace(options, data=str(root), labels=None)  # the path of the data names them too
    fingerprint = scan(root, cache_dir=options.cache_dir).fingerprint
    folder = options.runs / f"compare-{options.what}"
    names = selected(options)
    seeds = range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds))
    runs = [(seed, name) for seed in seeds for name in names]
    for number, (seed, name) in enumerate(runs, 1):
        path = folder / "classify" / f"{name}-{seed}"
        echo(f"[{number}/{len(runs)}] {name}, seed {seed}: {path}")
        complete_run(options, name, seed, path, fingerprint)
    comparison = collect(options, folder, names, list(seeds))
    figures = {"frontier": frontier_figure(comparison)} if options.what == "imbalance" else {}
    write_results(folder, comparison, tables(comparison), figures)
    echo()
    print_comparison(comparison)
    echo(f"\nEverything is in {folder}/ (open index.html).")
    return comparison


def selected(options: CompareOptions) -> list[str]:
    """Names of the networks, methods or splits to run, in the order of the table.

    Raises:
        InputError: a name is unknown.
    """
    known = list({"models": MODELS, "imbalance": METHODS, "artists": SPLITS}[options.what])
    if unknown := sorted(set(options.only) - set(known)):
        raise InputError(
            f"--only {', '.join(unknown)}: compare {options.what} knows {', '.join(known)}.", field="--only"
        )
    names = [name for name in known if name in options.only or not options.only]
    # Post-hoc methods start from the unbalanced network, and every method is compared with it.
    return ["none", *names] if options.what == "imbalance" and "none" not in names else names


def run_options(options: CompareOptions, name: str, seed: int, path: Path) -> TrainOptions:
    """The options of one training run."""
    run = TrainOptions(
        data=options.data,
        runs=path.parent.parent,
        name=path.name,
        overwrite=True,
        seed=seed,
        device=options.device,
        cache_dir=options.cache_dir,
        max_bad_fraction=options.max_bad_fraction,
    )
    if options.what == "models":
        size, epochs = (options.size, options.epochs) if name == "small" else (None, None)
        if options.quick:
            size, epochs = size or (64 if name == "small" else 128), epochs or 3
        return replace(run, model=name, size=size, epochs=epochs)
    model, size, epochs = ("tiny", 48, 4) if options.quick else (options.model, SIZE, EPOCHS)
    run = replace(run, model=model, size=options.size or size, epochs=options.epochs or epochs)
    return replace(run, balance=name) if options.what == "imbalance" else replace(run, split=name)


def complete_run(options: CompareOptions, name: str, seed: int, path: Path, fingerprint: str) -> None:
    """Start or resume one run if it is not finished.

    Raises:
        InputError: the run was made on other data or with other options.
    """
    run = run_options(options, name, seed, path)
    if (path / "run.json").exists():
        record = read_run_record(path)
        _check_same(path, run, record["config"], record["data"]["fingerprint"] == fingerprint)
        if (path / "result.json").exists():
            return
    if method := METHODS[run.balance].post_hoc:
        rebalancing = RebalanceOptions(
            balance=method,
            runs=run.runs,
            name=run.name,
            overwrite=True,
            device=run.device,
            cache_dir=run.cache_dir,
        )
        rebalance_run(path.parent / f"none-{seed}", rebalancing)
    elif (path / "last.safetensors").exists():
        fit(TrainOptions(resume=path, device=options.device, cache_dir=options.cache_dir))
    else:
        fit(run)


def _check_same(path: Path, run: TrainOptions, config: dict[str, object], same_data: bool) -> None:
    """Check that a run's folder holds the run of these options."""
    advice = "remove it, or compare in another folder with --runs."
    if not same_data:
        raise InputError(f"{path} was run on other data: {advice}", field=path)
    for option in ("model", "size", "epochs", "seed", "balance", "split"):
        value = getattr(run, option)
        if value is not None and config[option] != value:
            raise InputError(f"{path} was run with --{option} {config[option]}: {advice}", field=path)


def collect(options: CompareOptions, folder: Path, names: list[str], seeds: list[int]) -> Comparison:
    """The comparison of finished runs."""
    paths = {name: [folder / "classify" / f"{name}-{seed}" for seed in seeds] for name in names}
    labels = {name: method.label for name, method in METHODS.items()} | MODELS | SPLITS
    rows = [
        ComparedMethod(
            method=name,
            label=labels[name],
            paper=METHODS[name].paper if options.what == "imbalance" else "",
            runs=tuple(_run_metrics(seed, path) for seed, path in zip(seeds, paths[name], strict=True)),
        )
        for name in names
    ]
    split, first = read_result(paths[names[0]][0]).final
    sweep: tuple[SweepPoint, ...] = ()
    if options.what == "artists" and "given" in names:
        rows.insert(1, known_artists_row(options, rows[0], paths["given"]))
    if options.what == "imbalance":
        rows = with_differences(rows, paths)
        sweep = tau_sweep(options, paths["none"], split)
    record = read_run_record(paths[names[0]][0])
    shared = _SHARED_OPTIONS if options.what == "models" else ("size", "epochs", "model", *_SHARED_OPTIONS)
    return Comparison(
        kind=options.what,
        seeds=tuple(seeds),
        split=split,
        n=first.n,
        majority=first.majority,
        rows=tuple(rows),
        sweep=sweep,
        title=TITLES[options.what],
        command=f"wikiart-classify compare {options.what}",
        options={name: record["config"][name] for name in shared},
        data_fingerprint=record["data"]["fingerprint"],
        **{name: record[name] for name in ("device", "processes", "versions", "git_commit")},
    )


def known_artists_row(options: CompareOptions, given: ComparedMethod, paths: list[Path]) -> ComparedMethod:
    """The row of the given split, scored on images by known artists only.

    A split by artist keeps images of unknown artists in train, so this is what it has to be compared with.
    """
    catalog = scan(read_run_record(paths[0])["data"]["root"], cache_dir=options.cache_dir)
    artists = dict(zip(catalog.files, catalog.artists, strict=True))
    runs = []
    for run, path in zip(given.runs, paths, strict=True):
        with np.load(path / "predictions.npz") as arrays:
            known = np.array([known_artist(artists[file]) for file in arrays["files"].tolist()])
            probabilities, labels = arrays["probabilities"][known], arrays["labels"][known]
        scores = score(probabilities, labels, catalog.styles, catalog.counts("train"))
        runs.append(replace(run, **_metrics(scores)))
    return replace(given, method="given-known", label=KNOWN_ARTISTS, runs=tuple(runs))


def with_differences(rows: list[ComparedMethod], paths: dict[str, list[Path]]) -> list[ComparedMethod]:
    """The rows with their paired differences to no balancing; p values are adjusted over the methods (Holm)."""
    others = [row for row in rows if row.method != "none"]
    labels, baseline = _correct(paths["none"])
    weights = {"top1": np.full(len(labels), 1 / len(labels)), "balanced": style_weights(labels)}
    differences: dict[str, list[PairedDifference]] = {}
    for metric, weight in weights.items():
        pairs = []
        for row in others:
            _, correct = _correct([paths["none"][0], *paths[row.method]])
            pairs.append(compare_paired(correct[1:], baseline, weight, labels))
        adjusted = holm([pair.p for pair in pairs])
        differences[metric] = [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]
    versus = {
        row.method: Differences(top1, balanced)
        for row, top1, balanced in zip(others, differences["top1"], differences["balanced"], strict=True)
    }
    return [replace(row, versus=versus.get(row.method)) for row in rows]


def tau_sweep(options: CompareOptions, paths: list[Path], split: str) -> tuple[SweepPoint, ...]:
    """Top-1 and balanced accuracy of the unbalanced networks at every strength of logit adjustment."""
    classifiers = [Classifier.load(path, options.device) for path in paths]
    packed = load_packed(replace(classifiers[0].config, cache_dir=options.cache_dir))
    counts = torch.from_numpy(packed.catalog.counts("train")).float()
    labels = packed.catalog.labels[packed.rows(split)]
    images, weights = DeviceImages(packed, classifiers[0].device), style_weights(labels)
    points: dict[float, list[tuple[float, float]]] = {tau: [] for tau in TAUS}
    for classifier in classifiers:
        logits = tta_logits(classifier.network, images, split, classifier.config.size, classifier.bf16)
        for tau in TAUS:
            probabilities = adjusted_probabilities(logits, "post-hoc", tau, counts, counts)
            correct = probabilities.argmax(dim=1).numpy() == labels
            points[tau].append((float(correct.mean()), float(correct @ weights)))
    return tuple(
        SweepPoint(tau, statistics.mean(top1 for top1, _ in pairs), statistics.mean(balanced for _, balanced in pairs))
        for tau, pairs in points.items()
    )


def _run_metrics(seed: int, path: Path) -> RunMetrics:
    result, config = read_result(path), read_run_record(path)["config"]
    return RunMetrics(
        seed=seed,
        **_metrics(result.final[1]),
        valid_top1=result.valid.top1,
        valid_balanced=result.valid.balanced,
        train_seconds=result.train_seconds,
        seconds_to_40_percent=result.seconds_to_40_percent,
        parameters=result.parameters,
        epochs=result.epochs,
        tau=result.tau,
        size=config["size"],
    )


_METRICS = ("n", "majority", "styles_scored", "top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece")


def _metrics(scores: Scores) -> dict[str, Any]:
    return {name: getattr(scores, name) for name in _METRICS}


def _correct(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """True styles (N,), and which images each seed of a method classifies correctly (S, N) bool.

    Raises:
        InputError: the runs were evaluated on different images.
    """
    correct, labels, files = [], np.empty(0), None
    for path in paths:
        with np.load(path / "predictions.npz") as arrays:
            labels = arrays["labels"]
            correct.append(arrays["probabilities"].argmax(axis=1) == labels)
            if files is not None and not np.array_equal(files, arrays["files"]):
                raise InputError(
                    f"{path} was evaluated on other images than {paths[0]}: remove one of the two.", field=path
                )
            files = arrays["files"]
    return labels, np.stack(correct)
