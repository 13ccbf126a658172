"""`wikiart-classify train`: the loop, readable from top to bottom."""

import copy
import math
import time
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import TrainConfig
from wikiart_classify.figures import confusion_figure, learning_curve, recall_figure
from wikiart_classify.network import StyleNet
from wikiart_classify.optimizer import Muon, muon_groups
from wikiart_classify.report import show
from wikiart_classify.scores import scores
from wikiart_data.augment import Augment, mix
from wikiart_data.batches import Batches, Pictures, step_seed
from wikiart_data.catalog import Catalog, scan
from wikiart_data.commands import options_from
from wikiart_data.console import say, track
from wikiart_data.engine import start_engine, use_bf16
from wikiart_data.errors import InputError
from wikiart_data.packed import PackedImages, pack
from wikiart_data.run import Run
from wikiart_data.sample.build import MARK
from wikiart_data.source import find_data

EPOCHS, EPOCHS_ON_SAMPLE = 30, 12
"""Where --epochs does not say; the sample set is learned sooner than real paintings."""
WARMUP = 0.15
"""Share of the steps in which the learning rate rises; then it falls along half a cosine."""
GROWTH = 0.8
"""Share of the epochs over which pictures grow from half to their full size."""
CROP = (0.2, 1.0)
"""Share of a picture's area that a training crop keeps."""


