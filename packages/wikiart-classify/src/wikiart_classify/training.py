"""`wikiart-classify train`: the training loop, readable from top to bottom."""

import copy
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_classify.classifier import Network, create_network, predict_split, score_split
from wikiart_classify.config import TrainConfig, load_packed, resolve_config
from wikiart_classify.export import check_target, export
from wikiart_classify.figures import confusion_figure, learning_curve, recall_figure
from wikiart_classify.imbalance.losses import balanced_mixup, loss_for_epoch, partial_cross_entropy
from wikiart_classify.imbalance.methods import METHODS, sampler_power
from wikiart_classify.imbalance.post_hoc import balance_head
from wikiart_classify.multitask import MultiTaskModel, task_labels
from wikiart_classify.network import StyleNet
from wikiart_classify.options import ExportOptions, TrainOptions
from wikiart_classify.scores import Scores, TrainResult
from wikiart_classify.tables import print_scores, tables
from wikiart_data.console import echo
from wikiart_data.images.augment import NO_AUGMENTATION, Augment, mixup_cutmix
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.packed import PackedImages
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.run import Part, Run
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_data.training.training_run import TrainingRun

PART = Part(
    name="classify",
    title="A classifier of painting styles",
    command="wikiart-classify",
    next_commands=("wikiart-classify predict IMAGE --model RUN", "wikiart-classify rebalance RUN"),
)
START_SIZE, GROWTH = 0.4, 0.8
"""Training images grow from this fraction of the full size to all of it, over this fraction of the epochs."""
CROP = (0.2, 1.0)
"""Smallest and largest fraction of an image's area that a training crop keeps."""
MIXUP_ALPHA = 0.4
"""Parameter of the Beta distribution of MixUp's weight."""


def train(options: TrainOptions | TrainConfig) -> TrainResult | None:
    """Train, evaluate, write the run folder and print the metrics.

    Returns:
        The result; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used, or training diverges.
    """
    if options.export is not None:
        check_target(options.export, options.overwrite)
    run, result = fit(options)
    if result is not None:
        print_result(run, result)
        if run.config.export is not None:
            export(ExportOptions(run.folder, to=run.config.export, overwrite=run.config.overwrite))
    return result


