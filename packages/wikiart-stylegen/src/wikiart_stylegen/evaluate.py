"""`wikiart-stylegen evaluate`: whether repaints are in the target style and still show the input, with baselines."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.autoencoder import encode_packed
from wikiart_autoencode.evaluation.image_metrics import ssim
from wikiart_autoencode.evaluation.probes import code_metrics
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_results
from wikiart_data.results.statistics import Estimate, bootstrap_mean, feature_scale, in_top_k, kid, proportion
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import use_bf16
from wikiart_data.training.run import find_model, read_run_record
from wikiart_stylegen.colour_transfer import colour_statistics, transfer_colours
from wikiart_stylegen.config import EvaluateOptions
from wikiart_stylegen.figures import evaluation_figure
from wikiart_stylegen.metrics import assign_target_styles, edge_correlation, retrieval
from wikiart_stylegen.results import (
    EvaluationResult,
    JudgeSummary,
    NearestTraining,
    SameMix,
    Sensitivity,
    StrengthScore,
    StyleKid,
    StyleScore,
    VariantScore,
    print_tables,
)
from wikiart_stylegen.transfer import StyleTransfer

MIN_TRAIN_IMAGES, MIN_TRAIN_IMAGES_ON_SAMPLE = 50, 1
"""Defaults of --min-train-images: in general, and on the sample set."""
STRENGTHS = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Strengths at which style and content are measured."""
MIN_KID_IMAGES, MAX_KID_IMAGES = 8, 300
"""Fewest repaints of a style, and most training images, for its KID."""
COLOUR_IMAGES = 100
"""Training images from which the colour statistics of a style are taken, at most."""
COPY_PERCENTILE = 5
BATCH_SIZE = 64


@dataclass(frozen=True)
class _Images:
    """Images that were meant to be of certain styles, and what the judge makes of them."""

    label: str
    images: Tensor
    """(N, 3, S, S) float in [0, 1]"""
    target_styles: np.ndarray
    """(N,)"""
    probabilities: Tensor
    """(N, styles)"""
    features: Tensor
    """(N, F)"""

    def recognised(self, k: int = 1) -> np.ndarray:
        """(N,) bool: whether the target style is among the judge's first k."""
        return in_top_k(self.probabilities, torch.from_numpy(self.target_styles), k)


def evaluate(options: EvaluateOptions) -> EvaluationResult:
    """Evaluate a run, print the tables, and write `evaluation/` in the run's folder.

    The folder gets result.json, a figure, a page, and nearest.csv, which names the nearest training image of each
    repaint.

    Raises:
        InputError: there is no such run or judge, they are of other styles, or the data cannot be used.
    """
    file = find_model(options.model, options.runs, "stylegen")
    transfer = StyleTransfer.load(file, device=options.device)
    root = find_data(options.data or transfer.config.data, options.cache_dir)
    catalog = scan(root, cache_dir=options.cache_dir)
    judge = Judge.load(options.judge, transfer.device)
    for source, styles in ((file, transfer.styles), (options.judge, judge.styles)):
        if styles != catalog.styles:
            raise InputError(f"{source} was trained on other styles than {catalog.root} has.", field=source)
    packed = pack(catalog, transfer.config.size, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)
    baseline = None if options.baseline is None else StyleTransfer.load(options.baseline, device=options.device)
    result, nearest = measure(transfer, judge, packed, options, baseline, read_run_record(file.parent)["git_commit"])
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
    git_commit: str | None = None,
) -> tuple[EvaluationResult, str]:
    """Repaint the images of a split and measure style and content.

    Args:
        transfer: the trained network.
        judge: a classifier of the same styles that took no part in training.
        packed: the data, at the network's size.
        options: split, strength, number of images, target styles and seed.
        baseline: a second network, trained with `concat`, for a row of its own.
        git_commit: of the run, for the result.

    Returns:
        The result, and a CSV text with the nearest training image of each repaint.

    Raises:
        InputError: the split has no images, or there are fewer than two target styles.
    """
    catalog, seed = packed.catalog, options.seed
    rows = _choose_rows(packed, options)
    allowed = _choose_target_styles(packed, options)
    labels = catalog.labels[rows]
    targets = assign_target_styles(labels, allowed.tolist(), seed)
    images = torch.cat(list(DeviceImages(packed).in_order(rows, BATCH_SIZE, packed.size)))
    strength = options.strength

    def judged(label: str, pictures: Tensor, target_styles: np.ndarray) -> _Images:
        echo(f"{label} …")
        return _Images(label, pictures, target_styles, *judge.predict_batches(pictures, BATCH_SIZE))

    def repaint(styles: np.ndarray, strength: float, network: StyleTransfer = transfer) -> Tensor:
        return network.repaint_batch(images, torch.from_numpy(styles), strength)

    recoloured = _transfer_colours(packed, images, targets)
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
        variants["concat"] = judged("concat baseline", repaint(targets, 1.0, baseline), targets)
    scores = {name: score_variant(variant, images, seed) for name, variant in variants.items()}
    real = judged("real paintings of the style", images, labels)
    among_targets = np.isin(labels, allowed)
    scores["real"] = VariantScore(
        real.label, proportion(real.recognised()[among_targets]), proportion(real.recognised(3)[among_targets])
    )
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
        judge=JudgeSummary(
            **{key: getattr(judge.info, key) for key in ("seed", "network", "width", "top1", "top3", "split")}
        ),
        size=packed.size,
        strength=strength,
        data_fingerprint=catalog.fingerprint,
        git_commit=git_commit,
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


