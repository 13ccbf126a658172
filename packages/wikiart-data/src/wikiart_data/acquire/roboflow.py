"""`wikiart-data import`: a Roboflow export, a .zip that may come from anywhere, into a data folder."""

import lzma
import re
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import tyro

from wikiart_data.acquire.file_names import UniqueNames, safe_name
from wikiart_data.console import echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.files import new_folder
from wikiart_data.styles import canonical_name

MOST_FILES = 500_000
MOST_FILE_BYTES = 500 << 20
MOST_RATIO = 20
"""Pictures are compressed already and hardly shrink in a zip: beyond this ratio it is a bomb."""
_ROOM = 64 << 20  # what any archive may unpack to, whatever its ratio (a few flat BMPs)
_CHUNK = 1 << 20
_END_BYTES = 66_000  # the end of a zip's directory, with the longest comment


@dataclass(frozen=True)
class ImportOptions:
    """Unpack a Roboflow export ("Folder Structure" or "Multi-Class", .zip) into a data folder, safely.

    Example: wikiart-data import export.zip --to paintings
    """

    zip: tyro.conf.Positional[Path]
    """The export."""
    to: Path
    """The data folder to make. It must not exist yet, or be empty."""


def import_zip(options: ImportOptions) -> int:
    """Unpack an export into a temporary folder, then rename it: the data folder is complete or does not exist.

    Returns:
        0, or 1 if the pictures are there but no run would accept their layout.

    Raises:
        InputError: the archive is damaged, encrypted, hostile or of another layout, or the target is in the way.
    """
    from wikiart_data.images.catalog import scan

    target = options.to.expanduser().absolute()
    with new_folder(target, "import") as part:
        notes = _unpack(options.zip.expanduser(), part)
    for what, count in notes.items():
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
        raise InputError(
            f"{shown} is no zip archive, or an incomplete one: download it again ({error}).", field=archive
        ) from error
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror or error}.", field=archive) from error
    with opened:
        _check_directory(opened, archive, shown)
        entries, notes = _plan(opened, shown)
        announced = sum(info.file_size for info in entries.values())
        free = shutil.disk_usage(part.parent).free
        if announced > free:
            raise InputError(
                f"{shown} unpacks to {announced / 1e9:.1f} GB, but {part.parent} has {free / 1e9:.1f} GB free; choose "
                "another disk with --to.",
                field="--to",
            )
        budget = MOST_RATIO * size + _ROOM
        for path, info in track(entries.items(), len(entries), "unpacking", "pictures"):
            with closing(_chunks(opened, info, shown)) as chunks:
                budget -= _write(chunks, part / path, budget)
    return notes


def _check_directory(opened: zipfile.ZipFile, archive: Path, shown: str) -> None:
    """Compare the directory at the archive's end with its count and with the names at the entries themselves.

    No checksum covers it: with one flipped bit a picture would be left out as if it were no picture.

    Raises:
        InputError: they differ.
    """
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _END_BYTES))
        end = file.read()
    count = int.from_bytes(end[(at := end.rfind(b"PK\5\6") + 10) : at + 2], "little")
    if count not in (len(opened.infolist()) & 0xFFFF, 0xFFFF):  # the latter: too many, counted elsewhere (zip64)
        raise InputError(
            f"{shown} is damaged: not all of its {count:,} entries can be found. Download it again.", field=archive
        )
    for info in opened.infolist():
        try:
            # Encrypted, or compressed in a way Python does not know: refused later, if the entry is needed.
            with suppress(RuntimeError):
                opened.open(info).close()
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise InputError(
                f"{shown} is damaged at {printable(info.filename)}: download it again ({error}).", field=archive
            ) from error


def _chunks(opened: zipfile.ZipFile, info: zipfile.ZipInfo, shown: str) -> Generator[bytes]:
    try:
        with opened.open(info) as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        # Wrong checksum, cut off, a compression that Python does not know: in each case another copy is needed.
        name = printable(info.filename)
        raise InputError(f"{shown} is damaged at {name}: download it again ({error}).", field=shown) from error


