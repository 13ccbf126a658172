"""`wikiart-stylegen evaluate`: whether repaints are in the target style and still show the input, with baselines.

The module is not called `evaluate`, so that the function `wikiart_stylegen.evaluate` is never hidden by a module of its
name.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.autoencoder import encode_packed
from wikiart_autoencode.evaluation.probes import code_metrics
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_results
from wikiart_data.results.statistics import Estimate, bootstrap_mean, proportion
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import use_bf16
from wikiart_data.training.run import read_run_record
from wikiart_stylegen.colour_transfer import transfer_to_styles
from wikiart_stylegen.command_options import EvaluateOptions
from wikiart_stylegen.config import TrainConfig
from wikiart_stylegen.distances import find_nearest_training, style_distances
from wikiart_stylegen.figures import evaluation_figure
from wikiart_stylegen.judging import JudgedImages, compare_at_same_mix, score_styles, score_variant
from wikiart_stylegen.metrics import assign_target_styles
from wikiart_stylegen.results import (
    EvaluationResult,
    JudgeSummary,
    SecondJudge,
    Sensitivity,
    StrengthScore,
    TrainingFacts,
    VariantScore,
    print_tables,
)
from wikiart_stylegen.targets import choose_target_styles, load_with_data
from wikiart_stylegen.transfer import StyleTransfer

STRENGTHS = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Strengths at which style and content are measured."""
BATCH_SIZE = 64


def evaluate(options: EvaluateOptions) -> EvaluationResult:
    """Evaluate a run, print the tables, and write `evaluation/` in the run's folder.

    The folder gets result.json, a figure, a page, and nearest.csv, which names the nearest training image of each
    repaint.

    Raises:
        InputError: there is no such run or judge, they are of other styles, the baseline was trained on other images,
            or the data cannot be used.
    """
    paths = [path for path in (options.judge, options.second_judge) if path is not None]
    file, transfer, packed, judges = load_with_data(options, paths)
    baseline = None if options.baseline is None else load_baseline(options.baseline, transfer)
    result, nearest = measure(transfer, judges[0], packed, options, baseline, *judges[1:])
    training, git_commit = _training_facts(file.parent, transfer.config), read_run_record(file.parent)["git_commit"]
    result = replace(result, training=training, git_commit=git_commit)
    folder = file.parent / "evaluation"
    tables = result.tables()
    write_results(folder, result, tables, {"evaluation": evaluation_figure(result)})
    write_bytes(folder / "nearest.csv", nearest.encode())
    print_tables(tables)
    echo(f"\nEverything is in {folder}/ (open {file.parent / 'index.html'}).")
    return result


def measure(
    transfer: StyleTransfer,
    judge: Judge,
    packed: PackedImages,
    options: EvaluateOptions,
    baseline: StyleTransfer | None = None,
    second_judge: Judge | None = None,
) -> tuple[EvaluationResult, str]:
    """Repaint the images of a split and measure style and content.

    Args:
        transfer: the trained network.
        judge: a classifier of the same styles that took no part in training.
        packed: the data, at the network's size.
        options: split, strength, number of images, target styles and seed.
        baseline: a second network of the same styles and size, for a row of its own.
        second_judge: another classifier of the same styles, whose accuracies stand beside the first one's.

    Returns:
        The result, which does not say how the network was trained, and a CSV text with the nearest training image of
        each repaint.

    Raises:
        InputError: the split has no images, or there are fewer than two target styles.
    """
    catalog, seed = packed.catalog, options.seed
    rows = _choose_rows(packed, options)
    allowed = choose_target_styles(packed, options.min_train_images)
    labels = catalog.labels[rows]
    targets = assign_target_styles(labels, allowed.tolist(), seed)
    images = torch.cat(list(DeviceImages(packed).in_order(rows, BATCH_SIZE, packed.size)))
    strength = options.strength

    def judged(label: str, pictures: Tensor, target_styles: np.ndarray) -> JudgedImages:
        echo(f"{label} …")
        return JudgedImages(label, pictures, target_styles, *judge.predict_batches(pictures, BATCH_SIZE))

    def repaint(styles: np.ndarray, strength: float, network: StyleTransfer = transfer) -> Tensor:
        return network.repaint_batch(images, torch.from_numpy(styles), strength)

    recoloured = transfer_to_styles(packed, images, targets)
    permuted = _derangement(allowed, len(catalog.styles), seed)
    variants = {
        "mismatched": judged("repainted in another style", repaint(targets, strength), targets),
        "matched": judged("repainted in its own style", repaint(labels, strength), labels),
        "shuffled": judged("conditioned on a shuffled style", repaint(permuted[targets], strength), targets),
        "null": judged("conditioned on the null style", repaint(targets, 0.0), targets),
        "unchanged": judged("the input itself", images, targets),
        "colour_transfer": judged("colour statistics transferred", recoloured, targets),
    }
    if baseline is not None:
        label = f"{baseline.config.conditioning} baseline"
        variants["concat"] = judged(label, repaint(targets, 1.0, baseline), targets)
    scores = {name: score_variant(variant, images, seed) for name, variant in variants.items()}
    real = judged("real paintings of the style", images, labels)
    among_targets = np.isin(labels, allowed)
    if among_targets.any():
        top1, top3 = (proportion(real.recognised(k)[among_targets]) for k in (1, 3))
        scores["real"] = VariantScore(real.label, top1, top3)
    mismatched, colour = variants["mismatched"], variants["colour_transfer"]
    all_styles, recognised_styles, unrecognised = compare_at_same_mix(mismatched, colour, real, catalog.styles, seed)
    train_rows = packed.rows("train")
    train_features = judge.predict_batches(DeviceImages(packed).in_order(train_rows, BATCH_SIZE, packed.size))[1]
    nearest_training, nearest = find_nearest_training(packed, rows, mismatched, real.features, train_features)
    strengths = []
    for value in STRENGTHS:
        variant = judged(f"strength {value:g}", repaint(targets, value), targets)
        strengths.append(StrengthScore(value, score_variant(variant, images, seed)))
    other_targets = assign_target_styles(targets, allowed.tolist(), seed + 1)
    truth = None
    if is_sample_set(catalog.root):
        from wikiart_stylegen.ground_truth import compare_with_truth

        candidates = {"repaint": mismatched.images, "input": images, "colour transfer": recoloured}
        truth = compare_with_truth(packed, rows, targets, candidates)
    result = EvaluationResult(
        split=options.split,
        n=len(rows),
        styles=len(allowed),
        judge=_summary(judge),
        second_judge=_second_opinion(second_judge, variants, real, catalog.styles, seed) if second_judge else None,
        size=packed.size,
        strength=strength,
        data_fingerprint=catalog.fingerprint,
        variants=scores,
        per_style=tuple(score_styles(packed, allowed, mismatched, colour, real)),
        kid=tuple(style_distances(packed, allowed, mismatched, colour, real.features, train_features)),
        leakage=code_metrics(
            encode_packed(
                transfer.network.encoder, packed, transfer.device, use_bf16(transfer.device, transfer.config.precision)
            ),
            permutations=3,
        ),
        strengths=tuple(strengths),
        sensitivity=Sensitivity(
            _mean_change(repaint(other_targets, strength), mismatched.images),
            _mean_change(variants["matched"].images, images),
        ),
        all_styles=all_styles,
        recognised_styles=recognised_styles,
        unrecognised=unrecognised,
        nearest_training=nearest_training,
        truth=truth,
    )
    return result, nearest


