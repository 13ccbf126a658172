"""`wikiart-classify train`: the training loop, readable from top to bottom."""

import copy
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_classify.calibration import calibrate_head
from wikiart_classify.classifier import Classifier, create_network, predict_split, score_split
from wikiart_classify.command_options import ExportOptions
from wikiart_classify.config import TrainConfig, load_packed, resolve_config
from wikiart_classify.export import check_judge_folder, export
from wikiart_classify.figures import confusion_figure, learning_curve, recall_figure
from wikiart_classify.grad_cam import write_examples
from wikiart_classify.imbalance.losses import (
    consistency_loss,
    distillation_loss,
    loss_for_epoch,
    partial_cross_entropy,
)
from wikiart_classify.imbalance.methods import METHODS, sampler_power
from wikiart_classify.imbalance.mixing import balanced_mixup, cmo, two_views
from wikiart_classify.imbalance.post_hoc import balance_head
from wikiart_classify.multitask import MultiTaskModel, task_labels
from wikiart_classify.network import StyleNet
from wikiart_classify.options import TrainOptions
from wikiart_classify.recipe import (
    CROP,
    MIXUP_ALPHA,
    ExtraImages,
    climb,
    limit_norms,
    load_teacher,
    restore,
    teacher_targets,
    warm_start,
)
from wikiart_classify.scores import Scores, TrainResult
from wikiart_classify.tables import print_scores, tables
from wikiart_data.console import echo
from wikiart_data.images.augment import NO_AUGMENTATION, Augment, mixup_cutmix
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.packed import PackedImages
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.opening import data_digests
from wikiart_data.training.processes import synchronize_batch_norm
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
CONSISTENCY_WEIGHT = 10.0
"""Weight of the agreement of two views (Du et al. 2023, their code)."""


def train(options: TrainOptions | TrainConfig) -> TrainResult | None:
    """Train a classifier, evaluate it, write the run folder and print the metrics.

    Args:
        options: `TrainOptions`, or a complete `TrainConfig`; `wikiart-classify train --help` describes each option.

    Returns:
        The result; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used, or training diverges.
    """
    if options.export is not None:
        check_judge_folder(options.export, options.overwrite)
    run, result = fit(options)
    if result is not None:
        if not run.config.is_baseline:
            write_examples(Classifier.load(run.folder, run.config.device), run.packed, run.folder)
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
    run = TrainingRun.open(PART, options, resolve_config, load_packed, facts=data_digests)
    config, packed, catalog, device = run.config, run.packed, run.packed.catalog, run.device
    labels = task_labels(catalog, with_artists=config.artists > 0).to(device)
    shard = {"rank": run.rank, "world": run.world}
    batches = training_batches(config, packed, device, run.bf16, labels=labels.pairs, **shard)
    method, second_batches = METHODS[config.balance], None
    if (power := method.second_power) is not None:
        other = replace(config, seed=config.seed + 1)
        second_batches = training_batches(other, packed, device, run.bf16, labels=labels.pairs, power=power, **shard)
    extra = None
    if config.extra is not None:
        extra = ExtraImages(config.extra, catalog, config, device, run.bf16, **shard)
    counts = torch.from_numpy(catalog.counts("train")).float().to(device)

    network = create_network(len(catalog.styles), config).to(device)
    began = time.monotonic()
    if not (run.folder / "last.safetensors").exists():  # a run that is resumed has its weights already
        warm_start(network, config, device, run.bf16)
    warm_start_seconds = time.monotonic() - began
    ema = copy.deepcopy(network).eval()
    teacher = load_teacher(config, catalog.styles, device)
    artists = labels.to_artists.shape[1]
    multitask = MultiTaskModel(network, artists, method.two_views).to(device)
    optimizer = create_optimizer(multitask, config)
    factor = constant if config.is_baseline else warmup_cosine(config.epochs * len(batches))
    scheduler = LambdaLR(optimizer, factor)
    synchronize_batch_norm(multitask)
    run.compile(multitask)
    model = run.accelerator.prepare(multitask)
    print_summary(run, multitask)

    run.attach(model=multitask, ema=ema, optimizer=optimizer, scheduler=scheduler)
    run.seconds += warm_start_seconds
    for epoch in run.epochs(config.epochs):
        model.train()
        size = size_at(epoch, config)
        power = sampler_power(config.balance, config.power, epoch, config.epochs)
        style_loss = loss_for_epoch(
            config.balance, counts, epoch, config.epochs, config.label_smoothing, config.tau, config.cosine_loss
        )
        steps = batches.epoch(epoch, size, run.first_step, power)
        second = second_batches.epoch(epoch, size, run.first_step) if second_batches else None
        first, end = epoch * len(batches) + run.first_step, (epoch + 1) * len(batches)
        extra_steps = extra.from_step(first, size, end) if extra else None
        for step, (images, pairs) in run.steps(steps, len(batches)):
            seed = step_seed(config.seed, epoch, step, stream=1)
            images, targets = mix(config, images, pairs, second, len(labels.to_styles), seed)
            style_targets, number = targets @ labels.to_styles, len(images)
            if extra_steps is not None:
                extra_images, extra_styles = next(extra_steps)
                images = torch.cat([images, extra_images])
            before = climb(optimizer, config.msam)
            with torch.autocast(device.type, torch.bfloat16, enabled=run.bf16):
                style_logits, artist_logits, projections = model(images)
            loss = style_loss(style_logits[:number].float(), style_targets)
            run.record_losses(loss=loss)
            if extra_steps is not None:
                extra_targets = F.one_hot(extra_styles, style_targets.shape[1]).float()
                loss = loss + config.extra_weight * style_loss(style_logits[number:].float(), extra_targets)
            if config.distillation:
                # The averaged weights know nothing at first; a trained teacher is as good in every epoch.
                weight = config.distillation * (1.0 if teacher is not None else epoch / config.epochs)
                soft = teacher_targets(ema if teacher is None else teacher, images[:number], run.bf16)
                loss = loss.lerp(distillation_loss(style_logits[:number].float(), soft), weight)
            if projections is not None:
                loss = loss + CONSISTENCY_WEIGHT * consistency_loss(*(part[:number].float() for part in projections))
            if artist_logits is not None:
                artist_targets = targets @ labels.to_artists
                artist_loss = partial_cross_entropy(
                    artist_logits[:number].float(), artist_targets, config.label_smoothing
                )
                run.record_losses(artist=artist_loss)
                loss = loss + config.artists * artist_loss
            optimizer.zero_grad(set_to_none=True)
            run.accelerator.backward(loss)
            restore(before)
            optimizer.step()
            limit_norms(network.head, config.max_norm)
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


