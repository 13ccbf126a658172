"""File names that are unique and that every file system can write."""

import os
import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath

_LONGEST = 200
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


class UniqueNames:
    """Makes paths unique, also on systems that take A.jpg and a.jpg for one file."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def add(self, path: PurePosixPath) -> PurePosixPath:
        """The path, or the path with a number after its stem if it is taken."""
        stem, first = path.stem, str(path).casefold()
        while str(path).casefold() in self._taken:
            self._taken[first] += 1
            path = path.with_stem(f"{stem}x{self._taken[first]}")
        self._taken[str(path).casefold()] = 1
        return path


def safe_name(name: str) -> str:
    """A name that every file system can write: no control characters, nothing Windows reserves, not too long."""
    name = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode("utf-8")
    name = _UNPRINTABLE.sub("_", name).rstrip(". ") or "_"
    stem, ending = os.path.splitext(name)  # noqa: PTH122  (a name, not a path)
    if stem.lower().split(".")[0] in _RESERVED:
        stem = f"_{stem}"
    while len(f"{stem}{ending}".encode()) > _LONGEST and stem:
        stem = stem[:-1]
    return stem + ending