def score_variant(variant: _Images, inputs: Tensor, seed: int) -> VariantScore:
    """Whether the judge recognises the target style, and how much of the inputs (N, 3, S, S) is left.

    Args:
        variant: the images.
        inputs: (N, 3, S, S), what they were made from.
        seed: of the galleries in which an input is looked for.
    """
    return VariantScore(
        variant.label,
        proportion(variant.recognised()),
        proportion(variant.recognised(3)),
        bootstrap_mean(ssim(variant.images, inputs).numpy()),
        bootstrap_mean(edge_correlation(variant.images, inputs)),
        proportion(retrieval(variant.images, inputs, seed=seed)),
    )


def compare_at_same_mix(
    repaints: _Images, colour: _Images, real: _Images, styles: tuple[str, ...], seed: int
) -> tuple[SameMix | None, SameMix | None, tuple[str, ...]]:
    """Judge accuracy of repaints and of real paintings, both at the mix of styles that the repaints have.

    Targets are drawn uniformly, real paintings come in their natural mix: averaged as they are, the two accuracies are
    over different styles.

    Returns:
        Over all target styles of which there are real paintings, over those that the judge recognises in at least one
        of them, and the names of the others. None where no style is left.
    """
    targets = np.unique(repaints.target_styles)
    with_real = targets[np.isin(targets, real.target_styles)]
    correct = real.recognised()
    recognised = with_real[[bool(correct[real.target_styles == label].any()) for label in with_real]]
    unrecognised = tuple(styles[label] for label in with_real if label not in recognised)
    mixes = [
        SameMix(
            tuple(styles[label] for label in labels),
            proportion(repaints.recognised()[np.isin(repaints.target_styles, labels)]),
            proportion(colour.recognised()[np.isin(colour.target_styles, labels)]),
            _weighted_accuracy(correct, real.target_styles, repaints.target_styles, labels, seed),
        )
        if len(labels)
        else None
        for labels in (with_real, recognised)
    ]
    return mixes[0], mixes[1], unrecognised


def _weighted_accuracy(
    correct: np.ndarray, labels: np.ndarray, target_styles: np.ndarray, styles: np.ndarray, seed: int
) -> Estimate:
    """Mean accuracy over styles weighted by their frequency among the targets, with a bootstrap within each style."""
    weights = np.array([(target_styles == style).sum() for style in styles], dtype=float)
    weights /= weights.sum()
    totals = np.array([(labels == style).sum() for style in styles])
    accuracies = np.array([correct[labels == style].mean() for style in styles])
    # Drawing the images of a style again and counting the correct ones is a binomial draw.
    draws = np.random.default_rng(seed).binomial(totals, accuracies, size=(2000, len(styles))) / totals
    low, high = np.percentile(draws @ weights, [2.5, 97.5])
    return Estimate(float(accuracies @ weights), (float(low), float(high)), int(totals.sum()))


def score_styles(
    packed: PackedImages, allowed: np.ndarray, repaints: _Images, colour: _Images, real: _Images
) -> Iterable[StyleScore]:
    """Judge accuracy for each target style that occurs."""
    counts, styles = packed.catalog.counts("train"), packed.catalog.styles
    for label in allowed:
        selected, selected_real = repaints.target_styles == label, real.target_styles == label
        if selected.any():
            yield StyleScore(
                styles[label],
                int(counts[label]),
                proportion(repaints.recognised()[selected]),
                proportion(real.recognised()[selected_real]) if selected_real.any() else None,
                proportion(colour.recognised()[selected]),
            )


