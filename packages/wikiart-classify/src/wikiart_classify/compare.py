"""`wikiart-classify compare`: many runs beside one another: networks, balancing methods, or two ways to split the data.

Each run has a folder of its own below RUNS/compare-<what>/classify/. What is finished is not run again and what was
broken off goes on, so the command can be stopped and started as often as one likes.
"""

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wikiart_classify.after import TAUS, adjusted, views
from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import CompareConfig, TrainConfig
from wikiart_classify.figures import frontier_figure
from wikiart_classify.methods import METHODS
from wikiart_classify.paired import compare_paired, holm, style_weights
from wikiart_classify.rebalance import rebalanced
from wikiart_classify.report import show_comparison
from wikiart_classify.scores import scores
from wikiart_classify.train import fit, open_pack
from wikiart_data.cli.commands import options_from
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.artists import known_artist
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.results.folder import write_results
from wikiart_data.results.guessed_tables import guessed_tables
from wikiart_data.training.device import create_accelerator, use_bf16
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
KNOWN = "the given split, artist known"
SIZE, EPOCHS = 64, 12
"""Of each run of a comparison of methods or splits, where the command line does not say."""
_FIGURES = ("n", "majority", "styles_scored", "top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece")


def compare(config: CompareConfig) -> None:
    """Run what is missing, then print the table and write result.json and the figure.

    Raises:
        InputError: the data cannot be used, a name is no method, or a finished run had other options.
    """
    root = find_data(config.data, config.cache_dir)
    config = replace(config, data=str(root))
    fingerprint = scan(root, cache_dir=config.cache_dir).fingerprint
    folder = config.runs / f"compare-{config.what}"
    names = chosen(config)
    seeds = range(config.first_seed, config.first_seed + (1 if config.quick else config.seeds))
    total = len(names) * len(seeds)
    for number, (seed, name) in enumerate(((seed, name) for seed in seeds for name in names), 1):
        path = folder / "classify" / f"{name}-{seed}"
        echo(f"[{number}/{total}] {name}, seed {seed}: {path}")
        one_run(config, name, seed, path, fingerprint)
    result = collect(config, folder, names, list(seeds))
    figures = {"frontier": frontier_figure(result)} if config.what == "imbalance" else {}
    write_results(folder, result, guessed_tables(result), figures)
    echo()
    show_comparison(result)
    echo(f"\nEverything is in {folder}/ (open index.html; result.json, a folder a run).")


def chosen(config: CompareConfig) -> list[str]:
    """The methods or networks to run, in the order of the table.

    Raises:
        InputError: a name is unknown.
    """
    known = list({"models": MODELS, "imbalance": METHODS, "artists": SPLITS}[config.what])
    if odd := sorted(set(config.only) - set(known)):
        raise InputError(f"{', '.join(odd)}: compare {config.what} knows {', '.join(known)}.")
    names = [name for name in known if name in config.only or not config.only]
    # Methods that work after training start from the unbalanced network, and all are compared with it.
    return ["none", *names] if config.what == "imbalance" and "none" not in names else names


def options_of(config: CompareConfig, name: str, seed: int, path: Path) -> dict[str, Any]:
    """Options of one run, as TrainConfig names them."""
    options: dict[str, Any] = {"runs": path.parent.parent, "name": path.name, "seed": seed, "device": config.device}
    options |= {"data": config.data, "cache_dir": config.cache_dir, "bad_limit": config.bad_limit}
    if config.what != "models":
        model, size, epochs = ("tiny", 48, 4) if config.quick else (config.model, SIZE, EPOCHS)
        options |= {"model": model, "size": config.size or size, "epochs": config.epochs or epochs}
        options["balance" if config.what == "imbalance" else "split"] = name
    else:
        quick = {"size": 64 if name == "small" else 128, "epochs": 3} if config.quick else {}
        given = {"size": config.size, "epochs": config.epochs} if name == "small" else {}
        options |= {"model": name, **quick, **{key: value for key, value in given.items() if value is not None}}
    return options


def one_run(config: CompareConfig, name: str, seed: int, path: Path, fingerprint: str) -> None:
    """Make sure that one run is finished, on the data with this fingerprint."""
    options = options_of(config, name, seed, path)
    if (path / "run.json").exists():
        record = read_run_record(path)
        before = record["config"]
        if record["data"]["fingerprint"] != fingerprint:
            raise InputError(f"{path} was run on other data: remove it, or compare in another folder with --runs.")
        asked = {key: options[key] for key in ("model", "size", "epochs", "seed", "balance", "split") if key in options}
        other = {key: before[key] for key, value in asked.items() if before[key] != value}
        if other:
            had = ", ".join(f"--{key} {value}" for key, value in other.items())
            raise InputError(f"{path} was run with {had}: remove it, or compare in another folder with --runs.")
        if (path / "result.json").exists():
            return
    after = METHODS[options.get("balance", "none")].after
    if after:
        rebalanced(path.parent / f"none-{seed}", name, {**_places(options), "overwrite": True})
    elif (path / "last.safetensors").exists():
        fit(TrainConfig(resume=path, device=config.device, cache_dir=config.cache_dir))
    else:
        fit(options_from(TrainConfig, {**options, "overwrite": True}))


def _places(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("runs", "name", "device", "cache_dir")}


