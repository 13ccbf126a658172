"""`wikiart-classify rebalance`: balance the last layer of a trained network, in a run of its own."""

from dataclasses import replace
from pathlib import Path

from wikiart_classify.classifier import Classifier
from wikiart_classify.command_options import RebalanceOptions
from wikiart_classify.config import load_packed
from wikiart_classify.grad_cam import write_examples
from wikiart_classify.imbalance.methods import METHODS
from wikiart_classify.scores import TrainResult, read_result
from wikiart_classify.training import PART, finish, print_result
from wikiart_data.cli.commands import command_line
from wikiart_data.errors import InputError
from wikiart_data.training.run import Run, find_model, read_run_record


def rebalance(options: RebalanceOptions) -> TrainResult:
    """Write a new run with the balanced network, and print its metrics.

    Raises:
        InputError: there is no such run, it was trained with balancing, or its data is missing or has changed.
    """
    folder = find_model(options.model, options.runs, "classify").parent
    run, result = rebalance_run(folder, options)
    classifier = Classifier.load(run.folder, options.device)
    bad = classifier.config.max_bad_fraction
    write_examples(classifier, classifier.load_packed(cache_dir=options.cache_dir, max_bad_fraction=bad), run.folder)
    print_result(run, result)
    return result


def rebalance_run(folder: Path, options: RebalanceOptions) -> tuple[Run, TrainResult]:
    """Balance the network of a finished run by a post-hoc method.

    Args:
        folder: of the finished run.
        options: the method, and where the new run is written.

    Raises:
        InputError: as in `rebalance`.
    """
    classifier = Classifier.load(folder, options.device)
    trained = classifier.config
    if trained.balance != "none" or trained.power > 0:
        method = METHODS[trained.balance].label if trained.balance != "none" else f"--power {trained.power:g}"
        raise InputError(
            f"{folder} was trained with {method}: rebalancing would correct for the imbalance twice.", field=folder
        )
    if trained.is_baseline:
        raise InputError(f"{folder} is a baseline ({trained.model}), which cannot be rebalanced.", field=folder)
    config = replace(
        trained,
        balance=options.balance,
        resume=None,
        export=None,
        runs=options.runs,
        name=options.name,
        overwrite=options.overwrite,
        device=options.device,
        cache_dir=options.cache_dir,
    )
    if config.name is not None and (config.runs / PART.name / config.name).resolve() == folder.resolve():
        raise InputError(
            f"--name {config.name} is the run to be rebalanced: choose another name for the new one.", field="--name"
        )
    seconds = read_result(folder).train_seconds
    packed = load_packed(config)
    if packed.catalog.fingerprint != read_run_record(folder)["data"]["fingerprint"]:
        raise InputError(
            f"{packed.catalog.root} has changed since {folder} was trained on it; train a new run.", field="--data"
        )
    command = command_line("wikiart-classify rebalance", replace(options, model=folder))
    run = Run.start(PART, config, packed.catalog, command=command, balanced_from=str(folder))
    return run, finish(run, config, classifier.network, packed, classifier.device, classifier.bf16, seconds)
