"""The columns of the map: style, cluster, artist, year, and whatever a CSV file says of the pictures."""

import base64
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_autoencode.map.figures import trimmed_centre
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.artists import known_artist
from wikiart_data.images.names import artwork_of, loose_key
from wikiart_data.results.figures import GREY
from wikiart_data.styles import colour_and_marker

MOST_GROUPS = 32
"""Values of a column that get a colour and marker; 32 is all the combinations there are. The rest share one group."""
NUMBERS_FROM = 13
"""A column of numbers with at least this many different ones is a ramp; with fewer, each is a group."""
_MARKERS = {"o": "circle", "s": "square", "^": "triangle", "X": "cross"}
_PARTICLES = {"van", "von", "der", "den", "de", "da", "del", "della", "di", "du", "la", "le", "ter", "ten", "y"}
_YEAR = re.compile(r"(?<!\d)(1[0-9]{3}|20[0-9]{2})(?!\d)")


@dataclass(frozen=True)
class Column:
    """One column of the map as the page reads it."""

    name: str
    texts: Sequence[str]
    """(n,) what the page shows and searches; '' if it is not known."""
    groups: list[dict[str, Any]] | None = None
    """Name, colour, marker, number and centre of each group; None if the column has no colours."""
    group: np.ndarray | None = None
    """(n,) int, an index into `groups`."""
    numbers: np.ndarray | None = None
    """(n,) float, NaN if not known: the column is coloured by a ramp."""

    def as_json(self) -> dict[str, Any]:
        """The column with arrays in base64; each different text is stored once."""
        values = list(dict.fromkeys(self.texts))
        index = {text: position for position, text in enumerate(values)}
        return {
            "name": self.name,
            "values": values,
            "value": encode_array(np.array([index[text] for text in self.texts]), "<i4"),
            "groups": self.groups,
            "group": None if self.group is None else encode_array(self.group, "<i4"),
            "numbers": None if self.numbers is None else encode_array(self.numbers, "<f4"),
        }


def encode_array(array: np.ndarray, dtype: str) -> str:
    """The array's bytes, as that type, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode()


def group_column(
    name: str, points: np.ndarray, groups: np.ndarray, names: Sequence[str], order: tuple[str, ...] | None = None
) -> Column:
    """A column whose groups are given.

    Args:
        name: of the column.
        points: (n, 2) float, positions on the map.
        groups: (n,) int, indices into `names`; −1 is noise.
        names: of the groups.
        order: class list that colours and markers are chosen from, if it is not `names`.
    """
    order = order or tuple(names)
    entries = [_coloured(text, order[group], order, points[groups == group]) for group, text in enumerate(names)]
    if (groups < 0).any():
        entries.append(_grey("noise", int((groups < 0).sum())))
        groups = np.where(groups < 0, len(entries) - 1, groups)
    return Column(name, [entries[group]["name"] for group in groups], entries, groups)


def text_column(name: str, points: np.ndarray, texts: Sequence[str]) -> Column:
    """A column of any content: numbers become a ramp, up to 32 frequent values get a colour, unique texts none.

    Args:
        name: of the column; if it is `year` or `date`, the first number of four digits counts.
        points: (n, 2) float, positions on the map.
        texts: (n,) '' if not known.
    """
    texts = [printable(text.strip()) for text in texts]
    numbers = _years(texts) if name.lower() in ("year", "date") else _numbers(texts)
    if numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) >= NUMBERS_FROM:
        return Column(name, texts, numbers=numbers)
    counts = Counter(text for text in texts if text)
    if not counts or len(counts) > max(MOST_GROUPS, len(texts) // 2):
        return Column(name, texts)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MOST_GROUPS]
    index = {text: position for position, text in enumerate(frequent)}
    groups = np.array([index.get(text, -1) if text else -2 for text in texts])
    order = tuple(frequent)
    entries = [_coloured(text, text, order, points[groups == group]) for group, text in enumerate(frequent)]
    for code, label in ((-1, f"{len(counts) - len(frequent):,} others"), (-2, "unknown")):
        if (groups == code).any():
            entries.append(_grey(label, int((groups == code).sum())))
            groups = np.where(groups == code, len(entries) - 1, groups)
    return Column(name, texts, entries, groups)


def read_metadata(path: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """Read a CSV file with the column `file` and any others.

    A row belongs to the picture of that path below the data folder, or of that file name; failing that, spelling is
    compared loosely (`images.names.loose_key`). Separators may be commas, semicolons or tabs.

    Args:
        path: of the file, UTF-8.
        files: (n,) paths of the pictures below the data folder.

    Returns:
        Column name → (n,) texts, '' where the file says nothing.

    Raises:
        InputError: the file cannot be read, has no column `file`, or names none of the pictures.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = list(reader)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", field=path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}).", field=path) from error
    names = [name for name in reader.fieldnames or () if name and name != "file"]
    if "file" not in (reader.fieldnames or ()):
        raise InputError(
            f"{path} has no column 'file', which says what picture a row is about; it has "
            f"{', '.join(map(printable, names[:8])) or 'no header'}.",
            field=path,
        )
    by_key: dict[str, Mapping[str, str | None]] = {}
    for row in reversed(rows):  # of several rows for one picture, the first counts
        file = (row["file"] or "").replace("\\", "/").strip()
        by_key |= {loose_key(file): row, file.rpartition("/")[2]: row, file: row}
    found = [
        by_key.get(file) or by_key.get(file.rpartition("/")[2]) or by_key.get(loose_key(file)) or {} for file in files
    ]
    if not any(found):
        raise InputError(
            f"{path} names none of the {len(files):,} pictures: its column 'file' must hold paths such as {files[0]}.",
            field=path,
        )
    return {name: [row.get(name) or "" for row in found] for name in names}


