"""`wikiart-autoencode train`: the loop, readable from top to bottom."""

import copy
import time
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from wikiart_autoencode.autoencoder import make_network
from wikiart_autoencode.config import TrainOptions
from wikiart_autoencode.evaluation.evaluate import evaluate_split, reconstruct_batch
from wikiart_autoencode.figures import learning_curve, reconstruction_grid
from wikiart_autoencode.losses import reconstruction_loss
from wikiart_autoencode.objectives import TWO_VIEWS, AuxiliaryObjective, add_noise
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.loop import check_finite, check_training_data, options_for_resume, update_ema, warmup_cosine
from wikiart_data.training.muon import Muon, muon_groups

EPOCHS, EPOCHS_ON_SAMPLE = 30, 12
"""Where --epochs does not say."""
CROPS = Augment(crop=(0.64, 1.0), brightness=0.0, contrast=0.0)
"""How training pictures change: what is reconstructed must stay a picture as it is."""
VIEWS = Augment(crop=(0.15, 1.0))
"""How they change where two crops shall get the same code: so much that often only the manner is left in common."""
BATCH, BATCH_OF_VIEWS = 32, 128
"""Where --batch-size does not say. VICReg measures the codes' variances and covariances over the batch."""
LARGER = 1.25
"""Training pictures are packed so many times larger than they are seen: no crop is then ever enlarged. Enlarged ones
are softer than the pictures that the autoencoder is measured on, and easier."""
SHOWN, GRID_EVERY = 8, 5
"""Pictures of the grid that is drawn every so many epochs, always the same ones of valid."""