def train(config: TrainConfig) -> None:
    """Train, test and write the run's folder.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    accelerator = start_engine(config.device)
    run = None
    if config.resume:
        run = Run.resume(config.resume, accelerator=accelerator)
        config = resumed_options(config, run)
    catalog = scan(find_data(config.data, config.cache_dir), cache_dir=config.cache_dir)
    packed = pack(catalog, math.ceil(config.size * 8 / 7), cache_dir=config.cache_dir, bad_limit=config.bad_limit)
    check_data(config, packed, accelerator.num_processes)
    if run is None:
        epochs = config.epochs or (EPOCHS_ON_SAMPLE if (catalog.root / MARK).exists() else EPOCHS)
        # Where the data lies and how long to train are settled here, so that run.json tells it to `test` and --resume.
        config = replace(config, epochs=epochs, data=str(catalog.root))
        run = Run.start("classify", config, catalog, accelerator=accelerator)
    elif run.record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {run.folder} was started: train anew.")

    device, bf16 = accelerator.device, use_bf16(accelerator.device, config.precision)
    torch.manual_seed(config.seed)
    batches = Batches(
        packed,
        packed.rows("train"),
        config.batch_size,
        device,
        power=config.power,
        augment=Augment(crop=CROP),
        bf16=bf16,
        seed=config.seed,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    network = StyleNet(len(catalog.styles), config.model).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimizer = Muon(muon_groups(network, config.lr, config.weight_decay))
    peaks = [group["lr"] for group in optimizer.param_groups]
    model = accelerator.prepare(network)
    if accelerator.is_main_process:
        describe(config, catalog, network, device, bf16, accelerator.num_processes)

    progress = run.resumed({"network": network, "average": average}, optimizer) if config.resume else None
    progress = progress or {"epoch": 0, "step": 0, "loss": 0.0, "seconds": 0.0, "best": -1.0}
    best, seconds, first_step, loss_sum = (progress[key] for key in ("best", "seconds", "step", "loss"))
    run.listen()
    for epoch in range(progress["epoch"], config.epochs):
        model.train()
        began, size = time.monotonic(), size_at(epoch, config)
        steps = batches.epoch(epoch, size, start=first_step)
        label = f"epoch {epoch + 1}/{config.epochs}"
        for step, (images, labels) in enumerate(track(steps, len(batches) - first_step, label, "steps"), first_step):
            seed = step_seed(config.seed, epoch, step)
            images, targets = mix(images, labels, len(catalog.styles), seed, share=config.mixing)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(images), targets, label_smoothing=config.label_smoothing)
            run.check(value := loss.item(), epoch, step)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            done = (epoch * len(batches) + step + 1) / (config.epochs * len(batches))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * schedule(done)
            optimizer.step()
            follow(average, network, config.ema, epoch * len(batches) + step)
            loss_sum += value
            if run.should_stop():
                check_weights(run, epoch, network, average)
                progress = {"epoch": epoch, "step": step + 1, "loss": loss_sum, "best": best}
                progress["seconds"] = seconds + time.monotonic() - began
                run.save({"network": network, "average": average}, optimizer, **progress)
                accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
                raise run.stop("wikiart-classify")
        seconds += time.monotonic() - began
        check_weights(run, epoch, network, average)
        valid = evaluate(average, batches.pictures, "valid", config.size, bf16)
        mean_loss = accelerator.reduce(torch.tensor(loss_sum / len(batches), device=device), "mean").item()
        if valid["top1"] >= best:
            best = valid["top1"]
            run.keep(average)
        run.log(
            epoch,
            epoch_line(epoch, config.epochs, size, mean_loss, valid, seconds),
            loss=mean_loss,
            size=size,
            seconds=round(seconds, 2),
            **{key: valid[key] for key in ("top1", "top3", "balanced", "macro_f1", "many", "medium", "few")},
        )
        first_step, loss_sum = 0, 0.0
        progress = {"epoch": epoch + 1, "step": 0, "loss": 0.0, "seconds": seconds, "best": best}
        run.save({"network": network, "average": average}, optimizer, **progress)

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        finish(run, config, batches.pictures, bf16, seconds)
    accelerator.end_training()


def finish(run: Run, config: TrainConfig, pictures: Pictures, bf16: bool, seconds: float) -> None:
    """Test the weights that were best on valid, write result.json and the figures, print the table."""
    network = load_network(run.folder / "model.safetensors").network
    network = network.to(pictures.device, memory_format=torch.channels_last)
    splits = [split for split in ("valid", "test") if len(pictures.packed.rows(split))]
    result = {split: evaluate(network, pictures, split, config.size, bf16) for split in splits}
    last = splits[-1]
    result |= {
        "train_seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": config.epochs,
        "seconds_to_40_percent": next((m["seconds"] for m in run.metrics() if m["top1"] >= 0.4), None),
    }
    run.finish(
        result,
        {
            "learning": learning_curve(run.metrics(), result["valid"]["majority"]),
            "confusion": confusion_figure(result[last]),
            "recall": recall_figure(result[last]),
        },
    )
    say()
    show(result[last], last)
    if last == "valid":
        say("The data has no test split: these are figures on valid, on which the weights were chosen.")
    say(f"\nTrained for {seconds:.0f} s. Everything is in {run.folder}/ (result.json, figures/, model.safetensors).")
    say(f"Name the style of a picture: wikiart-classify predict PICTURE --model {run.folder}")


@torch.no_grad()
def evaluate(network: nn.Module, pictures: Pictures, split: str, size: int, bf16: bool) -> dict[str, Any]:
    """All figures of `scores` on one split."""
    catalog, rows = pictures.packed.catalog, pictures.packed.rows(split)
    network.eval()
    shares = [probabilities(network, images, bf16).cpu() for images in pictures.in_order(rows, 256, size)]
    return scores(torch.cat(shares).numpy(), catalog.labels[rows], catalog.styles, catalog.counts("train"))


def probabilities(network: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Images (B, 3, H, W) in 0..1 → (B, styles) float32: the mean over a picture and its mirror image."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        both = [network(images).float().softmax(dim=1), network(images.flip(3)).float().softmax(dim=1)]
    return (both[0] + both[1]) / 2


def schedule(done: float) -> float:
    """Share of the peak learning rate after a share `done` of all steps: up in a line, down along half a cosine."""
    if done < WARMUP:
        return done / WARMUP
    return (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2


def size_at(epoch: int, config: TrainConfig) -> int:
    """Side of an epoch's pictures: half of the full size at first, growing in steps of 16 pixels.

    Small pictures cost little and teach the coarse things first (progressive resizing, Howard 2018; Tan & Le 2021).
    """
    smallest = max(16, round(config.size / 2 / 16) * 16)
    grown = min(1.0, epoch / max(1.0, GROWTH * config.epochs)) * (config.size - smallest)
    return min(config.size, smallest + int(grown / 16 + 1e-9) * 16) if grown < config.size - smallest else config.size


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights a little towards the trained ones; faster in the first steps, while all is new."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, fresh in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(fresh, 1 - decay)
        else:
            kept.copy_(fresh)


def resumed_options(config: TrainConfig, run: Run) -> TrainConfig:
    """The options a run was started with; only where the data lies and the device may be others now.

    Raises:
        InputError: other options were given, which would be ignored.
    """
    here = {field.name: getattr(config, field.name) for field in fields(config)}
    given = {key: value for key, value in here.items() if value != getattr(TrainConfig, key)}
    if other := sorted(given.keys() - {"resume", "config", "data", "cache_dir", "device"}):
        names = ", ".join("--" + name.replace("_", "-") for name in other)
        raise InputError(f"--resume goes on with the options the run was started with: leave out {names}.")
    return options_from(TrainConfig, {**run.record["config"], **given})


def check_data(config: TrainConfig, packed: PackedImages, processes: int) -> None:
    """Find out before a run's folder is made whether it can be run.

    Raises:
        InputError: the batch fits neither the data nor the processes, or there is nothing to choose weights on.
    """
    number = len(packed.rows("train"))
    if config.batch_size > number:
        raise InputError(f"--batch-size {config.batch_size} is more than the {number} training pictures.")
    if config.batch_size % processes:
        raise InputError(f"--batch-size {config.batch_size} cannot be shared by {processes} processes.")
    if not len(packed.rows("valid")):
        raise InputError(
            f"{packed.catalog.root} has no readable picture in valid, and weights are chosen on valid: add some (a "
            "style needs four artworks before one of them is taken out of train)."
        )


def check_weights(run: Run, epoch: int, *networks: nn.Module) -> None:
    """Look before saving: a last step can break the weights after the loss was still a number.

    Raises:
        InputError: a weight is NaN or infinite.
    """
    for network in networks:
        if not all(value.isfinite().all() for value in network.state_dict().values()):
            raise InputError(
                f"Weights are no numbers any more in epoch {epoch + 1}. The last good checkpoint, if there is one, is "
                f"kept in {run.folder}. Try a smaller --lr."
            )


def describe(
    config: TrainConfig, catalog: Catalog, network: nn.Module, device: torch.device, bf16: bool, processes: int
) -> None:
    """Say what is about to happen."""
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid", "test")}
    counts = catalog.counts("train")
    say(
        f"{numbers['train']:,} train, {numbers['valid']:,} valid, {numbers['test']:,} test pictures of "
        f"{len(catalog.styles)} styles; {counts.max():,} to {counts.min():,} training pictures a style "
        f"({counts.max() / max(1, counts.min()):.0f}:1)."
    )
    if catalog.valid_was_cut:
        say("There is no valid split: a tenth of train was taken for it, variants of one artwork together.")
    weights = sum(p.numel() for p in network.parameters())
    where = f"{device}, {'bf16' if bf16 else 'fp32'}" + (f", {processes} processes" if processes > 1 else "")
    say(f"{config.model}: {weights / 1e6:.1f} M parameters, {config.epochs} epochs up to {config.size} px, on {where}.")


def epoch_line(epoch: int, epochs: int, size: int, loss: float, valid: dict[str, Any], seconds: float) -> str:
    """One line an epoch: where we are, how it goes, how long it will take."""
    left = seconds / (epoch + 1) * (epochs - epoch - 1)
    figures = " · ".join(
        f"{name} {100 * valid[key]:.1f}"
        for name, key in (("top-1", "top1"), ("top-3", "top3"), ("balanced", "balanced"))
    )
    clock = f"{seconds:.0f} s, {left:.0f} s left"
    return f"epoch {epoch + 1:3}/{epochs}  {size:3} px  loss {loss:.3f}  valid {figures}  {clock}"
