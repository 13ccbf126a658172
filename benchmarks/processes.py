"""Do several processes train what one trains? Every part with 1, 2 and 4 CPU processes, started as a user starts them.

    uv run python benchmarks/processes.py [--parts classify autoencode stylegen lora] [--work FOLDER]

Each part trains its smallest network on a small sample set, at the same --batch-size over all processes. In every
process the rows that training gathers and the files that are opened for writing are written down, and then compared:
the same pictures in every step, none twice in an epoch, one writer; and how far the weights are from those of one
process, in units of the distance between two seeds. Prints a Markdown table.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from wikiart_data.sample import build_sample_set

PICTURES, STEPS = 144, 27
"""Training pictures of the sample set, a whole number of batches; and steps of every training."""
WORLDS = (2, 4)


@dataclass(frozen=True)
class Part:
    """A part's smallest training, and what of its metrics.jsonl is compared; what follows a dash is a variant."""

    options: str
    loss: str
    measure: str
    batch: int = 16
    """Pictures in a step, over all processes."""

    @property
    def epoch(self) -> int:
        """Steps in an epoch."""
        return PICTURES // self.batch


SMALL = "--size 32 --ema 0.9 --width 0.25 --blocks 1"
PARTS = {
    "classify": Part("--model tiny --size 32 --ema 0.9", "loss", "top1"),
    "classify-48": Part("--model tiny --size 32 --ema 0.9", "loss", "top1", batch=48),
    "autoencode": Part(SMALL, "loss", "psnr"),
    "autoencode-vicreg": Part(f"{SMALL} --code 16 --objective vicreg+texture", "loss", "psnr", batch=48),
    "stylegen": Part(f"{SMALL} --channels 4 --style 8 --lessons 1 --power 0", "rebuild", "psnr"),
    "lora": Part("--base tiny --size 32 --ema 0.9 --rank 4 --power 0 --sampling 1 --score 0", "loss", "valid"),
}


@dataclass(frozen=True)
class Trained:
    """What one training left."""

    weights: torch.Tensor
    loss: float
    measure: float
    processes: int
    """As run.json names them."""
    lines: int
    """Of metrics.jsonl."""
    steps: list[list[int]]
    """The rows of each step over all processes, as one process would have them."""
    writers: list[int]
    """Paths in the run's folder that each process opened for writing, made, renamed or removed."""


# -- in the processes that train ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One training: its name in the table, in how many processes, and by which seed."""

    name: str
    processes: int = 1
    seed: int = 0


ALONE = (Job("1"), Job("1, another seed", seed=1))
"""What the others are compared with, and how far chance goes."""
SHARED = tuple(Job(str(processes), processes) for processes in WORLDS)


