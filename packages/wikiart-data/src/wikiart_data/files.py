"""Files and folders: the cache, and writing a file atomically."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs

from wikiart_data.errors import InputError


def cache_root(cache_dir: Path | None = None) -> Path:
    """The cache folder: `cache_dir`, else `$WIKIART_CACHE`, else the user's own. It may not exist yet."""
    if cache_dir is not None:
        return cache_dir.expanduser().absolute()
    if named := os.environ.get("WIKIART_CACHE"):
        return Path(named).expanduser().absolute()
    return platformdirs.user_cache_path("wikiart")


def writable_folder(folder: Path) -> Path:
    """Make a folder below the cache and prove that it can be written.

    Raises:
        InputError: it cannot; the sentence says how to choose another one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)  # another container may have the same process id, and share the cache
    except OSError as error:
        raise InputError(
            f"The cache folder {folder} cannot be written ({error.strerror}); choose another with --cache-dir DIR "
            "or the environment variable WIKIART_CACHE."
        ) from error
    return folder


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new, never a part.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with _alone_in(part) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise not_written(path, error) from error


@contextmanager
def _alone_in(part: Path) -> Iterator[BinaryIO]:
    """The temporary file, empty, and this process's while it lasts: two who write the same file take turns."""
    while True:
        with part.open("ab") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:
                ours = False
            if ours:  # else the one before us has renamed it: the name is free again
                file.truncate(0)
                yield file
                return


def not_written(path: Path, error: OSError) -> InputError:
    """The sentence for a file that could not be written."""
    return InputError(f"{path} cannot be written ({error.strerror}); what was saved before is kept.")
