"""The folder of a new run: one that no other run has, made once and known to every process."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import join_writer

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


def create_run_folder(parent: Path, name: str | None, overwrite: bool) -> Path:
    """Make the folder of a new run: `name`, or the next free number.

    Raises:
        InputError: the name cannot be a folder's, the folder exists and `overwrite` is not set, or it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return _next_number(parent) if name is None else _named_folder(parent, name, overwrite)
    except OSError as error:
        raise InputError(
            f"{error.filename or parent} cannot be made or replaced ({error.strerror}); choose another place with "
            "--runs DIR.",
            field="--runs",
        ) from error


def _next_number(parent: Path) -> Path:
    taken = [int(folder.name) for folder in parent.glob("*") if folder.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        folder = parent / f"{number:03d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another run has just taken it
            number += 1


def _named_folder(parent: Path, name: str, overwrite: bool) -> Path:
    if not re.fullmatch(r"[\w][\w.=+-]*", name):
        raise InputError(
            f"--name {name!r} cannot be a folder name: use letters, digits, '_', '-', '.', '='.", field="--name"
        )
    folder = parent / name
    if folder.exists():
        if not overwrite:
            raise InputError(
                f"{folder} exists. Choose another --name, continue it with --resume {folder}, or replace it with "
                "--overwrite.",
                field="--name",
            )
        join_writer(folder)
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def broadcast_from_main(make: Callable[[], T], accelerator: "Accelerator | None") -> T:
    """Call `make` in the main process and give its result to all; an InputError is raised in all of them.

    Raises:
        InputError: what `make` raised in the main process.
    """
    outcome: list[Any] = [None]
    if accelerator is None or accelerator.is_main_process:
        try:
            outcome = [make()]
        except InputError as error:
            outcome = [error]
    if accelerator is not None and accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        outcome = broadcast_object_list(outcome)
    if isinstance(outcome[0], InputError):
        raise outcome[0]
    return outcome[0]
