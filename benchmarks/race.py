"""How soon does a training reach a given top-1 on valid: ours against the best public network, side by side.

    uv run python benchmarks/race.py --data DIR --runs FOLDER [--target 0.35] [--together 2] [--minutes 60]

Every contestant is a `wikiart-classify` of its own, stopped as soon as an epoch reaches the target. Packs are made
beforehand, and a clock runs from where a contestant says its network: none pays for decoding, and each for the import
of torchvision (5 s), which the first step brings. Processor seconds hold whoever else is on the machine; seconds of
training, which leave out the look at valid after each epoch, do not.

After `--minutes` all are asked to save and stop; the same command goes on from there.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from wikiart_classify.config import TrainConfig
from wikiart_classify.recipes import settled
from wikiart_classify.train import open_pack

BASELINE = "three blocks, the best public one"
CONTESTANTS = {
    "ours, as it comes": [],
    BASELINE: ["--model", "threeblock"],
    "ours, --epochs 5 --size 64": ["--epochs", "5", "--size", "64"],
}
"""Name → options of `wikiart-classify train`; the last starts when one of the others has ended."""


class Runner:
    """One contestant: a training and the processor seconds that it took, which are kept beside its run.

    Args:
        name: as the table has it.
        folder: of its run.
    """

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.log, self.clock = folder.with_suffix(".log"), folder.with_suffix(".json")
        kept = json.loads(self.clock.read_text()) if self.clock.exists() else {"spent": 0.0, "used": [], "over": False}
        self.spent: float = kept["spent"]
        """Processor seconds of training until now."""
        self.used: list[float] = kept["used"]
        """The same when each epoch was over."""
        self.over: bool = kept["over"]
        """Whether all its epochs are done."""

    def start(self, options: list[str], threads: int) -> None:
        """Start it, or let it go on where it was stopped."""
        resumed = (self.folder / "last.safetensors").exists() and self.clock.exists()
        fresh = ["--runs", str(self.folder.parent.parent), "--name", self.folder.name, "--overwrite", *options]
        command = [sys.executable, "-m", "wikiart_classify", *(["--resume", str(self.folder)] if resumed else fresh)]
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            env = os.environ | {"OMP_NUM_THREADS": str(threads)}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
        self.watched, self.before, self.unseen = psutil.Process(self.process.pid), self.spent, None

    def look(self) -> bool:
        """See how far it has come; whether it still runs."""
        try:
            times = self.watched.cpu_times()  # before `poll`, which forgets a process that has ended
        except psutil.NoSuchProcess:
            return False
        now, runs = times.user + times.system, self.process.poll() is None
        if self.unseen is None and " M parameters, " in self.log.read_text():
            self.unseen = now  # what it took to come so far is not counted
        if self.unseen is not None:
            self.spent = self.before + now - self.unseen
        for line in self.epochs()[len(self.used) :]:
            self.used.append(self.spent)
            print(
                f"  {self.name}: epoch {line['epoch'] + 1}, top-1 {100 * line['top1']:.1f} %, {self.spent:.0f} "
                f"processor seconds, {line['seconds']:.0f} s of training",
                flush=True,
            )
        return runs

    def stop(self) -> None:
        """Ask it to save and stop, and keep its clock.

        Raises:
            RuntimeError: it failed; the message is what it said.
        """
        self.process.terminate()
        while self.look():
            time.sleep(0.05)
        self.over = self.process.returncode == 0
        if self.process.returncode not in (0, 128 + 15, -15):
            raise RuntimeError(f"{self.name} failed:\n{self.log.read_text()}")
        self.clock.write_text(json.dumps({"spent": self.spent, "used": self.used, "over": self.over}))

    def epochs(self) -> list[dict]:
        """The lines of its metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def reached(self, target: float) -> int | None:
        """The first epoch, from 0, that came up to the target."""
        return next((at for at, line in enumerate(self.epochs()) if line["top1"] >= target), None)


def race(runners: list[Runner], contestants: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Let all run, some at a time, each until it reaches the target or has no epochs left, or the minutes are over."""
    waiting = [one for one in runners if not one.over and one.reached(options.target) is None]
    running: list[Runner] = []
    until = time.monotonic() + 60 * options.minutes
    try:
        while (waiting or running) and time.monotonic() < until:
            while waiting and len(running) < options.together:
                running.append(waiting.pop(0))
                asked = ["--data", options.data, "--device", "cpu", "--seed", str(options.seed)]
                running[-1].start([*asked, *contestants[running[-1].name]], options.threads)
            for runner in list(running):
                if not runner.look() or runner.reached(options.target) is not None:
                    running.remove(runner)
                    runner.stop()
            time.sleep(0.1)
    finally:
        for runner in running:
            runner.stop()


def table(runners: list[Runner], target: float) -> str:
    """Markdown: a row for each contestant; one that has not arrived gives a bound."""
    rows = [
        f"| {100 * target:g} % top-1 on valid | epochs | best | processor seconds | seconds of training | sooner by |"
    ]
    rows.append("|---|---|---|---|---|---|")
    baseline = next(runner for runner in runners if runner.name == BASELINE)
    there = baseline.reached(target)
    for runner in runners:
        at, epochs = runner.reached(target), runner.epochs()
        if not epochs:
            continue
        last, bound = (len(epochs) - 1, "> ") if at is None else (at, "")
        sooner = "1" if runner is baseline else "–"
        if runner is not baseline and at is not None and baseline.used:
            theirs = baseline.spent if there is None else baseline.used[there]
            sooner = f"{'> ' if there is None else ''}{theirs / runner.used[at]:.1f} ×"
        rows.append(
            f"| {runner.name} | {last + 1} | {100 * max(line['top1'] for line in epochs[: last + 1]):.1f} | "
            f"{bound}{runner.used[last]:.0f} | {bound}{epochs[last]['seconds']:.0f} | {sooner} |"
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None, contestants: dict[str, list[str]] = CONTESTANTS) -> None:
    """Pack, let them run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train/ and valid/")
    parser.add_argument("--runs", type=Path, required=True, help="where the trainings are kept, to go on with them")
    parser.add_argument("--target", type=float, default=0.35, help="top-1 on valid, in 0..1")
    parser.add_argument("--together", type=int, default=2, help="how many run at once")
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--seed", type=int, default=0, help="of all")
    parser.add_argument("--minutes", type=float, default=60, help="after which all save and stop")
    options = parser.parse_args(arguments)
    for asked in contestants.values():
        given = dict(zip(asked[::2], asked[1::2], strict=True))
        size = int(given["--size"]) if "--size" in given else None
        open_pack(settled(TrainConfig(data=options.data, model=given.get("--model", "small"), size=size), False))
    runners = [Runner(name, options.runs / "classify" / str(place)) for place, name in enumerate(contestants)]
    race(runners, contestants, options)
    print(table(runners, options.target))


if __name__ == "__main__":
    main()
