"""The cache folder, writing a file or a folder atomically, and CSV files."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from wikiart_data.errors import InputError


def cache_root(cache_dir: Path | str | None = None) -> Path:
    """The cache folder: `cache_dir`, else `$WIKIART_CACHE`, else the user's own. It may not exist yet."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser().absolute()
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


@contextmanager
def new_folder(target: Path, verb: str) -> Iterator[Path]:
    """Write a folder completely or not at all: yields one next to the target that is renamed to it at the end.

    If anything fails it is removed, and what a killed process left is removed by the next.

    Args:
        target: the folder to make; it must not exist yet, or be empty.
        verb: what is done, for the name of the temporary folder and for messages.

    Raises:
        InputError: the target is in the way or cannot be written, or another process is making it.
    """
    _check_target(target)
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


def _check_target(target: Path) -> None:
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


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file in UTF-8; bytes of a file name that are not UTF-8 become replacement characters."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    # Python holds such bytes of file names as surrogates, which UTF-8 cannot express.
    return text.getvalue().encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def read_csv(path: Path) -> list[list[str]]:
    """The lines of a CSV file that are not blank, as any spreadsheet writes it; none if it cannot be read.

    The delimiter is a comma, a semicolon or a tab; the encoding is UTF-8, UTF-16 or, on older systems, cp1252.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return []
    try:
        text = content.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252", "replace")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # a German or French spreadsheet writes semicolons
    try:
        return [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(line)]
    except csv.Error:
        return []


def not_written(path: Path, error: OSError) -> InputError:
    """The error for a file that could not be written."""
    return InputError(f"{path} cannot be written ({error.strerror}); the previous version is kept.", field=path)
