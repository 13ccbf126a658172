"""Labels and splits from tables: the CSV files that ArtGAN, Kaggle and Roboflow pack with their pictures.

A *label table* is one or more CSV files of one folder that belong together: `style_train.csv` and `style_val.csv` (no
header; path and class number, the names in `style_class.txt`), `classes.csv` (a header with columns such as file,
artist, genre, style, subset), or a file of one name in each split folder (Roboflow's `_classes.csv`, with a column of 0
and 1 per class; Hugging Face's `metadata.csv`).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.files import read_csv
from wikiart_data.images.formats import is_picture_name
from wikiart_data.images.names import artist_of, clean_name, loose_key, split_name, stem_of

LabelColumn = Literal["style", "artist", "genre"]
LABEL_COLUMNS: tuple[LabelColumn, ...] = get_args(LabelColumn)

_TABLE_ENDINGS = (".csv", ".tsv")
_FILE_COLUMNS = ("file", "filename", "file_name", "path", "filepath", "file_path", "image", "image_path", "img", "id")
_LABEL_COLUMNS: dict[str, tuple[str, ...]] = {
    "style": ("style", "movement", "label", "class", "category"),
    "artist": ("artist", "artist_name", "painter", "author"),
    "genre": ("genre",),
}
_SPLIT_COLUMNS = ("subset", "split", "set", "partition")
_SPLIT_SUFFIX = re.compile(r"(?:^|[_-])(train|training|valid|val|validation|dev|test|testing)$", re.IGNORECASE)
_LIST = re.compile(r"""^\[\s*(.*?)\s*\]$""", re.DOTALL)
_AGREEMENT = 0.9


@dataclass(frozen=True)
class TableRow:
    """One line of a label table."""

    file: str
    """As written in the table."""
    label: str
    """Name or number of the class; '' if the line names none or several."""
    split: str
    """'train', 'valid' or 'test'; '' if the table has no splits; anything else is a word that names none."""
    artist: str
    """'' if the table does not say, or says it by number."""


@dataclass(frozen=True)
class LabelTable:
    """The rows of CSV files that belong together."""

    paths: tuple[Path, ...]
    rows: tuple[TableRow, ...]
    column: LabelColumn
    has_labels: bool
    """Whether the table says the label; if not, the style is the name of the picture's folder."""
    class_names: dict[str, str]
    """Number of a class → its name, from `<column>_class.txt`; empty if there is none."""

    @property
    def has_splits(self) -> bool:
        """Whether the table says which picture belongs to which split."""
        return any(row.split for row in self.rows)

    @property
    def has_names(self) -> bool:
        """Whether classes come with names, rather than numbers."""
        return bool(self.class_names) or not all(row.label.isdigit() for row in self.rows if row.label)

    @property
    def names(self) -> str:
        """The names of its files, for a sentence."""
        distinct = len({path.name for path in self.paths}) == len(self.paths)
        shown = [path.name if distinct else f"{path.parent.name}/{path.name}" for path in self.paths]
        return printable(", ".join(shown[:3]))


@dataclass(frozen=True)
class LabelledFile:
    """A picture with what a label table says of it."""

    label: str
    split: str
    artist: str


@dataclass(frozen=True)
class TableMatch:
    """What came of looking up a table's rows among the pictures of a folder."""

    files: dict[str, LabelledFile]
    """Path below the data folder → what the table says."""
    missing: tuple[str, ...]
    """Rows whose picture is not there, as written in the table."""
    unlabelled: int
    """Rows that name no class, or several."""
    unlisted: int
    """Pictures that the table does not name."""
    other_splits: Counter[str]
    """Rows of a subset that is none of train, valid and test, by its name."""


def tables_in(folders: Iterable[Path]) -> list[Path]:
    """All CSV files directly in these folders, sorted."""
    return sorted(
        path
        for folder in folders
        for path in folder.iterdir()
        if path.suffix.lower() in _TABLE_ENDINGS and not path.name.startswith(".") and path.is_file()
    )


def best_table(paths: Sequence[Path], column: LabelColumn) -> LabelTable | None:
    """The label table among these CSV files that says most about `column`; None if none says anything.

    Splits count more than class names, and class names more than class numbers.
    """
    tables = [table for group in _groups(paths) if (table := _read_group(group, column)) is not None]
    useful = [table for table in tables if table.has_splits or table.has_labels]
    best = max(useful, key=lambda table: (table.has_splits, table.has_names and table.has_labels), default=None)
    if best is None and column == "artist" and (styles := best_table(paths, "style")) is not None:
        return replace(styles, column=column, has_labels=False)  # its splits, and artists from the file names
    return best