def train(config: TrainOptions) -> None:
    """Train, measure, write the run's folder, and print how good the autoencoder is.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    run, result = fit(config)
    if result is None:
        return
    last = "test" if "test" in result else "valid"
    echo()
    for split in ("valid", "test"):
        if split in result:
            found = result[split]
            echo(
                f"{split}: PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}, MSE {found['mse']:.5f} "
                f"(mean over {found['n']:,} pictures)"
            )
    low, high = result[last]["psnr_interval"]
    echo(f"95 % interval of the PSNR on {last}: {low:.2f} to {high:.2f} dB.")
    echo(f"\nTrained for {result['train_seconds']:.0f} s. Everything is in {run.folder}/ (open index.html).")
    echo(f"Save the codes of all pictures: wikiart-autoencode encode {run.folder}")


def fit(config: TrainOptions) -> tuple[Run, dict[str, Any] | None]:
    """Train, measure and write the run's folder.

    Returns:
        The run and what its result.json holds; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    accelerator = create_accelerator(config.device)
    run = None
    if config.resume:
        run = Run.resume(config.resume, "autoencode", accelerator=accelerator)
        config = options_for_resume(config, run.record)
    root = find_data(config.data, config.cache_dir)
    epochs = config.epochs or (EPOCHS_ON_SAMPLE if is_sample_set(root) else EPOCHS)
    # Where the data lies and how long to train are settled here, so that run.json tells it to `encode` and --resume.
    batch_size = config.batch_size or (BATCH_OF_VIEWS if config.objective in TWO_VIEWS else BATCH)
    config = replace(config, epochs=epochs, batch_size=batch_size, data=str(root))
    catalog = scan(root, cache_dir=config.cache_dir)
    packed = pack(catalog, config.size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)
    larger = pack(
        catalog, round(LARGER * config.size), cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction
    )
    check_training_data(packed, batch_size, accelerator.num_processes)
    if run is None:
        run = Run.start("autoencode", config, catalog, accelerator=accelerator)
    elif run.record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {run.folder} was started: train anew.")

    device, bf16 = accelerator.device, use_bf16(accelerator.device, config.precision)
    torch.manual_seed(config.seed)
    pictures = DeviceImages(packed, device)
    batches = Batches(
        larger,
        larger.rows("train"),
        batch_size,
        device,
        augment=VIEWS if config.objective in TWO_VIEWS else CROPS,
        bf16=bf16,
        seed=config.seed,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    network = make_network(config).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    objective = AuxiliaryObjective(config.objective, config.code, config.channels).to(device)
    learned = nn.ModuleDict({"network": network, "objective": objective})
    optimizer = Muon(muon_groups(learned, config.lr, config.weight_decay))
    peaks = [group["lr"] for group in optimizer.param_groups]
    model = accelerator.prepare(network)
    if config.objective not in ("none", "denoise"):  # what learns nothing cannot be wrapped for several processes
        objective = accelerator.prepare(objective)
    if accelerator.is_main_process:
        describe(config, catalog, network, device, bf16, accelerator.num_processes)

    progress = run.resumed({"learned": learned, "average": average}, optimizer) if config.resume else None
    progress = progress or {"epoch": 0, "step": 0, "loss": 0.0, "seconds": 0.0}
    seconds, first_step, loss_sum = (progress[key] for key in ("seconds", "step", "loss"))
    run.listen()
    for epoch in range(progress["epoch"], config.epochs):
        model.train()
        began = time.monotonic()
        views = batches.epoch(epoch, config.size, first_step, stream=2) if config.objective in TWO_VIEWS else None
        steps = batches.epoch(epoch, config.size, first_step)
        label = f"epoch {epoch + 1}/{config.epochs}"
        for step, (images, _) in enumerate(track(steps, len(batches) - first_step, label, "steps"), first_step):
            seen = images
            if config.objective == "denoise":
                seen = add_noise(images, step_seed(config.seed, epoch, step, stream=1), batches.shard)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                ours, code = model(seen)
                loss = reconstruction_loss(ours.float(), images, config.ssim_weight, config.loss)
                other = None if views is None else network.encoder(next(views)[0])
                loss = loss + config.objective_weight * objective(code, other, images)
            run.check(value := loss.item(), epoch, step)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            done = (epoch * len(batches) + step + 1) / (config.epochs * len(batches))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * warmup_cosine(done)
            optimizer.step()
            update_ema(average, network, config.ema, epoch * len(batches) + step)
            loss_sum += value
            if run.should_stop():
                check_finite(run.folder, epoch, learned, average)
                progress = {"epoch": epoch, "step": step + 1, "loss": loss_sum}
                progress["seconds"] = seconds + time.monotonic() - began
                run.save({"learned": learned, "average": average}, optimizer, **progress)
                accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
                raise run.stop("wikiart-autoencode")
        seconds += time.monotonic() - began
        check_finite(run.folder, epoch, learned, average)
        valid = evaluate_split(average, pictures, "valid", config.size, bf16)
        mean_loss = accelerator.reduce(torch.tensor(loss_sum / len(batches), device=device), "mean").item()
        run.keep(average)
        if run.is_main and (epoch % GRID_EVERY == GRID_EVERY - 1 or epoch + 1 == config.epochs):
            run.write_figures({f"epoch-{epoch + 1:03d}": grid(average, pictures, config.size, bf16)})
        left = seconds / (epoch + 1) * (config.epochs - epoch - 1)
        line = f"epoch {epoch + 1:3}/{config.epochs}  loss {mean_loss:.4f}  valid PSNR {valid.psnr:.2f} dB"
        run.log(
            epoch,
            f"{line} · SSIM {valid.ssim:.3f}  {seconds:.0f} s, {left:.0f} s left",
            loss=mean_loss,
            seconds=round(seconds, 2),
            mse=valid.mse,
            psnr=valid.psnr,
            ssim=valid.ssim,
        )
        first_step, loss_sum = 0, 0.0
        progress = {"epoch": epoch + 1, "step": 0, "loss": 0.0, "seconds": seconds}
        run.save({"learned": learned, "average": average}, optimizer, **progress)

    accelerator.wait_for_everyone()
    result = finish(run, config, average, packed, device, bf16, seconds) if accelerator.is_main_process else None
    accelerator.end_training()
    return run, result


def finish(
    run: Run,
    config: TrainOptions,
    network: nn.Module,
    packed: PackedImages,
    device: torch.device,
    bf16: bool,
    seconds: float,
) -> dict[str, Any]:
    """Measure on valid and test, write the weights, result.json and the learning curve."""
    run.keep(network)
    pictures = DeviceImages(packed, device)
    splits = [split for split in ("valid", "test") if len(packed.rows(split))]
    result: dict[str, Any] = {
        split: asdict(evaluate_split(network, pictures, split, config.size, bf16)) for split in splits
    }
    result |= {
        "train_seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": config.epochs,
        "numbers": config.code or config.channels * (config.size // 8) ** 2,
    }
    run.finish(result, {"learning": learning_curve(run.metrics())})
    return result


@torch.no_grad()
def grid(network: nn.Module, pictures: DeviceImages, size: int, bf16: bool) -> Any:
    """The figure original | reconstruction | error, for pictures spread evenly over valid."""
    rows = pictures.packed.rows("valid")
    chosen = rows[torch.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).long().numpy()]
    images = next(pictures.in_order(chosen, SHOWN, size))
    network.eval()
    return reconstruction_grid(images.cpu(), reconstruct_batch(network, images, bf16).cpu())


def describe(
    config: TrainOptions, catalog: Catalog, network: nn.Module, device: torch.device, bf16: bool, processes: int
) -> None:
    """Say what is about to happen."""
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid", "test")}
    echo(f"{numbers['train']:,} train, {numbers['valid']:,} valid, {numbers['test']:,} test pictures.")
    if catalog.valid_was_cut:
        echo("There is no valid split: a tenth of train was taken for it, variants of one artwork together.")
    side = config.size // 8
    code = f"{config.code} numbers" if config.code else f"{side} × {side} × {config.channels} numbers"
    fewer = 3 * config.size**2 / (config.code or config.channels * side**2)
    weights = sum(p.numel() for p in network.parameters())
    where = f"{device}, {'bf16' if bf16 else 'fp32'}" + (f", {processes} processes" if processes > 1 else "")
    beside = "" if config.objective == "none" else f", beside it {config.objective}"
    echo(f"A code of {code}, {fewer:.0f} times fewer than the picture's{beside}.")
    echo(f"{weights / 1e6:.1f} M parameters, {config.epochs} epochs at {config.size} px, on {where}.")
