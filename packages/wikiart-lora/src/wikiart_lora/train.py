"""`wikiart-lora train`: the loop, readable from top to bottom."""

import json
import time
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.batches import step_seed
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.training.checkpoints import write_model
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.loop import average_gradients, check_finite, options_for_resume, update_ema, warmup_cosine
from wikiart_lora.adapter import Adapter, add_adapter, peft_metadata
from wikiart_lora.captions import drawn, style_words, titles
from wikiart_lora.config import EvaluateConfig, TrainConfig, settled
from wikiart_lora.estimate import describe, dry_run
from wikiart_lora.evaluate import evaluate, find_judge
from wikiart_lora.families import predict
from wikiart_lora.figures import learning_curve
from wikiart_lora.noise import add_noise, diffusion_loss, draw_noise, draw_times, schedule_of
from wikiart_lora.pipelines import Base, fingerprint, open_base
from wikiart_lora.precision import autocast_for, choose_precision, weights_type
from wikiart_lora.prior import make_prior
from wikiart_lora.progress import before_and_after
from wikiart_lora.stepping import halved, make_optimizer
from wikiart_lora.supply import Supply, check_splits, label_of
from wikiart_lora.validation import chosen_rows, make_examples, validation_loss

CLIP = 1.0
"""Largest norm of the gradient."""
LIBRARIES = ("diffusers", "transformers", "peft")
"""Their versions are kept in run.json, beside those that every run keeps."""


def train(config: TrainConfig) -> None:
    """Train, draw before and after, score, and write the run's folder.

    Raises:
        InputError: the base, the data, the options or the run folder cannot be used.
    """
    run = fit(config)
    if run is None:
        return
    # As settled when the run was started; on --resume `config` does not hold them.
    options = run.record["config"]
    echo(f"\nEverything is in {run.folder}/ (open index.html; model.safetensors).")
    if options["score"]:
        judge = find_judge(config.judge or (Path(options["judge"]) if options["judge"] else None))
        sampling, wanted = options["sampling"], options["score"]
        evaluate(
            EvaluateConfig(
                run.folder, judge, wanted, sampling=sampling, device=config.device, cache_dir=config.cache_dir
            )
        )
    if options["push_to_hub"]:
        from wikiart_lora.card import push

        push(run.folder, options["push_to_hub"])
    echo(f"\nPaint: wikiart-lora generate {run.folder} --style {run.record['styles'][-1]} --prompt '…'")


