"""The cache folder, and writing a file atomically."""

import os
from pathlib import Path

import platformdirs
from filelock import FileLock

from wikiart_data.errors import InputError


def cache_root(cache_dir: Path | None = None) -> Path:
    """The cache folder: `cache_dir`, else `$WIKIART_CACHE`, else the user's own. It may not exist yet."""
    if cache_dir is not None:
        return cache_dir.expanduser().absolute()
    if configured := os.environ.get("WIKIART_CACHE"):
        return Path(configured).expanduser().absolute()
    return platformdirs.user_cache_path("wikiart")


def writable_folder(folder: Path) -> Path:
    """Make a folder below the cache and check that it can be written.

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
            "or the environment variable WIKIART_CACHE.",
            field=folder,
        ) from error
    return folder


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader finds the old content or the new, also after a kill at any moment.

    Processes that write the same file take turns. What a killed one left, `<name>.part` and `.<name>.lock`, is removed
    by the next.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    part, lock = path.with_name(f"{path.name}.part"), path.with_name(f".{path.name}.lock")
    try:
        path.parent.stat()  # a missing folder is an error; FileLock would make it
        with FileLock(lock):
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)  # a waiting process notices, and locks a new file
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> InputError:
    """The error for a file that could not be written."""
    return InputError(f"{path} cannot be written ({error.strerror}); the previous version is kept.", field=path)
