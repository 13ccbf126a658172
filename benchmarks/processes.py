"""Compare training in 1, 2 and 4 CPU processes, for every package, started as a user starts them.

    uv run python benchmarks/processes.py [--parts classify autoencode stylegen lora] [--work FOLDER] [--json FILE]

Each package trains its smallest network on a small sample set, at the same --batch-size over all processes. Every
process records the rows that training reads and the paths that are opened for writing. Compared are: the same images in
every step, none twice per epoch, one writer; and the distance of the weights from those of one process, in units of the
distance between two seeds. Prints a Markdown table; `--json` keeps the figures as well. Started again with
the same `--work`, it goes on with the part at which it was stopped.
"""

import argparse
import importlib
import json
import os
import shutil
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
"""Training images of the sample set, a whole number of batches; and steps of every training."""
WORLDS = (2, 4)


@dataclass(frozen=True)
class Part:
    """A package's smallest training, and the keys of its metrics.jsonl that are compared."""

    options: str
    loss: str
    measure: str
    batch: int = 16
    """Images per step, over all processes."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        return PICTURES // self.batch


SMALL = "--size 32 --ema 0.9 --width 0.25 --blocks 1"
PARTS = {
    "classify": Part("--model tiny --size 32 --ema 0.9", "loss", "top1"),
    "classify-48": Part("--model tiny --size 32 --ema 0.9", "loss", "top1", batch=48),
    "autoencode": Part(SMALL, "loss", "psnr"),
    "autoencode-vicreg": Part(f"{SMALL} --code 16 --objective vicreg+texture", "loss", "psnr", batch=48),
    "stylegen": Part(f"{SMALL} --channels 4 --embedding-dim 8 --warmup-epochs 1 --power 0", "reconstruction", "psnr"),
    "lora": Part(
        "--base tiny --size 32 --ema 0.9 --rank 4 --power 0 --num-inference-steps 1 --score 0", "loss", "valid"
    ),
}


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    weights: torch.Tensor
    loss: float
    measure: float
    processes: int
    """As in run.json."""
    lines: int
    """Lines of metrics.jsonl."""
    steps: list[list[int]]
    """Rows of each step over all processes, in the order of one process."""
    writers: list[int]
    """Per process, the number of paths in the run folder that it opened for writing, made, renamed or removed."""


# -- in the processes that train ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One training: its name in the table, its number of processes and its seed."""

    name: str
    processes: int = 1
    seed: int = 0


ALONE = (Job("1"), Job("1, another seed", seed=1))
"""The reference, and another seed as the yardstick."""
SHARED = tuple(Job(str(processes), processes) for processes in WORLDS)