def fit(config: TrainConfig) -> Run | None:
    """Train and write the run's folder.

    Returns:
        The run; None in processes other than the main one, and after a dry run.

    Raises:
        InputError: the base, the data, the options or the run folder cannot be used.
    """
    accelerator = create_accelerator(config.device)
    device, rank, world = accelerator.device, accelerator.process_index, accelerator.num_processes
    run = None
    if config.resume:
        run = Run.resume(config.resume, "lora", accelerator=accelerator)
        config = options_for_resume(config, run.record)
    config = settled(config)
    assert config.steps
    assert config.batch_size
    assert config.every
    if config.batch_size % world:
        raise InputError(f"--batch-size {config.batch_size} cannot be shared by {world} processes.")
    root = find_data(config.data, config.cache_dir)
    catalog = scan(root, cache_dir=config.cache_dir)
    check_splits(catalog, config.style)
    if config.judge is not None and not (config.judge / "judge.json").is_file():  # now, not after hours of training
        raise InputError(f"--judge {config.judge} holds no judge: make one with wikiart-classify --export DIR.")
    precision, reason = choose_precision(device, config.precision)
    dtype, autocast = weights_type(device, precision), autocast_for(device, precision)
    base = open_base(config.base, device, dtype)
    config = replace(config, data=str(root), size=base.fitting(config.size or base.side))
    torch.manual_seed(config.seed)
    taught = catalog.styles if config.style is None else [catalog.styles[label_of(config.style, catalog)]]
    adapter = add_adapter(base, config, [config.trigger, *(style_words(style) for style in taught)])
    if config.checkpointing:
        base.denoiser.enable_gradient_checkpointing()
    if accelerator.is_main_process:
        describe(base, adapter, catalog, config, device, f"{precision} ({reason})", world)
    if config.dry_run:
        dry_run(base, adapter, catalog, config, device, autocast)
        return None
    began_with = fingerprint(base.pipeline.vae)
    if run is None:
        libraries = {name: metadata.version(name) for name in LIBRARIES}
        about = {"base": base.name, "autoencoder": began_with, "libraries": libraries}
        run = Run.start("lora", config, catalog, accelerator=accelerator, **about)
    elif run.record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {run.folder} was started: train anew.")
    elif run.record["autoencoder"] != began_with:
        raise InputError(f"--base {base.name} has changed since {run.folder} was started: train anew.")

    supply = Supply(base, catalog, config, device, dtype)
    schedule = schedule_of(base.pipeline.scheduler)
    known = titles(catalog)
    prior = make_prior(base, config.prior, known, config.size, config.seed, config.sampling) if config.prior else None
    # A style may have no picture in valid; then progress is measured on all styles.
    valid = supply.rows("valid") if len(supply.rows("valid")) else supply.readable("valid")
    valid = chosen_rows(valid, catalog.labels)
    examples = make_examples(valid, supply.latents, config.seed)
    supply.free()
    average = adapter.average()
    optimizer = make_optimizer(adapter, config)
    peaks = [group["lr"] for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    weights = list(adapter.named.values())
    parts = {"adapter": adapter, "average": average}
    progress = run.resumed(parts, optimizer) if config.resume else None
    progress = progress or {"step": 0, "loss": 0.0, "seconds": 0.0, "scale": scaler.get_scale()}
    scaler.load_state_dict({**scaler.state_dict(), "scale": progress["scale"]} if scaler.is_enabled() else {})
    seconds, loss_sum, pieces = progress["seconds"], progress["loss"], config.accumulate
    run.listen()
    batches = supply.batches(progress["step"])
    for start in range(progress["step"] - progress["step"] % config.every, config.steps, config.every):
        began, first = time.monotonic(), max(start, progress["step"])
        last = min(start + config.every, config.steps)
        for step in track(range(first, last), last - first, f"steps to {last:,} of {config.steps:,}", "steps"):
            rows = next(batches)
            seed = step_seed(config.seed, 0, step)
            generator = torch.Generator().manual_seed(seed)
            mirrored = (torch.rand(len(rows), generator=generator) < 0.5).numpy() & config.flip
            words = drawn(supply.captions, rows, config.dropout, seed)
            times = draw_times(schedule, len(rows), generator)
            # Everything is drawn for the whole batch, so that it is the same however many processes share it.
            mine = np.arange(rank, len(rows), world)
            clean = supply.latents(rows[mine], mirrored[mine]).to(device)
            noise = draw_noise(clean.new_empty(len(rows), *clean.shape[1:]), config.noise_offset, generator)
            noise, times = noise[mine].to(device), times[mine].to(device)
            words = [words[place] for place in mine]
            if prior:
                places = torch.randint(len(prior.latents), (len(rows),), generator=generator)[mine]
                kept, kept_text = prior.read(places, device)
                kept_noise = draw_noise(kept.new_empty(len(rows), *kept.shape[1:]), 0.0, generator)[mine].to(device)
            while True:
                value, fits = 0.0, True
                try:
                    for part in np.array_split(np.arange(len(mine)), min(pieces, len(mine))):
                        share = len(part) / len(mine)
                        with autocast():
                            text = supply.text([words[place] for place in part])
                            noisy = add_noise(schedule, clean[part], noise[part], times[part])
                            said = predict(base, base.denoiser, noisy, times[part], text)
                        loss = diffusion_loss(schedule, said, clean[part], noise[part], times[part], config.snr_gamma)
                        if prior:
                            noisy = add_noise(schedule, kept[part], kept_noise[part], times[part])
                            text = {name: values[part] for name, values in kept_text.items()}
                            with autocast():
                                said = predict(base, base.denoiser, noisy, times[part], text)
                            loss = loss + config.prior_weight * diffusion_loss(
                                schedule, said, kept[part], kept_noise[part], times[part], config.snr_gamma
                            )
                        scaler.scale(share * loss).backward()
                        value += share * loss.item()
                except torch.OutOfMemoryError:
                    fits = False
                if fits:
                    break
                optimizer.zero_grad(set_to_none=True)
                pieces = halved(pieces, len(mine), device)
            run.check(value, start // config.every, step)
            average_gradients(accelerator, weights)
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * warmup_cosine((step + 1) / config.steps)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            update_ema(average, adapter, config.ema, step)
            loss_sum += value
            if run.should_stop():
                check_finite(run.folder, start // config.every, adapter, average)
                progress = {"epoch": start // config.every, "step": step + 1, "loss": loss_sum}
                now = seconds + time.monotonic() - began
                run.save(parts, optimizer, seconds=now, scale=scaler.get_scale(), **progress)
                accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
                raise run.stop("wikiart-lora")
        seconds += time.monotonic() - began
        check_finite(run.folder, start // config.every, adapter, average)
        mean_loss = accelerator.reduce(torch.tensor(loss_sum / (last - start), device=device), "mean").item()
        if run.is_main:
            with adapter.wearing(average):
                valid_loss, swapped_loss = (
                    validation_loss(base, schedule, examples, text, device, autocast)
                    for text in (supply.first_text, partial(supply.first_text, swapped=True))
                )
                run.draw({f"step-{last:06d}": before_and_after(base, catalog, known, config)})
            supply.free()
            left = seconds / last * (config.steps - last)
            line = f"step {last:6,} of {config.steps:,}  loss {mean_loss:.4f}  valid {valid_loss:.4f}"
            line += f" ({swapped_loss:.4f} told other styles)"
            run.log(
                start // config.every,
                f"{line}  {seconds:.0f} s, {left:.0f} s left",
                step=last,
                loss=mean_loss,
                valid=valid_loss,
                valid_swapped=swapped_loss,
                seconds=round(seconds, 2),
            )
            keep(run, base, average)
        loss_sum = 0.0
        progress = {"epoch": start // config.every + 1, "step": last, "loss": 0.0, "seconds": seconds}
        run.save(parts, optimizer, scale=scaler.get_scale(), **progress)
    accelerator.wait_for_everyone()
    if run.is_main:
        keep(run, base, average)
        result = {
            "steps": config.steps,
            "train_seconds": round(seconds, 1),
            "trainable": sum(weight.numel() for weight in weights),
            "base_parameters": sum(p.numel() for p in base.denoiser.parameters()) - sum(w.numel() for w in weights),
            "precision": precision,
            "pieces": pieces,
            "valid": run.metrics()[-1]["valid"] if run.metrics() else None,
        }
        run.finish(result, {"learning": learning_curve(run.metrics())})
    accelerator.end_training()
    return run if run.is_main else None


def keep(run: Run, base: Base, average: Adapter) -> None:
    """Write model.safetensors: the averaged adapter, as diffusers loads it, and all that run.json knows of it."""
    about = {name: json.dumps(run.record[name]) for name in ("config", "styles")}
    write_model(run.folder / "model.safetensors", average.tensors(), about | peft_metadata(base))
