"""How a data folder is laid out: split folders, style folders without splits, or a table of labels.

Only names are looked at. What is found here becomes a `Catalog` in `catalog.py`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.formats import is_folder_name, kind_of_file
from wikiart_data.images.label_tables import LABEL_COLUMNS, LabelColumn, LabelTable, best_table, read_table, tables_in
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import split_name

EXPECTED = (
    "expected <folder>/{train,valid,test}/<Style>/*.jpg, <folder>/<Style>/*.jpg, or pictures with a CSV file of labels"
)

_MOST_FOLDERS = 10_000
_DEEPEST = 3
"""Levels below the data folder at which style folders are looked for."""


@dataclass(frozen=True)
class DataSource:
    """What `--data` names: a folder, and perhaps a table of labels and the column to learn."""

    root: Path
    labels: Path | None = None
    column: LabelColumn = "style"

    def __str__(self) -> str:
        labels = f":{self.labels}" if self.labels else ""
        return f"{self.root}{labels}{'' if self.column == 'style' else f':{self.column}'}"

    @classmethod
    def parse(cls, text: str | Path) -> "DataSource":
        """Read `DIR[:FILE.csv][:style|artist|genre]`, or `FILE.csv[:…]`; a folder of such a name comes first.

        Raises:
            InputError: it is empty.
        """
        rest, column = str(text), "style"
        if not rest.strip():
            raise InputError("--data is empty: name a folder, or leave --data out for the sample set.", field="--data")
        root = Path(rest).expanduser()
        try:
            exists = root.is_dir() or (root.exists() and not _is_table(root))
        except OSError:  # a name that is too long: `find_layout` says so
            return cls(root.absolute())
        if exists:
            return cls(root.absolute())
        for name in LABEL_COLUMNS:
            if rest.endswith(f":{name}"):
                rest, column = rest.removesuffix(f":{name}"), name
        root = Path(rest).expanduser()
        if not root.exists() and ":" in rest:
            folder, _, table = rest.rpartition(":")
            if _is_table(Path(table)):
                root = Path(folder).expanduser()
                labels = Path(table).expanduser()
                labels = labels if labels.exists() else root / labels
                return cls(root.absolute(), labels.absolute(), column)
        if _is_table(root) and root.is_file():
            return cls(_folder_of_table(root.absolute()), root.absolute(), column)
        return cls(root.absolute(), None, column)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv")


def _folder_of_table(table: Path) -> Path:
    """The folder of a table's pictures: its own, or for `wikiart_csv/style_train.csv` the one above."""
    for folder in (table.parent, table.parent.parent):
        if any(map(_has_pictures, _below(folder, _DEEPEST))):
            return folder
    return table.parent


@dataclass(frozen=True)
class StyleFolder:
    """A folder of pictures."""

    path: str
    """Below the data folder, with forward slashes."""
    style: str
    """Its name."""
    split: str
    """'train', 'valid' or 'test'; '' where a table or a cut decides."""


@dataclass(frozen=True)
class Layout:
    """How the pictures of a data folder are labelled and split."""

    form: Literal["splits", "flat", "table"]
    folders: tuple[StyleFolder, ...]
    table: LabelTable | None = None
    unused: tuple[str, ...] = ()
    """Folders directly in the data folder that hold something and are not read."""
    loose: tuple[str, ...] = ()
    """Pictures that are in no style folder."""