def _write(chunks: Iterable[bytes], path: Path, budget: int) -> int:
    """Write one entry, counting the bytes that come: the size in its header may lie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > min(budget, MOST_FILE_BYTES):
                raise InputError(
                    f"The archive unpacks to far more than pictures would ({printable(path.name)}): it looks like a "
                    "zip bomb and was refused.",
                    field=path.name,
                )
            file.write(chunk)
    return written


def _plan(opened: zipfile.ZipFile, shown: str) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], Counter[str]]:
    """Which entry goes where: {path below the data folder: entry}. Nothing is written yet."""
    from wikiart_data.images.formats import is_picture_name
    from wikiart_data.images.names import split_name

    infos = [info for info in opened.infolist() if not info.is_dir()]
    if len(infos) > MOST_FILES:
        raise InputError(f"{shown} holds {len(infos):,} files, more than {MOST_FILES:,}: refused.", field=shown)
    notes: Counter[str] = Counter()
    pictures: list[tuple[tuple[str, ...], zipfile.ZipInfo]] = []
    tables: list[tuple[tuple[str, ...], zipfile.ZipInfo]] = []
    for info in infos:
        parts = _safe_parts(info, shown)
        hidden = any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"
        if not hidden and parts[-1] == "_classes.csv":
            tables.append((parts, info))
        elif hidden or not is_picture_name(parts[-1]):
            notes["files left out that are no pictures (README and the like)"] += 1
        else:
            pictures.append((parts, info))
    if not pictures:
        raise InputError(
            f"{shown} holds no pictures; expected train/<Style>/*.jpg, Roboflow's 'Folder Structure'.", field=shown
        )
    tops = {parts[0] for parts, _ in pictures}
    if len(tops) == 1 and not any(map(split_name, tops)):  # everything is in one more folder
        pictures = [(parts[1:], info) for parts, info in pictures]
        tables = [(parts[1:], info) for parts, info in tables]
    # "Multi-Class" exports have no style folders, but a table in each split.
    with_table = {split_name(parts[0]) for parts, _ in tables if len(parts) == 2} - {None}
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    names = UniqueNames()
    for parts, info in pictures:
        split = split_name(parts[0]) if len(parts) > 1 else None
        if split is None or not (len(parts) == 3 or (len(parts) == 2 and split in with_table)):
            notes["pictures left out that are not in <split>/<Style>/"] += 1
            continue
        if info.flag_bits & 1:
            raise InputError(
                f"{shown} is encrypted: unpack it with its password and use the folder with --data.", field=shown
            )
        folders = [canonical_name(safe_name(parts[1]))] if len(parts) == 3 else []
        path = names.add(PurePosixPath(split, *folders, safe_name(parts[-1])))
        if path.name != parts[-1]:
            notes["pictures renamed (names that clash or that not every system can write)"] += 1
        entries[path] = info
    if not entries:
        first = printable("/".join(pictures[0][0]))
        raise InputError(
            f"{shown} has another layout ({first}); expected train/<Style>/*.jpg: export it from Roboflow as "
            "'Folder Structure', or unpack it and name the folder with --data.",
            field=shown,
        )
    for parts, info in tables:
        if len(parts) == 2 and (split := split_name(parts[0])):
            entries[PurePosixPath(split, parts[-1])] = info
    return entries, notes


def _safe_parts(info: zipfile.ZipInfo, shown: str) -> tuple[str, ...]:
    """An entry's path in parts.

    Raises:
        InputError: it leads out of the archive, or is a link or a device, which no honest export holds.
    """
    name = info.orig_filename.replace("\\", "/")  # some Windows programs write backslashes
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not parts or name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise InputError(
            f"{shown} is unsafe: its entry {printable(info.orig_filename)} leads out of it. Refused.", field=shown
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{shown} is unsafe: its entry {printable(name)} is a link or a device. Refused.", field=shown)
    return parts
