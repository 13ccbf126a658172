"""Names of folders and files as people and archive programs really write them."""

import re
import unicodedata
from functools import lru_cache

from wikiart_data.styles import STYLES, canonical_name

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What the three splits are called elsewhere, in lower case."""

_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_SEPARATORS = re.compile(r"[\s_-]+")
_ROBOFLOW = re.compile(r"_(?:jpe?g|png|webp)\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
_CAMERA_PREFIXES = {"img", "image", "dsc", "dscn", "pxl"}
_STYLE_PREFIXES = tuple(f"{style.casefold()}_" for style in STYLES)
_CODE_PAGES = ("cp437", "cp866", "cp850", "cp1252", "latin-1", "mac-roman", "cp1251")


def clean_name(name: str) -> str:
    """A name in Unicode's composed form (a Mac writes the decomposed one), without zero-width characters, trimmed."""
    return " ".join(_ZERO_WIDTH.sub("", unicodedata.normalize("NFC", name)).split(" ")).strip()


def split_name(name: str) -> str | None:
    """'train', 'valid' or 'test' for what people call them (`Train`, `val`, `Validation`, `dev`); None otherwise."""
    return SPLIT_NAMES.get(clean_name(name).casefold())


@lru_cache(4096)
def style_key(name: str) -> str:
    """The same for all spellings of one style: case, spaces, hyphens, underscores and Unicode forms do not matter."""
    cleaned = clean_name(name)
    canonical = canonical_name(cleaned)
    if canonical in STYLES:
        return canonical
    return unicodedata.normalize("NFC", _SEPARATORS.sub("_", cleaned.casefold())).strip("_") or cleaned


def repaired_name(name: str) -> str | None:
    """What a mis-encoded name was before an archive program read its UTF-8 bytes as another code page.

    `DuΓòá├¬rer` was `Dürer` once: its bytes were misread twice.

    Returns:
        The repaired name in composed form, or None if the name is sound or beyond repair.
    """
    repaired = _undone(name, depth=3)
    return None if repaired is None else unicodedata.normalize("NFC", repaired)


def _undone(name: str, depth: int) -> str | None:
    """The shortest text that misreading up to `depth` times turns into this name; None if there is none."""
    candidates: list[str] = []
    if name.isascii() or not depth:
        return None
    for page in _CODE_PAGES:
        try:
            before = name.encode(page).decode("utf-8")
        except UnicodeError:
            continue
        if before != name:
            candidates.append(_undone(before, depth - 1) or before)
    return min(candidates, key=lambda text: (len(text), text), default=None)


def stem_of(file: str) -> str:
    """A file's name without folders and ending."""
    name = file.rpartition("/")[2]  # every start asks it of every file, and a Path would be most of the work
    return name.rpartition(".")[0] or name


def artist_of(file: str) -> str:
    """The artist in a name like `claude-monet_water-lilies.jpg`, or '' if the name carries none.

    What a camera writes (`IMG_0001.jpg`) and a style of WikiArt (`Cubism_003.jpg`) are no artists. The name of the
    folder may be one: some data sets have the artists as classes.
    """
    stem = _ROBOFLOW.sub("", stem_of(file))
    artist, underscore, _ = stem.partition("_")
    return artist if underscore and not _names_no_artist(artist, stem) else ""


def _names_no_artist(prefix: str, stem: str) -> bool:
    if prefix.casefold() in _CAMERA_PREFIXES or stem.casefold().startswith(_STYLE_PREFIXES):
        return True
    return style_key(prefix) in STYLES  # another spelling, such as `art-nouveau_003`


def artwork_of(file: str) -> str:
    """What variants of one artwork share: the file's stem without Roboflow's `_jpg.rf.<hash>`."""
    return _ROBOFLOW.sub("", stem_of(file)).lower()


def loose_key(file: str) -> str:
    """A file's folder and name reduced to letters and digits, for tables that spell names a little differently."""
    parts = unicodedata.normalize("NFKD", file).casefold().split("/")[-2:]
    parts[-1] = stem_of(parts[-1])
    return "/".join("".join(c for c in part if c.isalnum()) for part in parts)
