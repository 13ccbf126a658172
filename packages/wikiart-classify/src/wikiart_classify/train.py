"""`wikiart-classify train`: the loop, readable from top to bottom."""

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from wikiart_classify.after import balanced_after
from wikiart_classify.answers import answers_on, evaluate, scores_on
from wikiart_classify.artists import BothTasks, two_tasks
from wikiart_classify.balance import blend_balanced, loss_in
from wikiart_classify.checkpoint import make_network
from wikiart_classify.config import ExportConfig, TrainConfig
from wikiart_classify.export import check_target, export
from wikiart_classify.figures import confusion_figure, learning_curve, recall_figure
from wikiart_classify.losses import partial_cross_entropy
from wikiart_classify.methods import METHODS, power_in
from wikiart_classify.recipes import RECIPES, settled, side_to_pack
from wikiart_classify.report import show
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.artists import split_by_artist
from wikiart_data.images.augment import NO_AUGMENTATION, Augment, mixup_cutmix
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.loop import check_finite, check_training_data, options_for_resume, update_ema, warmup_cosine
from wikiart_data.training.muon import Muon, muon_groups

SMALLEST_SHARE, GROWTH = 0.4, 0.8
"""Pictures grow from this share of their full size to all of it, over this share of the epochs."""
CROP = (0.2, 1.0)
"""Share of a picture's area that a training crop keeps."""
MIXUP = 0.4
"""Beta parameter of MixUp's blend."""


def train(config: TrainConfig) -> None:
    """Train, test, write the run's folder, and print how good the network is.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    if config.export:
        check_target(config.export, config.overwrite)
    run, result = fit(config)
    if result is not None:
        tell(run, result)
        if config.export:
            export(ExportConfig(run.folder, to=config.export, overwrite=config.overwrite))


def fit(config: TrainConfig) -> tuple[Run, dict[str, Any] | None]:
    """Train, test and write the run's folder.

    Returns:
        The run and what its result.json holds; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    accelerator = create_accelerator(config.device)
    run = None
    if config.resume:
        run = Run.resume(config.resume, "classify", accelerator=accelerator)
        config = options_for_resume(config, run.record)
    root = find_data(config.data, config.cache_dir)
    # Where the data lies and all defaults are settled here, so that run.json tells them to `test` and --resume.
    asked = config.batch_size
    config = replace(settled(config, on_sample=is_sample_set(root)), data=str(root))
    packed = open_pack(config)
    catalog = packed.catalog
    if asked is None and config.batch_size > len(packed.rows("train")):
        number = len(packed.rows("train"))
        config = replace(config, batch_size=number - number % accelerator.num_processes)
    check_training_data(packed, config.batch_size, accelerator.num_processes)
    if run is None:
        run = Run.start("classify", config, catalog, accelerator=accelerator)
    elif run.record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {run.folder} was started: train anew.")

    device, bf16 = accelerator.device, use_bf16(accelerator.device, config.precision)
    torch.manual_seed(config.seed)
    tasks = two_tasks(catalog, with_artists=config.artists > 0)
    share = {"rank": accelerator.process_index, "world": accelerator.num_processes}
    batches = batches_for(config, packed, device, bf16, labels=tasks.labels, **share)
    partners = None
    if config.balance == "balanced-mixup":
        partners = batches_for(config, packed, device, bf16, labels=tasks.labels, power=1.0, seed=1, **share)
    counts = torch.from_numpy(catalog.counts("train")).float().to(device)
    network = make_network(len(catalog.styles), vars(config)).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    both = BothTasks(network, tasks.to_artists.shape[1]).to(device)
    optimizer = make_optimizer(both, config)
    peaks = [group["lr"] for group in optimizer.param_groups]
    model = accelerator.prepare(both)
    tasks = tasks.to(device)
    if accelerator.is_main_process:
        describe(config, catalog, both, device, bf16, accelerator.num_processes)

    progress = run.resumed({"both": both, "average": average}, optimizer) if config.resume else None
    progress = progress or {"epoch": 0, "step": 0, "loss": 0.0, "seconds": 0.0}
    seconds, first_step, loss_sum = (progress[key] for key in ("seconds", "step", "loss"))
    run.listen()
    for epoch in range(progress["epoch"], config.epochs):
        model.train()
        began, size = time.monotonic(), size_at(epoch, config)
        power = power_in(config.balance, config.power, epoch, config.epochs)
        style_loss = loss_in(config.balance, counts, epoch, config.epochs, config.label_smoothing, config.tau)
        steps = batches.epoch(epoch, size, first_step, power)
        balanced = partners.epoch(epoch, size, first_step) if partners else None
        label = f"epoch {epoch + 1}/{config.epochs}"
        for step, (images, labels) in enumerate(track(steps, len(batches) - first_step, label, "steps"), first_step):
            seed, kinds = step_seed(config.seed, epoch, step, stream=1), len(tasks.to_styles)
            if balanced is not None:
                images, targets = blend_balanced(images, labels, next(balanced), kinds, seed)
            else:
                images, targets = mixup_cutmix(images, labels, kinds, seed, mixup=MIXUP, prob=config.mixing)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                styles, artists = model(images)
            loss = style_loss(styles.float(), targets @ tasks.to_styles)
            run.check(value := loss.item(), epoch, step)
            if artists is not None:
                named = partial_cross_entropy(artists.float(), targets @ tasks.to_artists, config.label_smoothing)
                run.check(named.item(), epoch, step)
                loss = loss + config.artists * named
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            done = (epoch * len(batches) + step + 1) / (config.epochs * len(batches))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * (1.0 if config.model in RECIPES else warmup_cosine(done))
            optimizer.step()
            update_ema(average, network, config.ema, epoch * len(batches) + step)
            loss_sum += value
            if run.should_stop():
                check_finite(run.folder, epoch, both, average)
                progress = {"epoch": epoch, "step": step + 1, "loss": loss_sum}
                progress["seconds"] = seconds + time.monotonic() - began
                run.save({"both": both, "average": average}, optimizer, **progress)
                accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
                raise run.stop("wikiart-classify")
        seconds += time.monotonic() - began
        check_finite(run.folder, epoch, both, average)
        valid = evaluate(average, batches.pictures, "valid", config.size, bf16)
        mean_loss = accelerator.reduce(torch.tensor(loss_sum / len(batches), device=device), "mean").item()
        # The averaged weights of the last epoch are kept, not the best epoch's: with a falling learning rate they are
        # as good, and nothing is chosen on the noise of a small valid split.
        run.keep(average)
        run.log(
            epoch,
            epoch_line(epoch, config.epochs, size, mean_loss, valid, seconds),
            loss=mean_loss,
            size=size,
            seconds=round(seconds, 2),
            **{key: valid[key] for key in ("top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece")},
        )
        first_step, loss_sum = 0, 0.0
        progress = {"epoch": epoch + 1, "step": 0, "loss": 0.0, "seconds": seconds}
        run.save({"both": both, "average": average}, optimizer, **progress)

    accelerator.wait_for_everyone()
    result = finish(run, config, average, packed, device, bf16, seconds) if accelerator.is_main_process else None
    accelerator.end_training()
    return run, result


