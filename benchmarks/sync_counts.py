"""Host synchronisations and kernel launches per training step, counted on the CPU.

    uv run python benchmarks/sync_counts.py [--parts classify autoencode stylegen lora]

Trains each package's smallest network for two epochs on a small sample set, by the command's own `main`, and counts:

- operations that reach torch's dispatcher. On a GPU each launches a kernel, except views, which are left out.
- waits: calls whose result the host needs (`item`, `tolist`, `nonzero`, a comparison as a bool, …) on a tensor
  that would be on the GPU, and copies of host data to it, except those of `to_device`, which go through pinned memory.
  The host waits for the GPU in each.

Where a tensor would be is followed from the `.to(device)` of weights and batches through every operation.

A step lasts from one update of an optimiser to the next one. Printed are medians over all steps, so logging, saving,
evaluation and the first step of an epoch do not count; the steps with at least one wait; the mean over all steps; and
where the waits of a median step come from, or without any, those of all steps.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COMMON = "--ema 0.9 --device cpu --precision fp32"
PARTS = {
    "classify": "--model tiny --epochs 2 --size 32 --batch-size 16",
    "autoencode": "--width 0.25 --blocks 1 --epochs 2 --size 32 --batch-size 16",
    "stylegen": "--width 0.25 --blocks 1 --channels 4 --warmup-epochs 1 --epochs 2 --size 32 --batch-size 16",
    "lora": "--base tiny --rank 4 --steps 24 --save-every 12 --num-inference-steps 1 --score 0 --size 32 "
    "--batch-size 16",
}
WAITS = {
    "item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "__contains__", "nonzero",
    "equal", "unique", "masked_select", "allclose",
}  # fmt: skip
"""Functions and methods of tensors whose result the host needs at once."""
MOVES = {"to", "tensor", "as_tensor"}
"""Functions that copy host data to the device."""


class Counts(TorchFunctionMode):
    """Counts waits by the line of ours that causes them; `operations` are counted by `Operations`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.operations = 0
        self.steps: dict[int, list[tuple[int, Counter[str]]]] = {}
        self.started: dict[int, tuple[int, Counter[str]]] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a call; count it if the host would wait in it."""
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        moves = any(isinstance(argument, torch.device) for argument in (*args, *kwargs.values()))
        if name in WAITS and args and _on_device(args[0]):
            self._count(name)
        result = function(*args, **kwargs)
        if moves and isinstance(result, torch.Tensor):
            pinned = kwargs.get("non_blocking") or sys._getframe(1).f_code.co_name == "to_device"
            if name in MOVES and not pinned and not _on_device(result):
                self._count(name)
            result._on_device = True  # type: ignore[attr-defined]
        return result

    def _count(self, name: str) -> None:
        self.waits[f"{_our_caller(sys._getframe(2))} ({name})"] += 1

    def step_done(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Close a step of an optimiser, and open its next one."""
        key = id(optimizer)
        if key in self.started:
            operations, waits = self.started[key]
            self.steps.setdefault(key, []).append((self.operations - operations, self.waits - waits))
        self.started[key] = (self.operations, self.waits.copy())


class Operations(TorchDispatchMode):
    """Counts the operations that reach the dispatcher, without views, and follows which tensors are on the device."""

    def __init__(self, counts: Counts):
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it if it is one of the device."""
        result = function(*args, **(kwargs or {}))
        if any(_on_device(leaf) for leaf in tree_leaves((args, kwargs))):
            self.counts.operations += not function.is_view
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    leaf._on_device = True  # type: ignore[attr-defined]
        return result


def _on_device(value: object) -> bool:
    """Whether a tensor would be on the GPU."""
    return isinstance(value, torch.Tensor) and getattr(value, "_on_device", False)


def _our_caller(frame: FrameType | None) -> str:
    """`package/file.py` of the innermost frame of ours."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if any(part.startswith("wikiart_") for part in path.parts):
            return f"{path.parent.name}/{path.name}"
        frame = frame.f_back
    return "elsewhere"


def count(part: str, data: Path, work: Path) -> dict[str, Any]:
    """Train one package in this process and count.

    Returns:
        Medians over the steps of the optimiser with most of them, and the origins of the waits.
    """
    main = importlib.import_module(f"wikiart_{part}.cli").main
    arguments = [*COMMON.split(), *PARTS[part].split(), "--data", str(data)]
    arguments += ["--runs", str(work / "runs"), "--cache-dir", str(work / "cache")]
    counts = Counts()
    hook = register_optimizer_step_post_hook(counts.step_done)
    try:
        with counts, Operations(counts):
            status = main(arguments)
    finally:
        hook.remove()
    if status:
        raise SystemExit(f"wikiart-{part} exits with {status}")
    steps = max(counts.steps.values(), key=len)
    numbers = [sum(step_waits.values()) for _, step_waits in steps]
    waits = statistics.median(numbers)
    typical = next(
        (step_waits for (_, step_waits), number in zip(steps, numbers, strict=True) if number == waits), None
    )
    origins = typical or sum((step_waits for _, step_waits in steps), Counter())
    return {
        "steps": len(steps),
        "operations": statistics.median(operations for operations, _ in steps),
        "waits": waits,
        "waiting_steps": sum(number > 0 for number in numbers),
        "mean_waits": statistics.fmean(numbers),
        "origins": dict(origins.most_common()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Count in a process per package, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these packages")
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="a sample set (default: a small one, painted for this)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sync-counts-") as folder:
        work = Path(folder)
        if options.child:
            print("\n" + json.dumps(count(options.child, options.data, work)))
            return
        if options.data is None:
            from wikiart_data.sample import build_sample_set

            options.data = build_sample_set(work / "data", size=40, fraction=0.07)
        print("| package | operations per step | waits per step | steps with waits | mean of all steps | waits from |")
        print("|---|---|---|---|---|---|")
        for part in options.parts:
            command = [sys.executable, __file__, "--child", part, "--data", str(options.data)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            result = json.loads(done.stdout.splitlines()[-1])
            origins = ", ".join(f"{origin} {number}" for origin, number in result["origins"].items())
            waiting = f"{result['waiting_steps']} of {result['steps']}"
            numbers = f"{result['operations']:,.0f} | {result['waits']:g} | {waiting} | {result['mean_waits']:.1f}"
            print(f"| {part} | {numbers} | {origins} |", flush=True)


if __name__ == "__main__":
    main()
