"""`wikiart-data import`: a Roboflow "folder structure" export, a .zip from who knows where, to a data folder."""

import lzma
import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import tyro

from wikiart_data.console import echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.styles import canonical_name

MOST_FILES = 500_000
MOST_FILE_BYTES = 500 << 20
MOST_RATIO = 20
"""Pictures are compressed already and hardly shrink in a zip: beyond this ratio it is a bomb."""
_ROOM = 64 << 20  # what any archive may unpack to, whatever its ratio (a few flat BMPs)
_CHUNK = 1 << 20
_LONGEST = 200
_END_BYTES = 66_000  # the end of a zip's directory, with the longest comment

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


@dataclass(frozen=True)
class ImportOptions:
    """Unpack a Roboflow export (format "Folder Structure", .zip) into a data folder, safely.

    Example: wikiart-data import export.zip --to paintings
    """

    zip: tyro.conf.Positional[Path]
    """The export."""
    to: Path
    """The data folder to make. It must not exist yet, or be empty."""


def import_zip(options: ImportOptions) -> int:
    """Unpack an export beside its target, then rename: the data folder is whole or not there.

    Returns:
        0, or 1 if the pictures are there but no run would accept their layout.

    Raises:
        InputError: the archive is damaged, encrypted, hostile or of another layout, or the target is in the way.
    """
    from filelock import FileLock, Timeout

    from wikiart_data.images.catalog import scan

    target = options.to.expanduser().absolute()
    _check_target(target)
    part = target.parent / f".{target.name}.import"
    lock = FileLock(part.with_name(f"{part.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        try:
            shutil.rmtree(part, ignore_errors=True)  # left by an import that was killed
            left_out = _unpack(options.zip.expanduser(), part)
            if target.is_dir():
                target.rmdir()
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise InputError(f"Another import into {target} is under way; wait for it.") from error
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}. Nothing was left behind.") from error
    for what, count in left_out.items():
        echo(f"{count:,} {what}")
    try:
        catalog = scan(target)
    except InputError as refusal:
        echo(f"Unpacked to {target}, but no run would accept it: {refusal}")
        return 1
    counts = Counter(file.split("/", 1)[0] for file in catalog.files)
    splits = ", ".join(f"{split} {n:,}" for split, n in counts.items())
    echo(f"{len(catalog):,} pictures in {len(catalog.styles)} styles ({splits}) in {target}")
    echo(f"Next: wikiart-data doctor --data {target}, then wikiart-classify --data {target}")
    return 0


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target} is no folder; choose a new one with --to.")
    try:
        if target.is_dir() and any(target.iterdir()):
            raise InputError(f"{target} is not empty; choose a new folder with --to, nothing is overwritten.")
    except OSError as error:
        raise InputError(f"{target} cannot be read: {error.strerror}.") from error


def _unpack(archive: Path, part: Path) -> Counter[str]:
    """Write the archive's pictures to `part`.

    Returns:
        What was left out or renamed, in words, and how many.
    """
    shown = printable(str(archive))
    try:
        size = archive.stat().st_size
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise InputError(f"{shown} is no zip archive, or an incomplete one: download it again ({error}).") from error
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror or error}.") from error
    with opened:
        _check_directory(opened, archive, shown)
        wanted, notes = _plan(opened, shown)
        promised = sum(info.file_size for info in wanted.values())
        free = shutil.disk_usage(part.parent).free
        if promised > free:
            raise InputError(
                f"{shown} unpacks to {promised / 1e9:.1f} GB, but {part.parent} has {free / 1e9:.1f} GB free; choose "
                "another disk with --to."
            )
        budget = MOST_RATIO * size + _ROOM
        part.mkdir()
        for path, info in track(wanted.items(), len(wanted), "Unpacking", "pictures"):
            with closing(_chunks(opened, info, shown)) as chunks:
                budget -= _write(chunks, part / path, budget)
    return notes


def _check_directory(opened: zipfile.ZipFile, archive: Path, shown: str) -> None:
    """Compare the directory at the archive's end with its count and with the names at the entries themselves.

    Nothing else covers it: with one flipped bit a picture would pass for something that is left out.

    Raises:
        InputError: they differ.
    """
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _END_BYTES))
        end = file.read()
    count = int.from_bytes(end[(at := end.rfind(b"PK\5\6") + 10) : at + 2], "little")
    if count not in (len(opened.infolist()) & 0xFFFF, 0xFFFF):  # the latter: too many, counted elsewhere (zip64)
        raise InputError(f"{shown} is damaged: not all of its {count:,} entries can be found. Download it again.")
    for info in opened.infolist():
        try:
            # Encrypted, or compressed in a way Python does not know: said later, if it is wanted.
            with suppress(RuntimeError):
                opened.open(info).close()
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise InputError(
                f"{shown} is damaged at {printable(info.filename)}: download it again ({error})."
            ) from error


