"""The rows of a comparison from its finished runs: metrics, paired differences, recall per style, an ensemble."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wikiart_classify.calibration import calibrated_nll
from wikiart_classify.classifier import Classifier, tta_logits
from wikiart_classify.command_options import CompareOptions
from wikiart_classify.comparison import (
    ComparedMethod,
    Comparison,
    Differences,
    RunMetrics,
    StyleRecalls,
    SweepPoint,
)
from wikiart_classify.config import load_packed
from wikiart_classify.imbalance.post_hoc import TAUS, adjusted_probabilities
from wikiart_classify.scores import Scores, read_result, score
from wikiart_classify.significance import PairedDifference, compare_paired, holm, style_weights
from wikiart_classify.variants import ENSEMBLE, FIRST, TITLES, Variant
from wikiart_data.errors import InputError
from wikiart_data.images.artists import known_artist
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.training.run import read_run_record

_SHARED_OPTIONS = ("batch_size", "artists", "mix_prob", "label_smoothing", "tau")


def collect(options: CompareOptions, folder: Path, variants: Mapping[str, Variant], seeds: Sequence[int]) -> Comparison:
    """The comparison of finished runs; with a budget, only of the seeds that every row has, or else of the first.

    Raises:
        InputError: no run is finished, or runs that are compared were evaluated on different images.
    """
    finished = {
        name: {seed for seed in seeds if (folder / "classify" / f"{name}-{seed}" / "result.json").exists()}
        for name in variants
    }
    names = [name for name in variants if seeds[0] in finished[name]]
    if not names or (options.what in FIRST and FIRST[options.what] not in names):
        raise InputError("No run is finished within the budget: there is nothing to compare.", field="--budget-minutes")
    seeds = [seed for seed in seeds if all(seed in finished[name] for name in names)]
    paths = {name: [folder / "classify" / f"{name}-{seed}" for seed in seeds] for name in names}
    split = "valid" if options.what == "recipes" else read_result(paths[names[0]][0]).final[0]
    rows = [
        ComparedMethod(
            method=name,
            label=variants[name].label,
            paper=variants[name].paper,
            runs=tuple(_run_metrics(seed, path, split) for seed, path in zip(seeds, paths[name], strict=True)),
        )
        for name in names
    ]
    if options.what == "recipes":
        rows = [with_calibrated_nll(row, paths[row.method], split) for row in rows]
    if options.what == "artists":
        rows = [row for given in rows for row in with_known_artists(options, given, paths[given.method])]
    if options.what in FIRST and len(rows) > 1:
        rows = with_differences(rows, paths, _predictions_file(paths[names[0]][0], split))
    if options.what == "recipes" and set(ENSEMBLE) <= set(names):
        rows.append(ensemble(options, [paths[name] for name in ENSEMBLE], rows))
    imbalance = options.what == "imbalance"
    first, record = rows[0].runs[0], read_run_record(paths[names[0]][0])
    shared = _SHARED_OPTIONS if options.what == "models" else ("size", "epochs", "model", *_SHARED_OPTIONS)
    return Comparison(
        kind=options.what,
        seeds=tuple(seeds),
        split=split,
        n=first.n,
        majority=first.majority,
        rows=tuple(rows),
        sweep=tau_sweep(options, paths["none"], split) if imbalance else (),
        per_style=recall_per_style(paths) if imbalance else (),
        title=TITLES[options.what],
        command=f"wikiart-classify compare {options.what}",
        options={name: record["config"][name] for name in shared},
        data_fingerprint=record["data"]["fingerprint"],
        **{name: record[name] for name in ("device", "processes", "versions", "git_commit")},
    )


def with_known_artists(options: CompareOptions, row: ComparedMethod, paths: list[Path]) -> list[ComparedMethod]:
    """A row of the given split, followed by the same scored on images by known artists only; other rows alone.

    A split by artist keeps images of unknown artists in train, so this is what it has to be compared with.
    """
    record = read_run_record(paths[0])
    if record["config"]["split"] != "given":
        return [row]
    catalog = _scan_data(record, options)
    artists = dict(zip(catalog.files, catalog.artists, strict=True))
    runs = []
    for run, path in zip(row.runs, paths, strict=True):
        with np.load(path / "predictions.npz") as arrays:
            known = np.array([known_artist(artists[file]) for file in arrays["files"].tolist()])
            probabilities, labels = arrays["probabilities"][known], arrays["labels"][known]
        scores = score(probabilities, labels, catalog.styles, catalog.counts("train"))
        runs.append(replace(run, **_metrics(scores)))
    known_only = replace(row, method=f"{row.method}-known", label=f"{row.label}, known artists only", runs=tuple(runs))
    return [row, known_only]


def with_calibrated_nll(row: ComparedMethod, paths: list[Path], split: str) -> ComparedMethod:
    """A row with `calibrated_nll` of every run whose predictions are there."""
    runs = []
    for run, path in zip(row.runs, paths, strict=True):
        if (file := path / _predictions_file(path, split)).exists():
            with np.load(file) as arrays:
                run = replace(run, calibrated_nll=calibrated_nll(arrays["probabilities"], arrays["labels"]))
        runs.append(run)
    return replace(row, runs=tuple(runs))


def with_differences(rows: list[ComparedMethod], paths: Mapping[str, list[Path]], file: str) -> list[ComparedMethod]:
    """The rows with their paired differences to the first; p values are adjusted over the rows (Holm).

    A row whose runs lack their predictions, as where only their JSON files were copied, has no differences.

    Args:
        rows: the first is the one that the others are compared with.
        paths: the runs of each row, one per seed.
        file: with the predictions of a run.
    """
    complete = [row for row in rows if all((path / file).exists() for path in paths[row.method])]
    if rows[0] not in complete or len(complete) == 1:
        return rows
    baseline_row, *others = complete
    labels, baseline = _correct(paths[baseline_row.method], file)
    weights = {"top1": np.full(len(labels), 1 / len(labels)), "balanced": style_weights(labels)}
    differences: dict[str, list[PairedDifference]] = {}
    for metric, weight in weights.items():
        pairs = []
        for row in others:
            _, correct = _correct([paths[baseline_row.method][0], *paths[row.method]], file)
            pairs.append(compare_paired(correct[1:], baseline, weight, labels))
        adjusted = holm([pair.p for pair in pairs])
        differences[metric] = [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]
    versus = {
        row.method: Differences(top1, balanced)
        for row, top1, balanced in zip(others, differences["top1"], differences["balanced"], strict=True)
    }
    return [replace(row, versus=versus.get(row.method)) for row in rows]


def ensemble(options: CompareOptions, members: list[list[Path]], rows: list[ComparedMethod]) -> ComparedMethod:
    """A row of the mean of several networks' probabilities on valid.

    Args:
        options: of the comparison.
        members: the runs of each member, one per seed.
        rows: with those of the members.
    """
    catalog = _scan_data(read_run_record(members[0][0]), options)
    runs = []
    for index, paths in enumerate(zip(*members, strict=True)):
        predictions, labels = [], np.empty(0)
        for path in paths:
            with np.load(path / _predictions_file(path, "valid")) as arrays:
                labels = arrays["labels"]
                predictions.append(arrays["probabilities"])
        mean = np.mean(predictions, axis=0)
        scores = score(mean, labels, catalog.styles, catalog.counts("train"))
        of_members = [row.runs[index] for row in rows if row.method in ENSEMBLE]
        runs.append(
            replace(
                of_members[0],
                **_metrics(scores),
                calibrated_nll=calibrated_nll(mean, labels),
                valid_top1=scores.top1,
                valid_balanced=scores.balanced,
                train_seconds=sum(run.train_seconds for run in of_members),
                parameters=sum(run.parameters for run in of_members),
                seconds_to_40_percent=None,
            )
        )
    return ComparedMethod("ensemble", "ensemble of the widths 0.75, 1 and 1.25", "", tuple(runs))


def _scan_data(record: Mapping[str, Any], options: CompareOptions) -> Catalog:
    """The data of a run by its run.json, with the label table and column if they were chosen."""
    data = record["data"]
    return scan(data.get("source") or data["root"], cache_dir=options.cache_dir)


def recall_per_style(paths: Mapping[str, list[Path]]) -> tuple[StyleRecalls, ...]:
    """Recall of every style that has scored images by method, means over seeds; the most frequent style first."""
    scores = {name: [read_result(path).final[1].per_style for path in runs] for name, runs in paths.items()}
    styles = next(iter(scores.values()))[0]
    rows = [
        StyleRecalls(
            style.style,
            style.train,
            style.n,
            {name: statistics.mean(run[index].recall or 0.0 for run in runs) for name, runs in scores.items()},
        )
        for index, style in enumerate(styles)
        if style.recall is not None
    ]
    return tuple(sorted(rows, key=lambda row: -row.train))


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


def _run_metrics(seed: int, path: Path, split: str) -> RunMetrics:
    result, config = read_result(path), read_run_record(path)["config"]
    return RunMetrics(
        seed=seed,
        **_metrics(result.valid if split == "valid" else result.final[1]),
        valid_top1=result.valid.top1,
        valid_balanced=result.valid.balanced,
        train_seconds=result.train_seconds,
        seconds_to_40_percent=result.seconds_to_40_percent,
        parameters=result.parameters,
        epochs=result.epochs,
        tau=result.tau,
        size=config["size"],
    )


_METRICS = (
    "n", "majority", "styles_scored", "top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece",
    "frequent", "nll",
)  # fmt: skip


def _metrics(scores: Scores) -> dict[str, Any]:
    return {name: getattr(scores, name) for name in _METRICS}


def _predictions_file(path: Path, split: str) -> str:
    """The file with a run's predictions on a split: valid has one of its own where there is a test split."""
    separate = split == "valid" and (path / "predictions-valid.npz").exists()
    return "predictions-valid.npz" if separate else "predictions.npz"


def _correct(paths: list[Path], file: str) -> tuple[np.ndarray, np.ndarray]:
    """True styles (N,), and which images each seed of a method classifies correctly (S, N) bool.

    Raises:
        InputError: the runs were evaluated on different images.
    """
    correct, labels, files = [], np.empty(0), None
    for path in paths:
        with np.load(path / file) as arrays:
            labels = arrays["labels"]
            correct.append(arrays["probabilities"].argmax(axis=1) == labels)
            if files is not None and not np.array_equal(files, arrays["files"]):
                raise InputError(
                    f"{path} was evaluated on other images than {paths[0]}: remove one of the two.", field=path
                )
            files = arrays["files"]
    return labels, np.stack(correct)
