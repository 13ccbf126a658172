"""The folder of a run: what was configured, what happened, what came out, and all that is needed to continue.

    runs/<part>/<name>/
        run.json            config, styles, data fingerprint, git commit, versions, device, seed
        metrics.jsonl       one line per epoch
        result.json         final figures with intervals, and the tables that show them
        *.npz               arrays for other commands
        model.safetensors   the weights to use; config and styles in its metadata
        last.safetensors    with state.pt, the checkpoint that --resume reads
        figures/*.png
        index.html          all of it in one page, renewed after every epoch
        .lock               held by the process that trains

Every file is written under a temporary name and renamed: a reader finds the old content or the new, never a part.
"""

import dataclasses
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import nn

from wikiart_data.cli.commands import command_line
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.catalog import Catalog
from wikiart_data.results.folder import write_figures, write_results
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.page import write_page
from wikiart_data.results.serialization import json_text
from wikiart_data.training.checkpoints import write_model
from wikiart_data.training.provenance import provenance
from wikiart_data.training.run_folder import broadcast_from_main, create_run_folder

if TYPE_CHECKING:
    from accelerate import Accelerator
    from matplotlib.figure import Figure

    from wikiart_data.results.tables import Table


@dataclass(frozen=True)
class Part:
    """What kind of run this is, as run.json and the run's page say it."""

    name: str
    """The folder below `runs`: `classify`."""
    title: str
    """One phrase: `A classifier of painting styles`."""
    command: str
    """The command that trains and resumes: `wikiart-classify`."""
    next_commands: tuple[str, ...] = ()
    """Commands for a finished run; the word RUN stands for its folder."""