def _chunks(opened: zipfile.ZipFile, info: zipfile.ZipInfo, shown: str) -> Generator[bytes]:
    try:
        with opened.open(info) as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        # Wrong checksum, cut off, a compression that Python does not know: in each case another copy is needed.
        name = printable(info.filename)
        raise InputError(f"{shown} is damaged at {name}: download it again ({error}).") from error


def _write(chunks: Iterable[bytes], path: Path, budget: int) -> int:
    """Write one entry, believing the bytes that come and not the size that the header names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > min(budget, MOST_FILE_BYTES):
                raise InputError(
                    f"The archive unpacks to far more than pictures would ({printable(path.name)}): it looks like a "
                    "zip bomb and was refused."
                )
            file.write(chunk)
    return written


def _plan(opened: zipfile.ZipFile, shown: str) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], Counter[str]]:
    """Which entry goes where: {path below the data folder: entry}. Nothing is written yet."""
    from wikiart_data.images.formats import is_picture_name
    from wikiart_data.images.manifest import SPLITS

    entries = [info for info in opened.infolist() if not info.is_dir()]
    if len(entries) > MOST_FILES:
        raise InputError(f"{shown} holds {len(entries):,} files, more than {MOST_FILES:,}: refused.")
    notes: Counter[str] = Counter()
    pictures: list[tuple[tuple[str, ...], zipfile.ZipInfo]] = []
    for info in entries:
        parts = _safe_parts(info, shown)
        hidden = any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"
        if hidden or not is_picture_name(parts[-1]):
            notes["files left out that are no pictures (README and the like)"] += 1
        else:
            pictures.append((parts, info))
    if not pictures:
        raise InputError(f"{shown} holds no pictures; expected train/<Style>/*.jpg, Roboflow's 'Folder Structure'.")
    tops = {parts[0].lower() for parts, _ in pictures}
    if len(tops) == 1 and tops.isdisjoint(SPLITS):  # everything lies in one folder more
        pictures = [(parts[1:], info) for parts, info in pictures]
    wanted: dict[PurePosixPath, zipfile.ZipInfo] = {}
    taken: Counter[str] = Counter()
    for parts, info in pictures:
        if len(parts) != 3 or parts[0].lower() not in SPLITS:
            notes["pictures left out that do not lie in <split>/<Style>/"] += 1
            continue
        if info.flag_bits & 1:
            raise InputError(f"{shown} is encrypted: unpack it with its password and use the folder with --data.")
        path = PurePosixPath(parts[0].lower(), canonical_name(_tame(parts[1])), _tame(parts[2]))
        first = str(path).casefold()  # Mac and Windows take A.jpg and a.jpg for one file
        while str(path).casefold() in taken:
            taken[first] += 1
            path = path.with_stem(f"{PurePosixPath(_tame(parts[2])).stem}x{taken[first]}")
        if path.name != parts[2]:
            notes["pictures renamed (names that clash or that not every system can write)"] += 1
        taken[str(path).casefold()] = 1
        wanted[path] = info
    if not wanted:
        where = printable("/".join(pictures[0][0]))
        raise InputError(
            f"{shown} is laid out otherwise ({where}); expected train/<Style>/*.jpg: export it from Roboflow as "
            "'Folder Structure'."
        )
    return wanted, notes


def _safe_parts(info: zipfile.ZipInfo, shown: str) -> tuple[str, ...]:
    """An entry's path in parts.

    Raises:
        InputError: it leads out of the archive, or is a link or a device: a well-meant export holds no such entry.
    """
    name = info.orig_filename.replace("\\", "/")  # some Windows programs write backslashes
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not parts or name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise InputError(f"{shown} is unsafe: its entry {printable(info.orig_filename)} leads out of it. Refused.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{shown} is unsafe: its entry {printable(name)} is a link or a device. Refused.")
    return parts


def _tame(name: str) -> str:
    """A name that every file system can write: no control characters, nothing Windows reserves, not too long."""
    name = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode("utf-8")
    name = _UNPRINTABLE.sub("_", name).rstrip(". ") or "_"
    stem, ending = os.path.splitext(name)  # noqa: PTH122  (a name, not a path)
    if stem.lower().split(".")[0] in _RESERVED:
        stem = f"_{stem}"
    while len(f"{stem}{ending}".encode()) > _LONGEST and stem:
        stem = stem[:-1]
    return stem + ending
