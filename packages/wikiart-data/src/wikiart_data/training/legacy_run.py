"""The old Run, until every part uses TrainingRun: then this file goes.

    runs/<part>/<name>/
        run.json            options, class list, data fingerprint, git commit, versions, device, seed
        metrics.jsonl       a line an epoch
        result.json         final figures
        *.npz               arrays that a part leaves for others
        model.safetensors   the weights to use; options and class list in its metadata
        last.safetensors    where training stands, with state.pt: what --resume reads
        figures/*.png
        index.html          all of it to look at in a browser, new after every epoch
        .lock               held by the process that trains

Every file is written beside its place and renamed into it: a reader finds the old one or the new one, never half.
"""

import dataclasses
import io
import json
import math
import signal
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import BaseFileLock, FileLock, Timeout
from torch import nn

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.catalog import Catalog
from wikiart_data.results.folder import write_figures, write_results
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.page import write_page
from wikiart_data.training.checkpoints import load_weights, read_model, write_model
from wikiart_data.training.provenance import provenance
from wikiart_data.training.run import read_run_record
from wikiart_data.training.run_folder import broadcast_from_main, create_run_folder

if TYPE_CHECKING:
    from accelerate import Accelerator
    from matplotlib.figure import Figure


class Run:
    """A run's folder while the run goes on. Only the main process writes; the others read what resuming needs.

    Args:
        folder: the run's folder, already made.
        record: what its run.json holds.
        accelerator: of a run over several processes; None for one.
    """

    def __init__(self, folder: Path, record: dict[str, Any], accelerator: "Accelerator | None" = None):
        self.folder, self.record, self.accelerator = folder, record, accelerator
        self.is_main = accelerator is None or accelerator.is_main_process
        self._asked_to_stop = False
        self._unsettled = False
        self._lock: BaseFileLock | None = None
        self._began = time.monotonic()

    @classmethod
    def start(
        cls,
        part: str,
        config: Any,
        catalog: Catalog,
        *,
        accelerator: "Accelerator | None" = None,
        **more: Any,
    ) -> "Run":
        """Make a fresh folder and write its run.json.

        Args:
            part: `classify`, `autoencode`, …
            config: the command's frozen dataclass; its fields `runs`, `name`, `overwrite` and `seed` are read here.
            catalog: the data, for the class list and the fingerprint.
            accelerator: of a run over several processes.
            more: further facts for run.json.

        Raises:
            InputError: the folder exists and `overwrite` is not set, or cannot be written.
        """
        folder = broadcast_from_main(
            lambda: create_run_folder(Path(config.runs) / part, config.name, config.overwrite), accelerator
        )
        record = {
            "part": part,
            "config": _plain(config),
            "styles": list(catalog.styles),
            "data": {
                "root": str(catalog.root),
                "fingerprint": catalog.fingerprint,
                **{split: int((catalog.splits == split).sum()) for split in ("train", "valid", "test")},
                "valid_was_cut": catalog.valid_was_cut,
            },
            "seed": config.seed,
            **provenance(accelerator),
            **more,
        }
        run = cls(folder, record, accelerator)
        run.write_json("run.json", record)
        return run

    @classmethod
    def resume(cls, folder: Path, part: str | None = None, *, accelerator: "Accelerator | None" = None) -> "Run":
        """Open the folder of a run that was broken off; `resumed` then says where it stood.

        Args:
            folder: the run's folder.
            part: whose run it must be: `classify`, `autoencode`, …; None takes any.
            accelerator: of a run over several processes.

        Raises:
            InputError: there is no run in that folder, it is another part's, or its run.json cannot be read.
        """
        record = read_run_record(folder)
        if part is not None and (other := record.get("part", part)) != part:
            raise InputError(
                f"--resume {folder}: this is a run of {other}, not of {part}; go on with the command that made it."
            )
        return cls(folder, record, accelerator)

    # -- going on after a break ---------------------------------------------------------------------------------

    def save(self, models: Mapping[str, nn.Module], optimizer: Any, **progress: Any) -> None:
        """Write where training stands: everything that `resumed` needs to go on as if never broken.

        The two files are a pair. `last.safetensors` names the CRC-32 of its `state.pt` and is renamed into place
        first: that is the moment the save counts. A kill before it leaves the old pair; after it, the new state is
        found under its temporary name.

        Args:
            models: name → module; all their parameters and buffers are kept.
            optimizer: anything with `state_dict()`.
            progress: plain numbers, strings, lists and tensors (`epoch=3, step=17, best=0.41`).
        """
        if not self.is_main:
            return
        state = self.folder / "state.pt.next"
        if self._unsettled:  # what we resumed from still has its temporary name, which is about to be written over
            state.replace(self.folder / "state.pt")
            self._unsettled = False
        # NumPy's scalars pickle as code, which `weights_only=True` would refuse when it is too late.
        progress = {key: value.item() if isinstance(value, np.generic) else value for key, value in progress.items()}
        content = io.BytesIO()
        torch.save({"optimizer": optimizer.state_dict(), "progress": progress}, content)
        write_bytes(state, content.getvalue())
        tensors = {
            f"{name}/{key}": value for name, model in models.items() for key, value in model.state_dict().items()
        }
        crc = str(zlib.crc32(content.getvalue()))
        write_model(self.folder / "last.safetensors", tensors, {**self._identity(), "state_crc32": crc})
        state.replace(self.folder / "state.pt")

    def resumed(self, models: Mapping[str, nn.Module], optimizer: Any) -> dict[str, Any] | None:
        """Put models and optimiser back where the run stood.

        Returns:
            The `progress` of the last `save`, or None if the run was broken off before its first.

        Raises:
            InputError: the checkpoint is damaged, belongs to other styles, options or another model, or another process
                is working on this run.
        """
        self._alone()
        path = self.folder / "last.safetensors"
        if not path.exists():
            self._cut_metrics(0)
            return None
        tensors, about = read_model(path)
        if json.loads(about["styles"]) != self.record["styles"]:
            raise InputError(f"{path} was trained on other styles than run.json names.")
        for name, model in models.items():
            own = {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(name + "/")}
            load_weights(model, own, path)
        state = self._state_of(about.get("state_crc32", ""))
        if odd := _others(json.loads(about["config"]), self.record["config"]):
            raise InputError(
                f"{self.folder / 'run.json'} names other options than {path.name} was saved with ({', '.join(odd)}): "
                "it is damaged, or was edited; put it back as it was."
            )
        optimizer.load_state_dict(state["optimizer"])
        self._cut_metrics(state["progress"].get("epoch", math.inf))
        return state["progress"]

    def _state_of(self, crc: str) -> dict[str, Any]:
        for path in (self.folder / "state.pt", self.folder / "state.pt.next"):
            if path.exists() and str(zlib.crc32(path.read_bytes())) == crc:
                self._unsettled = path.suffix == ".next"
                return torch.load(path, map_location="cpu", weights_only=True)
        raise InputError(
            f"{self.folder / 'state.pt'} does not belong to the last.safetensors beside it, or is damaged: this run "
            "cannot go on. Its model.safetensors may still be good; train again with --overwrite."
        )

    def _cut_metrics(self, epoch: float) -> None:
        """Drop the lines of epochs that will be run again."""
        if self.is_main and (self.folder / "metrics.jsonl").exists():
            kept = [line for line in self.metrics() if line["epoch"] < epoch]
            write_bytes(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())

    # -- stopping -----------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """From now on, SIGTERM and the first Ctrl-C ask the run to save and stop instead of killing it.

        Raises:
            InputError: another process is working on this run.
        """
        self._alone()

        def asked(signum: int, _: object) -> None:
            self._asked_to_stop = True
            signal.signal(signum, signal.SIG_DFL if signum == signal.SIGTERM else signal.default_int_handler)

        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, asked)

    def _alone(self) -> None:
        """Keep other processes from this run: two that save in turn would leave a pair of files that do not belong.

        The system opens the lock when this process ends, however it ends.
        """
        if not self.is_main or self._lock is not None:
            return
        lock = FileLock(self.folder / ".lock", is_singleton=True)  # in this process it may be taken again
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"Another process is working on {self.folder}: wait for it, or stop it first.") from error
        except (OSError, NotImplementedError):
            return  # a file system without locks
        self._lock = lock

    def should_stop(self) -> bool:
        """Whether a stop was asked for, the same in every process: they must leave the loop at the same step."""
        if self.accelerator is None or self.accelerator.num_processes == 1:
            return self._asked_to_stop
        flag = torch.tensor([float(self._asked_to_stop)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum").item() > 0)

    def stop(self, command: str) -> SystemExit:
        """What to raise after the last save: says how to go on, and ends with the status of a SIGTERM."""
        if self.is_main:
            echo(f"Stopped and saved. Go on with: {command} --resume {self.folder}")
        return SystemExit(128 + signal.SIGTERM)

    def check(self, loss: float, epoch: int, step: int) -> None:
        """Stop at once when the loss is no number any more; the last checkpoint is from before it.

        Raises:
            InputError: the loss is NaN or infinite.
        """
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is {loss} in epoch {epoch + 1}, step {step + 1}. The last good checkpoint is kept in "
                f"{self.folder}. Try a smaller --lr."
            )

    # -- writing ------------------------------------------------------------------------------------------------

    def log(self, epoch: int, text: str, **figures: Any) -> None:
        """Append a line to metrics.jsonl with the run's `clock`, say one on the screen, and renew the page."""
        if not self.is_main:
            return
        line = {"epoch": epoch, **figures, "clock": round(time.monotonic() - self._began, 2)}
        try:
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise not_written(self.folder / "metrics.jsonl", error) from error
        echo(text)
        write_page(self.folder)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one that a kill cut short is left out."""
        return read_metrics(self.folder / "metrics.jsonl")

    def keep(self, model: nn.Module) -> None:
        """Write model.safetensors: the weights to use."""
        if self.is_main:
            write_model(self.folder / "model.safetensors", model.state_dict(), self._identity())

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file of the run."""
        if self.is_main:
            write_bytes(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())

    def write_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write an .npz file of the run."""
        if self.is_main:
            content = io.BytesIO()
            np.savez_compressed(content, **arrays)
            write_bytes(self.folder / name, content.getvalue())

    def finish(self, result: Mapping[str, Any], figures: Mapping[str, "Figure"]) -> None:
        """Write figures/*.png, result.json and the page that shows both."""
        if self.is_main:
            write_results(self.folder, result, figures)

    def write_figures(self, figures: Mapping[str, "Figure"]) -> None:
        """Write figures/*.png, in the main process."""
        write_figures(self.folder, figures)

    def _identity(self) -> dict[str, str]:
        return {"config": json.dumps(self.record["config"]), "styles": json.dumps(self.record["styles"])}


def _others(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The first names under which two records hold different values, or that only one of them has."""
    missing = object()  # a name with a value of None is still there
    return sorted(name for name in one.keys() | other.keys() if one.get(name, missing) != other.get(name, missing))[:5]


def _plain(config: Any) -> dict[str, Any]:
    def value(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return [value(one) for one in x]
        return str(x) if isinstance(x, Path) else x

    return {key: value(x) for key, x in dataclasses.asdict(config).items()}