def train_traced(work: Path, part: str, names: list[str]) -> int:
    """Train jobs by the command's own `main`, and record what this process read and wrote."""
    steps: list[list[int]] = []
    written: list[str] = []
    if part == "lora":
        _trace_latents(steps)
    else:
        _trace_batches(steps)
    sys.addaudithook(_write_hook(written))
    for job in (job for job in (*ALONE, *SHARED) if job.name in names):
        steps.clear()
        written.clear()
        folder = folder_of(work, part, job)
        settings = PARTS[part]
        arguments = [*settings.options.split(), "--batch-size", str(settings.batch), "--seed", str(job.seed)]
        length = (
            ["--steps", STEPS, "--save-every", settings.steps_per_epoch]
            if part == "lora"
            else ["--epochs", STEPS // settings.steps_per_epoch]
        )
        arguments += map(str, length)
        arguments += ["--data", str(work / "data"), "--cache-dir", str(work / "cache"), "--runs", str(folder / "runs")]
        arguments += ["--device", "cpu", "--precision", "fp32"]
        if status := importlib.import_module(f"wikiart_{part.partition('-')[0]}.cli").main(arguments):
            return status
        in_run = [path for path in set(written) if folder / "runs" in Path(path).parents]
        trace = {"steps": steps, "written": sorted(in_run)}
        (folder / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(trace))
    return 0


def folder_of(work: Path, part: str, job: Job) -> Path:
    """The folder of a job's run and traces."""
    return work / part / job.name.replace(", ", "-").replace(" ", "-")


def _trace_batches(steps: list[list[int]]) -> None:
    """Let each step of `Batches.epoch` append the rows that it reads from the pack."""
    from wikiart_data.images.batches import Batches, DeviceImages

    epoch, read = Batches.epoch, DeviceImages.bytes
    reading = threading.local()

    def traced_read(self: DeviceImages, rows: Any, *more: Any) -> torch.Tensor:
        if getattr(reading, "rows", None) is not None:  # not while evaluating
            reading.rows += rows.tolist()
        return read(self, rows, *more)

    def traced_epoch(self: Batches, *args: Any, **more: Any) -> Iterator[Any]:
        batches = epoch(self, *args, **more)
        while True:
            reading.rows = []
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                rows, reading.rows = reading.rows, None
            steps.append(rows)
            yield batch

    DeviceImages.bytes, Batches.epoch = traced_read, traced_epoch  # type: ignore[method-assign]


def _trace_latents(steps: list[list[int]]) -> None:
    """Let each step of LoRA training append the rows of its latents; only training passes `mirrored`."""
    from wikiart_lora.dataset import LatentDataset

    latents = LatentDataset.latents

    def traced_latents(self: LatentDataset, rows: Any, mirrored: Any = None) -> torch.Tensor:
        if mirrored is not None:
            steps.append(rows.tolist())
        return latents(self, rows, mirrored)

    LatentDataset.latents = traced_latents  # type: ignore[method-assign]


def _write_hook(written: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that records every path that is opened for writing, made, renamed or removed."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if flags else set(mode or "") & set("wax+")
        else:
            path, writes = (args[0] if args else None), event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
        if writes and isinstance(path, str | os.PathLike):
            written.append(os.path.abspath(os.fspath(path)))  # noqa: PTH100  (a hook should do little)

    return hook


# -- in the comparing process ------------------------------------------------------------------------------------------


def train(work: Path, part: str, *jobs: Job) -> dict[str, Trained]:
    """Train jobs of a part: single-process jobs one after another in one child, a job of several as users launch it."""
    for job in jobs:
        folder_of(work, part, job).mkdir(parents=True)
    launch = [sys.executable]
    if jobs[0].processes > 1:
        # With `--multi_gpu` accelerate starts several processes here; --device cpu keeps them off the GPUs.
        launch += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(jobs[0].processes)]
        launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [*launch, __file__, "--traced", str(work), part, *(job.name for job in jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{part} ({jobs[0].name}) failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return {job.name: read_result(work, part, job) for job in jobs}


def read_result(work: Path, part: str, job: Job) -> Trained:
    """Read a job's run and traces."""
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
        steps=interleave([trace["steps"] for trace in traces]),
        writers=[len(trace["written"]) for trace in traces],
    )


def interleave(shards: list[list[list[int]]]) -> list[list[int]]:
    """Rows of each step over all processes in the order of one: process r has positions r, r + world, and so on.

    Args:
        shards: for each process and each step, its rows.

    Raises:
        ValueError: one process had more steps, or more images in a step, than another.
    """
    return [[row for position in zip(*step, strict=True) for row in position] for step in zip(*shards, strict=True)]


def repeated(steps: list[list[int]], epoch: int) -> int:
    """Number of images shown more than once per epoch, over all epochs."""
    epochs = [steps[start : start + epoch] for start in range(0, len(steps), epoch)]
    return sum(
        shown > 1 for epoch in epochs for shown in Counter(row for step in epoch for row in step).values()
    )  # fmt: skip


def compare(part: str, runs: dict[str, Trained]) -> list[dict[str, Any]]:
    """The measurements of one part, a dictionary for each of its runs; weights and steps are compared with one process.

    `distance` is that of the weights, in units of the distance between two seeds.
    """
    reference = runs["1"]
    between_seeds = (runs["1, another seed"].weights - reference.weights).norm()
    return [
        {
            "part": part,
            "run": name,
            "loss": run.loss,
            "valid": run.measure,
            "distance": ((run.weights - reference.weights).norm() / between_seeds).item(),
            "steps": len(run.steps),
            "differing_steps": sum(a != b for a, b in zip(run.steps, reference.steps, strict=True)),
            "repeated_images": repeated(run.steps, PARTS[part].steps_per_epoch),
            "written": run.writers,
            "processes": run.processes,
            "lines": run.lines,
        }
        for name, run in runs.items()
    ]


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    first, *others = row["written"]
    writers = f"{first} + {sum(others)}" if others else f"{first}"
    return (
        f"| {row['part']} | {row['run']} | {row['loss']:.4f} | {row['valid']:.4f} | {row['distance']:.4f} | "
        f"{row['differing_steps']} of {row['steps']} | {row['repeated_images']} | {writers} | {row['processes']} | "
        f"{row['lines']} |"
    )


HEAD = """\
| part | processes | loss | valid | weight distance from 1 process ÷ between seeds | steps with other images | \
images repeated per epoch | paths written by the first + by others | `processes` in run.json | lines in metrics.jsonl |
|---|---|---|---|---|---|---|---|---|---|"""


def main(arguments: list[str]) -> int:
    """Train every part with every number of processes, and print the table."""
    if arguments[:1] == ["--traced"]:
        return train_traced(Path(arguments[1]), arguments[2], arguments[3:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), help="only these")
    parser.add_argument("--work", type=Path, help="keep everything in this folder (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "data").exists():
            build_sample_set(work / "data", size=40, fraction=PICTURES / 2700, echo=lambda text: None)
        print(f"torch {torch.__version__}, {os.cpu_count()} cores; {PICTURES} images, {STEPS} steps.\n\n{HEAD}")
        rows = []
        for part in options.parts:
            finished = work / f"{part}.json"
            if not finished.exists():
                shutil.rmtree(work / part, ignore_errors=True)
                runs = train(work, part, *ALONE)
                for job in SHARED:
                    runs |= train(work, part, job)
                finished.write_text(json.dumps(compare(part, runs)))
            measured = json.loads(finished.read_text())
            print("\n".join(map(line, measured)), flush=True)
            rows += measured
        if options.json:
            settings = {"torch": torch.__version__, "images": PICTURES, "steps": STEPS}
            options.json.write_text(json.dumps({**settings, "runs": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