def fit(options: TrainOptions | TrainConfig) -> tuple[TrainingRun[TrainConfig, PackedImages], TrainResult | None]:
    """Train, evaluate and write the run folder.

    Returns:
        The run and its result; None in processes other than the main one.

    Raises:
        InputError: as in `train`.
    """
    if isinstance(options, TrainConfig):
        options = TrainOptions(**vars(options))
    run = TrainingRun.open(PART, options, resolve_config, load_packed)
    config, packed, catalog, device = run.config, run.packed, run.packed.catalog, run.device
    labels = task_labels(catalog, with_artists=config.artists > 0).to(device)
    shard = {"rank": run.rank, "world": run.world}
    batches = training_batches(config, packed, device, run.bf16, labels=labels.pairs, **shard)
    balanced_batches = None
    if config.balance == "balanced-mixup":
        other = replace(config, seed=config.seed + 1)
        balanced_batches = training_batches(other, packed, device, run.bf16, labels=labels.pairs, power=1.0, **shard)
    counts = torch.from_numpy(catalog.counts("train")).float().to(device)

    network = create_network(len(catalog.styles), config).to(device)
    ema = copy.deepcopy(network).eval()
    multitask = MultiTaskModel(network, artists=labels.to_artists.shape[1]).to(device)
    optimizer = create_optimizer(multitask, config)
    factor = constant if config.is_baseline else warmup_cosine(config.epochs * len(batches))
    scheduler = LambdaLR(optimizer, factor)
    run.compile(multitask)
    model = run.accelerator.prepare(multitask)
    print_summary(run, multitask)

    run.attach(model=multitask, ema=ema, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(config.epochs):
        model.train()
        size = size_at(epoch, config)
        power = sampler_power(config.balance, config.power, epoch, config.epochs)
        style_loss = loss_for_epoch(config.balance, counts, epoch, config.epochs, config.label_smoothing, config.tau)
        steps = batches.epoch(epoch, size, run.first_step, power)
        balanced = balanced_batches.epoch(epoch, size, run.first_step) if balanced_batches else None
        for step, (images, pairs) in run.steps(steps, len(batches)):
            seed, classes = step_seed(config.seed, epoch, step, stream=1), len(labels.to_styles)
            if balanced is not None:
                images, targets = balanced_mixup(images, pairs, next(balanced), classes, seed)
            else:
                images, targets = mixup_cutmix(images, pairs, classes, seed, mixup=MIXUP_ALPHA, prob=config.mix_prob)
            with torch.autocast(device.type, torch.bfloat16, enabled=run.bf16):
                style_logits, artist_logits = model(images)
            loss = style_loss(style_logits.float(), targets @ labels.to_styles)
            run.record_losses(loss=loss)
            if artist_logits is not None:
                artist_targets = targets @ labels.to_artists
                artist_loss = partial_cross_entropy(artist_logits.float(), artist_targets, config.label_smoothing)
                run.record_losses(artist=artist_loss)
                loss = loss + config.artists * artist_loss
            optimizer.zero_grad(set_to_none=True)
            run.accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            update_ema(ema, network, config.ema, epoch * len(batches) + step)
        if run.is_main:
            predictions = predict_split(ema, batches.pictures, "valid", config.size, run.bf16)
            valid = score_split(predictions, packed, "valid")
            # The averaged weights of the last epoch are saved, not those of the best epoch on valid: with a decaying
            # learning rate they are as good, and nothing is selected on the noise of a small split.
            run.save_model(ema)
            log_epoch(run, size, valid)
    result = finish(run, config, ema, packed, device, run.bf16, run.seconds) if run.is_main else None
    run.close()
    return run, result


def training_batches(
    config: TrainConfig,
    packed: PackedImages,
    device: torch.device,
    bf16: bool,
    *,
    labels: np.ndarray | None = None,
    power: float = 0.0,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Batches of the training images, with the augmentation of the network."""
    return Batches(
        packed,
        packed.rows("train"),
        config.batch_size,
        device,
        power=power,
        augment=NO_AUGMENTATION if config.is_baseline else Augment(crop=CROP),
        labels=labels,
        bf16=bf16,
        seed=config.seed,
        rank=rank,
        world=world,
    )


def create_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Muon and AdamW for our networks, Adam for the baselines."""
    if config.is_baseline:
        fused = next(network.parameters()).is_cuda or None  # None: as torch chooses
        return torch.optim.Adam(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=fused)
    return Muon(muon_groups(network, config.lr, config.weight_decay))


def constant(step: int) -> float:
    """The learning-rate factor of the baselines."""
    return 1.0


def size_at(epoch: int, config: TrainConfig) -> int:
    """Side of an epoch's images, in pixels: two fifths of the full size at first, growing in steps of 16.

    Progressive resizing (Howard 2018; Tan & Le 2021): small images are cheap, and enough for coarse features. The
    baselines use one size only.
    """
    if config.is_baseline:
        return config.size
    smallest = max(16, round(START_SIZE * config.size / 16) * 16)
    growth = min(1.0, epoch / max(1.0, GROWTH * config.epochs)) * (config.size - smallest)
    return min(config.size, smallest + int(growth / 16 + 1e-9) * 16) if growth < config.size - smallest else config.size


def finish(
    run: Run,
    config: TrainConfig,
    network: Network,
    packed: PackedImages,
    device: torch.device,
    bf16: bool,
    seconds: float,
) -> TrainResult:
    """Apply a post-hoc method if there is one, evaluate, and write the weights, predictions, result and figures."""
    images = DeviceImages(packed, device)
    balanced = None
    if method := METHODS[config.balance].post_hoc:
        assert isinstance(network, StyleNet)
        began = time.monotonic()
        batches = training_batches(config, packed, device, bf16)
        balanced = balance_head(network, method, batches, config.size, bf16)
        network, images, seconds = balanced.network, batches.pictures, seconds + time.monotonic() - began
    run.save_model(network)
    splits = [split for split in ("valid", "test") if len(packed.rows(split))]
    predictions = {split: predict_split(network, images, split, config.size, bf16) for split in splits}
    scores = {split: score_split(predictions[split], packed, split) for split in splits}
    metrics = run.metrics()
    result = TrainResult(
        valid=scores["valid"],
        test=scores.get("test"),
        train_seconds=round(seconds, 1),
        parameters=sum(p.numel() for p in network.parameters()),
        epochs=config.epochs,
        seconds_to_40_percent=next((line["seconds"] for line in metrics if line["top1"] >= 0.4), None),
        tau=balanced.tau if balanced else None,
        head_epochs=balanced.head_epochs if balanced else None,
    )
    split, final = result.final
    rows = packed.rows(split)
    run.write_arrays(
        "predictions.npz",
        probabilities=predictions[split],
        labels=packed.catalog.labels[rows],
        files=np.array([packed.catalog.files[row] for row in rows]),
    )
    figures = {"confusion": confusion_figure(final), "recall": recall_figure(final)}
    if metrics:
        figures["learning"] = learning_curve(metrics, result.valid.majority)
    run.finish(result, tables(result), figures)
    return result


def print_result(run: Run, result: TrainResult) -> None:
    """Print the metrics of a finished run, and what to do next."""
    split, scores = result.final
    echo()
    print_scores(scores, split)
    if result.tau is not None:
        echo(f"\nStrength chosen on valid: τ = {result.tau:g}.")
    if split == "valid":
        echo("The data has no test split: these are metrics on valid.")
    echo(f"\nTrained for {result.train_seconds:.0f} s. Everything is in {run.folder}/ (open index.html).")
    echo(f"Predict the style of an image: wikiart-classify predict IMAGE --model {run.folder}")


def print_summary(run: TrainingRun[TrainConfig, PackedImages], model: MultiTaskModel) -> None:
    """Print what is about to be trained, and on what."""
    config, catalog = run.config, run.packed.catalog
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid", "test")}
    counts = catalog.counts("train")
    echo(
        f"{numbers['train']:,} train, {numbers['valid']:,} valid, {numbers['test']:,} test images of "
        f"{len(catalog.styles)} styles; {counts.max():,} to {counts.min():,} training images per style "
        f"({counts.max() / max(1, counts.min()):.0f}:1)."
    )
    if catalog.valid_was_cut:
        echo("The data has no valid split: a tenth of train is used, with variants of one artwork kept together.")
    if config.split == "artist":
        echo("The images were re-split: no artist appears in two splits.")
    if model.artist_head is not None:
        echo(f"Auxiliary task in training: classifying {model.artist_head.out_features} artists.")
    parameters = sum(p.numel() for p in model.network.parameters())
    balance = "" if config.balance == "none" else f" {METHODS[config.balance].label},"
    processes = f", {run.world} processes" if run.world > 1 else ""
    echo(
        f"{config.model}: {parameters / 1e6:.1f} M parameters,{balance} "
        f"{config.epochs} epoch{'s' * (config.epochs != 1)} up to {config.size} px, "
        f"on {run.device}, {'bf16' if run.bf16 else 'fp32'}{processes}."
    )


def log_epoch(run: TrainingRun[TrainConfig, PackedImages], size: int, valid: Scores) -> None:
    """Print the metrics of an epoch and append them to metrics.jsonl."""
    names = ("top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece")
    loss = run.losses["loss"]
    line = (
        f"epoch {run.epoch + 1:3}/{run.config.epochs}  {size:3} px  loss {loss:.3f}  valid top-1 {100 * valid.top1:.1f}"
        f" · top-3 {100 * valid.top3:.1f} · balanced {100 * valid.balanced:.1f}"
    )
    run.log(line, loss=loss, size=size, **{name: getattr(valid, name) for name in names})