def style_distances(
    packed: PackedImages,
    allowed: np.ndarray,
    repaints: _Images,
    colour: _Images,
    input_features: Tensor,
    train_features: Tensor,
) -> Iterable[StyleKid]:
    """KID on the judge's features, for each target style with enough repaints, to its real training images."""
    train_labels = packed.catalog.labels[packed.rows("train")]
    for label in allowed:
        selected = repaints.target_styles == label
        if selected.sum() < MIN_KID_IMAGES:
            continue
        rows = np.flatnonzero(train_labels == label)
        rows = np.sort(np.random.default_rng(0).choice(rows, min(MAX_KID_IMAGES, len(rows)), replace=False))
        if len(rows) < 2:  # one image has no distance within its set
            continue
        features = train_features[rows]
        yield StyleKid(
            packed.catalog.styles[label],
            kid(features, repaints.features[selected]),
            kid(features, input_features[selected]),
            kid(features, colour.features[selected]),
        )


def find_nearest_training(
    packed: PackedImages, rows: np.ndarray, repaints: _Images, held_out_features: Tensor, train_features: Tensor
) -> tuple[NearestTraining, str]:
    """Distances of repaints to their nearest training images, compared with those of held-out real images.

    Euclidean, on the judge's features, in units of their root mean square.

    Args:
        packed: the data.
        rows: (N,) rows of the inputs.
        repaints: made from them.
        held_out_features: (N, F) of the inputs.
        train_features: (M, F) of all training images.

    Returns:
        The comparison, and a CSV text: input, target style, nearest training image, distance.
    """
    catalog, scale = packed.catalog, feature_scale(train_features)
    distances, nearest = (_pairwise_distances(repaints.features, train_features) / scale).min(dim=1)
    held_out = (_pairwise_distances(held_out_features, train_features) / scale).min(dim=1).values
    threshold = float(np.percentile(held_out.numpy(), COPY_PERCENTILE))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["input", "target_style", "nearest_training_image", "distance"])
    train_rows = packed.rows("train")
    for row, label, index, distance in zip(rows, repaints.target_styles, nearest, distances, strict=True):
        source, training_image = Path(catalog.files[row]), Path(catalog.files[train_rows[int(index)]])
        writer.writerow([source.as_posix(), catalog.styles[label], training_image.as_posix(), f"{float(distance):.4f}"])
    comparison = NearestTraining(
        threshold,
        proportion((distances < threshold).numpy()),
        float(distances.median()),
        float(held_out.median()),
    )
    return comparison, text.getvalue()


def _pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, M). Not by the product of both, which loses small distances to cancellation."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _choose_rows(packed: PackedImages, options: EvaluateOptions) -> np.ndarray:
    rows = packed.rows(options.split)
    if not len(rows):
        raise InputError(f"{packed.catalog.root} has no images in {options.split}.", field="--split")
    if len(rows) <= options.max_images:
        return rows
    return np.sort(np.random.default_rng(options.seed).choice(rows, options.max_images, replace=False))


def _choose_target_styles(packed: PackedImages, options: EvaluateOptions) -> np.ndarray:
    """Labels of the styles with enough training images; all of them where the default leaves fewer than two."""
    counts = packed.catalog.counts("train")
    default = MIN_TRAIN_IMAGES_ON_SAMPLE if is_sample_set(packed.catalog.root) else MIN_TRAIN_IMAGES
    minimum = default if options.min_train_images is None else options.min_train_images
    allowed = np.flatnonzero(counts >= minimum)
    if len(allowed) >= 2:
        return allowed
    if options.min_train_images is not None:
        raise InputError(
            f"--min-train-images {minimum}: fewer than two styles have so many training images.",
            field="--min-train-images",
        )
    return np.arange(len(counts))


def _derangement(allowed: np.ndarray, num_styles: int, seed: int) -> np.ndarray:
    """(num_styles,): each allowed style mapped to another allowed one."""
    random = np.random.default_rng(seed)
    shuffled = allowed[random.permutation(len(allowed))]
    while (shuffled == allowed).any():
        shuffled = allowed[random.permutation(len(allowed))]
    mapping = np.arange(num_styles)
    mapping[allowed] = shuffled
    return mapping


def _transfer_colours(packed: PackedImages, images: Tensor, target_styles: np.ndarray) -> Tensor:
    """Images (N, 3, S, S) with the colour statistics of their target styles' training images."""
    train, labels, device_images = packed.rows("train"), packed.catalog.labels, DeviceImages(packed)
    recoloured = torch.empty_like(images)
    for label in np.unique(target_styles):
        rows = train[labels[train] == label]
        rows = np.sort(np.random.default_rng(0).choice(rows, min(COLOUR_IMAGES, len(rows)), replace=False))
        statistics = colour_statistics(next(device_images.in_order(rows, COLOUR_IMAGES, packed.size)))
        selected = torch.from_numpy(target_styles == label)
        recoloured[selected] = transfer_colours(images[selected], statistics)
    return recoloured


def _mean_change(a: Tensor, b: Tensor) -> Estimate:
    return bootstrap_mean((a - b).abs().mean(dim=(1, 2, 3)).numpy())
