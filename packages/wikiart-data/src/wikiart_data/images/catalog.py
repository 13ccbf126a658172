"""What is in a data folder: `scan(root) -> Catalog`, remembered so that a second start need not walk it again."""

import csv
import difflib
import hashlib
import os
import re
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS, Listing, check_layout, read_manifest, walk_folder
from wikiart_data.styles import canonical_name

VALID_SHARE = 0.1
_ROBOFLOW = re.compile(r"_(?:jpe?g|png|webp)\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """The pictures of a data folder, in one fixed order: by split, then style, then name.

    Two catalogs are equal if they list the same files of the same folder with the same labels, splits, sizes and
    times.
    """

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

    def __repr__(self) -> str:
        splits = ", ".join(f"{split} {len(self.rows(split)):,}" for split in SPLITS)
        return f"Catalog({str(self.root)!r}: {len(self):,} pictures in {len(self.styles)} styles; {splits})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalog):
            return NotImplemented
        return (self.root, self.styles, self.files) == (other.root, other.styles, other.files) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("labels", "splits", "sizes", "times")
        )

    def __hash__(self) -> int:
        return hash((self.root, self.fingerprint))

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
    artist, underscore, _ = _ROBOFLOW.sub("", _stem(file)).partition("_")
    return artist if underscore else ""


def artwork_of(file: str) -> str:
    """What variants of one artwork share: the file's stem without Roboflow's `_jpg.rf.<hash>`."""
    return _ROBOFLOW.sub("", _stem(file)).lower()


def _stem(file: str) -> str:
    name = file.rpartition("/")[2]  # every start asks it of every file, and a Path would be most of the work
    return name.rpartition(".")[0] or name


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
        check_layout(root)
        listing = read_manifest(root, cache_dir) or walk_folder(root, cache_dir)
    except OSError as error:  # no permission, a name that is too long, a folder that went away meanwhile
        raise InputError(f"{printable(str(error.filename or root))} cannot be read: {error.strerror}.") from error
    return _catalog(root, listing, seed)


def _catalog(root: Path, listing: Listing, seed: int) -> Catalog:
    splits, folders = [], []
    for file in listing.files:
        split, folder, _ = file.split("/", 2)
        splits.append(sys.intern(split))  # not a string of its own for each of a million files
        folders.append(sys.intern(folder))
    names = {folder: canonical_name(folder) for folder in set(folders)}
    in_train = {names[folder] for folder, split in zip(folders, splits, strict=True) if split == "train"}
    for folder in (f for f in listing.folders if f.startswith("train/")):
        if canonical_name(folder.removeprefix("train/")) not in in_train:
            raise InputError(
                f"{printable(str(root / folder))} holds no pictures. Add some, or remove the folder from every "
                "split: a style cannot be learned from nothing."
            )
    styles = tuple(sorted(in_train))
    for folder in (f for f in listing.folders if not f.startswith("train/")):
        name = canonical_name(folder.partition("/")[2])
        if name not in in_train:
            near = difflib.get_close_matches(name, styles, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(
                f"{printable(str(root / folder))} is a style that train does not have.{hint} "
                "Rename or remove the folder, or add the style to train."
            )
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


def _read_artists(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            return {row["file"]: row["artist"] for row in csv.DictReader(file) if row["artist"]}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return {}


def find_data(data: str | Path | None = None, cache_dir: Path | None = None) -> Path:
    """The data folder, said on the console. The sample set is built at its first use (a minute).

    Raises:
        InputError: the folder's name is empty.
    """
    if data is not None:
        if not str(data).strip():  # the shell's answer to "$FOLDER" where no FOLDER is set
            raise InputError("--data is empty: name a folder, or leave --data out for the built-in sample set.")
        echo(f"Data: {data}")
        return Path(data).expanduser()
    if named := os.environ.get("WIKIART_DATA"):
        echo(f"Data: {named} (from WIKIART_DATA)")
        return Path(named).expanduser()
    from wikiart_data.sample import sample_root

    root = sample_root(cache_dir, say=echo)
    echo("Data: the built-in sample set, painted by this toolkit (use --data DIR for your own paintings).")
    return root