def find_layout(source: DataSource) -> Layout:
    """Recognise the layout of a data folder.

    Raises:
        InputError: it is missing or has no layout that is understood; the sentence says what was found and what to do.
        OSError: a folder cannot be read.
    """
    root = source.root
    if not root.exists():
        raise InputError(f"There is no folder {printable(str(root))}; {EXPECTED}.", field=root)
    if not root.is_dir():
        hint = " Unpack it first: wikiart-data import FILE --to DIR." if root.suffix.lower() == ".zip" else ""
        raise InputError(f"{printable(str(root))} is a file, not a folder; {EXPECTED}.{hint}", field=root)
    if source.labels is not None:
        return _table_layout(root, read_table(source.labels, source.column))
    splits = _split_folders(root)
    if source.column != "style" and (table := _found_table(root, source.column)):
        return _table_layout(root, table)
    if "train" in splits:
        return _split_layout(root, splits, source.column)
    if split_name(root.name) and any(_has_pictures(inner) for inner in _subfolders(root)):
        raise InputError(
            f"{printable(str(root))} is one split: point to the folder above it, --data {printable(str(root.parent))}.",
            field=root,
        )
    if table := _found_table(root, source.column):
        return _table_layout(root, table)
    if splits:
        others = " and ".join(f"'{folder.name}'" for folder in splits.values())
        raise InputError(
            f"{printable(str(root))} has {others} but no folder 'train'; {EXPECTED}.", field=root / "train"
        )
    return _flat_layout(root)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders of the splits, whatever they are called.

    Raises:
        InputError: two folders stand for the same split.
    """
    splits: dict[str, Path] = {}
    for folder in _subfolders(root):
        split = split_name(folder.name)
        if split is None:
            continue
        if split in splits:
            one, other = printable(splits[split].name), printable(folder.name)
            raise InputError(
                f"{printable(str(root))} holds two folders for the {split} split, '{one}' and '{other}': move one of "
                "them out of the way, or its pictures into the other.",
                field=folder,
            )
        splits[split] = folder
    return splits


def _split_layout(root: Path, splits: dict[str, Path], column: LabelColumn) -> Layout:
    folders: list[StyleFolder] = []
    for split in SPLITS:
        if split not in splits:
            continue
        styles = _subfolders(splits[split])
        if not any(map(_has_pictures, styles)) and _has_pictures(splits[split]):  # pictures directly in the split
            if table := best_table(tables_in([root, *splits.values()]), column):
                return _table_layout(root, table)
            raise InputError(
                f"{printable(str(splits[split]))} holds pictures but no style folders, and there is no CSV file that "
                f"says their styles; {EXPECTED}.",
                field=splits[split],
            )
        if not styles and split == "train":
            raise InputError(
                f"{printable(str(splits[split]))} holds no style folders; {EXPECTED}.", field=splits[split]
            )
        _refuse_too_deep(splits[split], styles)
        prefix = splits[split].name
        folders += [StyleFolder(f"{prefix}/{style.name}", style.name, split) for style in styles]
    used = {folder.name for folder in splits.values()}
    return Layout("splits", tuple(folders), None, _unused(root, used), _loose(root, root, *splits.values()))


def _refuse_too_deep(split: Path, styles: Sequence[Path]) -> None:
    for folder in styles:
        if not _has_pictures(folder) and any(map(_has_pictures, _subfolders(folder))):
            raise InputError(
                f"{printable(str(folder))} holds folders instead of pictures: the styles lie one level too deep, "
                f"move them up into {printable(str(split))}; {EXPECTED}.",
                field=folder,
            )


def _flat_layout(root: Path) -> Layout:
    """`<root>/<Style>/*`, or the same one or two folders further in."""
    inner_train = [inner for inner in _subfolders(root) if "train" in _split_folders(inner)]
    if inner_train:
        inner = printable(str(inner_train[0]))
        raise InputError(
            f"{printable(str(root))} has no folder 'train', but {inner} has: use --data {inner}.", field=inner_train[0]
        )
    bases = [base for base in _below(root, _DEEPEST) if any(map(_has_pictures, _subfolders(base)))]
    several = [base for base in bases if sum(map(_has_pictures, _subfolders(base))) > 1] or bases
    if not several:
        if _has_pictures(root):
            raise InputError(
                f"{printable(str(root))} holds pictures but no style folders, and there is no CSV file that says their "
                f"styles; {EXPECTED}.",
                field=root,
            )
        raise InputError(f"{printable(str(root))} holds no pictures; {EXPECTED}.", field=root)
    base = several[0]  # the outermost: folders are listed breadth first
    rivals = [other for other in several[1:] if base not in other.parents]
    if base != root and rivals:
        raise InputError(
            f"{printable(str(root))} holds style folders in more than one place ({printable(str(base))} and "
            f"{printable(str(rivals[0]))}): name one of them with --data.",
            field=root,
        )
    styles = [folder for folder in _subfolders(base) if _has_pictures(folder)]
    used = {folder.relative_to(root).parts[0] for folder in styles}
    folders = tuple(StyleFolder(folder.relative_to(root).as_posix(), folder.name, "") for folder in styles)
    return Layout("flat", folders, None, _unused(root, used), _loose(root, *dict.fromkeys((root, base))))


def _found_table(root: Path, column: LabelColumn) -> LabelTable | None:
    """The label table that comes with the pictures: in the folder, in a folder in it, or in `<folder>_csv`."""
    below = [root, *(folder for folder in _subfolders(root) if not _has_pictures(folder))]
    if table := best_table(tables_in(below), column):
        return table
    sibling = root.with_name(f"{root.name}_csv")  # ArtGAN unpacks to wikiart/ and wikiart_csv/
    return best_table(tables_in([sibling]), column) if sibling.is_dir() else None


def _table_layout(root: Path, table: LabelTable) -> Layout:
    folders = [folder for folder in _below(root, _DEEPEST + 1) if _has_pictures(folder)]
    if not folders:
        raise InputError(f"{printable(str(root))} holds no pictures; {EXPECTED}.", field=root)
    rows = tuple(StyleFolder(_relative(folder, root), folder.name, "") for folder in folders)
    return Layout("table", rows, table)


def _relative(folder: Path, root: Path) -> str:
    path = folder.relative_to(root).as_posix()
    return "" if path == "." else path


def _below(root: Path, levels: int) -> Iterator[Path]:
    """A folder and the folders in it, breadth first; nothing is looked for inside a folder of pictures."""
    layer, seen = [root], 0
    for _ in range(levels + 1):
        yield from layer
        seen += len(layer)
        if seen > _MOST_FOLDERS:  # somebody's whole disk
            return
        layer = [
            inner for folder in layer if folder == root or not _has_pictures(folder) for inner in _subfolders(folder)
        ]


def _unused(root: Path, used: set[str]) -> tuple[str, ...]:
    return tuple(folder.name for folder in _subfolders(root) if folder.name not in used and any(folder.iterdir()))


def _loose(root: Path, *folders: Path) -> tuple[str, ...]:
    """Pictures directly in folders that should hold folders only."""
    return tuple(
        entry.relative_to(root).as_posix()
        for folder in folders
        for entry in sorted(folder.iterdir())
        if any(kind_of_file(entry, entry.name)) and not entry.is_dir()
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if is_folder_name(entry.name) and entry.is_dir())


def _has_pictures(folder: Path) -> bool:
    """Whether a folder directly holds a picture, of a format that can be read or of another."""
    with os.scandir(folder) as entries:
        return any(any(kind_of_file(entry.path, entry.name)) and not entry.is_dir() for entry in entries)