def mix(
    config: TrainConfig,
    images: Tensor,
    labels: Tensor,
    second: Iterator[tuple[Tensor, Tensor]] | None,
    classes: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Mix a batch as the method against imbalance does, or by MixUp or CutMix.

    Args:
        config: method and probability of mixing are read.
        images: (B, 3, H, W) float in [0, 1].
        labels: (B,) int64.
        second: more balanced batches of the same shapes, where the method needs them.
        classes: number of labels.
        seed: of the step.

    Returns:
        Images and soft targets (·, classes); twice as many where the method takes two views.
    """
    if second is not None:
        other = next(second)
        if config.balance == "balanced-mixup":
            return balanced_mixup(images, labels, other, classes, seed)
        if config.balance == "glmc":
            return two_views(images, labels, other, classes, seed)
        if (mixed := cmo(images, labels, other, classes, seed)) is not None:
            return mixed
    return mixup_cutmix(images, labels, classes, seed, mixup=MIXUP_ALPHA, prob=config.mix_prob)


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
    rows = packed.rows("train")
    if config.train_on_valid:
        rows = np.concatenate([rows, packed.rows("valid")])
    return Batches(
        packed,
        rows,
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


def create_optimizer(model: MultiTaskModel, config: TrainConfig) -> torch.optim.Optimizer:
    """Muon and AdamW for our networks, Adam for the baselines."""
    if config.is_baseline:
        fused = next(model.parameters()).is_cuda or None  # None: as torch chooses
        return torch.optim.Adam(model.parameters(), config.lr, weight_decay=config.weight_decay, fused=fused)
    kernels, rest = muon_groups(model, config.lr, config.weight_decay)
    if not config.head_decay:
        return Muon([kernels, rest])
    head = model.network.head.weight
    others = [p for p in rest["params"] if p is not head]
    decayed = {**rest, "params": [head], "weight_decay": config.head_decay}
    return Muon([kernels, {**rest, "params": others}, decayed])


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
    network: nn.Module,
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
    temperature = balanced.temperature if balanced else None
    if config.calibrate and balanced is None:
        assert isinstance(network, StyleNet)
        temperature = calibrate_head(network, images, config.size, bf16)
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
        temperature=temperature,
        folder=run.folder,
    )
    final = result.final[1]
    for split, name in zip(splits, ("predictions-valid.npz", "predictions.npz")[-len(splits) :], strict=True):
        rows = packed.rows(split)
        files = np.array([packed.catalog.files[row] for row in rows])
        run.write_arrays(name, probabilities=predictions[split], labels=packed.catalog.labels[rows], files=files)
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
    if config.split == "fold":
        echo(f"Fold {config.fold + 1} of {config.folds} is held out as test.")
    if config.artist_half != "all":
        echo(f"The training images are those of the {config.artist_half} half of the artists.")
    if config.train_on_valid:
        echo("The validation images are trained on as well: the metrics on valid mean nothing.")
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
