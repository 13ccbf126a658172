"""A data folder's files as they lie there, and the manifest that spares the next start a walk over a slow disk."""

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

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root
from wikiart_data.styles import STYLES, canonical_name

SPLITS = ("train", "valid", "test")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo")
LAYOUT = "expected <folder>/{train,valid,test}/<Style>/*.jpg"

_MANIFEST_VERSION = 1
_CHECK_ALL_BELOW = 20_000
_CHECK_AT_ONCE = 100  # handing a file to a thread costs more than looking at it
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Listing:
    """A folder as it was found: what the manifest in the cache holds."""

    files: tuple[str, ...]
    sizes: np.ndarray
    times: np.ndarray
    folders: tuple[str, ...]
    folder_times: np.ndarray
    taken_ns: int


def check_layout(root: Path) -> None:
    """Say what is wrong with a folder before anything long is started."""
    if not root.exists():
        raise InputError(f"There is no folder {root}; {LAYOUT}.")
    if not root.is_dir():
        hint = " Unpack it first: wikiart-data import FILE --to FOLDER." if root.suffix.lower() == ".zip" else ""
        raise InputError(f"{root} is a file, not a folder; {LAYOUT}.{hint}")
    train = root / "train"
    for other in ("val", "validation"):
        if (root / other).is_dir() and not (root / "valid").is_dir():
            raise InputError(f"{root / other} would be ignored: rename it to 'valid'; {LAYOUT}.")
    if train.is_dir():
        for split in (root / split for split in SPLITS if (root / split).is_dir()):
            _check_split(split)
        return
    for inner in _subfolders(root):
        if (inner / "train").is_dir():
            raise InputError(f"{root} has no folder 'train', but {inner} has: use --data {inner}.")
    if root.name in SPLITS and any(_has_pictures(inner) for inner in _subfolders(root)):
        raise InputError(f"{root} is one split: point to the folder above it, --data {root.parent}.")
    if any(canonical_name(inner.name) in STYLES for inner in _subfolders(root)):
        raise InputError(f"{root} holds style folders but no split: move them into {train}; {LAYOUT}.")
    raise InputError(f"{root} has no folder 'train'; {LAYOUT}.")


def _check_split(split: Path) -> None:
    folders = _subfolders(split)
    if not folders and _has_pictures(split):
        raise InputError(f"{split} holds pictures but no style folders; {LAYOUT}.")
    if not folders and split.name == "train":
        raise InputError(f"{split} holds no style folders; {LAYOUT}.")
    for folder in folders:
        if not _has_pictures(folder) and any(_has_pictures(inner) for inner in _subfolders(folder)):
            raise InputError(
                f"{printable(str(folder))} holds folders instead of pictures: the styles lie one level too deep, "
                f"move them up into {printable(str(split))}; {LAYOUT}."
            )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(PICTURE_ENDINGS)


def _has_pictures(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_picture(entry.name) for entry in entries)


def walk_folder(root: Path, cache_dir: Path | None) -> Listing:
    """List every style folder, several at once: on a network disk the waiting is what costs."""
    taken_ns = time.time_ns()
    folders = [style for split in SPLITS if (root / split).is_dir() for style in _subfolders(root / split)]
    with ThreadPoolExecutor(16) as pool:
        found = [entry for entries in pool.map(_list_folder, folders) for entry in entries]
    if not found:
        raise InputError(f"{root} holds no pictures; {LAYOUT}.")
    files = tuple(f"{Path(folder).relative_to(root).as_posix()}/{name}" for folder, name, _, _ in found)
    watched = [root / split for split in SPLITS if (root / split).is_dir()] + folders
    listing = Listing(
        files=files,
        sizes=np.array([size for _, _, size, _ in found], dtype=np.int64),
        times=np.array([when for _, _, _, when in found], dtype=np.int64),
        folders=tuple(folder.relative_to(root).as_posix() for folder in folders),
        folder_times=np.array([folder.stat().st_mtime_ns for folder in watched], dtype=np.int64),
        taken_ns=taken_ns,
    )
    _remember(root, cache_dir, listing)
    return listing


def _list_folder(folder: Path) -> list[tuple[str, str, int, int]]:
    path = str(folder)
    with os.scandir(folder) as entries:  # entries and their stats are not kept: a kilobyte each, of a million files
        return sorted(
            (path, entry.name, (stat := entry.stat()).st_size, stat.st_mtime_ns)
            for entry in entries
            if _is_picture(entry.name) and entry.is_file()
        )


def _manifest_path(root: Path, cache_dir: Path | None) -> Path:
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return cache_root(cache_dir) / "manifests" / f"{key}.npz"


def _remember(root: Path, cache_dir: Path | None, listing: Listing) -> None:
    path = _manifest_path(root, cache_dir)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(
                file,
                version=_MANIFEST_VERSION,
                files=_joined(listing.files),
                sizes=listing.sizes,
                times=listing.times,
                folders=_joined(listing.folders),
                folder_times=listing.folder_times,
                taken_ns=listing.taken_ns,
            )
        part.replace(path)
    except OSError:  # a cache that cannot be written costs a walk next time, nothing more
        with suppress(OSError):
            part.unlink()


def read_manifest(root: Path, cache_dir: Path | None) -> Listing | None:
    """The manifest, if it still tells the truth."""
    try:
        with _manifest_path(root, cache_dir).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if int(saved["version"]) != _MANIFEST_VERSION:
                return None
            listing = Listing(
                files=_parted(saved["files"]),
                sizes=saved["sizes"],
                times=saved["times"],
                folders=_parted(saved["folders"]),
                folder_times=saved["folder_times"],
                taken_ns=int(saved["taken_ns"]),
            )
    except Exception:  # a damaged zip raises nearly everything, from BadZipFile to RuntimeError ("is encrypted")
        return None
    if not len(listing.files) == len(listing.sizes) == len(listing.times):
        return None
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if len(splits) + len(listing.folders) != len(listing.folder_times):
        return None
    for folder, seen in zip([*splits, *listing.folders], listing.folder_times.tolist(), strict=True):
        try:
            now = (root / folder).stat().st_mtime_ns
        except OSError:
            return None
        # A folder touched just before the listing may change again without its time moving on: not trusted.
        if now != seen or now > listing.taken_ns - _SETTLED_NS:
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
    """Names as one row of bytes: no name holds a NUL, and any may hold a newline or bytes that are no text."""
    return np.frombuffer("\0".join(names).encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _parted(row: np.ndarray) -> tuple[str, ...]:
    return tuple(row.tobytes().decode("utf-8", "surrogateescape").split("\0")) if row.size else ()


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """All picture files named or found below the folders named, in a fixed order.

    Raises:
        InputError: a path does not exist, or there is no picture at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.name.lower().endswith(PICTURE_ENDINGS) and p.is_file())
            found += [p for p in inside if not p.name.startswith(".")]
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"There is no file or folder {path}.")
    if not found:
        raise InputError("There are no pictures to look at: name picture files, or folders that hold some.")
    return found