def traced(work: Path, part: str, names: list[str]) -> int:
    """Train jobs by the command's own `main`, and write down what this process gathered and wrote."""
    steps: list[list[int]] = []
    wrote: list[str] = []
    if part == "lora":
        _trace_latents(steps)
    else:
        _trace_batches(steps)
    sys.addaudithook(_writing(wrote))
    for job in (job for job in (*ALONE, *SHARED) if job.name in names):
        steps.clear()
        wrote.clear()
        folder = folder_of(work, part, job)
        asked = PARTS[part]
        arguments = [*asked.options.split(), "--batch-size", str(asked.batch), "--seed", str(job.seed)]
        long = ["--steps", STEPS, "--every", asked.epoch] if part == "lora" else ["--epochs", STEPS // asked.epoch]
        arguments += map(str, long)
        arguments += ["--data", str(work / "data"), "--cache-dir", str(work / "cache"), "--runs", str(folder / "runs")]
        arguments += ["--device", "cpu", "--precision", "fp32"]
        if status := importlib.import_module(f"wikiart_{part.partition('-')[0]}.cli").main(arguments):
            return status
        ours = [path for path in set(wrote) if folder / "runs" in Path(path).parents]
        trace = {"steps": steps, "wrote": sorted(ours)}
        (folder / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(trace))
    return 0


def folder_of(work: Path, part: str, job: Job) -> Path:
    """Where a job's run and traces lie."""
    return work / part / job.name.replace(", ", "-").replace(" ", "-")


def _trace_batches(steps: list[list[int]]) -> None:
    """Each step of `Batches.epoch` appends the rows that it read from the pack."""
    from wikiart_data.images.batches import Batches, DeviceImages

    epoch, read = Batches.epoch, DeviceImages.bytes
    reading = threading.local()

    def traced_read(self: DeviceImages, rows: Any) -> torch.Tensor:
        if getattr(reading, "rows", None) is not None:  # not when valid is measured
            reading.rows += rows.tolist()
        return read(self, rows)

    def traced_epoch(self: Batches, *args: Any, **more: Any) -> Iterator[Any]:
        batches = epoch(self, *args, **more)
        while True:
            reading.rows = []
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                found, reading.rows = reading.rows, None
            steps.append(found)
            yield batch

    DeviceImages.bytes, Batches.epoch = traced_read, traced_epoch  # type: ignore[method-assign]


def _trace_latents(steps: list[list[int]]) -> None:
    """Each step of LoRA's training appends the rows whose latents it took; only training says which are mirrored."""
    from wikiart_lora.supply import Supply

    latents = Supply.latents

    def traced_latents(self: Supply, rows: Any, mirrored: Any = None) -> torch.Tensor:
        if mirrored is not None:
            steps.append(rows.tolist())
        return latents(self, rows, mirrored)

    Supply.latents = traced_latents  # type: ignore[method-assign]


def _writing(wrote: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that keeps every path that is opened for writing, made, renamed or removed."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if flags else set(mode or "") & set("wax+")
        else:
            path, writes = (args[0] if args else None), event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
        if writes and isinstance(path, str | os.PathLike):
            wrote.append(os.path.abspath(os.fspath(path)))  # noqa: PTH100  (a hook should do little)

    return hook


# -- in the process that compares --------------------------------------------------------------------------------------


def train(work: Path, part: str, *jobs: Job) -> dict[str, Trained]:
    """Train jobs of a part: those of one process one after another in one, one of several as a user launches it."""
    for job in jobs:
        folder_of(work, part, job).mkdir(parents=True)
    launch = [sys.executable]
    if jobs[0].processes > 1:
        # `--multi_gpu` is accelerate's word for "start this many processes here"; --device cpu keeps them off the GPUs.
        launch += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(jobs[0].processes)]
        launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [*launch, __file__, "--traced", str(work), part, *(job.name for job in jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{part} ({jobs[0].name}) failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return {job.name: trained(work, part, job) for job in jobs}


def trained(work: Path, part: str, job: Job) -> Trained:
    """What a job left behind."""
    folder = folder_of(work, part, job)
    (run,) = (folder / "runs" / part.partition("-")[0]).iterdir()
    traces = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(job.processes)]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    tensors = load_file(run / "model.safetensors")
    return Trained(
        weights=torch.cat([tensors[name].double().flatten() for name in sorted(tensors)]),
        loss=lines[-1][PARTS[part].loss],
        measure=lines[-1][PARTS[part].measure],
        processes=json.loads((run / "run.json").read_text())["processes"],
        lines=len(lines),
        steps=dealt_back([trace["steps"] for trace in traces]),
        writers=[len(trace["wrote"]) for trace in traces],
    )


def dealt_back(shares: list[list[list[int]]]) -> list[list[int]]:
    """What each step showed over all processes, in the order of one: process r has places r, r + world, and so on.

    Args:
        shares: of each process, of each step, its rows.

    Raises:
        ValueError: one process had more steps, or more pictures in a step, than another.
    """
    return [[row for place in zip(*step, strict=True) for row in place] for step in zip(*shares, strict=True)]


def twice(steps: list[list[int]], epoch: int) -> int:
    """How many pictures are shown more than once in an epoch of so many steps, over all epochs."""
    epochs = [steps[start : start + epoch] for start in range(0, len(steps), epoch)]
    return sum(
        shown > 1 for epoch in epochs for shown in Counter(row for step in epoch for row in step).values()
    )  # fmt: skip


def rows_of(part: str, runs: dict[str, Trained]) -> Iterator[str]:
    """The table's lines of one part."""
    one = runs["1"]
    between_seeds = (runs["1, another seed"].weights - one.weights).norm()
    for name, run in runs.items():
        far = (run.weights - one.weights).norm() / between_seeds
        other = sum(a != b for a, b in zip(run.steps, one.steps, strict=True))
        writers = f"{run.writers[0]}" + (f" + {sum(run.writers[1:])}" if len(run.writers) > 1 else "")
        yield (
            f"| {part} | {name} | {run.loss:.4f} | {run.measure:.4f} | {far:.4f} | {other} of {len(run.steps)} | "
            f"{twice(run.steps, PARTS[part].epoch)} | {writers} | {run.processes} | {run.lines} |"
        )


HEAD = """\
| part | processes | loss | on valid | weights from 1 process ÷ between seeds | steps with other pictures | \
pictures twice in an epoch | files written by the first + by others | `processes` in run.json | lines in metrics.jsonl |
|---|---|---|---|---|---|---|---|---|---|"""


def main(arguments: list[str]) -> int:
    """Train every part in every number of processes, and print the table."""
    if arguments[:1] == ["--traced"]:
        return traced(Path(arguments[1]), arguments[2], arguments[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--work", type=Path, help="keep everything in this new folder (default: a temporary one)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        build_sample_set(work / "data", size=40, share=PICTURES / 2700, say=lambda text: None)
        print(f"torch {torch.__version__}, {os.cpu_count()} cores; {PICTURES} pictures, {STEPS} steps.\n\n{HEAD}")
        for part in options.parts:
            runs = train(work, part, *ALONE)
            for job in SHARED:
                runs |= train(work, part, job)
            print("\n".join(rows_of(part, runs)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