def collect(config: CompareConfig, folder: Path, names: list[str], seeds: list[int]) -> dict[str, Any]:
    """What result.json holds."""
    paths = {name: [folder / "classify" / f"{name}-{seed}" for seed in seeds] for name in names}
    results = {name: [_read(path) for path in paths[name]] for name in names}
    record = read_run_record(paths[names[0]][0])
    split = "test" if "test" in results[names[0]][0] else "valid"
    first = results[names[0]][0][split]
    shared = () if config.what == "models" else ("size", "epochs", "model")
    labels = {name: method.label for name, method in METHODS.items()} | MODELS | SPLITS
    result: dict[str, Any] = {
        "kind": config.what,
        "command": f"wikiart-classify compare {config.what}",
        "seeds": seeds,
        "split": split,
        "n": first["n"],
        "majority": first["majority"],
        "options": {key: record["config"][key] for key in (*shared, *_SHARED)},
        "data_fingerprint": record["data"]["fingerprint"],
        **{key: record[key] for key in ("device", "processes", "versions", "git_commit")},
        "rows": [
            {
                "method": name,
                "label": labels[name],
                "paper": METHODS[name].source if config.what == "imbalance" else "",
                "runs": [
                    _row(seed, one, read_run_record(path), split)
                    for seed, one, path in zip(seeds, results[name], paths[name], strict=True)
                ],
                "versus": None,
            }
            for name in names
        ],
    }
    if config.what == "artists" and "given" in names:
        result["rows"].insert(1, known_row(config, result["rows"][0], paths["given"]))
    if config.what == "imbalance":
        against_none(result, paths)
        result["sweep"] = sweep(config, paths["none"], split)
    return result


_SHARED = ("batch_size", "artists", "mixing", "label_smoothing", "tau")


def _read(path: Path) -> dict[str, Any]:
    return json.loads((path / "result.json").read_text(encoding="utf-8"))


def _row(seed: int, result: dict[str, Any], record: dict[str, Any], split: str) -> dict[str, Any]:
    about = {key: result.get(key) for key in ("train_seconds", "seconds_to_40_percent", "parameters", "epochs", "tau")}
    return {
        "seed": seed,
        **{key: result[split][key] for key in _FIGURES},
        "valid_top1": result["valid"]["top1"],
        "valid_balanced": result["valid"]["balanced"],
        **about,
        "size": record["config"]["size"],
    }


def known_row(config: CompareConfig, given: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
    """The given split once more, scored on pictures by known artists alone.

    The others never leave train when a split goes by artist, so only this is a fair partner.
    """
    catalog = scan(read_run_record(paths[0])["data"]["root"], cache_dir=config.cache_dir)
    artists = dict(zip(catalog.files, catalog.artists, strict=True))
    runs = []
    for run, path in zip(given["runs"], paths, strict=True):
        with np.load(path / "predictions.npz") as kept:
            known = np.array([known_artist(artists[file]) for file in kept["files"].tolist()])
            answers, labels = kept["probabilities"][known], kept["labels"][known]
        found = scores(answers, labels, catalog.styles, catalog.counts("train"))
        runs.append({**run, **{key: found[key] for key in _FIGURES}})
    return {**given, "method": "given-known", "label": KNOWN, "runs": runs}


def against_none(result: dict[str, Any], paths: dict[str, list[Path]]) -> None:
    """Fill in each row's paired comparison with no balancing, p values adjusted over the methods (Holm)."""
    labels, base = _hits(paths["none"])
    weights = {"top1": np.full(len(labels), 1 / len(labels)), "balanced": style_weights(labels)}
    others = [row for row in result["rows"] if row["method"] != "none"]
    for row in others:
        _, hits = _hits([paths["none"][0], *paths[row["method"]]])
        row["versus"] = {key: compare_paired(hits[1:], base, weight, labels) for key, weight in weights.items()}
    for key in weights:
        for row, p in zip(others, holm([row["versus"][key]["p"] for row in others]), strict=True):
            row["versus"][key]["p_holm"] = p


def _hits(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """True styles (N,) and hits (S, N) bool of a method's seeds."""
    hits, files = [], None
    for path in paths:
        with np.load(path / "predictions.npz") as kept:
            labels = kept["labels"]
            hits.append(kept["probabilities"].argmax(axis=1) == labels)
            if files is not None and not np.array_equal(files, kept["files"]):
                raise InputError(f"{path} was tested on other pictures than {paths[0]}: remove one of them.")
            files = kept["files"]
    return labels, np.stack(hits)


def sweep(config: CompareConfig, paths: list[Path], split: str) -> list[dict[str, float]]:
    """Top-1 and balanced accuracy of the unbalanced networks at every strength of logit adjustment."""
    device = create_accelerator(config.device).device
    packed = open_pack(
        replace(options_from(TrainConfig, read_run_record(paths[0])["config"]), cache_dir=config.cache_dir)
    )
    counts = torch.from_numpy(packed.catalog.counts("train")).float()
    labels = packed.catalog.labels[packed.rows(split)]
    pictures, weights = DeviceImages(packed, device), style_weights(labels)
    found: dict[float, list[tuple[float, float]]] = {tau: [] for tau in TAUS}
    for path in paths:
        trained = load_network(path / "model.safetensors")
        network = trained.network.to(device, memory_format=torch.channels_last)
        bf16 = use_bf16(device, trained.config["precision"])
        logits = views(network, pictures, split, trained.config["size"], bf16)
        for tau in TAUS:
            hits = adjusted(logits, "post-hoc", tau, counts, counts).argmax(dim=1).numpy() == labels
            found[tau].append((float(hits.mean()), float(hits @ weights)))
    return [
        {
            "tau": tau,
            "top1": statistics.mean(top1 for top1, _ in figures),
            "balanced": statistics.mean(balanced for _, balanced in figures),
        }
        for tau, figures in found.items()
    ]
