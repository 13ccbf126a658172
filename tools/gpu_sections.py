"""The sections of tools/gpu_check.py: what is tried out, measured, and expected of it."""

import gc
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

import sd15
from gpu_trainings import (
    GIB,
    PARTS,
    Check,
    Finished,
    Setting,
    command,
    observed,
    peak_memory,
    start_counting_memory,
    synchronize,
)
from wikiart_data.console import echo
from wikiart_data.images.batches import Batches
from wikiart_data.results.tables import Number
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.training_run import TrainingRun

SYNTHETIC, CACHING, MEMORY_GIB = 0.9, 1.8, 8.0
"""Targets: fraction of the step rate on one resident batch; speed-up by cached latents; memory at a batch of one."""
WARMUP_STEPS, TIMED_STEPS = 15, 60
"""Steps of a training that are not timed, while kernels are chosen and memory is reserved; and those that are."""
FIRST_LOSS, THIRD_LOSS, PROBABILITY = 1e-3, 2e-2, 1e-4
"""Largest differences between CPU and GPU: relative ones of the first and the third loss, absolute ones of a judge."""


# -- train, stop, resume, evaluate -------------------------------------------------------------------------------------


def check_training(setting: Setting) -> Iterator[Check]:
    """Every part trains, is stopped, is resumed to the same weights, and is evaluated."""
    judge = setting.work / "judge"
    for part, settings in PARTS.items():
        start_counting_memory(setting.device)
        began = time.monotonic()
        arguments = [*setting.words(part), *setting.places, "--device", str(setting.device)]
        more = ["--export", str(judge)] if part == "classify" else []
        status = command(part, [*arguments, "--name", "whole", *more])
        seconds = Number(round(time.monotonic() - began, 1), "s")
        yield Check(f"{part}: trains", seconds, "exit status 0", status == 0)
        runs = setting.work / "runs" / part

        def stop(steps: Iterator[tuple[int, Any]], run: TrainingRun[Any, Any]) -> Iterator[tuple[int, Any]]:
            for step, batch in steps:
                yield step, batch
                if run.epoch == 1 and step == 0:
                    os.kill(os.getpid(), signal.SIGTERM)

        stopped = observed(part, [*arguments, "--name", "stopped"], stop)
        command(part, ["--resume", str(runs / "stopped"), "--device", str(setting.device)])
        whole, resumed = (read_model(runs / name / "model.safetensors")[0] for name in ("whole", "stopped"))
        same = whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)
        yield Check(
            f"{part}: stopped by SIGTERM and resumed",
            "equal weights" if same else "other weights",
            "status 143, then equal weights",
            same and stopped == 128 + signal.SIGTERM,
        )
        words = [{"RUN": str(runs / "whole"), "JUDGE": str(judge)}.get(word, word) for word in settings.evaluate]
        status = command(part, [*words, "--device", str(setting.device), *setting.places[-2:]])
        yield Check(f"{part}: evaluated", f"exit status {status}", "exit status 0", status == 0)
        yield Check(f"{part}: peak memory", peak_memory(setting.device))


# -- CPU and GPU agree -------------------------------------------------------------------------------------------------


def check_agreement(setting: Setting) -> Iterator[Check]:
    """The first three losses of every part and a judge's probabilities, in fp32 without TF32."""
    if setting.device.type == "cpu":
        yield Check("CPU and GPU agree", "skipped: there is no GPU")
        return
    with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True):
        for part in PARTS:
            losses = {}
            for device in ("cpu", str(setting.device)):
                # accelerate keeps the device of its first Accelerator: a run on another one begins anew.
                import_module("accelerate.state").AcceleratorState._reset_state(reset_partial_state=True)
                losses[device] = first_losses(part, setting, device)
            differences = [abs(a / b - 1) for a, b in zip(*losses.values(), strict=True)]
            good = differences[0] <= FIRST_LOSS and differences[-1] <= THIRD_LOSS
            text = ", ".join(f"{difference:.1e}" for difference in differences)
            target = f"first ≤ {FIRST_LOSS:g}, third ≤ {THIRD_LOSS:g}"
            yield Check(f"{part}: relative difference of the first three losses", text, target, good)
        yield judge_agreement(setting)


