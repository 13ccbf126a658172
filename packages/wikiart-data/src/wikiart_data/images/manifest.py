"""The files of a data folder, and the manifest in the cache that spares the next start a walk over a slow disk."""

import hashlib
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wikiart_data.errors import InputError
from wikiart_data.files import cache_root
from wikiart_data.images.formats import PLUGINS, has_plugin, is_folder_name, is_picture_name, kind_of_file

SPLITS = ("train", "valid", "test")

BROKEN_LINK = "broken link"
"""What a picture is that links to a file which is not there."""

SUBFOLDER = "subfolder"
"""What a folder inside a listed folder is; its pictures are not read."""

_MANIFEST_VERSION = 3
_CHECK_ALL_BELOW = 20_000
_CHECK_AT_ONCE = 100  # handing one file to a thread costs more than a stat
_CLOCK_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class Listing:
    """The files of some folders: what the manifest in the cache holds."""

    files: tuple[str, ...]
    """(N,) paths of pictures below the data folder, with forward slashes."""
    sizes: np.ndarray
    """(N,) int64, bytes."""
    times: np.ndarray
    """(N,) int64, modification time in nanoseconds."""
    folders: tuple[str, ...]
    """(F,) the folders listed, below the data folder."""
    folder_times: np.ndarray
    """(F,) int64, modification time in nanoseconds."""
    taken_ns: int
    """When the walk began, in nanoseconds since the epoch."""
    unread: tuple[str, ...] = ()
    """Pictures that cannot be read here, and folders inside the listed ones."""
    unread_kinds: tuple[str, ...] = ()
    """The format of each ("HEIC", "SVG", ...), BROKEN_LINK or SUBFOLDER."""


def walk_folder(root: Path, folders: Sequence[str], cache_dir: Path | str | None) -> Listing:
    """List the pictures directly in these folders, several folders at once (a network disk is mostly waiting).

    Args:
        root: the data folder.
        folders: paths below it.
        cache_dir: where the manifest is kept (default: `cache_root()`).

    Raises:
        OSError: a folder cannot be read.
    """
    taken_ns = time.time_ns()
    folder_times = [(root / folder).stat().st_mtime_ns for folder in folders]
    with ThreadPoolExecutor(16) as pool:
        entries = [entry for part in pool.map(lambda folder: _list_folder(root, folder), folders) for entry in part]
    above = {
        "/".join(parts[:end]) for folder in folders if (parts := folder.split("/")) for end in range(len(parts) + 1)
    }
    entries = [entry for entry in entries if not (entry[3] == SUBFOLDER and entry[0] in above)]
    pictures = [entry for entry in entries if not entry[3]]
    unread = [entry for entry in entries if entry[3]]
    listing = Listing(
        files=tuple(file for file, _, _, _ in pictures),
        sizes=np.array([size for _, size, _, _ in pictures], dtype=np.int64),
        times=np.array([modified for _, _, modified, _ in pictures], dtype=np.int64),
        folders=tuple(folders),
        folder_times=np.array(folder_times, dtype=np.int64),
        taken_ns=taken_ns,
        unread=tuple(file for file, _, _, _ in unread),
        unread_kinds=tuple(kind for _, _, _, kind in unread),
    )
    _write_manifest(root, cache_dir, listing)
    return listing


def _list_folder(root: Path, folder: str) -> list[tuple[str, int, int, str]]:
    """(file, size, time, kind) sorted by name; kind is "" for what can be read."""
    prefix = f"{folder}/" if folder not in ("", ".") else ""
    rows: list[tuple[str, int, int, str]] = []
    with os.scandir(root / folder) as entries:  # only plain values are kept: a DirEntry is a kilobyte
        for entry in entries:
            if entry.is_dir():
                if is_folder_name(entry.name):
                    rows.append((prefix + entry.name, 0, 0, SUBFOLDER))
                continue
            readable, kind = kind_of_file(entry.path, entry.name)
            if not (readable or kind):
                continue
            if entry.is_file():
                stat = entry.stat()
                rows.append((prefix + entry.name, stat.st_size, stat.st_mtime_ns, kind))
            elif entry.is_symlink():
                rows.append((prefix + entry.name, 0, 0, BROKEN_LINK))
    return sorted(rows)


