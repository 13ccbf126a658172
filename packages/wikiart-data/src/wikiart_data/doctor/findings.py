"""What `doctor` can find in a data folder: a function per source of evidence."""

import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from wikiart_data.console import counted
from wikiart_data.doctor.duplicates import LEVELS, artwork_key, groups, same_key, similar_pairs
from wikiart_data.doctor.inspect_file import InspectedFile
from wikiart_data.errors import how_to_install
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.formats import PLUGIN_REQUIREMENTS, PLUGINS, kind_of_file
from wikiart_data.images.manifest import BROKEN_LINK, SPLITS
from wikiart_data.images.names import artwork_of, repaired_name, split_name, style_key
from wikiart_data.images.packed import MAX_BAD_FRACTION
from wikiart_data.styles import STYLES

TINY = 64
"""Pictures with a side below this many pixels are named."""
STRIP = 5
"""Pictures longer than this many times their breadth are named: squashed to squares they lose their form."""
AT_MOST_REFUSED = 20_000
"""Pictures looked at in a folder whose layout is refused: it may be a whole disk."""
SAME_FOLDER = 0.9
"""Two folders count as the same if this fraction of the smaller one's files is in the other, byte by byte."""
KNOWN_BAD = (
    ("Post_Impressionism", "vincent-van-gogh_l-arlesienne-portrait-of-madame-ginoux-1890"),
    ("Baroque", "rembrandt_woman-standing-with-raised-hands"),
)
"""Two files that are damaged in WikiArt itself, in every copy of it."""

_LEVELS = ("stop", "warn", "note")
_ORDER = (
    *("layout", "unreadable", "unread", "two_splits", "same_folder", "two_styles", "broken_name", "nested", "spelling"),
    *("duplicates", "tiny", "strip"),
)
_DEEPEST = 5


