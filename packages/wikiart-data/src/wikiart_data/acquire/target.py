"""Folders that a command makes: complete or not at all, with names that every file system can write."""

import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from wikiart_data.errors import InputError

_LONGEST = 200
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


@contextmanager
def making(target: Path, verb: str) -> Iterator[Path]:
    """Yield a folder next to the target that is renamed to it at the end, or removed if anything fails.

    Args:
        target: the folder to make; it must not exist yet, or be empty.
        verb: what is done, for the name of the temporary folder and for messages.

    Raises:
        InputError: the target is in the way or cannot be written, or another process is making it.
    """
    from filelock import FileLock, Timeout

    check_target(target)
    part = target.parent / f".{target.name}.{verb}"
    lock = FileLock(part.with_name(f"{part.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        try:
            shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
            part.mkdir()
            yield part
            if target.is_dir():
                target.rmdir()
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise InputError(f"Another {verb} into {target} is under way; wait for it.", field=target) from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{target} cannot be written: {reason}. Nothing was left behind.", field=target) from error


def check_target(target: Path) -> None:
    """Refuse a target that exists and is not an empty folder.

    Raises:
        InputError: it does.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is no folder; choose a new one with --to.", field=target)
    try:
        if target.is_dir() and any(target.iterdir()):
            raise InputError(
                f"{target} is not empty; choose a new folder with --to, nothing is overwritten.", field=target
            )
    except OSError as error:
        raise InputError(f"{target} cannot be read: {error.strerror}.", field=target) from error


class UniqueNames:
    """Makes paths unique, also on systems that take A.jpg and a.jpg for one file."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def add(self, path: PurePosixPath) -> PurePosixPath:
        """The path, or the path with a number after its stem if it is taken."""
        stem, first = path.stem, str(path).casefold()
        while str(path).casefold() in self._taken:
            self._taken[first] += 1
            path = path.with_stem(f"{stem}x{self._taken[first]}")
        self._taken[str(path).casefold()] = 1
        return path


def safe_name(name: str) -> str:
    """A name that every file system can write: no control characters, nothing Windows reserves, not too long."""
    name = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode("utf-8")
    name = _UNPRINTABLE.sub("_", name).rstrip(". ") or "_"
    stem, ending = os.path.splitext(name)  # noqa: PTH122  (a name, not a path)
    if stem.lower().split(".")[0] in _RESERVED:
        stem = f"_{stem}"
    while len(f"{stem}{ending}".encode()) > _LONGEST and stem:
        stem = stem[:-1]
    return stem + ending
