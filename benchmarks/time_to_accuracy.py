"""Time until a training reaches a given top-1 on valid: ours compared with the three-block network.

    uv run python benchmarks/time_to_accuracy.py --data DIR --runs FOLDER [--target 0.35] [--together 2] [--minutes 60]

Every contestant is a `wikiart-classify` process, stopped as soon as an epoch reaches the target. Packs are made
beforehand, and the clock starts when a contestant prints its network: decoding does not count, the import of
torchvision in the first step (5 s) does. CPU seconds do not depend on other work on the machine; seconds of training,
which leave out the evaluation after each epoch, do.

After `--minutes` all save and stop; the same command continues.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from wikiart_classify.config import load_packed, resolve_config
from wikiart_classify.options import TrainOptions

BASELINE = "three blocks, a public solution"
CONTESTANTS = {
    "ours, as it comes": [],
    BASELINE: ["--model", "threeblock"],
    "ours, --epochs 5 --size 64": ["--epochs", "5", "--size", "64"],
}
"""Name → options of `wikiart-classify train`."""


class Contestant:
    """A training and its CPU seconds, which are saved next to its run.

    Args:
        name: its name in the table.
        folder: its run folder.
    """

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.log, self.clock = folder.with_suffix(".log"), folder.with_suffix(".json")
        saved = json.loads(self.clock.read_text()) if self.clock.exists() else {}
        self.cpu: float = saved.get("cpu", 0.0)
        """CPU seconds of training so far."""
        self.cpu_by_epoch: list[float] = saved.get("cpu_by_epoch", [])
        """The same at the end of each epoch."""
        self.finished: bool = saved.get("finished", False)
        """Whether all its epochs are done."""

    def start(self, options: list[str], threads: int) -> None:
        """Start the training, or resume it."""
        can_resume = (self.folder / "last.safetensors").exists() and self.clock.exists()
        new_run = ["--runs", str(self.folder.parent.parent), "--name", self.folder.name, "--overwrite", *options]
        command = [
            sys.executable,
            "-m",
            "wikiart_classify",
            *(["--resume", str(self.folder)] if can_resume else new_run),
        ]
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            env = os.environ | {"OMP_NUM_THREADS": str(threads)}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
        self.watched, self.earlier = psutil.Process(self.process.pid), self.cpu
        self.startup: float | None = None

    def poll(self) -> bool:
        """Update the clock; returns whether the training is still running."""
        try:
            times = self.watched.cpu_times()  # before Popen.poll, which reaps a process that has ended
        except psutil.NoSuchProcess:
            return False
        now, running = times.user + times.system, self.process.poll() is None
        if self.startup is None and " M parameters, " in self.log.read_text():
            self.startup = now  # not counted
        if self.startup is not None:
            self.cpu = self.earlier + now - self.startup
        for line in self.epochs()[len(self.cpu_by_epoch) :]:
            self.cpu_by_epoch.append(self.cpu)
            print(
                f"  {self.name}: epoch {line['epoch'] + 1}, top-1 {100 * line['top1']:.1f} %, {self.cpu:.0f} "
                f"CPU seconds, {line['seconds']:.0f} s of training",
                flush=True,
            )
        return running

    def stop(self) -> None:
        """Let the training save and stop, and save its clock.

        Raises:
            RuntimeError: it failed; the message is its output.
        """
        self.process.terminate()
        while self.poll():
            time.sleep(0.05)
        self.finished = self.process.returncode == 0
        if self.process.returncode not in (0, 128 + 15, -15):
            raise RuntimeError(f"{self.name} failed:\n{self.log.read_text()}")
        self.clock.write_text(
            json.dumps({"cpu": self.cpu, "cpu_by_epoch": self.cpu_by_epoch, "finished": self.finished})
        )

    def epochs(self) -> list[dict]:
        """The lines of its metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def reached(self, target: float) -> int | None:
        """The first epoch, counted from 0, that reached the target."""
        return next((epoch for epoch, line in enumerate(self.epochs()) if line["top1"] >= target), None)


def run_all(trainings: list[Contestant], contestants: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Run all, some at a time, until each reaches the target or its last epoch, or the minutes are over."""
    waiting = [one for one in trainings if not one.finished and one.reached(options.target) is None]
    running: list[Contestant] = []
    until = time.monotonic() + 60 * options.minutes
    try:
        while (waiting or running) and time.monotonic() < until:
            while waiting and len(running) < options.together:
                running.append(waiting.pop(0))
                common = ["--data", options.data, "--device", "cpu", "--seed", str(options.seed)]
                running[-1].start([*common, *contestants[running[-1].name]], options.threads)
            for training in list(running):
                if not training.poll() or training.reached(options.target) is not None:
                    running.remove(training)
                    training.stop()
            time.sleep(0.1)
    finally:
        for training in running:
            training.stop()


def table(trainings: list[Contestant], target: float) -> str:
    """A Markdown table; a training that has not reached the target gives a bound."""
    rows = [f"| {100 * target:g} % top-1 on valid | epochs | best | CPU seconds | seconds of training | speed-up |"]
    rows.append("|---|---|---|---|---|---|")
    baseline = next(training for training in trainings if training.name == BASELINE)
    baseline_epoch = baseline.reached(target)
    for training in trainings:
        epoch, epochs = training.reached(target), training.epochs()
        if not epochs:
            continue
        last, bound = (len(epochs) - 1, "> ") if epoch is None else (epoch, "")
        speedup = "1" if training is baseline else "–"
        if training is not baseline and epoch is not None and baseline.cpu_by_epoch:
            cpu = baseline.cpu if baseline_epoch is None else baseline.cpu_by_epoch[baseline_epoch]
            speedup = f"{'> ' if baseline_epoch is None else ''}{cpu / training.cpu_by_epoch[epoch]:.1f} ×"
        rows.append(
            f"| {training.name} | {last + 1} | {100 * max(line['top1'] for line in epochs[: last + 1]):.1f} | "
            f"{bound}{training.cpu_by_epoch[last]:.0f} | {bound}{epochs[last]['seconds']:.0f} | {speedup} |"
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None, contestants: dict[str, list[str]] = CONTESTANTS) -> None:
    """Pack, run all and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder with train/ and valid/")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs, which the same command resumes")
    parser.add_argument("--target", type=float, default=0.35, help="top-1 on valid, in 0..1")
    parser.add_argument("--together", type=int, default=2, help="trainings that run at the same time")
    parser.add_argument("--threads", type=int, default=1, help="threads per training")
    parser.add_argument("--seed", type=int, default=0, help="random seed of all")
    parser.add_argument("--minutes", type=float, default=60, help="minutes after which all save and stop")
    options = parser.parse_args(arguments)
    for arguments_of in contestants.values():
        given = dict(zip(arguments_of[::2], arguments_of[1::2], strict=True))
        size = int(given["--size"]) if "--size" in given else None
        model: Any = given.get("--model", "small")
        fresh = TrainOptions(data=options.data, model=model, size=size)
        load_packed(resolve_config(fresh, Path(options.data)))
    trainings = [Contestant(name, options.runs / "classify" / str(index)) for index, name in enumerate(contestants)]
    run_all(trainings, contestants, options)
    print(table(trainings, options.target))


if __name__ == "__main__":
    main()
