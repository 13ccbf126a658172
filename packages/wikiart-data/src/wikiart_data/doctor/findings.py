"""What `doctor` can find in a data folder: one function for each place to look."""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_data.doctor.duplicates import LEVELS, artwork_key, groups, same_key, similar_pairs
from wikiart_data.doctor.inspect_file import InspectedFile
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.formats import is_picture_name
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import artwork_of
from wikiart_data.images.packed import MAX_BAD_FRACTION
from wikiart_data.styles import STYLES, canonical_name

TINY = 64
"""Pictures with a side below this many pixels are named."""
STRIP = 5
"""Pictures longer than this many times their breadth are named: squared, they lose their form."""
AT_MOST_REFUSED = 20_000
"""Pictures looked at in a folder whose layout is refused: it may be somebody's whole disk."""
KNOWN_BAD = (
    ("Post_Impressionism", "vincent-van-gogh_l-arlesienne-portrait-of-madame-ginoux-1890"),
    ("Baroque", "rembrandt_woman-standing-with-raised-hands"),
)
"""Two files that are damaged in WikiArt itself, in every copy of it."""

_LEVELS = ("stop", "warn", "note")
_FIRST = ("layout", "unreadable", "two_splits", "two_styles", "nested", "spelling", "duplicates", "tiny", "strip")


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing."""

    kind: str
    """A word for programs: `unreadable`, `two_splits`, ..."""
    level: str
    """'stop': a run would not start; 'warn': a run survives it; 'note': good to know."""
    what: str
    do: str
    examples: list[dict[str, Any]] = field(default_factory=list)
    """All that are meant: {'files': [...], 'why': '...'}; a group of copies is one example."""

    @property
    def rank(self) -> tuple[int, int]:
        """Most serious first."""
        return _LEVELS.index(self.level), (*_FIRST, self.kind).index(self.kind)


class Lying:
    """What lies in the split folders besides what `scan` lists; with `whole`, what lies in the folder altogether."""

    def __init__(self, root: Path, *, whole: bool) -> None:
        self.rows: list[tuple[str, str, str]] = []
        """Pictures: path below `root`, split, style, as far as the path tells them."""
        self.hidden: list[str] = []
        self.others: list[str] = []
        self.nested: list[str] = []
        self.folders: set[tuple[str, str]] = set()
        self.whole = whole
        seen: set[str] = set()
        for top in [root] if whole else [root / split for split in SPLITS]:
            for path, inner, names in os.walk(top, followlinks=True):
                here, real = Path(path).relative_to(root).parts, os.path.realpath(path)
                if real in seen or len(here) > 4 or (whole and len(self.rows) >= AT_MOST_REFUSED):
                    inner.clear()  # a link that leads back up, or a tree that is no data folder
                    continue
                seen.add(real)
                inner.sort()
                if len(here) == 2 and here[0] in SPLITS and not here[1].startswith("."):
                    self.folders.add((here[0], here[1]))
                for name in sorted(names):
                    self._sort_in((*here, name))

    def _sort_in(self, parts: tuple[str, ...]) -> None:
        file = "/".join(parts)
        if any(part.startswith(".") for part in parts):
            self.hidden.append(file)
        elif not is_picture_name(parts[-1]):
            self.others.append(file)
        elif self.whole:
            split = parts[0] if len(parts) > 1 and parts[0] in SPLITS else "?"
            self.rows.append((file, split, parts[-2] if len(parts) > 1 else "?"))
        elif len(parts) != 3:
            self.nested.append(file)

    def findings(self) -> Iterator[Finding]:
        """Misspelled folders, and files that no run will see."""
        yield from _spelling(self.folders)
        if self.nested:
            what = f"{_of(self.nested, 'picture')} not directly in a style folder: ignored"
            yield Finding("nested", "warn", what, "Move them to <split>/<Style>/.", _each(self.nested))
        if self.others:
            what = f"{_of(self.others, 'file')} without a picture ending: ignored"
            yield Finding("other_files", "note", what, "Nothing, if they are no pictures.", _each(self.others))
        if self.hidden:
            what = f"{_of(self.hidden, 'hidden file')}: ignored"
            yield Finding("hidden", "note", what, "Nothing.", _each(self.hidden))
        if self.whole and len(self.rows) >= AT_MOST_REFUSED:
            what = f"only the first {len(self.rows):,} pictures were looked at"
            yield Finding("cut_short", "note", what, "Mend the layout, then run doctor again.")


def _spelling(folders: set[tuple[str, str]]) -> Iterator[Finding]:
    spellings: dict[tuple[str, str], list[str]] = {}
    near, foreign = {}, []
    for split, folder in sorted(folders):
        name, path = canonical_name(folder), f"{split}/{folder}"
        spellings.setdefault((split, name), []).append(path)
        if name not in STYLES:
            if close := difflib.get_close_matches(name, STYLES, n=1, cutoff=0.8):
                near[path] = f"like {close[0]}"
            else:
                foreign.append(path)
    if near:
        what = f"{_of(near, 'folder')} whose name looks misspelled"
        yield Finding("spelling", "warn", what, "Rename: it counts as another style.", _each([*near], [*near.values()]))
    if foreign:
        what = f"{_of(foreign, 'folder')} named like none of the 27 styles"
        yield Finding("foreign_style", "note", what, "Nothing, if you mean it.", _each(foreign))
    if double := [{"files": paths, "why": ""} for paths in spellings.values() if len(paths) > 1]:
        what = f"{_of(double, 'style')} in two spellings, counted as one"
        yield Finding("two_spellings", "note", what, "Merge the folders.", double)


def of_files(pictures: Sequence[InspectedFile]) -> Iterator[Finding]:
    """What each file tells by itself: unreadable, tiny, a strip, an unusual kind."""
    bad = [picture for picture in pictures if picture.reason]
    sound = [picture for picture in pictures if not picture.reason]
    if bad:
        share = len(bad) / len(pictures)
        what = f"{_of(bad, 'file')} cannot be read: {share:.1%}, and a run stops above {MAX_BAD_FRACTION:.0%}"
        known = " (known to be damaged in WikiArt itself)"
        why = [picture.reason + known * _known_bad(picture) for picture in bad]
        level = "stop" if share > MAX_BAD_FRACTION else "warn"
        yield Finding("unreadable", level, what, "Delete or fetch them again.", _each(_names(bad), why))
    if suspects := [picture for picture in sound if _known_bad(picture)]:
        what = f"{_of(suspects, 'file')} known to be damaged in WikiArt itself; here it decodes"
        yield Finding("known_bad", "note", what, "Look at it.", _each(_names(suspects)))
    for kind, what, do, meant in (
        ("tiny", f"with a side below {TINY} pixels", "Replace or remove.", lambda short, long: short < TINY),
        ("strip", f"shaped like a strip, beyond {STRIP} : 1", "Crop them.", lambda short, long: long > STRIP * short),
    ):
        if found := [p for p in sound if meant(*sorted((p.width, p.height)))]:
            sizes = [f"{picture.width} × {picture.height}" for picture in found]
            yield Finding(kind, "warn", f"{_of(found, 'picture')} {what}", do, _each(_names(found), sizes))
    if odd := [picture for picture in sound if picture.odd]:
        kinds = Counter(kind for picture in odd for kind in picture.odd).most_common()
        what = f"{_of(odd, 'file')} of unusual kind: {', '.join(f'{n:,} {kind}' for kind, n in kinds)}"
        why = [", ".join(picture.odd) for picture in odd]
        yield Finding("odd", "note", what, "Nothing: decoded to upright RGB.", _each(_names(odd), why))


def of_copies(pictures: Sequence[InspectedFile], *, strict: bool, painted: bool = False) -> Iterator[Finding]:
    """One artwork several times: in two splits, in two styles, or merely twice.

    Args:
        pictures: all that were examined.
        strict: whether an artwork in two splits stops a run.
        painted: whether this is the sample set, in which one scene is painted in several styles on purpose.
    """
    seen = [row for row, picture in enumerate(pictures) if picture.look is not None]
    looks = [pictures[row].look for row in seen]
    near = similar_pairs(np.array([h for h, _ in looks]), np.array([t for _, t in looks])) if looks else ()
    joined = list(
        groups(
            len(pictures),
            (
                same_key(b"" if picture.reason else picture.content for picture in pictures),
                same_key(picture.pixels for picture in pictures),
                ((seen[one], seen[other]) for one, other in near),
                same_key(artwork_key(picture.file) for picture in pictures),
            ),
        )
    )

    def across_splits(rows: list[int]) -> bool:
        return len({pictures[row].split for row in rows}) > 1

    def across_styles(rows: list[int]) -> bool:
        return len({pictures[row].style for row in rows}) > 1

    def at_home(rows: list[int]) -> bool:
        return not across_splits(rows) and not across_styles(rows)

    splits, styles = _strongest(joined, across_splits), _strongest(joined, across_styles)
    within = _strongest(joined[:-1], at_home)  # variants of one name in one place are as they should be
    # A name alone is a hint: it does not make --strict refuse.
    serious = strict and any(how != "same name" for how, _ in splits)
    for kind, level, found, where, do in (
        (
            "two_splits",
            "stop" if serious else "warn",
            splits,
            "in two splits",
            "Keep one: testing on what was trained on flatters.",
        ),
        (
            "two_styles",
            "note" if painted else "warn",
            styles,
            "in two styles",
            "Nothing: the sample set paints one scene in several styles." if painted else "Decide on one style.",
        ),
        ("duplicates", "warn", within, "twice in one style", "Remove the copies."),
    ):
        if found:
            by = Counter(how for how, _ in found)
            what = f"{_of(found, 'artwork')} {where}: {', '.join(f'{by[how]:,} {how}' for how in LEVELS if by[how])}"
            examples = [{"files": [pictures[row].file for row in rows], "why": how} for how, rows in found]
            if found is splits:  # without a valid folder its pictures lie in train: the path does not tell the split
                for example, (how, rows) in zip(examples, found, strict=True):
                    example["why"] = f"{how}: {', '.join(pictures[row].split for row in rows)}"
            yield Finding(kind, level, what, do, examples)


def _strongest(joined: Sequence[list[list[int]]], meant: Callable[[list[int]], bool]) -> list[tuple[str, list[int]]]:
    """Groups that are meant, each with the strongest evidence that makes it so."""
    first: dict[int, int] = {}
    for level, found in enumerate(joined):
        for rows in filter(meant, found):
            for row in rows:
                first.setdefault(row, level)
    return [(LEVELS[min(first[row] for row in rows)], rows) for rows in filter(meant, joined[-1])]


def of_classes(catalog: Catalog) -> Iterator[Finding]:
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
        what = f"{_of(missing, 'style')} without test pictures: {', '.join(missing)}"
        yield Finding("not_in_test", "note", what, "Nothing: figures say what they average.")


def _known_bad(picture: InspectedFile) -> bool:
    return (picture.style, artwork_of(picture.file)) in KNOWN_BAD


def _each(files: Sequence[str], why: Sequence[str] | None = None) -> list[dict[str, Any]]:
    return [{"files": [f], "why": w} for f, w in zip(files, why or [""] * len(files), strict=True)]


def _names(pictures: Sequence[InspectedFile]) -> list[str]:
    return [picture.file for picture in pictures]


def _of(things: Any, noun: str) -> str:
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"