@dataclass(frozen=True)
class Example:
    """One case of a finding: a file, or several that belong together."""

    files: list[str]
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing."""

    kind: str
    """A word for programs: `unreadable`, `two_splits`, ..."""
    level: str
    """'stop': a run would not start; 'warn': a run survives it; 'note': good to know."""
    what: str
    do: str
    examples: list[Example] = field(default_factory=list)
    """All cases; a group of copies is one."""

    @property
    def rank(self) -> tuple[int, int]:
        """Most serious first."""
        return _LEVELS.index(self.level), (*_ORDER, self.kind).index(self.kind)


class UnlistedFiles:
    """What a data folder holds besides the pictures that `scan` lists.

    Args:
        root: the data folder.
        catalog: what `scan` made of it; None if it refused the layout: then all pictures are collected as `rows`.
    """

    def __init__(self, root: Path, catalog: Catalog | None) -> None:
        self.rows: list[tuple[str, str, str]] = []
        """(path below `root`, split, style) of each picture, as far as the path names them."""
        self.hidden: list[str] = []
        self.others: list[str] = []
        self.unlisted: list[str] = []
        self.unread: dict[str, str] = {}
        """Pictures that cannot be read → their format."""
        self.complete = True
        listed = frozenset(catalog.files if catalog else ())
        folders = {file.split("/", 1)[0] if "/" in file else "" for file in listed} if catalog else {""}
        seen: set[str] = set()
        for top in sorted(folders):
            for path, inner, names in os.walk(root / top, followlinks=True):
                parts, real = Path(path).relative_to(root).parts, os.path.realpath(path)
                if catalog is None and len(self.rows) >= AT_MOST_REFUSED:
                    self.complete = False
                    inner.clear()
                    continue
                if real in seen or len(parts) > _DEEPEST:
                    inner.clear()  # a link that leads back up, or a tree that is no data folder
                    continue
                seen.add(real)
                inner.sort()
                for name in sorted(names):
                    file = "/".join((*parts, name))
                    if file not in listed:
                        self._sort_in(root, file, keep=catalog is None)

    def _sort_in(self, root: Path, file: str, *, keep: bool) -> None:
        parts = file.split("/")
        if any(part.startswith(".") for part in parts):
            self.hidden.append(file)
            return
        readable, kind = kind_of_file(root / file, parts[-1])
        if readable and not (root / file).exists():
            readable, kind = False, BROKEN_LINK
        if readable and keep:
            split = split_name(parts[0]) if len(parts) > 1 else None
            self.rows.append((file, split or "?", parts[-2] if len(parts) > 1 else "?"))
        elif readable:
            self.unlisted.append(file)
        elif kind:
            self.unread[file] = kind
        else:
            self.others.append(file)

    def findings(self, catalog: Catalog | None) -> Iterator[Finding]:
        """Files that no run will see."""
        if self.unread:
            kinds = Counter(self.unread.values())
            parts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
            install = any(kind in PLUGINS for kind in kinds)
            packages = how_to_install("formats", *PLUGIN_REQUIREMENTS)
            do = f"To read HEIC and JPEG XL, run {packages}." if install else "Save them as JPEG or PNG."
            what = f"{counted(len(self.unread), 'picture')} that cannot be read: {parts}"
            yield Finding("unread", "warn", what, do, _each([*self.unread], [*self.unread.values()]))
        if self.unlisted and not (catalog and catalog.table):
            what = f"{counted(len(self.unlisted), 'picture')} not directly in a style folder: ignored"
            yield Finding("nested", "warn", what, "Move them to <split>/<Style>/.", _each(self.unlisted))
        elif self.unlisted:
            what = f"{counted(len(self.unlisted), 'picture')} that the table does not use: ignored"
            yield Finding("not_in_table", "note", what, "Nothing, if you mean it.", _each(self.unlisted))
        if self.others:
            what = f"{counted(len(self.others), 'file')} that are no pictures: ignored"
            yield Finding("other_files", "note", what, "Nothing.", _each(self.others))
        if self.hidden:
            what = f"{counted(len(self.hidden), 'hidden file')}: ignored"
            yield Finding("hidden", "note", what, "Nothing.", _each(self.hidden))
        if not self.complete:
            what = f"only the first {len(self.rows):,} pictures were looked at"
            yield Finding("cut_short", "note", what, "Correct the layout, then run doctor again.")


def folder_findings(files: Iterable[str]) -> Iterator[Finding]:
    """What the names of the style folders say: misspelled, mis-encoded, foreign, or one style in two spellings.

    Args:
        files: pictures below the data folder.
    """
    folders = sorted({file.rpartition("/")[0] for file in files} - {""})
    spellings: dict[tuple[str, str], list[str]] = defaultdict(list)
    misspelled, broken, foreign = {}, {}, []
    for path in folders:
        above, _, name = path.rpartition("/")
        key = style_key(name)
        spellings[above, key].append(path)
        if repaired := repaired_name(name):
            broken[path] = f"was {repaired}"
        elif key not in STYLES:
            near = difflib.get_close_matches(name, STYLES, n=1, cutoff=0.8)
            if near:
                misspelled[path] = f"like {near[0]}"
            else:
                foreign.append(path)
    if misspelled:
        what = f"{counted(len(misspelled), 'folder')} whose name looks misspelled"
        examples = _each([*misspelled], [*misspelled.values()])
        yield Finding("spelling", "warn", what, "Rename: it counts as another style.", examples)
    if broken:
        what = f"{counted(len(broken), 'folder')} with a mis-encoded name"
        yield Finding("broken_name", "warn", what, "Rename.", _each([*broken], [*broken.values()]))
    if foreign:
        what = f"{counted(len(foreign), 'folder')} with a name of none of the 27 styles"
        yield Finding("foreign_style", "note", what, "Nothing, if you mean it.", _each(foreign))
    if double := [Example(paths) for paths in spellings.values() if len(paths) > 1]:
        what = f"{counted(len(double), 'style')} in two spellings, counted as one"
        yield Finding("two_spellings", "note", what, "Merge the folders.", double)


def file_findings(pictures: Sequence[InspectedFile]) -> Iterator[Finding]:
    """What each file shows by itself: unreadable, tiny, a strip, an unusual kind."""
    bad = [picture for picture in pictures if picture.reason]
    sound = [picture for picture in pictures if not picture.reason]
    if bad:
        fraction = len(bad) / len(pictures)
        files = counted(len(bad), "file")
        what = f"{files} cannot be read: {fraction:.1%}, and a run stops above {MAX_BAD_FRACTION:.0%}"
        known = " (known to be damaged in WikiArt itself)"
        why = [picture.reason + known * _known_bad(picture) for picture in bad]
        level = "stop" if fraction > MAX_BAD_FRACTION else "warn"
        yield Finding("unreadable", level, what, "Delete or fetch them again.", _each(_names(bad), why))
    if suspects := [picture for picture in sound if _known_bad(picture)]:
        what = f"{counted(len(suspects), 'file')} known to be damaged in WikiArt itself; here it decodes"
        yield Finding("known_bad", "note", what, "Look at it.", _each(_names(suspects)))
    if tiny := [picture for picture in sound if min(picture.width, picture.height) < TINY]:
        what = f"{counted(len(tiny), 'picture')} with a side below {TINY} pixels"
        yield Finding("tiny", "warn", what, "Replace or remove.", _each(_names(tiny), _sizes(tiny)))
    if strips := [p for p in sound if max(p.width, p.height) > STRIP * min(p.width, p.height)]:
        what = f"{counted(len(strips), 'picture')} shaped like a strip, beyond {STRIP} : 1"
        yield Finding("strip", "warn", what, "Crop them.", _each(_names(strips), _sizes(strips)))
    if odd := [picture for picture in sound if picture.oddities]:
        kinds = Counter(kind for picture in odd for kind in picture.oddities).most_common()
        what = f"{counted(len(odd), 'file')} of unusual kind: {', '.join(f'{n:,} {kind}' for kind, n in kinds)}"
        why = [", ".join(picture.oddities) for picture in odd]
        yield Finding("odd", "note", what, "Nothing: decoded to upright sRGB.", _each(_names(odd), why))


def copy_findings(pictures: Sequence[InspectedFile], *, strict: bool, sample: bool = False) -> Iterator[Finding]:
    """One artwork several times: in two splits, in two styles, or merely twice.

    Args:
        pictures: all that were inspected.
        strict: whether an artwork in two splits stops a run.
        sample: whether this is the sample set, in which one scene is painted in several styles on purpose.
    """
    yield from _same_folders(pictures)
    hashes = [(row, picture.hash) for row, picture in enumerate(pictures) if picture.hash is not None]
    near: Iterable[tuple[int, int]] = ()
    if hashes:
        bits, thumbnails = (np.array([pair[part] for _, pair in hashes]) for part in (0, 1))
        near = ((hashes[a][0], hashes[b][0]) for a, b in similar_pairs(bits, thumbnails))
    joined = list(
        groups(
            len(pictures),
            (
                same_key(b"" if picture.reason else picture.content for picture in pictures),
                same_key(picture.pixels for picture in pictures),
                near,
                same_key(artwork_key(picture.file) for picture in pictures),
            ),
        )
    )

    def across_splits(rows: list[int]) -> bool:
        return len({pictures[row].split for row in rows}) > 1

    def across_styles(rows: list[int]) -> bool:
        return len({pictures[row].style for row in rows}) > 1

    def in_one_style(rows: list[int]) -> bool:
        return not across_splits(rows) and not across_styles(rows)

    if in_splits := _strongest(joined, across_splits):
        # A name alone is a hint: it does not make --strict refuse.
        serious = strict and any(level != "same name" for level, _ in in_splits)
        examples = [
            # The split is given because where valid was cut from train the path does not show it.
            Example([pictures[r].file for r in rows], f"{level}: {', '.join(pictures[r].split for r in rows)}")
            for level, rows in in_splits
        ]
        do = "Keep one: a model is flattered if it is tested on what it was trained on."
        yield Finding("two_splits", "stop" if serious else "warn", _copies(in_splits, "in two splits"), do, examples)
    if in_styles := _strongest(joined, across_styles):
        do = "Nothing: the sample set paints one scene in several styles." if sample else "Decide on one style."
        examples = [Example([pictures[row].file for row in rows], level) for level, rows in in_styles]
        yield Finding("two_styles", "note" if sample else "warn", _copies(in_styles, "in two styles"), do, examples)
    if within := _strongest(joined[:-1], in_one_style):  # variants of one name in one place are as they should be
        examples = [Example([pictures[row].file for row in rows], level) for level, rows in within]
        yield Finding("duplicates", "warn", _copies(within, "twice in one style"), "Remove the copies.", examples)


def _same_folders(pictures: Sequence[InspectedFile]) -> Iterator[Finding]:
    """Two style folders with the same files: a collection unpacked twice, once with a mis-encoded name."""
    contents: dict[str, set[bytes]] = defaultdict(set)
    folders_of: dict[bytes, set[str]] = defaultdict(set)
    for picture in pictures:
        if picture.content:
            folder = picture.file.rpartition("/")[0]
            contents[folder].add(picture.content)
            folders_of[picture.content].add(folder)
    shared = Counter(pair for folders in folders_of.values() for pair in combinations(sorted(folders), 2))
    examples: list[Example] = []
    for (one, other), count in sorted(shared.items()):
        if one.rpartition("/")[0] != other.rpartition("/")[0]:
            continue
        if count < 2 or count < SAME_FOLDER * min(len(contents[one]), len(contents[other])):
            continue
        names = [folder.rpartition("/")[2] for folder in (one, other)]
        broken = {name: repaired for name in names if (repaired := repaired_name(name))}
        why = f"{count:,} pictures in both" + "".join(f"; {name} is mis-encoded: {was}" for name, was in broken.items())
        # The folder to keep comes first: the one whose name is sound.
        examples.append(Example(sorted((one, other), key=lambda folder: folder.rpartition("/")[2] in broken), why))
    if examples:
        what = f"{counted(len(examples), 'pair')} of folders with the same pictures"
        yield Finding("same_folder", "warn", what, "Keep one of the two.", examples)


def _copies(copies: Sequence[tuple[str, list[int]]], where: str) -> str:
    counts = Counter(level for level, _ in copies)
    levels = ", ".join(f"{counts[level]:,} {level}" for level in LEVELS if counts[level])
    return f"{counted(len(copies), 'artwork')} {where}: {levels}"


def _strongest(
    joined: Sequence[list[list[int]]], condition: Callable[[list[int]], bool]
) -> list[tuple[str, list[int]]]:
    """Groups that meet a condition, each with the strongest evidence that makes it meet it."""
    first: dict[int, int] = {}
    for level, rows_of in enumerate(joined):
        for rows in filter(condition, rows_of):
            for row in rows:
                first.setdefault(row, level)
    return [(LEVELS[min(first[row] for row in rows)], rows) for rows in filter(condition, joined[-1])]


def class_findings(catalog: Catalog) -> Iterator[Finding]:
    """What the counts per split and style say."""
    counts = catalog.counts("train")
    most, least = int(counts.argmax()), int(counts.argmin())
    many, few = int((counts >= 200).sum()), int((counts < 50).sum())
    what = (
        f"train: {catalog.styles[most]} has {counts[most]:,} pictures, {catalog.styles[least]} {counts[least]:,} "
        f"({counts[most] / max(1, counts[least]):,.0f} : 1); {many} many, {len(counts) - many - few} medium, {few} few "
        "(200 or more, 50–199, below 50)"
    )
    yield Finding("imbalance", "note", what, "Read balanced accuracy; see stats.")
    if catalog.valid_was_cut:
        what = "no valid split: a seeded tenth of train's artworks is taken for it"
        yield Finding("no_valid", "note", what, "Nothing.")
    if not len(catalog.rows("test")):
        yield Finding("no_test", "note", "no test split", "Add one to measure with.")
    elif missing := [style for style, n in zip(catalog.styles, catalog.counts("test"), strict=True) if not n]:
        names = ", ".join(missing[:10]) + (f" and {len(missing) - 10:,} more" if len(missing) > 10 else "")
        what = f"{counted(len(missing), 'style')} without test pictures: {names}"
        yield Finding("not_in_test", "note", what, "Nothing: figures say what they average.")


def _known_bad(picture: InspectedFile) -> bool:
    return (picture.style, artwork_of(picture.file)) in KNOWN_BAD


def _each(files: Sequence[str], why: Sequence[str] | None = None) -> list[Example]:
    return [Example([file], reason) for file, reason in zip(files, why or [""] * len(files), strict=True)]


def _names(pictures: Sequence[InspectedFile]) -> list[str]:
    return [picture.file for picture in pictures]


def _sizes(pictures: Sequence[InspectedFile]) -> list[str]:
    return [f"{picture.width} × {picture.height}" for picture in pictures]


def split_counts(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, int]]:
    """Split → style → pictures, of (file, split, style)."""
    counts: dict[str, Counter[str]] = {}
    for _, split, style in rows:
        counts.setdefault(split, Counter())[style] += 1
    order = {split: index for index, split in enumerate(SPLITS)}
    return {split: dict(counts[split]) for split in sorted(counts, key=lambda split: order.get(split, len(order)))}
