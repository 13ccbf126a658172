"""What is in a data folder: `scan(root) -> Catalog`, remembered so that a second start need not walk it again."""

import csv
import difflib
import hashlib
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from wikiart_data.cache import cache_root
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.styles import STYLES, canonical

SPLITS = ("train", "valid", "test")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo")
VALID_SHARE = 0.1
LAYOUT = "expected <folder>/{train,valid,test}/<Style>/*.jpg"

_ROBOFLOW = re.compile(r"_(?:jpe?g|png|webp)\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
_MANIFEST_VERSION = 1
_CHECK_ALL_BELOW = 20_000
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Catalog:
    """The pictures of a data folder, in one fixed order: by split, then style, then name."""

    root: Path
    """The data folder."""
    styles: tuple[str, ...]
    """The class list: the style folders of train, sorted. A label is a place in it."""
    files: tuple[str, ...]
    """(N,) paths below `root`, with forward slashes."""
    labels: np.ndarray
    """(N,) int64 in 0..len(styles)-1."""
    splits: np.ndarray
    """(N,) of 'train', 'valid', 'test'."""
    sizes: np.ndarray
    """(N,) int64, bytes."""
    times: np.ndarray
    """(N,) int64, modification time in nanoseconds."""
    valid_was_cut: bool = False
    """True if the folder has no valid split and a share of train was taken for it."""

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, split: str) -> np.ndarray:
        """(n,) int64: the places of one split's pictures in this catalog."""
        return np.flatnonzero(self.splits == split)

    def counts(self, split: str) -> np.ndarray:
        """(len(styles),) int64: pictures per style in one split."""
        return np.bincount(self.labels[self.rows(split)], minlength=len(self.styles))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over every path and size: the same for a copy of the folder elsewhere."""
        digest = hashlib.sha256()
        for file, size in zip(self.files, self.sizes.tolist(), strict=True):
            digest.update(f"{file}\0{size}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    @cached_property
    def artists(self) -> tuple[str, ...]:
        """(N,) artist of each picture, '' if unknown: from `artists.csv` if there is one, else `<artist>_<title>`."""
        listed = _read_artists(self.root / "artists.csv")
        return tuple(listed.get(file, artist_of(file)) for file in self.files)


def artist_of(file: str) -> str:
    """The artist in a name like `claude-monet_water-lilies.jpg`, or '' if the name carries none."""
    artist, underscore, _ = _ROBOFLOW.sub("", Path(file).stem).partition("_")
    return artist if underscore else ""


def artwork_of(file: str) -> str:
    """What variants of one artwork share: the file's stem without Roboflow's `_jpg.rf.<hash>`."""
    return _ROBOFLOW.sub("", Path(file).stem).lower()


def scan(root: Path | str, *, seed: int = 0, cache_dir: Path | None = None) -> Catalog:
    """Read a data folder's layout. Only names, sizes and times are looked at, no picture is opened.

    The class list comes from train; valid and test are mapped to it by name, so a split that lacks styles maps right.
    Folders and files whose name begins with a dot are ignored. Without a valid split, a seeded tenth of train is
    taken for it, style by style, variants of one artwork together.

    The listing is remembered in the cache. A second scan trusts it while every folder's modification time stands and
    the files (beyond 20,000: a random 20,000 of them) still have their size and time.

    Raises:
        InputError: the folder is missing, cannot be read or has another layout; the sentence names what was found
            and expected.
    """
    root = Path(root).expanduser().absolute()
    try:
        _check_layout(root)
        listing = _remembered(root, cache_dir) or _walk(root, cache_dir)
    except OSError as error:  # no permission, a name that is too long, a folder that went away meanwhile
        raise InputError(f"{printable(str(error.filename or root))} cannot be read: {error.strerror}.") from error
    return _catalog(root, listing, seed)


@dataclass(frozen=True)
class _Listing:
    """A folder as it was found: what the manifest in the cache holds."""

    files: tuple[str, ...]
    sizes: np.ndarray
    times: np.ndarray
    folders: tuple[str, ...]
    folder_times: np.ndarray
    taken_ns: int


def _catalog(root: Path, listing: _Listing, seed: int) -> Catalog:
    splits, folders = [], []
    for file in listing.files:
        split, folder, _ = file.split("/", 2)
        splits.append(split)
        folders.append(folder)
    names = {folder: canonical(folder) for folder in set(folders)}
    in_train = {names[folder] for folder, split in zip(folders, splits, strict=True) if split == "train"}
    for folder in (f for f in listing.folders if f.startswith("train/")):
        if canonical(folder.removeprefix("train/")) not in in_train:
            raise InputError(
                f"{printable(str(root / folder))} holds no pictures. Add some, or remove the folder from every "
                "split: a style cannot be learned from nothing."
            )
    styles = tuple(sorted(in_train))
    for folder in (f for f in listing.folders if not f.startswith("train/")):
        name = canonical(folder.partition("/")[2])
        if name not in in_train:
            near = difflib.get_close_matches(name, styles, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(f"{printable(str(root / folder))} is a style that train does not have.{hint}")
    place = {name: label for label, name in enumerate(styles)}
    order = sorted(
        range(len(splits)),
        key=lambda i: (SPLITS.index(splits[i]), place[names[folders[i]]], listing.files[i]),
    )
    catalog = Catalog(
        root=root,
        styles=styles,
        files=tuple(listing.files[i] for i in order),
        labels=np.array([place[names[folders[i]]] for i in order], dtype=np.int64),
        splits=np.array([splits[i] for i in order], dtype="<U5"),
        sizes=listing.sizes[order],
        times=listing.times[order],
    )
    return catalog if "valid" in splits else _cut_valid(catalog, seed)


def _cut_valid(catalog: Catalog, seed: int) -> Catalog:
    """Take a tenth of each style's artworks out of train; a style with fewer than four keeps them all."""
    artworks: list[dict[str, list[int]]] = [{} for _ in catalog.styles]
    for row in catalog.rows("train").tolist():
        artworks[catalog.labels[row]].setdefault(artwork_of(catalog.files[row]), []).append(row)
    splits = catalog.splits.copy()
    for rows_of in artworks:
        # The order is by name alone, so an artwork that lies in two styles is nearly always taken out of both; two
        # styles that number their files 0001.jpg, 0002.jpg, … still give a tenth each.
        order = sorted(rows_of, key=lambda name: _digest(f"{seed}-{name}"))
        for name in order[: max(1, round(VALID_SHARE * len(order))) if len(order) >= 4 else 0]:
            splits[rows_of[name]] = "valid"
    return replace(catalog, splits=splits, valid_was_cut=True)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _check_layout(root: Path) -> None:
    """Say what is wrong with a folder before anything long is started."""
    if not root.exists():
        raise InputError(f"There is no folder {root}; {LAYOUT}.")
    if not root.is_dir():
        hint = " Unpack it first: wikiart-data import FILE." if root.suffix.lower() == ".zip" else ""
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
    if any(canonical(inner.name) in STYLES for inner in _subfolders(root)):
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
                f"{printable(str(folder))} holds folders instead of pictures: the styles lie one level too deep; "
                f"{LAYOUT}."
            )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(PICTURE_ENDINGS)