def years_of_files(files: Sequence[str]) -> list[str] | None:
    """(n,) the years that file names end in, as WikiArt's do, '' without; None if fewer than a third have one."""
    matches = [re.search(r"-(1[0-9]{3}|20[0-9]{2})(?:-\d|\(\d+\))?$", artwork_of(file)) for file in files]
    years = [match[1] if match else "" for match in matches]
    return years if sum(map(bool, years)) * 3 >= len(files) else None


def artist_name(artist: str) -> str:
    """`vincent-van-gogh` as `Vincent van Gogh`; '' if unknown."""
    if not known_artist(artist):
        return ""
    if " " in artist or artist != artist.lower():  # from artists.csv, already written out
        return printable(artist)
    words = [word if word in _PARTICLES else word.capitalize() for word in artist.split("-")]
    return printable(" ".join(words))


_WIKIART_SIZE = re.compile(r"(?:\(\d+\))?\.jpg![a-z]+$")
"""How downloads from wikiart.org end, before their own ending: `number-3(1).jpg!pinterestsmall`."""


def artwork_title(file: str) -> str:
    """`…/claude-monet_water-lilies-1916.jpg` as `Water lilies 1916`."""
    stem = _WIKIART_SIZE.sub("", artwork_of(file))
    title = stem.partition("_")[2] or stem
    title = title.replace("-", " ").replace("_", " ").strip()
    return printable(title[:1].upper() + title[1:])


def _numbers(texts: Sequence[str]) -> np.ndarray | None:
    """(n,) float, NaN for ''; None if a text is not a finite number."""
    try:
        numbers = [float(text) if text else math.nan for text in texts]
    except ValueError:
        return None
    return None if any(map(math.isinf, numbers)) else np.array(numbers)


def _years(texts: Sequence[str]) -> np.ndarray:
    return np.array([float(match[1]) if (match := _YEAR.search(text)) else math.nan for text in texts])


def _coloured(name: str, key: str, order: tuple[str, ...], points: np.ndarray) -> dict[str, Any]:
    colour, marker = colour_and_marker(key, order)
    centre = trimmed_centre(points).tolist() if len(points) else None
    return {"name": name, "colour": colour, "marker": _MARKERS[marker], "n": len(points), "centre": centre}


def _grey(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "colour": GREY, "marker": "circle", "n": number, "centre": None}
