"""Where a run is kept: a folder that no other run has, made once and known to every process."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wikiart_data.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def create_run_folder(parent: Path, name: str | None, overwrite: bool) -> Path:
    """The folder of a new run: `name`, or the next free number."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return _made(parent, name, overwrite)
    except OSError as error:
        raise InputError(
            f"{error.filename or parent} cannot be made or replaced ({error.strerror}); choose another place with "
            "--runs DIR."
        ) from error


def _made(parent: Path, name: str | None, overwrite: bool) -> Path:
    if name is None:
        taken = [int(found.name) for found in parent.glob("*") if found.name.isdecimal()]
        for number in range(max(taken, default=0) + 1, 1_000_000):
            try:
                (parent / f"{number:03d}").mkdir()
                return parent / f"{number:03d}"
            except FileExistsError:
                continue  # another run has just taken it
    if not re.fullmatch(r"[\w][\w.=+-]*", name or ""):
        raise InputError(f"--name {name!r} cannot be a folder name: use letters, digits, '_', '-', '.', '='.")
    folder = parent / str(name)
    if folder.exists():
        if not overwrite:
            raise InputError(
                f"{folder} exists. Choose another --name, go on with --resume {folder}, or replace it with --overwrite."
            )
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def broadcast_from_main(make: Callable[[], Path], accelerator: "Accelerator | None") -> Path:
    """What the main process makes, known to all; a mistake there ends the others too, instead of leaving them waiting.

    Raises:
        InputError: in every process, what the main one met.
    """
    answer: list[Any] = [None]
    if accelerator is None or accelerator.is_main_process:
        try:
            answer = [make()]
        except InputError as error:
            answer = [error]
    if accelerator is not None and accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        answer = broadcast_object_list(answer)
    if isinstance(answer[0], InputError):
        raise answer[0]
    return answer[0]