class Run:
    """A run's folder, new or opened again. Only the main process writes.

    Args:
        folder: an existing folder.
        record: the content of its run.json.
        accelerator: of a run over several processes; None for one process.
    """

    def __init__(self, folder: Path, record: dict[str, Any], accelerator: "Accelerator | None" = None):
        self.folder, self.record, self.accelerator = folder, record, accelerator
        self.is_main = accelerator is None or accelerator.is_main_process
        self._opened = time.monotonic()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, part={self.record.get('part')!r})"

    @classmethod
    def start(
        cls,
        part: Part,
        config: Any,
        catalog: Catalog,
        *,
        command: Sequence[str] = (),
        accelerator: "Accelerator | None" = None,
        **facts: object,
    ) -> Self:
        """Make a new folder and write its run.json.

        Args:
            part: what kind of run it is.
            config: a frozen dataclass; its fields `runs`, `name`, `overwrite` and `seed` are read here.
            catalog: the data, for the styles and the fingerprint.
            command: the command that starts the run, as words (default: by `config`).
            accelerator: of a run over several processes.
            facts: further entries of run.json.

        Raises:
            InputError: the folder exists and `overwrite` is not set, or cannot be written.
        """
        parent = Path(config.runs) / part.name
        folder = broadcast_from_main(lambda: create_run_folder(parent, config.name, config.overwrite), accelerator)
        record = {
            "part": part.name,
            "title": part.title,
            "program": part.command,
            "next_commands": list(part.next_commands),
            "config": config_to_json(config),
            "styles": list(catalog.styles),
            "data": {
                "root": str(catalog.root),
                "source": catalog.source,
                "notes": list(catalog.notes),
                "fingerprint": catalog.fingerprint,
                **{split: int((catalog.splits == split).sum()) for split in ("train", "valid", "test")},
                "valid_was_cut": catalog.valid_was_cut,
            },
            "seed": config.seed,
            **provenance(accelerator),
            "command": list(command or command_line(part.command, config)),
            **facts,
        }
        run = cls(folder, record, accelerator)
        run.write_json("run.json", record)
        return run

    @classmethod
    def reopen(cls, folder: Path, part: Part | None = None, *, accelerator: "Accelerator | None" = None) -> Self:
        """Open an existing run.

        Args:
            folder: the run's folder.
            part: the kind of run that is expected; None takes any.
            accelerator: of a run over several processes.

        Raises:
            InputError: the folder holds no run or another part's, or its run.json cannot be read.
        """
        record = read_run_record(folder)
        if part is not None and (other := record.get("part", part.name)) != part.name:
            raise InputError(
                f"--resume {folder}: this is a run of {other}, not of {part.name}; resume it with the command that "
                "started it.",
                field="--resume",
            )
        return cls(folder, record, accelerator)

    # -- writing ------------------------------------------------------------------------------------------------

    def write_log(self, epoch: int, line: str, **metrics: object) -> None:
        """Append to metrics.jsonl, with the run's wall-clock seconds as `clock`; print `line`; renew the page."""
        if not self.is_main:
            return
        entry = {"epoch": epoch, **metrics, "clock": round(time.monotonic() - self._opened, 2)}
        try:
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json_text(entry) + "\n")
        except OSError as error:
            raise not_written(self.folder / "metrics.jsonl", error) from error
        echo(line)
        write_page(self.folder)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that a kill cut short is left out."""
        return read_metrics(self.folder / "metrics.jsonl")

    def save_model(self, model: nn.Module) -> None:
        """Write model.safetensors, the weights to use."""
        if self.is_main:
            write_model(self.folder / "model.safetensors", model.state_dict(), self.identity())

    def identity(self) -> dict[str, str]:
        """Config and styles as the text metadata of a safetensors file."""
        return {"config": json.dumps(self.record["config"]), "styles": json.dumps(self.record["styles"])}

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file of the run."""
        if self.is_main:
            write_bytes(self.folder / name, (json_text(content, indent=2) + "\n").encode())

    def write_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write an .npz file of the run."""
        if self.is_main:
            content = io.BytesIO()
            np.savez_compressed(content, **arrays)  # pyright: ignore[reportArgumentType]  (NumPy's stub of **kwds)
            write_bytes(self.folder / name, content.getvalue())

    def save_figures(self, figures: "Mapping[str, Figure]") -> None:
        """Write figures/*.png."""
        if self.is_main:
            write_figures(self.folder, figures)

    def finish(self, result: Any, tables: "Sequence[Table]", figures: "Mapping[str, Figure]") -> None:
        """Write figures/*.png, result.json and the page that shows both."""
        if self.is_main:
            write_results(self.folder, result, tables, figures)


def read_run_record(folder: Path) -> dict[str, Any]:
    """The run.json of a run's folder.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not {"config", "styles"} <= record.keys():
            raise ValueError("it lacks config or styles")
    except FileNotFoundError as error:
        siblings = [p.parent for p in sorted(folder.parent.glob("*/run.json"))] if folder.parent.is_dir() else []
        hint = f" Runs in {folder.parent}: {', '.join(run.name for run in siblings[-5:])}." if siblings else ""
        raise InputError(f"{folder} is not a run: it has no run.json.{hint}", field=folder) from error
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", field=path) from error
    return record


def find_model(model: Path | None, runs: Path, part: str) -> Path:
    """Resolve what the user calls a model to its weights file.

    Args:
        model: a weights file, a run's folder, or None for the newest run of a part.
        runs: where runs are looked for.
        part: `classify`, `autoencode`, …

    Raises:
        InputError: there is none.
    """
    if model is None:
        files = sorted((runs / part).glob("*/model.safetensors"), key=lambda path: path.stat().st_mtime)
        if not files:
            raise InputError(f"{runs / part} holds no trained network yet: run wikiart-{part} first.", field="--runs")
        return files[-1]
    model = model.expanduser()
    path = model / "model.safetensors" if model.is_dir() else model
    if not path.is_file():
        raise InputError(f"{path} does not exist; name a run's folder, such as runs/{part}/001.", field=path)
    return path


def config_to_json(config: Any) -> dict[str, Any]:
    """A config dataclass as JSON holds it: paths as text, tuples as lists."""

    def value(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return [value(item) for item in x]
        return str(x) if isinstance(x, Path) else x

    return {key: value(x) for key, x in dataclasses.asdict(config).items()}
