"""Hostile archives and data sets: names that leave the folder, links, bombs, names that no system can write."""

import contextlib
import io
import os
import random
import shutil
import stat
import struct
import warnings
import zipfile
from pathlib import Path

from PIL import Image

from faults.tally import Tally
from wikiart_data.errors import InputError

ESCAPING_NAMES = (
    "../evil.jpg", "../../evil.jpg", "train/../../evil.jpg", "train/Cubism/../../../evil.jpg", "/evil.jpg",
    "//evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "C:evil.jpg", "c:\\evil.jpg", "..\\evil.jpg", "..\\..\\evil.jpg",
    "\\evil.jpg", "\\\\server\\share\\evil.jpg", "train\\..\\..\\evil.jpg", "train/Cubism/..\\..\\..\\evil.jpg",
    "./../evil.jpg", "train/./../../evil.jpg", "train//..//..//evil.jpg", "train/Cubism/x\0/../../../evil.jpg",
    "../train/Cubism/evil.jpg", "train/../evil.jpg", "train/Cubism/..", "..",
)  # fmt: skip
"""Entry names that lead out of the folder they are unpacked into."""

ODD_NAMES = (
    "con.jpg", "NUL.jpg", "aux .jpg", "com1.jpg", "a<b>.jpg", "a:b.jpg", "a|b?.jpg", 'quote".jpg', "new\nline.jpg",
    "bell\a.jpg", "\x1b[31mred.jpg", "tab\t.jpg", "trailing. .jpg", " .jpg", "..jpg", "....jpg", "-rf.jpg",
    "--data.jpg", "$(reboot).jpg", "`reboot`.jpg", "<script>alert(1)</script>.jpg", "&amp;.jpg", "%2e%2e%2fevil.jpg",
    "é" * 300 + ".jpg", "x" * 300 + ".jpg", "日本.jpg", "\u202egpj.evil.jpg", "e\u0301.jpg", "é.jpg", "A.JPG", "a.jpg",
    "\ufeff.jpg", "~.jpg", "~root.jpg", ".hidden.jpg", "Thumbs.db", "run.exe", "a.jpg.exe", "a.jpg/b.jpg", "a.jpg",
    "😀.jpg", "\\u0000.jpg",
)  # fmt: skip
"""Unusual file names, harmless or not."""


def hostile_names(seed: int, work: Path, tally: Tally, flips: int = 300, bombs: bool = True) -> None:
    """Import and download from a hostile source; nothing may be written outside the target."""
    os.environ["WIKIART_CACHE"] = str(work / "cache")
    warnings.filterwarnings("ignore", message="Duplicate name")
    for name in ESCAPING_NAMES:
        entries = [*_valid_entries(), (_entry(name), _jpeg(1))]
        _import_archive("import: names that leave the folder", work, entries, tally, required="refused")
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        for target in ("/etc/passwd", "../../evil", "train"):
            info = _entry("train/Cubism/link.jpg")
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16
            entries = [*_valid_entries(), (info, target)]
            _import_archive("import: links and devices", work, entries, tally, required="refused")
    for name in ODD_NAMES:
        for path in (f"train/Cubism/{name}", f"train/{name}/a.jpg"):
            _import_archive("import: unusual names", work, [*_valid_entries(), (_entry(path), _jpeg(2))], tally)
    entries = [(_entry(f"train/Cubism/{name}"), _jpeg(3)) for name in ODD_NAMES]
    _import_archive("import: unusual names", work, entries, tally)
    for content in (bytes(900 << 20), b"\xff" * (90 << 20)) if bombs else ():
        bomb = [*_valid_entries(), (_entry("train/Cubism/bomb.jpg"), content)]
        _import_archive("import: bombs", work, bomb, tally, required="refused", compressed=True)
    _damaged_archives(seed, flips, work, tally)
    _hostile_data_set(work, tally)


