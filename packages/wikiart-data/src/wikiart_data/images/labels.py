"""Which class and which split each picture of a data folder has: by its folder, a label table, or its artist."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wikiart_data.console import counted, printable
from wikiart_data.errors import InputError
from wikiart_data.files import read_csv
from wikiart_data.images.label_tables import LabelTable, match_table
from wikiart_data.images.layout import DataSource, Layout
from wikiart_data.images.manifest import SPLITS, Listing
from wikiart_data.images.names import artist_of

ARTISTS_FILE = "artists.csv"
NAMES_SHOWN = 3
"""A note names so many and counts the rest."""

_FEWEST_MATCHES = 0.5
"""A label table is refused if fewer of its rows have a picture in the folder."""


@dataclass
class LabelledFiles:
    """Pictures of a listing with their class; parallel sequences."""

    rows: Sequence[int]
    """Indices into the listing's files."""
    names: Sequence[str]
    """Class of each as written; spellings are not yet joined."""
    splits: Sequence[str]
    """'train', 'valid', 'test', or '' where splits are still to be cut."""
    artists: Sequence[str] = ()
    """By the label table; empty without one."""
    notes: tuple[str, ...] = ()


def label_files(source: DataSource, layout: Layout, listing: Listing) -> LabelledFiles:
    """Find class and split of each picture of a listing.

    Args:
        source: the data folder and what is learned: style, artist or genre.
        layout: how the folder is laid out.
        listing: its pictures.

    Raises:
        InputError: nothing says what is to be learned, or the label table belongs to other pictures.
    """
    folder_of = {folder.path: folder for folder in layout.folders}
    folders = [folder_of[file.rpartition("/")[0]] for file in listing.files]
    if layout.table is not None:
        return _label_by_table(source, layout.table, listing, [folder.style for folder in folders])
    splits = [folder.split for folder in folders]
    if source.column == "style":
        return LabelledFiles(range(len(folders)), [folder.style for folder in folders], splits)
    if source.column == "genre":
        raise InputError(
            f"{printable(str(source.root))} has no CSV file with a column 'genre'; name one with --labels FILE.",
            field="--label-column",
        )
    artists = find_artists(source.root, listing.files)
    rows = [row for row, artist in enumerate(artists) if artist]
    if not rows:
        raise InputError(
            f"{printable(str(source.root))} names no artist: neither in file names like <artist>_<title>.jpg nor in a "
            "file artists.csv with the columns file, artist.",
            field="--label-column",
        )
    unknown = len(artists) - len(rows)
    notes = (f"Left out, since their artist is not known: {counted(unknown, 'picture')}.",) if unknown else ()
    return LabelledFiles(rows, [artists[row] for row in rows], [splits[row] for row in rows], notes=notes)


def _label_by_table(source: DataSource, table: LabelTable, listing: Listing, folders: Sequence[str]) -> LabelledFiles:
    match = match_table(table, listing.files, dict(zip(listing.files, folders, strict=True)))
    first = printable(match.missing[0]) if match.missing else ""
    if len(match.missing) > (1 - _FEWEST_MATCHES) * len(table.rows):
        raise InputError(
            f"{table.names} names {len(table.rows):,} pictures, and {len(match.missing):,} of them are not in "
            f"{printable(str(source.root))} (first: {first}): point --data to the folder of the pictures, "
            "or --labels to their table.",
            field=table.paths[0],
        )
    rows = [row for row, file in enumerate(listing.files) if file in match.files]
    entries = [match.files[listing.files[row]] for row in rows]
    splits = [entry.split for entry in entries]
    if not any(split in ("train", "") for split in splits):
        raise InputError(f"{table.names} has no pictures for training.", field=table.paths[0])
    counts = Counter(splits)
    parts = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
    what = "Labels and splits" if table.has_splits and table.has_labels else "Splits" if table.has_splits else "Labels"
    notes = [f"{what} ({table.column}) are from {table.names}{f': {parts}' if table.has_splits else ''}."]
    if match.missing:
        notes.append(f"{counted(len(match.missing), 'row')} without a picture in the folder (first: {first}).")
    left_out = [(match.unlabelled, f"with no {table.column} in it, or several"), (match.unlisted, "not in it")]
    left_out += [(n, f"of its subset '{printable(name)}'") for name, n in match.other_splits.most_common(NAMES_SHOWN)]
    if reasons := [f"{counted(count, 'picture')} {reason}" for count, reason in left_out if count]:
        notes.append(f"Left out: {', '.join(reasons)}.")
    names, artists = [entry.label for entry in entries], [entry.artist for entry in entries]
    return LabelledFiles(rows, names, splits, artists, tuple(notes))


def find_artists(root: Path, files: Sequence[str], by_table: Sequence[str] = ()) -> tuple[str, ...]:
    """The artist of each picture, '' if unknown: from `artists.csv`, else the label table, else `<artist>_<title>.jpg`.

    Args:
        root: the data folder; `artists.csv` in it has the columns file, artist.
        files: (N,) paths below it.
        by_table: (N,) artists by the label table; empty without one.

    Returns:
        (N,) names.
    """
    listed = _read_artists(root) or {}
    artists = zip(files, by_table or ("",) * len(files), strict=True)
    return tuple(listed.get(file) or artist or artist_of(file) for file, artist in artists)


def artists_note(root: Path) -> str:
    """A sentence on an `artists.csv` in the data folder that says no artist; '' if there is none or it does."""
    if not (root / ARTISTS_FILE).is_file() or _read_artists(root) is not None:
        return ""
    return f"{ARTISTS_FILE} is not used for the artists: it has no columns 'file' and 'artist'."


def _read_artists(root: Path) -> dict[str, str] | None:
    """File → artist by `artists.csv`; None if the file is missing or lacks a column."""
    lines = read_csv(root / ARTISTS_FILE)
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    if not {"file", "artist"} <= set(header):
        return None
    file, artist = header.index("file"), header.index("artist")
    return {line[file]: line[artist] for line in lines[1:] if len(line) > max(file, artist)}