def load_baseline(run: Path, transfer: StyleTransfer) -> StyleTransfer:
    """Load a network whose repaints are compared with those of another one.

    Args:
        run: its folder or model.safetensors.
        transfer: the network that is evaluated.

    Raises:
        InputError: there is no such run, or its styles, its size or its half of the artists are others.
    """
    baseline = StyleTransfer.load(run, device=transfer.device)
    if baseline.styles != transfer.styles:
        raise InputError(f"--baseline {run} was trained on other styles than the evaluated run.", field="--baseline")
    for name in ("size", "artist_half"):
        its, expected = getattr(baseline.config, name), getattr(transfer.config, name)
        if its != expected:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"--baseline {run} was trained with {option} {its}, the evaluated run with {option} {expected}: their "
                "repaints cannot be compared.",
                field="--baseline",
            )
    return baseline


def _training_facts(run: Path, config: TrainConfig) -> TrainingFacts | None:
    """How the network of a run was trained; None while it is not finished."""
    try:
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    record = read_run_record(run)
    options = {name: getattr(config, name) for name in ("seed", "conditioning", "artist_half", "batch_size", "width")}
    costs = {name: result[name] for name in ("epochs", "train_seconds", "parameters")}
    return TrainingFacts(**options, **costs, device=record["device"], processes=record["processes"])


def _second_opinion(
    judge: Judge, variants: dict[str, JudgedImages], real: JudgedImages, styles: tuple[str, ...], seed: int
) -> SecondJudge:
    """The accuracies of another judge on the same images."""
    echo("second judge …")
    judged = {
        name: JudgedImages(
            images.label,
            images.images,
            images.target_styles,
            *judge.predict_batches(images.images, BATCH_SIZE),
        )
        for name, images in {**variants, "real": real}.items()
    }
    among_targets = np.isin(real.target_styles, np.unique(variants["mismatched"].target_styles))
    top1 = {name: proportion(images.recognised()) for name, images in judged.items() if name != "real"}
    if among_targets.any():
        top1["real"] = proportion(judged["real"].recognised()[among_targets])
    mixes = compare_at_same_mix(judged["mismatched"], judged["colour_transfer"], judged["real"], styles, seed)
    return SecondJudge(_summary(judge), top1, *mixes)


def _summary(judge: Judge) -> JudgeSummary:
    names = ("seed", "network", "width", "top1", "top3", "split")
    return JudgeSummary(**{name: getattr(judge.info, name) for name in names})


def _choose_rows(packed: PackedImages, options: EvaluateOptions) -> np.ndarray:
    rows = packed.rows(options.split)
    if not len(rows):
        raise InputError(f"{packed.catalog.root} has no images in {options.split}.", field="--split")
    if len(rows) <= options.max_images:
        return rows
    return np.sort(np.random.default_rng(options.seed).choice(rows, options.max_images, replace=False))


def _derangement(allowed: np.ndarray, num_styles: int, seed: int) -> np.ndarray:
    """(num_styles,): each allowed style mapped to another allowed one."""
    random = np.random.default_rng(seed)
    shuffled = allowed[random.permutation(len(allowed))]
    while (shuffled == allowed).any():
        shuffled = allowed[random.permutation(len(allowed))]
    mapping = np.arange(num_styles)
    mapping[allowed] = shuffled
    return mapping


def _mean_change(a: Tensor, b: Tensor) -> Estimate:
    return bootstrap_mean((a - b).abs().mean(dim=(1, 2, 3)).numpy())