def read_table(path: Path, column: LabelColumn) -> LabelTable:
    """The label table that a CSV file belongs to: `style_train.csv` brings `style_val.csv` along.

    Raises:
        InputError: the file cannot be read, or has no column for the files or for the labels.
    """
    if not path.is_file():
        raise InputError(f"--labels {path}: there is no such file.", field="--labels")
    group = next((group for group in _groups(tables_in([path.parent])) if path in group), (path,))
    table = _read_group(group, column)
    if table is None:
        raise InputError(
            f"--labels {path}: expected a CSV file with a column for the picture ({', '.join(_FILE_COLUMNS[:4])}, …) "
            f"and a column '{column}', or lines of <path>,<class number> in a file named {column}_train.csv.",
            field="--labels",
        )
    return table


def _groups(paths: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Files that belong together: of one folder and one name but for the split, or of one name in all split folders."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in paths:
        if split_name(path.parent.name):
            groups["", path.name].append(path)
        else:
            groups[str(path.parent), _SPLIT_SUFFIX.sub("", path.stem).lower()].append(path)
    yield from (tuple(group) for group in groups.values())


def _read_group(paths: Sequence[Path], column: LabelColumn) -> LabelTable | None:
    rows: list[TableRow] = []
    has_labels = False
    for path in paths:
        part = _read_file(path, column)
        if part is None:
            return None
        rows += part[0]
        has_labels = has_labels or part[1]
    if not rows:
        return None
    numbers = has_labels and all(row.label.isdigit() for row in rows if row.label)
    class_names = _class_names(paths[0].parent, column) if numbers else {}
    return LabelTable(tuple(paths), tuple(rows), column, has_labels, class_names)


def _read_file(path: Path, column: LabelColumn) -> tuple[list[TableRow], bool] | None:
    """The rows of one file, and whether they carry labels; None if it is no label table for this column."""
    lines = read_csv(path)
    if not lines:
        return None
    suffix = _SPLIT_SUFFIX.search(path.stem)
    split = split_name(suffix.group(1)) if suffix else split_name(path.parent.name)
    prefix = f"{path.parent.name}/" if split_name(path.parent.name) else ""
    header = [cell.strip().lower().replace(" ", "_") for cell in lines[0]]
    file_column = next((header.index(name) for name in _FILE_COLUMNS if name in header), None)
    if file_column is None:
        return _headerless(lines, path, column, split or "", prefix)
    body = [line for line in lines[1:] if len(line) == len(header)]
    if _is_one_hot(body, file_column):
        return _one_hot(lines[0], body, file_column, prefix, split or ""), True
    label_column = next((header.index(name) for name in _LABEL_COLUMNS[column] if name in header), None)
    split_column = next((header.index(name) for name in _SPLIT_COLUMNS if name in header), None)
    artist_column = next((header.index(name) for name in _LABEL_COLUMNS["artist"] if name in header), None)
    if label_column is None and column == "genre":
        return None  # nothing but a table can tell it
    rows = []
    for line in body:
        artist = _single(line[artist_column]) if artist_column is not None else ""
        rows.append(
            TableRow(
                file=prefix + line[file_column].strip(),
                label=_single(line[label_column]) if label_column is not None else "",
                split=(split or "") if split_column is None else _split_word(line[split_column]),
                artist="" if artist.isdigit() else artist,
            )
        )
    return rows, label_column is not None


def _headerless(
    lines: Sequence[Sequence[str]], path: Path, column: LabelColumn, split: str, prefix: str
) -> tuple[list[TableRow], bool] | None:
    """ArtGAN's form: <path>,<class number>, and the file's name says which classes."""
    if column not in path.stem.lower() or len(lines[0]) != 2 or not is_picture_name(lines[0][0].rpartition("/")[2]):
        return None
    return [TableRow(prefix + line[0].strip(), line[1].strip(), split, "") for line in lines if len(line) == 2], True


def _is_one_hot(body: Sequence[Sequence[str]], file_column: int) -> bool:
    cells = [cell.strip() for line in body[:50] for column, cell in enumerate(line) if column != file_column]
    return len(cells) >= 2 * len(body[:50]) and set(cells) <= {"0", "1"}


def _one_hot(
    header: Sequence[str], body: Sequence[Sequence[str]], file_column: int, prefix: str, split: str
) -> list[TableRow]:
    """Roboflow's "Multi-Class" form; a picture of no class or of several gets no label."""
    rows = []
    for line in body:
        ones = [column for column, cell in enumerate(line) if column != file_column and cell.strip() == "1"]
        label = header[ones[0]].strip() if len(ones) == 1 else ""
        rows.append(TableRow(prefix + line[file_column].strip(), label, split, ""))
    return rows


def _class_names(folder: Path, column: str) -> dict[str, str]:
    """`<column>_class.txt`: a line `3 Art_Nouveau_Modern` per class."""
    for name in (f"{column}_class.txt", f"{column}_classes.txt"):
        try:
            lines = (folder / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        except OSError:
            continue
        pairs = [re.split(r"[\s,]+", line.strip(), maxsplit=1) for line in lines if line.strip()]
        return {str(int(pair[0])): pair[1].strip() for pair in pairs if len(pair) == 2 and pair[0].isdigit()}
    return {}


def _single(cell: str) -> str:
    """A cell's one value: `['Abstract Expressionism']` is a list of one; a list of several has none."""
    cell = cell.strip()
    if listed := _LIST.match(cell):
        values = [value.strip().strip("'\"") for value in re.split(r",(?=\s*['\"])", listed.group(1))]
        return values[0] if len(values) == 1 else ""
    return cell


def _split_word(cell: str) -> str:
    """The split that a cell names, or its own word if it names none."""
    return split_name(cell) or cell.strip() or "no subset"


def match_table(table: LabelTable, files: Sequence[str], folder_of: dict[str, str]) -> TableMatch:
    """Look up the table's rows among the pictures of a folder.

    A row's path may begin above, at or below the data folder, may have another Unicode form, no ending, or another
    spelling of hyphens and underscores; a name without folders must be the only one of its kind.

    Args:
        table: the table.
        files: (N,) paths of pictures below the data folder.
        folder_of: the name of the folder of each picture, which is the style where the table does not say it.
    """
    index = _Index(files)
    names = _label_names(table, index, folder_of)
    chosen: dict[str, LabelledFile] = {}
    missing: list[str] = []
    listed: set[str] = set()
    unlabelled = 0
    other_splits: Counter[str] = Counter()
    for row in table.rows:
        file = index.find(row.file, row.split)
        if file is None:
            missing.append(row.file)
            continue
        listed.add(file)
        if table.has_labels:
            label = names.get(row.label, row.label)
        else:
            label = row.artist or artist_of(file) if table.column == "artist" else folder_of[file]
        if not label:
            unlabelled += 1
        elif row.split and row.split not in ("train", "valid", "test"):
            other_splits[row.split] += 1
        else:
            chosen.setdefault(file, LabelledFile(label, row.split, row.artist))
    return TableMatch(chosen, tuple(missing), unlabelled, len(files) - len(listed), other_splits)


def _label_names(table: LabelTable, index: "_Index", folder_of: dict[str, str]) -> dict[str, str]:
    """Names for the numbers of classes: from the class file, else from the folders or file names that go with them."""
    if table.class_names:
        return table.class_names
    if not table.has_labels or table.has_names:
        return {}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for row in table.rows:
        file = index.find(row.file, row.split)
        if row.label and file is not None:
            name = {"style": folder_of[file], "artist": artist_of(file)}.get(table.column, "")
            votes[row.label][name] += 1
    winners = {number: counter.most_common(1)[0] for number, counter in votes.items()}
    claims = Counter(name for name, _ in winners.values())
    names: dict[str, str] = {}
    for number, (name, count) in winners.items():
        # A number is named only where nearly all of its pictures agree and no other number claims the name.
        agreed = name and claims[name] == 1 and count >= _AGREEMENT * votes[number].total()
        names[number] = name if agreed else f"{table.column} {number}"
    return names


class _Index:
    """Pictures by path, by the end of their path, and by looser and looser readings of their name."""

    def __init__(self, files: Sequence[str]) -> None:
        self.exact = {clean_name(file): file for file in files}

    @cached_property
    def ends(self) -> dict[str, str | None]:
        """The end of a path, with or without the file's ending → the file; None where several files have it."""
        index: dict[str, str | None] = {}
        for cleaned, file in self.exact.items():
            parts = cleaned.split("/")
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                for key in (end, end.removesuffix(parts[-1]) + stem_of(cleaned)):
                    index[key] = file if index.get(key, file) == file else None
        return index

    @cached_property
    def split_folders(self) -> dict[str, set[str]]:
        """Split → what its folder is called, at the top of the data folder."""
        folders: dict[str, set[str]] = defaultdict(set)
        for top in {cleaned.split("/", 1)[0] for cleaned in self.exact if "/" in cleaned}:
            if split := split_name(top):
                folders[split].add(top)
        return folders

    @cached_property
    def loose(self) -> dict[str, str | None]:
        """`loose_key` → the file; None where several files have it."""
        index: dict[str, str | None] = {}
        for cleaned, file in self.exact.items():
            key = loose_key(cleaned)
            index[key] = file if index.get(key, file) == file else None
        return index

    def find(self, written: str, split: str = "") -> str | None:
        """The picture that a row means; None if it is not there or cannot be told apart from others.

        Args:
            written: the path or name in the table.
            split: the row's split: the same name may be in several split folders.
        """
        path = clean_name(written.replace("\\", "/")).removeprefix("./").strip("/")
        if file := self.exact.get(path):
            return file
        for folder in self.split_folders.get(split, ()):
            if file := self.ends.get(f"{folder}/{path}"):
                return file
        parts = path.split("/")
        for start in range(len(parts)):
            if file := self.ends.get("/".join(parts[start:])):
                return file
        return self.loose.get(loose_key(path))