def first_losses(part: str, setting: Setting, device: str) -> list[float]:
    """The losses of the first three steps on a device."""
    recorded: list[float] = []
    record = TrainingRun.record_losses

    def recording(run: TrainingRun[Any, Any], **losses: Tensor) -> None:
        if losses.keys() != {"artist"}:  # which classify records by itself, in the same step
            recorded.append(sum(float(value) for value in losses.values()))
        record(run, **losses)

    def three(steps: Iterator[tuple[int, Any]], run: TrainingRun[Any, Any]) -> Iterator[tuple[int, Any]]:
        yield from itertools.islice(steps, 3)
        raise Finished

    arguments = [*setting.words(part), *setting.places, "--device", device, "--precision", "fp32"]
    if part == "lora":  # otherwise all training images would be encoded first
        arguments += ["--no-cache"]
    observed(part, arguments, three, patch.object(TrainingRun, "record_losses", recording))
    return recorded[:3]


def judge_agreement(setting: Setting) -> Check:
    """The largest difference of a judge's probabilities."""
    from wikiart_data.judge import Judge

    images = torch.rand(32, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    scores = [Judge.load(setting.work / "judge", device)(images).cpu() for device in ("cpu", setting.device)]
    difference = (scores[0] - scores[1]).abs().max().item()
    name = "judge: largest difference of a probability"
    return Check(name, f"{difference:.1e}", f"≤ {PROBABILITY:g}", difference <= PROBABILITY)


# -- speed -------------------------------------------------------------------------------------------------------------


def check_speed(setting: Setting) -> Iterator[Check]:
    """Images per second of an epoch's steps, compared with the same steps on one resident batch."""
    on_gpu = setting.device.type != "cpu"
    for part, size in itertools.product(
        [name for name in PARTS if PARTS[name].speed], (32,) if setting.quick else (128, 192)
    ):
        words = (PARTS[part].quick if setting.quick else PARTS[part].speed).split()
        batch = int(words[words.index("--batch-size") + 1])
        arguments = [*words, "--size", str(size), "--epochs", "8", *setting.places, "--device", str(setting.device)]
        start_counting_memory(setting.device)
        real = batch / seconds_per_step(part, arguments, setting)
        peak = peak_memory(setting.device)
        synthetic = batch / seconds_per_step(part, arguments, setting, resident=True)
        yield Check(f"{part}, {size} px: images/s", Number(real, digits=0))
        yield Check(f"{part}, {size} px: images/s on one resident batch", Number(synthetic, digits=0))
        good = real / synthetic >= SYNTHETIC if on_gpu and not setting.quick else None
        yield Check(f"{part}, {size} px: of that rate", Number(real / synthetic, "%"), f"≥ {SYNTHETIC:.0%}", good)
        yield Check(f"{part}, {size} px: peak memory", peak)


def seconds_per_step(part: str, arguments: list[str], setting: Setting, resident: bool = False) -> float:
    """Mean over TIMED_STEPS steps after WARMUP_STEPS, with all that belongs to them but nothing between epochs."""
    warmup, limit = (2, 4) if setting.quick else (WARMUP_STEPS, TIMED_STEPS)
    seconds, steps_timed = 0.0, 0

    def timed(steps: Iterator[tuple[int, Any]], run: TrainingRun[Any, Any]) -> Iterator[tuple[int, Any]]:
        nonlocal seconds, steps_timed, warmup
        began, number = 0.0, 0
        for step in itertools.chain(steps, [None]):
            if warmup == 0 and not began:
                synchronize(setting.device)
                began = time.perf_counter()
            if step is None or steps_timed + number == limit:
                break
            yield step
            warmup, number = max(0, warmup - 1), number + (warmup == 0)
        synchronize(setting.device)
        seconds, steps_timed = seconds + (time.perf_counter() - began if number else 0.0), steps_timed + number
        if steps_timed == limit:
            raise Finished

    epoch = Batches.epoch
    first: dict[tuple[int | None, int], tuple[Tensor, Tensor]] = {}

    def same_batch(
        self: Batches, number: int, size: int | None = None, start: int = 0, power: float | None = None, stream: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        if (size, stream) not in first:
            first[size, stream] = next(epoch(self, number, size, start, power, stream))
        yield from itertools.repeat(first[size, stream], len(self) - start)

    patches: list[Any] = [patch.object(Batches, "epoch", same_batch)] if resident else []
    if part == "classify":  # small images first would be another measurement
        patches.append(patch.object(import_module("wikiart_classify.training"), "START_SIZE", 1.0))
    if observed(part, arguments, timed, *patches) or not steps_timed:
        raise RuntimeError(f"wikiart-{part} {' '.join(arguments)} failed")
    return seconds / steps_timed


# -- LoRA of a large base ----------------------------------------------------------------------------------------------


def check_lora(setting: Setting) -> Iterator[Check]:
    """Time and memory of Stable Diffusion 1.5's published configuration, with random weights."""
    from wikiart_data.sample import build_sample_set

    base = sd15.save(setting.work / "sd15", small=setting.quick)
    side = 64 if setting.quick else 512
    data = build_sample_set(setting.work / "lora-data", size=side, fraction=0.03, echo=echo)
    common = f"--base {base} --size {side} --rank 16 --sample-every 0 --score 0".split()
    common += ["--data", str(data), *setting.places[2:], "--device", str(setting.device)]
    rates: dict[str, float] = {}
    variants = {
        "batch 1": "--batch-size 1",
        "batch 4": "--batch-size 4",
        "batch 1, not cached": "--batch-size 1 --no-cache",
        "batch 4, not cached": "--batch-size 4 --no-cache",
        "batch 4, gradient checkpointing": "--batch-size 4 --gradient-checkpointing",
    }
    for name, options in variants.items():
        seconds, peak = lora_steps([*common, *options.split()], setting)
        rates[name] = 1 / seconds
        limit = MEMORY_GIB if name == "batch 1" and peak.value is not None and not setting.quick else None
        yield Check(f"lora, {side} px, {name}: time per step", Number(1000 * seconds, "ms"))
        fits = None if limit is None else (peak.value or 0) <= limit
        yield Check(f"lora, {side} px, {name}: peak memory", peak, f"≤ {limit:g} GiB" if limit else "", fits)
    for batch in ("batch 1", "batch 4"):
        gain = rates[batch] / rates[f"{batch}, not cached"]
        good = gain >= CACHING if batch == "batch 4" and setting.device.type == "cuda" and not setting.quick else None
        yield Check(
            f"lora, {batch}: gain by caching", Number(gain, "×"), f"≥ {CACHING} ×" if good is not None else "", good
        )
    if setting.device.type != "cuda":
        yield Check("lora within 8 GiB", "skipped: there is no GPU")
        return
    total = torch.cuda.mem_get_info(setting.device)[1]
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, MEMORY_GIB * GIB / total), setting.device)
    try:
        seconds, _ = lora_steps([*common, "--batch-size", "1"], setting)
        yield Check("lora within 8 GiB, batch 1: time per step", Number(1000 * seconds, "ms"), "it fits", True)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, setting.device)


def lora_steps(arguments: list[str], setting: Setting, warmup: int = 3, timed: int = 8) -> tuple[float, Number]:
    """Seconds per step, and peak memory."""
    if setting.quick:
        warmup, timed = 1, 2
    times: list[float] = []
    start_counting_memory(setting.device)

    def observe(steps: Iterator[tuple[int, Any]], run: TrainingRun[Any, Any]) -> Iterator[tuple[int, Any]]:
        for step, batch in steps:
            synchronize(setting.device)
            times.append(time.perf_counter())
            if step == warmup + timed:
                raise Finished
            yield step, batch

    number = str(warmup + timed + 1)
    if observed("lora", [*arguments, "--steps", number, "--save-every", number], observe) or len(times) <= warmup:
        raise RuntimeError(f"wikiart-lora {' '.join(arguments)} failed")
    return (times[-1] - times[warmup]) / timed, peak_memory(setting.device)


CHECKS: dict[str, Callable[[Setting], Iterator[Check]]] = {
    "train": check_training,
    "agree": check_agreement,
    "speed": check_speed,
    "lora": check_lora,
}
