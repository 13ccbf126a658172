"""What is in a data folder: `scan(root) -> Catalog`. The listing is cached, so that a second start need not walk."""

import difflib
import hashlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from wikiart_data.console import counted, echo, printable
from wikiart_data.errors import InputError, how_to_install
from wikiart_data.images.formats import PLUGIN_REQUIREMENTS, PLUGINS
from wikiart_data.images.label_tables import LabelColumn
from wikiart_data.images.labels import NAMES_SHOWN, artists_note, find_artists, label_files
from wikiart_data.images.layout import DataSource, Layout, find_layout
from wikiart_data.images.manifest import SPLITS, SUBFOLDER, Listing, read_manifest, walk_folder
from wikiart_data.images.names import artwork_of, clean_name, style_key
from wikiart_data.styles import STYLES

HELD_OUT_FRACTION = 0.1
"""Fraction of each style's artworks that valid, and test, get where the data folder has no such split."""

_printed: set[tuple[str, tuple[str, ...]]] = set()


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """The N pictures of a data folder, in one fixed order: by split (as found), then style, then name.

    `files`, `labels`, `splits`, `sizes` and `times` have N entries each; a label is an index into `styles`.

    Two catalogs are equal if they list the same files of the same folder with the same labels, splits, sizes and
    times.
    """

    root: Path
    """The data folder."""
    styles: tuple[str, ...]
    """The class list: the styles of train, sorted. A label is an index into it."""
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
    """True if the folder has no valid split and a seeded tenth of train's artworks was taken for it."""
    table: str = ""
    """Names of the CSV files that labels and splits come from; '' if they come from the folders."""
    notes: tuple[str, ...] = ()
    """Sentences on what a user should know: which split is used, which files are not read."""
    source: str = ""
    """What `scan` takes to give this catalog again: the folder, with table and column if they were chosen."""
    table_artists: tuple[str, ...] = ()
    """(N,) artist of each picture by the label table, '' if it does not say; empty without a table."""

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
        """(n,) int64: the indices of one split's pictures in this catalog.

        Raises:
            InputError: it is not train, valid or test.
        """
        if split not in SPLITS:
            raise InputError(f"There is no split {printable(str(split))}: expected {', '.join(SPLITS)}.", field="split")
        return np.flatnonzero(self.splits == split)

    def counts(self, split: str) -> np.ndarray:
        """(len(styles),) int64: pictures per style in one split, named as for `rows`."""
        return np.bincount(self.labels[self.rows(split)], minlength=len(self.styles))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over every path and size: the same for a copy of the folder elsewhere.

        Where a table decides on labels and splits, they are part of it.
        """
        digest = hashlib.sha256()
        for file, size in zip(self.files, self.sizes.tolist(), strict=True):
            digest.update(f"{file}\0{size}\0".encode("utf-8", "surrogateescape"))
        if self.table:
            digest.update("\0".join(self.styles).encode("utf-8", "surrogateescape"))
            digest.update(self.labels.tobytes() + self.splits.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def artists(self) -> tuple[str, ...]:
        """(N,) artist of each picture, '' if unknown.

        From `artists.csv` in the folder (columns file, artist), else the label table, else `<artist>_<title>.jpg`.
        """
        return find_artists(self.root, self.files, self.table_artists)


def scan(
    root: Path | str,
    *,
    labels: Path | str | None = None,
    label_column: LabelColumn | None = None,
    seed: int = 0,
    cache_dir: Path | str | None = None,
) -> Catalog:
    """Read a data folder: names, sizes and times; a file is opened only if its ending is not a known one.

    Four layouts are understood:

    - `<root>/{train,valid,test}/<Style>/*`, in any case; `val`, `validation` and `dev` are valid too. valid and test
      may be missing. Without valid, a seeded tenth of train's artworks is taken for it, style by style.
    - `<root>/<Style>/*`: a seeded tenth of each style's artworks is valid, another is test.
    - pictures with a CSV file of labels, and of splits if it has them (see `label_tables`), found in the folder or
      passed as `labels`.
    - Roboflow's "Multi-Class" export, which is a `_classes.csv` in each split folder.

    The class list comes from train, and a style is the same style in any spelling (`Art Nouveau`, `art-nouveau`,
    decomposed Unicode). Variants of one artwork (`…_jpg.rf.<hash>.jpg`) stay in one split wherever a split is cut.
    Folders and files whose name begins with a dot are ignored. `notes` of the catalog says what was left out; it is
    printed once per process.

    The listing is kept in the cache. A second scan trusts it as long as every folder has its modification time
    and the files (beyond 20,000: a random 20,000 of them) have their size and time.

    Args:
        root: the data folder; also `DIR[:FILE.csv][:style|artist|genre]` or `FILE.csv`, as `--data` takes it.
        labels: a CSV file of labels.
        label_column: what to learn, for pictures with a table: style, artist or genre. Artists are also read from
            file names and `artists.csv`.
        seed: of the splits that are cut.
        cache_dir: where the listing is kept (default: `cache_root()`).

    Raises:
        InputError: the folder is missing, cannot be read or has another layout; the sentence says what was found
            and expected.
    """
    source = DataSource.parse(root)
    if labels is not None or label_column is not None:
        labels = source.labels if labels is None else Path(labels).expanduser().absolute()
        source = DataSource(source.root, labels, label_column or source.column)
    try:
        layout = find_layout(source)
        folders = [folder.path for folder in layout.folders]
        listing = read_manifest(source.root, folders, cache_dir) or walk_folder(source.root, folders, cache_dir)
    except OSError as error:  # no permission, a name that is too long, a folder that vanished meanwhile
        path = printable(str(error.filename or source.root))
        raise InputError(f"{path} cannot be read: {error.strerror}.", field=path) from error
    if not listing.files:
        unread = _unread_note(listing)
        detail = f" {unread}" if unread else ""
        raise InputError(
            f"{printable(str(source.root))} holds no pictures that can be read.{detail}", field=source.root
        )
    catalog = _build(source, layout, listing, seed)
    _print_notes(catalog)
    return catalog


def _print_notes(catalog: Catalog) -> None:
    """Once per process: several functions of one command scan the same folder."""
    key = (str(catalog.root), catalog.notes)
    if key not in _printed and os.environ.get("RANK", "0") == "0":
        _printed.add(key)
        for note in catalog.notes:
            echo(note)


def _build(source: DataSource, layout: Layout, listing: Listing, seed: int) -> Catalog:
    labelled = label_files(source, layout, listing)
    spelling = _spellings(labelled.names, labelled.splits)
    keys = [style_key(name) for name in labelled.names]
    in_train = {key for key, split in zip(keys, labelled.splits, strict=True) if split in ("train", "")}
    if layout.form == "splits" and source.column == "style":
        _check_folders(source.root, layout, listing, in_train, spelling)
    styles = tuple(sorted(spelling[key] for key in in_train))
    label_of = {key: styles.index(spelling[key]) for key in in_train}
    files, splits = listing.files, labelled.splits
    order = sorted(
        (i for i in range(len(keys)) if keys[i] in in_train),
        key=lambda i: (SPLITS.index(splits[i] or "train"), label_of[keys[i]], files[labelled.rows[i]]),
    )
    rows = [labelled.rows[i] for i in order]
    catalog = Catalog(
        root=source.root,
        styles=styles,
        files=tuple(files[row] for row in rows),
        labels=np.array([label_of[keys[i]] for i in order], dtype=np.int64),
        splits=np.array([splits[i] or "train" for i in order], dtype="<U5"),
        sizes=listing.sizes[rows],
        times=listing.times[rows],
        table=layout.table.names if layout.table else "",
        source=str(source),
        table_artists=tuple(labelled.artists[i] for i in order) if labelled.artists else (),
    )
    notes = list(labelled.notes)
    if len(order) < len(keys):
        left_out = counted(len(keys) - len(order), "picture")
        notes.append(f"Left out, since train has no such class: {left_out}.")
    if not any(splits):
        catalog = _cut(catalog, seed, ("valid", "test"))
        notes.append(
            "The folder has no splits: of each style's artworks, a seeded tenth is used for valid and another for test."
        )
    elif "valid" not in splits:
        catalog = _cut(catalog, seed, ("valid",))
    if not len(catalog.rows("test")):
        notes.append("There is no test split: results are measured on valid.")
    if layout.unused:
        notes.append(f"Not used in {printable(str(source.root))}: {_shown([f'{name}/' for name in layout.unused])}.")
    if layout.loose:
        notes.append(f"{_pictures(len(layout.loose))} in no style folder: {_shown(layout.loose)}.")
    if unread := _unread_note(listing):
        notes.append(unread)
    if note := artists_note(source.root):
        notes.append(note)
    kinds = zip(listing.unread, listing.unread_kinds, strict=True)
    if inner := [f"{folder}/" for folder, kind in kinds if kind == SUBFOLDER]:
        notes.append(f"Folders inside style folders are not read: {_shown(inner)}.")
    return replace(catalog, notes=tuple(notes))


def _spellings(names: Sequence[str], splits: Sequence[str]) -> dict[str, str]:
    """`style_key` → how the style is written: as WikiArt does, else as most pictures of train have it."""
    votes: dict[str, Counter[tuple[bool, str]]] = defaultdict(Counter)
    for (name, split), count in Counter(zip(names, splits, strict=True)).items():
        votes[style_key(name)][split in ("train", ""), sys.intern(clean_name(name) or name)] += count
    return {
        key: key if key in STYLES else max(counter, key=lambda vote: (vote[0], counter[vote], vote[1]))[1]
        for key, counter in votes.items()
    }


def _check_folders(root: Path, layout: Layout, listing: Listing, in_train: set[str], spelling: dict[str, str]) -> None:
    """Refuse style folders without pictures in train, and styles that only valid or test have.

    Raises:
        InputError: there is one; `field` is the folder.
    """
    pairs = zip(listing.unread, listing.unread_kinds, strict=True)
    unread = {file.rpartition("/")[0]: kind for file, kind in pairs if kind != SUBFOLDER}
    for folder in layout.folders:
        path = printable(str(root / folder.path))
        key = style_key(folder.style)
        if key in in_train:
            continue
        if folder.split == "train":
            kind = unread.get(folder.path)
            why = f"only {kind} files, which cannot be read. {_remedy(kind)}" if kind else "no pictures."
            raise InputError(
                f"{path} holds {why} Add some, or remove the folder from every split: a style cannot be learned from "
                "nothing.",
                field=root / folder.path,
            )
        styles = [spelling[key] for key in sorted(in_train)]
        near = difflib.get_close_matches(clean_name(folder.style), styles, n=1)
        hint = f" Did you mean {printable(near[0])}?" if near else ""
        raise InputError(
            f"{path} is a style that train does not have.{hint} Rename or remove the folder, or add the style to "
            "train.",
            field=root / folder.path,
        )


def _unread_note(listing: Listing) -> str:
    """Which pictures are not read, and what to install for them."""
    pairs = zip(listing.unread, listing.unread_kinds, strict=True)
    unread = {file: kind for file, kind in pairs if kind != SUBFOLDER}
    if not unread:
        return ""
    kinds = Counter(unread.values())
    parts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    plugin = next((kind for kind in kinds if kind in PLUGINS), None)
    return (f"{_pictures(len(unread))} not read: {parts} ({_shown([*unread])}). {_remedy(plugin)}").rstrip()


def _pictures(count: int) -> str:
    return f"{counted(count, 'picture')} {'is' if count == 1 else 'are'}"


def _remedy(kind: str | None) -> str:
    if kind not in PLUGINS:
        return ""
    return f"To read HEIC and JPEG XL, run {how_to_install('formats', *PLUGIN_REQUIREMENTS)}."


def _shown(names: Sequence[str]) -> str:
    more = f", and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(printable(name) for name in names[:NAMES_SHOWN]) + more


def _cut(catalog: Catalog, seed: int, into: Sequence[str]) -> Catalog:
    """Move a tenth of each style's artworks from train to each of these splits; fewer than four stay in train."""
    artworks: list[dict[str, list[int]]] = [{} for _ in catalog.styles]
    for row in catalog.rows("train").tolist():
        artworks[catalog.labels[row]].setdefault(artwork_of(catalog.files[row]), []).append(row)
    splits = catalog.splits.copy()
    for rows_of in artworks:
        # The order is by name alone, so an artwork in two style folders nearly always goes to the same split in
        # both; two styles that number their files 0001.jpg, 0002.jpg, … still give a tenth each.
        order = sorted(rows_of, key=lambda name: _digest(f"{seed}-{name}"))
        number = max(1, round(HELD_OUT_FRACTION * len(order))) if len(order) >= 4 else 0
        for part, split in enumerate(into):
            for name in order[part * number : (part + 1) * number]:
                splits[rows_of[name]] = split
    return replace(catalog, splits=splits, valid_was_cut=True)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