def _import_archive(
    fault: str,
    work: Path,
    entries: list,
    tally: Tally,
    required: str = "",
    compressed: bool = False,
    archive: bytes = b"",
    whole: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Import an archive of `entries`, or of the bytes `archive`, and check where it wrote; returns what it wrote."""
    from wikiart_data.acquire.roboflow import ImportOptions, import_zip

    room = work / "names"
    (room / "deep" / "er").mkdir(parents=True)
    if not archive:
        with zipfile.ZipFile(room / "x.zip", "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as opened:
            for info, content in entries:
                opened.writestr(info, content, zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
    else:
        (room / "x.zip").write_bytes(archive)
    target, output = room / "deep" / "er" / "data", io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            import_zip(ImportOptions(room / "x.zip", target))
        outcome = "no effect"
    except InputError as error:
        outcome = "refused" if not target.exists() and str(error) else "refused, but files were left"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    stray = [path for path in room.rglob("*") if path.is_file() and target not in path.parents and path.name != "x.zip"]
    stray += [*Path("/").glob("evil*"), *work.glob("evil*")]
    links = [path for path in target.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if "\x1b" in output.getvalue() or "\a" in output.getvalue():
        outcome = "control characters reach the terminal"
    if stray or links:
        outcome = f"written outside: {[str(path) for path in (stray + links)[:3]]}"
    written = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    if whole is not None and written and written != whole:
        outcome = f"other content than before: {written.keys() ^ whole.keys()}"
    if outcome not in ("no effect", "refused") or (required and outcome != required):
        tally.lose(fault, f"{entries[-1][0].filename[:60]!r}: {outcome}" if entries else outcome)
    else:
        tally.add(fault, outcome)
    shutil.rmtree(room)
    return written


def _damaged_archives(seed: int, flips: int, work: Path, tally: Tally) -> None:
    """Flip bits in an archive, and truncate it."""
    content, rng = io.BytesIO(), random.Random(seed)
    with zipfile.ZipFile(content, "w") as opened:
        for info, picture in _valid_entries():
            opened.writestr(info, picture)
    whole = content.getvalue()
    expected = _import_archive("import: an undamaged archive", work, [], tally, required="no effect", archive=whole)
    for trial in range(flips):
        changed = bytearray(whole)
        # The central directory, at the end, lists what the archive holds.
        position = rng.randrange(len(whole)) if trial % 2 else len(whole) - 1 - rng.randrange(400)
        changed[position] ^= 1 << rng.randrange(8)
        _import_archive("import: damaged archives", work, [], tally, archive=bytes(changed), whole=expected)
    for _ in range(flips // 8):
        truncated = whole[: rng.randrange(1, len(whole))]
        _import_archive("import: truncated archives", work, [], tally, required="refused", archive=truncated)


def _hostile_data_set(work: Path, tally: Tally) -> None:
    """Download a data set whose artists and styles are such names: none may become a path."""
    import datasets

    from wikiart_data.acquire.download import DownloadOptions, download

    datasets.disable_progress_bars()
    names = [name for name in (*ESCAPING_NAMES, *ODD_NAMES) if "\0" not in name]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "artist": datasets.Value("string"),
            "genre": datasets.Value("string"),
            "style": datasets.Value("string"),
        }
    )
    rows = [(name, "Cubism") for name in names] + [("somebody", name) for name in names]
    columns = {
        "image": [{"bytes": _jpeg(number), "path": rows[number][0]} for number in range(len(rows))],
        "artist": [artist for artist, _ in rows],
        "genre": [""] * len(rows),
        "style": [style for _, style in rows],
    }
    room = work / "hub-of-names"
    (room / "deep").mkdir(parents=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(room / "rows.parquet")
    fault, target = "download: hostile artists and styles", room / "deep" / "data"
    with contextlib.redirect_stdout(io.StringIO()):
        status = download(DownloadOptions(target, source=str(room / "rows.parquet")))
    files = [path for path in room.rglob("*") if path.is_file() and path.name != "rows.parquet"]
    inside = [path.relative_to(target) for path in files if target in path.parents]
    valid = [path for path in inside if path.name[0] == "." or (len(path.parts) == 3 and path.parts[1] == "Cubism")]
    if status or not len(files) == len(inside) == len(valid) == len(names) + 1:
        tally.lose(fault, f"status {status}, {len(files)} files, {len(inside)} in the folder, {len(valid)} valid")
    else:
        tally.add(fault, "no effect", len(rows))


def _valid_entries() -> list[tuple[zipfile.ZipInfo, bytes]]:
    names = ("train/Cubism/a.jpg", "train/Baroque/b.jpg", "valid/Cubism/c.jpg", "test/Baroque/d.jpg")
    return [(_entry(name), _jpeg(number)) for number, name in enumerate(names)]


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # bypasses ZipInfo's normalisation of names
    return info


def _jpeg(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), tuple(struct.pack("<I", 9973 * (number + 1))[:3])).save(content, "JPEG")
    return content.getvalue()
