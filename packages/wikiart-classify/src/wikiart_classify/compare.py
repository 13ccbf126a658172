"""`wikiart-classify compare`: train and tabulate many networks: models, methods, splits, recipes or training images.

Each run has a folder of its own below RUNS/compare-<what>/classify/. Finished runs are not repeated and interrupted
ones are resumed, so the command can be stopped and started again at any time.
"""

import time
from dataclasses import replace
from pathlib import Path

from wikiart_classify.command_options import CompareOptions, RebalanceOptions
from wikiart_classify.compare_rows import collect
from wikiart_classify.comparison import Comparison
from wikiart_classify.config import DEFAULTS, SAMPLE_DEFAULTS
from wikiart_classify.figures import DUMBBELL, dumbbell_figure, frontier_figure
from wikiart_classify.imbalance.methods import METHODS
from wikiart_classify.imbalance.rebalance import rebalance_run
from wikiart_classify.options import TrainOptions
from wikiart_classify.tables import print_comparison, tables
from wikiart_classify.training import fit
from wikiart_classify.variants import Variant, variants_of
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.results.folder import write_results
from wikiart_data.sample import is_sample_set
from wikiart_data.training.run import read_run_record

SIZE, EPOCHS = 64, 12
"""Defaults of each run in a comparison of methods or splits."""


def compare(options: CompareOptions) -> Comparison:
    """Run what is missing, then print the tables and write result.json, the page and the figures.

    Raises:
        InputError: the data cannot be used, a name is unknown, or a finished run had other options.
    """
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    options = replace(options, data=str(root), labels=None)  # the path of the data names them too
    folder = options.runs / f"compare-{options.what}"
    variants = variants_of(options)
    if options.train_on_valid:
        variants = _without_post_hoc(variants)
    seeds = range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds))
    paths = {(seed, name): folder / "classify" / f"{name}-{seed}" for seed in seeds for name in variants}
    # All options before the first training: what is refused, is refused at once.
    runs = [(key, path, run_options(options, variants[key[1]], key[0], path)) for key, path in paths.items()]
    began = time.monotonic()
    for number, ((seed, name), path, run) in enumerate(runs, 1):
        if options.budget_minutes is not None and time.monotonic() - began > 60 * options.budget_minutes:
            echo(f"{options.budget_minutes:g} minutes have passed: {len(runs) - number + 1} runs are left.")
            break
        echo(f"[{number}/{len(runs)}] {name}, seed {seed}: {path}")
        complete_run(run, path, rebalanced_from=path.parent / f"none-{seed}")
    comparison = collect(options, folder, variants, list(seeds))
    figures = {}
    if options.what == "imbalance":
        figures["frontier"] = frontier_figure(comparison)
        if sum(row.method in DUMBBELL for row in comparison.rows) > 1:
            figures["per-style"] = dumbbell_figure(comparison)
    write_results(folder, comparison, tables(comparison), figures)
    echo()
    print_comparison(comparison)
    echo(f"\nEverything is in {folder}/ (open index.html).")
    return comparison


def _without_post_hoc(variants: dict[str, Variant]) -> dict[str, Variant]:
    """The rows that need no images to choose a strength on, where valid is trained on as well."""
    left_out = [name for name, row in variants.items() if METHODS[row.options.get("balance", "none")].post_hoc]
    if left_out:
        echo(f"--train-on-valid leaves no images to choose a strength on; left out: {', '.join(left_out)}.")
    return {name: row for name, row in variants.items() if name not in left_out}


def run_options(options: CompareOptions, variant: Variant, seed: int, path: Path) -> TrainOptions:
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
        train_on_valid=options.train_on_valid,
    )
    size, epochs = options.size, options.epochs
    if options.what == "models":
        if (model := variant.options["model"]) != "small":
            size, epochs = None, None
        if options.quick:
            size, epochs = size or (64 if model == "small" else 128), epochs or 3
    elif options.quick:
        run, size, epochs = replace(run, model="tiny"), size or 48, epochs or 4
    else:
        run = replace(run, model=options.model)
        if options.what not in ("recipes", "data"):  # those are about training as it is by default
            size, epochs = size or SIZE, epochs or EPOCHS
    changes = dict(variant.options)
    if "epochs" in changes:
        defaults = SAMPLE_DEFAULTS if is_sample_set(options.data or "") else DEFAULTS
        changes["epochs"] = round(changes["epochs"] * (epochs or defaults.epochs))
    if "teacher" in changes:
        changes["teacher"] = path.with_name(f"{changes['teacher']}-{seed}")
    return replace(run, **{"size": size, "epochs": epochs, **changes})


def complete_run(run: TrainOptions, path: Path, rebalanced_from: Path | None = None) -> None:
    """Start or resume one run if it is not finished.

    Args:
        run: its options.
        path: its folder.
        rebalanced_from: the finished run whose network a post-hoc method changes.

    Raises:
        InputError: the run was made on other data or with other options.
    """
    if (path / "run.json").exists():
        record = read_run_record(path)
        assert run.data is not None
        fingerprint = scan(run.data, cache_dir=run.cache_dir).fingerprint
        _check_same(path, run, record["config"], record["data"]["fingerprint"] == fingerprint)
        if (path / "result.json").exists():
            return
    if (method := METHODS[run.balance].post_hoc) and rebalanced_from is not None:
        rebalancing = RebalanceOptions(
            balance=method,
            runs=run.runs,
            name=run.name,
            overwrite=True,
            device=run.device,
            cache_dir=run.cache_dir,
        )
        rebalance_run(rebalanced_from, rebalancing)
    elif (path / "last.safetensors").exists():
        fit(TrainOptions(resume=path, device=run.device, cache_dir=run.cache_dir))
    else:
        fit(run)


_MAY_DIFFER = ("data", "config", "runs", "name", "overwrite", "resume", "export", "device", "precision", "cache_dir")
"""Options that say where something is or how to go on, not what is trained."""


def _check_same(path: Path, run: TrainOptions, config: dict[str, object], same_data: bool) -> None:
    """Check that a run's folder holds the run of these options."""
    advice = "remove it, or compare in another folder with --runs."
    if not same_data:
        raise InputError(f"{path} was run on other data: {advice}", field=path)
    for option, value in vars(run).items():
        recorded = config.get(option)
        if isinstance(value, Path) and isinstance(recorded, str):  # absolute in run.json, but not in earlier versions
            value, recorded = value.resolve(), Path(recorded).resolve()
        compared = option not in _MAY_DIFFER and value is not None and option in config
        if compared and recorded != value:
            raise InputError(f"{path} was run with --{option} {config[option]}: {advice}", field=path)
