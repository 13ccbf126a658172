"""Losses that become NaN, and checkpoints, weights and data of other styles."""

import importlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.child import Child, call_in_child, start
from faults.kill import differences, last_line, run_uninterrupted, start_command
from faults.stage import STYLES_USED, Command, Stage, paint_data
from faults.tally import Tally

LOSSES = {
    "classify": ["wikiart_classify.training:partial_cross_entropy", "wikiart_classify.training:loss_for_epoch()"],
    "autoencode": ["wikiart_autoencode.training:reconstruction_loss"],
    "stylegen": [
        "wikiart_stylegen.discriminators:hinge_discriminator_loss",
        *(f"wikiart_stylegen.training:{name}"
          for name in ("reconstruction_loss", "edge_loss", "hinge_generator_loss", "style_statistics_loss",
                       "content_cycle_loss", "domain_confusion_loss")),
    ],
    "lora": ["wikiart_lora.steps:diffusion_loss"],
}  # fmt: skip
"""Package → functions whose value enters a loss, as `module:function`; with `()`, what the function returns is one."""


def nan_loss(stage: Stage, command: Command, rng: random.Random, tally: Tally) -> None:
    """Make one loss NaN at a random step after the first save; then resume without the fault."""
    expected, _, _ = run_uninterrupted(stage, command)
    for function in LOSSES[command.name.split()[0]]:
        fault, folder = f"a loss becomes NaN: {command.name}", stage.new_folder(command)
        child = run_with_nan(command, folder, function, rng)
        name, output = function.partition(":")[2], child.output
        reported = re.search(r"nan in epoch (\d+), step (\d+)\.", output)
        injected = re.search(r"NaN injected in epoch (\d+), step (\d+)", output)
        if child.status != 2 or "Traceback" in output:
            tally.lose(fault, f"{name}: it exits with {child.status}: {last_line(child)}")
        elif reported is None or injected is None or reported.groups() != injected.groups():
            tally.lose(fault, f"{name}: NaN at {injected and injected.groups()}, but it reports {last_line(child)}")
        elif start_command(command, command.arguments_to_continue(folder) or [], folder).wait(1800) != 0:
            tally.lose(fault, f"{name}: it cannot be resumed")
        elif mismatch := differences(folder, expected):
            tally.lose(fault, f"{name}: {mismatch}")
        else:
            tally.add(fault, "refused")


def run_with_nan(command: Command, folder: Path, function: str, rng: random.Random) -> Child:
    """Run a command in which a function's value becomes NaN once, some steps after the first save.

    The child prints the epoch and the step, counted from 1.
    """
    module_name, name = function.removesuffix("()").split(":")
    call = rng.randint(1, 4)

    def run() -> int:
        from wikiart_data.training.training_run import TrainingRun

        module = importlib.import_module(module_name)
        original, save, record_losses = getattr(module, name), TrainingRun._save, TrainingRun.record_losses
        saves, calls, injected = 0, 0, False

        def counted_save(run: TrainingRun, **progress: Any) -> None:
            nonlocal saves
            saves += 1
            save(run, **progress)

        def reporting_record(run: TrainingRun, **losses: Any) -> None:
            nonlocal injected
            if injected:
                print(f"NaN injected in epoch {run.epoch + 1}, step {run._step + 1}", flush=True)
                injected = False
            record_losses(run, **losses)

        def to_nan(value: Any) -> Any:
            nonlocal calls, injected
            calls += saves > 0
            if saves == 0 or calls != call:
                return value
            calls, injected = 10**9, True
            return value * float("nan")

        def replacement(*arguments: Any, **options: Any) -> Any:
            value = original(*arguments, **options)
            if function.endswith("()"):
                return lambda *batch: to_nan(value(*batch))
            return to_nan(value)

        TrainingRun._save, TrainingRun.record_losses = counted_save, reporting_record
        setattr(module, name, replacement)
        return command.main(list(command.arguments))

    child = start(run, folder, {"WIKIART_CACHE": str(folder / "cache")})
    child.wait(1800)
    return child


def other_styles(stage: Stage, command: Command, tally: Tally) -> None:
    """Put a checkpoint of other styles into the run folder, and use the run with other data."""
    fault, folder = f"checkpoint of other styles: {command.name}", stage.new_folder(command)
    stage.run(command, folder)
    checkpoint = folder / command.run / "last.safetensors"
    content = checkpoint.read_bytes()

    def change_styles(change: Callable[[list[str]], list[str]]) -> None:
        from wikiart_data.training.checkpoints import read_model, write_model

        tensors, metadata = read_model(checkpoint)
        styles = json.dumps(change(json.loads(metadata["styles"])))
        write_model(checkpoint, tensors, {**metadata, "styles": styles})

    for change in (lambda s: s[::-1], lambda s: s[:-1], lambda s: ["Rococo", *s[1:]], lambda s: [*s, "Rococo"]):
        call_in_child(change_styles, change)
        _expect_refusal(fault, command, folder, ["--resume", command.run], "other styles", tally)
        checkpoint.write_bytes(content)
    paint_data(folder / "other", (*STYLES_USED[:-1], "Rococo"))
    other_data = ["--data", str(folder / "other")]
    _expect_refusal(fault, command, folder, ["--resume", command.run, *other_data], "has changed", tally)
    verbs = {"classify": "evaluate", "autoencode": "encode"}
    if verb := verbs.get(command.name.split()[0]):
        arguments = [verb, command.run, *other_data, "--device", "cpu"]
        _expect_refusal(fault, command, folder, arguments, "style", tally)


def _expect_refusal(fault: str, command: Command, folder: Path, arguments: list[str], word: str, tally: Tally) -> None:
    child = start_command(command, arguments, folder)
    child.wait(1800)
    if child.status != 2 or word not in child.output or "Traceback" in child.output:
        tally.lose(fault, f"{' '.join(arguments[:2])} exits with {child.status}: {last_line(child)}")
    else:
        tally.add(fault, "refused")
