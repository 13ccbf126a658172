"""Trainings of tools/gpu_check.py: their options, where they run, and how each is observed from within."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import sd15
from wikiart_data.results.tables import Cell, Number
from wikiart_data.training.training_run import TrainingRun

GIB = 2**30


@dataclass(frozen=True)
class Part:
    """How a package is tried out."""

    train: str
    """Options of the smallest training that can be stopped in its second epoch."""
    evaluate: tuple[str, ...] = ()
    """A command that evaluates the run RUN by the judge JUDGE; without one, training has evaluated it."""
    speed: str = ""
    """Options of the network whose speed is measured; without any, it is not."""
    quick: str = ""
    """Options of that network in the short form."""


_SMALL = "--width 0.25 --blocks 1 --ema 0.9"
PARTS = {
    "classify": Part(
        "--model tiny --size 32 --batch-size 32 --epochs 2",
        ("evaluate", "RUN"),
        "--model small --batch-size 128 --artists 0",
        "--model tiny --batch-size 16 --artists 0",
    ),
    "autoencode": Part(
        f"{_SMALL} --size 32 --batch-size 32 --epochs 2",
        ("evaluate", "RUN", "--split", "valid"),
        "--batch-size 32",
        f"{_SMALL} --batch-size 16",
    ),
    "stylegen": Part(
        f"{_SMALL} --channels 4 --size 32 --batch-size 32 --epochs 2 --warmup-epochs 1",
        ("evaluate", "RUN", "--judge", "JUDGE", "--max-images", "32"),
        "--batch-size 32 --warmup-epochs 0",
        f"{_SMALL} --channels 4 --batch-size 16 --warmup-epochs 0",
    ),
    "lora": Part(
        "--base BASE --rank 4 --size 64 --batch-size 4 --steps 8 --save-every 4 --sample-every 0 --score 0",
        ("evaluate", "RUN", "--judge", "JUDGE", "--images-per-style", "1", "--num-inference-steps", "2"),
    ),
}


@dataclass(frozen=True)
class Check:
    """One line of the result."""

    name: str
    measured: Cell
    target: str = ""
    passed: bool | None = None
    """None where there is no target, or the check was skipped."""

    def row(self) -> tuple[Cell, ...]:
        """The line of the table."""
        return self.name, self.measured, self.target, {True: "yes", False: "NO", None: ""}[self.passed]


@dataclass(frozen=True)
class Setting:
    """Where and on what the checks run."""

    data: Path
    work: Path
    device: torch.device
    quick: bool

    def words(self, part: str) -> list[str]:
        """The options of a part's smallest training; in the short form LoRA's base is a smaller one than `tiny`."""
        base = str(sd15.save(self.work / "small-base", small=True)) if self.quick and part == "lora" else "tiny"
        return PARTS[part].train.replace("BASE", base).split()

    @property
    def places(self) -> list[str]:
        """Options of every command: data, runs and cache."""
        return ["--data", str(self.data), "--runs", str(self.work / "runs"), "--cache-dir", str(self.work / "cache")]


class Finished(Exception):
    """Ends a training from within, when all that was wanted has been measured."""


def command(part: str, arguments: Sequence[str]) -> int:
    """Run a package's program in this process; returns its exit status."""
    try:
        return import_module(f"wikiart_{part}.cli").main(list(arguments))
    except SystemExit as stopped:
        return int(stopped.code or 0)


def observed(
    part: str, arguments: Sequence[str], around: Callable[..., Iterator[tuple[int, Any]]], *others: Any
) -> int:
    """Train with `around(steps, run)` around the steps of every epoch; it may raise `Finished`.

    Args:
        part: the package.
        arguments: of its program.
        around: called with the iterator of an epoch's steps and the run.
        others: further patches.
    """
    steps = TrainingRun.steps

    def wrapped(run: TrainingRun[Any, Any], *args: Any, **more: Any) -> Iterator[tuple[int, Any]]:
        try:
            yield from around(steps(run, *args, **more), run)
        except Finished:
            run.close()
            raise

    with patch.object(TrainingRun, "steps", wrapped):
        for other in others:
            other.start()
        try:
            return command(part, arguments)
        except Finished:
            return 0
        finally:
            for other in others:
                other.stop()


def synchronize(device: torch.device) -> None:
    """Wait for all that the device has been given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def start_counting_memory(device: torch.device) -> None:
    """Release what earlier checks left, and measure the peak from here on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> Number:
    """The peak since `start_counting_memory`; no value on a CPU."""
    return Number(torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None, "GiB")