def _manifest_path(root: Path, cache_dir: Path | str | None) -> Path:
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return cache_root(cache_dir) / "manifests" / f"{key}.npz"


def _plugins() -> str:
    """The optional formats that can be read: with another plugin installed the folder is walked again."""
    return ",".join(kind for kind in PLUGINS if has_plugin(kind))


def _write_manifest(root: Path, cache_dir: Path | str | None, listing: Listing) -> None:
    path = _manifest_path(root, cache_dir)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(
                file,
                version=_MANIFEST_VERSION,
                plugins=_plugins(),
                files=_joined(listing.files),
                sizes=listing.sizes,
                times=listing.times,
                folders=_joined(listing.folders),
                folder_times=listing.folder_times,
                taken_ns=listing.taken_ns,
                unread=_joined(listing.unread),
                unread_kinds=_joined(listing.unread_kinds),
            )
        part.replace(path)
    except OSError:  # a cache that cannot be written costs a walk next time, nothing more
        with suppress(OSError):
            part.unlink()


def read_manifest(root: Path, folders: Sequence[str], cache_dir: Path | str | None) -> Listing | None:
    """The manifest of these folders, or None if there is none or anything has changed since it was written."""
    try:
        with _manifest_path(root, cache_dir).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if int(saved["version"]) != _MANIFEST_VERSION or str(saved["plugins"]) != _plugins():
                return None
            listing = Listing(
                files=_parted(saved["files"]),
                sizes=saved["sizes"],
                times=saved["times"],
                folders=_parted(saved["folders"]),
                folder_times=saved["folder_times"],
                taken_ns=int(saved["taken_ns"]),
                unread=_parted(saved["unread"]),
                unread_kinds=_parted(saved["unread_kinds"]),
            )
    except Exception:  # a damaged zip raises nearly everything, from BadZipFile to RuntimeError ("is encrypted")
        return None
    if listing.folders != tuple(folders) or len(listing.folders) != len(listing.folder_times):
        return None
    if not len(listing.files) == len(listing.sizes) == len(listing.times):
        return None
    if len(listing.unread) != len(listing.unread_kinds):
        return None
    for folder, before in zip(listing.folders, listing.folder_times.tolist(), strict=True):
        try:
            now = (root / folder).stat().st_mtime_ns
        except OSError:
            return None
        # A folder that changed just before the walk may change again without its time moving on: walk again.
        if now != before or now > listing.taken_ns - _CLOCK_TICK_NS:
            return None
    rows = range(len(listing.files))
    if len(rows) > _CHECK_ALL_BELOW:
        rows = random.sample(rows, _CHECK_ALL_BELOW)
    blocks = [rows[start : start + _CHECK_AT_ONCE] for start in range(0, len(rows), _CHECK_AT_ONCE)]
    with ThreadPoolExecutor(16) as pool:
        same = pool.map(lambda block: all(_unchanged(root, listing, row) for row in block), blocks)
        return listing if all(same) else None


def _unchanged(root: Path, listing: Listing, row: int) -> bool:
    try:
        stat = os.stat(f"{root}/{listing.files[row]}")  # noqa: PTH116  (80,000 Path objects would cost more than this)
    except OSError:
        return False
    return stat.st_size == listing.sizes[row] and stat.st_mtime_ns == listing.times[row]


def _joined(names: tuple[str, ...]) -> np.ndarray:
    """Names as one row of bytes: no name holds a NUL, and any may hold a newline or bytes that are not text."""
    return np.frombuffer("\0".join(names).encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _parted(row: np.ndarray) -> tuple[str, ...]:
    return tuple(row.tobytes().decode("utf-8", "surrogateescape").split("\0")) if row.size else ()


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """All picture files among these paths and below the folders among them, in a fixed order.

    Raises:
        InputError: a path does not exist, or there is no picture at all.
    """
    pictures: list[Path] = []
    for path in paths:
        if path.is_dir():
            pictures += sorted(p for p in path.rglob("*") if is_picture_name(p.name) and p.is_file())
        elif path.exists():
            pictures.append(path)
        else:
            raise InputError(f"There is no file or folder {path}.", field=path)
    if not pictures:
        named = ", ".join(str(path) for path in paths)
        raise InputError(
            f"There are no pictures in {named or 'the arguments'}: name picture files, or folders that hold some.",
            field=named or None,
        )
    return pictures