def open_pack(config: TrainConfig) -> PackedImages:
    """The packed pictures of the data folder that settled options name, split as they ask.

    Raises:
        InputError: the folder cannot be used.
    """
    assert config.data is not None
    catalog = scan(config.data, cache_dir=config.cache_dir)
    if len(catalog.styles) < 2:
        raise InputError(f"{catalog.root} has one style only: there is nothing to tell apart.")
    if config.split == "artist":
        catalog = split_by_artist(catalog, config.seed)
    side = side_to_pack(config.model, config.size)
    return pack(catalog, side, cache_dir=config.cache_dir, max_bad_fraction=config.bad_limit)


def batches_for(
    config: TrainConfig, packed: PackedImages, device: torch.device, bf16: bool, *, seed: int = 0, **more: Any
) -> Batches:
    """Batches of the training pictures as `config` asks for them; `seed` is added to its seed."""
    augment = NO_AUGMENTATION if config.model in RECIPES else Augment(crop=CROP)
    rows = packed.rows("train")
    return Batches(packed, rows, config.batch_size, device, augment=augment, bf16=bf16, seed=config.seed + seed, **more)


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Muon and AdamW for our networks, Adam for the baselines."""
    if config.model in RECIPES:
        return torch.optim.Adam(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return Muon(muon_groups(network, config.lr, config.weight_decay))


def finish(
    run: Run,
    config: TrainConfig,
    average: nn.Module,
    packed: PackedImages,
    device: torch.device,
    bf16: bool,
    seconds: float,
) -> dict[str, Any]:
    """Balance the last layer if asked, test, and write the weights, result.json, predictions.npz and the figures."""
    result: dict[str, Any] = {}
    network: nn.Module = average
    pictures = DeviceImages(packed, device)
    if after := METHODS[config.balance].after:
        began = time.monotonic()
        batches = batches_for(config, packed, device, bf16)
        network, chosen = balanced_after(network, after, batches, config.size, bf16)
        pictures, seconds, result = batches.pictures, seconds + time.monotonic() - began, chosen
    run.keep(network)
    splits = [split for split in ("valid", "test") if len(packed.rows(split))]
    answers = {split: answers_on(network, pictures, split, config.size, bf16) for split in splits}
    result |= {split: scores_on(answers[split], packed, split) for split in splits}
    result |= {
        "train_seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": config.epochs,
        "seconds_to_40_percent": next((m["seconds"] for m in run.metrics() if m["top1"] >= 0.4), None),
    }
    last = splits[-1]
    run.write_arrays(
        "predictions.npz",
        probabilities=answers[last],
        labels=packed.catalog.labels[packed.rows(last)],
        files=np.array([packed.catalog.files[row] for row in packed.rows(last)]),
    )
    figures = {"confusion": confusion_figure(result[last]), "recall": recall_figure(result[last])}
    if run.metrics():
        figures["learning"] = learning_curve(run.metrics(), result["valid"]["majority"])
    run.finish(result, figures)
    return result


def tell(run: Run, result: dict[str, Any]) -> None:
    """Print a result, and what to do next."""
    last = "test" if "test" in result else "valid"
    echo()
    show(result[last], last)
    if "tau" in result:
        echo(f"\nStrength chosen on valid: τ = {result['tau']:g}.")
    if last == "valid":
        echo("The data has no test split: these are figures on valid.")
    echo(f"\nTrained for {result['train_seconds']:.0f} s. Everything is in {run.folder}/ (open index.html).")
    echo(f"Name the style of a picture: wikiart-classify predict PICTURE --model {run.folder}")


def size_at(epoch: int, config: TrainConfig) -> int:
    """Side of an epoch's pictures: two fifths of the full size at first, growing in steps of 16 pixels.

    Small pictures cost little and teach the coarse things first (progressive resizing, Howard 2018; Tan & Le 2021).
    The baselines see one size only.
    """
    if config.model in RECIPES:
        return config.size
    smallest = max(16, round(SMALLEST_SHARE * config.size / 16) * 16)
    grown = min(1.0, epoch / max(1.0, GROWTH * config.epochs)) * (config.size - smallest)
    return min(config.size, smallest + int(grown / 16 + 1e-9) * 16) if grown < config.size - smallest else config.size


def describe(
    config: TrainConfig, catalog: Catalog, both: BothTasks, device: torch.device, bf16: bool, processes: int
) -> None:
    """Say what is about to happen."""
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid", "test")}
    counts = catalog.counts("train")
    echo(
        f"{numbers['train']:,} train, {numbers['valid']:,} valid, {numbers['test']:,} test pictures of "
        f"{len(catalog.styles)} styles; {counts.max():,} to {counts.min():,} training pictures a style "
        f"({counts.max() / max(1, counts.min()):.0f}:1)."
    )
    if catalog.valid_was_cut:
        echo("There is no valid split: a tenth of train was taken for it, variants of one artwork together.")
    if config.split == "artist":
        echo("The splits are new: no artist stands in two of them.")
    if both.artists is not None:
        echo(f"A second task in training: naming {both.artists.out_features} artists.")
    weights = sum(p.numel() for p in both.network.parameters())
    where = f"{device}, {'bf16' if bf16 else 'fp32'}" + (f", {processes} processes" if processes > 1 else "")
    balance = "" if config.balance == "none" else f" {METHODS[config.balance].label},"
    echo(
        f"{config.model}: {weights / 1e6:.1f} M parameters,{balance} {config.epochs} epochs up to {config.size} px, on "
        f"{where}."
    )


def epoch_line(epoch: int, epochs: int, size: int, loss: float, valid: dict[str, Any], seconds: float) -> str:
    """One line an epoch: where we are, how it goes, how long it will take."""
    left = seconds / (epoch + 1) * (epochs - epoch - 1)
    figures = " · ".join(
        f"{name} {100 * valid[key]:.1f}"
        for name, key in (("top-1", "top1"), ("top-3", "top3"), ("balanced", "balanced"))
    )
    clock = f"{seconds:.0f} s, {left:.0f} s left"
    return f"epoch {epoch + 1:3}/{epochs}  {size:3} px  loss {loss:.3f}  valid {figures}  {clock}"