def _has_pictures(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_picture(entry.name) for entry in entries)


def _walk(root: Path, cache_dir: Path | None) -> _Listing:
    """List every style folder, several at once: on a network disk the waiting is what costs."""
    taken_ns = time.time_ns()
    folders = [style for split in SPLITS if (root / split).is_dir() for style in _subfolders(root / split)]
    with ThreadPoolExecutor(16) as pool:
        found = [entry for entries in pool.map(_list_folder, folders) for entry in entries]
    if not found:
        raise InputError(f"{root} holds no pictures; {LAYOUT}.")
    files = tuple(f"{Path(folder).relative_to(root).as_posix()}/{name}" for folder, name, _, _ in found)
    watched = [root / split for split in SPLITS if (root / split).is_dir()] + folders
    listing = _Listing(
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
    with os.scandir(folder) as entries:
        pictures = [entry for entry in entries if _is_picture(entry.name) and entry.is_file()]
        stats = [(str(folder), entry.name, entry.stat()) for entry in pictures]
    return [(path, name, stat.st_size, stat.st_mtime_ns) for path, name, stat in sorted(stats, key=lambda s: s[1])]


def _manifest_path(root: Path, cache_dir: Path | None) -> Path:
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return cache_root(cache_dir) / "manifests" / f"{key}.npz"


def _remember(root: Path, cache_dir: Path | None, listing: _Listing) -> None:
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


def _remembered(root: Path, cache_dir: Path | None) -> _Listing | None:
    """The manifest, if it still tells the truth."""
    try:
        with _manifest_path(root, cache_dir).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if int(saved["version"]) != _MANIFEST_VERSION:
                return None
            listing = _Listing(
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
    with ThreadPoolExecutor(16) as pool:
        same = pool.map(lambda row: _unchanged(root, listing, row), rows, chunksize=256)
        return listing if all(same) else None


def _unchanged(root: Path, listing: _Listing, row: int) -> bool:
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


def _read_artists(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            return {row["file"]: row["artist"] for row in csv.DictReader(file) if row["artist"]}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return {}
