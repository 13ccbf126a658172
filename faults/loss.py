"""A loss that is no number: it stops at once, says the step, and what was saved before is still good. Other styles."""

import importlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.child import Child, ask, start
from faults.kill import difference, last_line, unbroken
from faults.stage import Command, Stage
from faults.tally import Tally

LOSSES = {
    "classify": [("wikiart_classify.train:partial_cross_entropy", ()), ("wikiart_classify.train:loss_in", ("inner",))],
    "autoencode": [("wikiart_autoencode.train:reconstruction_loss", ())],
    "stylegen": [
        ("wikiart_stylegen.teaching:hinge_critic", ()),
        *((f"wikiart_stylegen.train:{name}", ())
          for name in ("reconstruction_loss", "hinge_painter", "statistics_distance", "content_cycle", "hidden",
                       "edge_distance")),
    ],
    "lora": [("wikiart_lora.train:diffusion_loss", ())],
}  # fmt: skip
"""Of each training, the functions whose value goes into a loss; `inner`: what they return is the function."""


def poison(stage: Stage, command: Command, dice: random.Random, tally: Tally) -> None:
    """Make one loss NaN at a random step after the first save; then go on without it."""
    truth, _, _ = unbroken(stage, command)
    for place, how in LOSSES[command.name.split()[0]]:
        what, folder = f"a loss becomes NaN: {command.name}", stage.fresh(command)
        child = poisoned(command, folder, place, bool(how), dice)
        name, said = place.partition(":")[2], child.said
        found = re.search(r"The loss is nan in epoch (\d+), step (\d+)\.", said)
        due = re.search(r"poisoned at epoch (\d+), step (\d+)", said)
        # The critic's own loss is not the painter's: it shows in what the painter is told in the same step.
        if child.status != 2 or "Traceback" in said:
            tally.lose(what, f"{name}: it ends with {child.status}: {last_line(child)}")
        elif found is None or due is None or found.groups() != due.groups():
            tally.lose(what, f"{name}: poisoned at {due and due.groups()}, and it says {last_line(child)}")
        elif start_again(command, folder).wait(1800) != 0:
            tally.lose(what, f"{name}: it cannot go on")
        elif odd := difference(folder, truth):
            tally.lose(what, f"{name}: {odd}")
        else:
            tally.add(what, "refused")


def start_again(command: Command, folder: Path) -> Child:
    """Go on in a folder without any fault."""
    arguments = command.next(folder) or []
    return start(lambda: command.main(arguments), folder, {"WIKIART_CACHE": str(folder / "cache")})


def poisoned(command: Command, folder: Path, place: str, inner: bool, dice: random.Random) -> Child:
    """Run a command in which a function's value becomes NaN once, in the second epoch or later.

    A line of the log says in which epoch and step, counted from 1.
    """
    module, name = place.split(":")
    turn = dice.randint(1, 4)

    def run() -> int:
        from wikiart_data.training.legacy_run import Run

        training, saves = importlib.import_module(module), 0
        real, check, save, calls, armed = getattr(training, name), Run.check, Run.save, 0, False

        def saved(run: Run, *rest: Any, **more: Any) -> None:
            nonlocal saves
            saves += 1
            save(run, *rest, **more)

        def checked(run: Run, loss: float, epoch: int, step: int) -> None:
            nonlocal armed
            if armed:
                print(f"poisoned at epoch {epoch + 1}, step {step + 1}", flush=True)
                armed = False
            check(run, loss, epoch, step)

        def spoilt(value: Any) -> Any:
            nonlocal calls, armed
            calls += saves > 0
            if calls != turn or saves == 0:
                return value
            calls, armed = 10**9, True
            return value * float("nan")

        def instead(*rest: Any, **more: Any) -> Any:
            if inner:
                loss = real(*rest, **more)
                return lambda *batch: spoilt(loss(*batch))
            return spoilt(real(*rest, **more))

        Run.save, Run.check = saved, checked
        setattr(training, name, instead)
        return command.main(list(command.arguments))

    child = start(run, folder, {"WIKIART_CACHE": str(folder / "cache")})
    child.wait(1800)
    return child


def other_styles(stage: Stage, command: Command, tally: Tally) -> None:
    """A checkpoint and weights of other styles in the run's folder, and other data under a run."""
    what, folder = f"checkpoint of other styles: {command.name}", stage.fresh(command)
    stage.run(command, folder)
    before = {file: (folder / command.run / file).read_bytes() for file in ("last.safetensors", "run.json")}

    def renamed(change: Callable[[list[str]], list[str]]) -> None:
        from wikiart_data.training.checkpoints import read_model, write_model

        path = folder / command.run / "last.safetensors"
        tensors, about = read_model(path)
        styles = json.dumps(change(json.loads(about["styles"])))
        write_model(path, tensors, {**about, "styles": styles})

    for change in (lambda s: s[::-1], lambda s: s[:-1], lambda s: ["Rococo", *s[1:]], lambda s: [*s, "Rococo"]):
        ask(renamed, change)
        _refused(what, command, folder, ["--resume", command.run], "other styles", tally)
        (folder / command.run / "last.safetensors").write_bytes(before["last.safetensors"])
    from faults.stage import HERE, paintings

    paintings(folder / "other", (*HERE[:-1], "Rococo"))
    resumed = ["--resume", command.run, "--data", str(folder / "other")]
    _refused(what, command, folder, resumed, "has changed", tally)
    uses = {
        "classify": ["test", command.run, "--data", str(folder / "other"), "--device", "cpu"],
        "autoencode": ["encode", command.run, "--data", str(folder / "other"), "--device", "cpu"],
    }
    if use := uses.get(command.name.split()[0]):
        _refused(what, command, folder, use, "style", tally)


def _refused(what: str, command: Command, folder: Path, arguments: list[str], word: str, tally: Tally) -> None:
    child = start(lambda: command.main(arguments), folder, {"WIKIART_CACHE": str(folder / "cache")})
    child.wait(1800)
    if child.status != 2 or word not in child.said or "Traceback" in child.said:
        tally.lose(what, f"{' '.join(arguments[:2])} ends with {child.status}: {last_line(child)}")
    else:
        tally.add(what, "refused")
