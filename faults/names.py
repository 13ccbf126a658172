"""Archives and data sets from who knows where: names that lead out, links, bombs, names no system can write."""

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

OUT = (
    "../evil.jpg", "../../evil.jpg", "train/../../evil.jpg", "train/Cubism/../../../evil.jpg", "/evil.jpg",
    "//evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "C:evil.jpg", "c:\\evil.jpg", "..\\evil.jpg", "..\\..\\evil.jpg",
    "\\evil.jpg", "\\\\server\\share\\evil.jpg", "train\\..\\..\\evil.jpg", "train/Cubism/..\\..\\..\\evil.jpg",
    "./../evil.jpg", "train/./../../evil.jpg", "train//..//..//evil.jpg", "train/Cubism/x\0/../../../evil.jpg",
    "../train/Cubism/evil.jpg", "train/../evil.jpg", "train/Cubism/..", "..",
)  # fmt: skip
"""Names of entries that lead out of where they are unpacked."""

ODD = (
    "con.jpg", "NUL.jpg", "aux .jpg", "com1.jpg", "a<b>.jpg", "a:b.jpg", "a|b?.jpg", 'quote".jpg', "new\nline.jpg",
    "bell\a.jpg", "\x1b[31mred.jpg", "tab\t.jpg", "trailing. .jpg", " .jpg", "..jpg", "....jpg", "-rf.jpg",
    "--data.jpg", "$(reboot).jpg", "`reboot`.jpg", "<script>alert(1)</script>.jpg", "&amp;.jpg", "%2e%2e%2fevil.jpg",
    "é" * 300 + ".jpg", "x" * 300 + ".jpg", "日本.jpg", "\u202egpj.evil.jpg", "e\u0301.jpg", "é.jpg", "A.JPG", "a.jpg",
    "\ufeff.jpg", "~.jpg", "~root.jpg", ".hidden.jpg", "Thumbs.db", "run.exe", "a.jpg.exe", "a.jpg/b.jpg", "a.jpg",
    "😀.jpg", "\\u0000.jpg",
)  # fmt: skip
"""Names of pictures that mean no harm, or do."""


def hostile(seed: int, place: Path, tally: Tally, flips: int = 300, bombs: bool = True) -> None:
    """Import and download what a hostile source would give; nothing is ever written outside the target."""
    os.environ["WIKIART_CACHE"] = str(place / "cache")
    warnings.filterwarnings("ignore", message="Duplicate name")
    for name in OUT:
        _imported("import: names that lead out", place, [*_good(), (_named(name), _jpeg(1))], tally, must="refused")
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        for target in ("/etc/passwd", "../../evil", "train"):
            info = _named("train/Cubism/link.jpg")
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16
            _imported("import: links and devices", place, [*_good(), (info, target)], tally, must="refused")
    for name in ODD:
        _imported("import: odd names", place, [*_good(), (_named(f"train/Cubism/{name}"), _jpeg(2))], tally)
        _imported("import: odd names", place, [*_good(), (_named(f"train/{name}/a.jpg"), _jpeg(2))], tally)
    _imported("import: odd names", place, [(_named(f"train/Cubism/{name}"), _jpeg(3)) for name in ODD], tally)
    for content in (bytes(900 << 20), b"\xff" * (90 << 20)) if bombs else ():
        bomb = [*_good(), (_named("train/Cubism/bomb.jpg"), content)]
        _imported("import: bombs", place, bomb, tally, must="refused", packed=True)
    _damaged(seed, flips, place, tally)
    _downloaded(place, tally)


def _imported(
    what: str,
    place: Path,
    entries: list,
    tally: Tally,
    must: str = "",
    packed: bool = False,
    archive: bytes = b"",
    whole: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Import an archive of these entries, or these bytes, and look where it wrote; what it wrote is returned."""
    from wikiart_data.acquire.roboflow import ImportOptions, import_zip

    room = place / "names"
    (room / "deep" / "er").mkdir(parents=True)
    if not archive:
        with zipfile.ZipFile(room / "x.zip", "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as opened:
            for info, content in entries:
                opened.writestr(info, content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    else:
        (room / "x.zip").write_bytes(archive)
    target, said = room / "deep" / "er" / "data", io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            import_zip(ImportOptions(room / "x.zip", target))
        ending = "no effect"
    except InputError as error:
        ending = "refused" if not target.exists() and str(error) else "a refusal that left something"
    except Exception as error:
        ending = f"{type(error).__name__}: {error}"
    stray = [path for path in room.rglob("*") if path.is_file() and target not in path.parents and path.name != "x.zip"]
    stray += [*Path("/").glob("evil*"), *place.glob("evil*")]
    links = [path for path in target.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if "\x1b" in said.getvalue() or "\a" in said.getvalue():
        ending = "control characters reach the terminal"
    if stray or links:
        ending = f"written outside: {[str(path) for path in (stray + links)[:3]]}"
    made = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    if whole is not None and made and made != whole:
        ending = f"otherwise than it was: {made.keys() ^ whole.keys()}"
    if ending not in ("no effect", "refused") or (must and ending != must):
        tally.lose(what, f"{entries[-1][0].filename[:60]!r}: {ending}" if entries else ending)
    else:
        tally.add(what, ending)
    shutil.rmtree(room)
    return made


def _damaged(seed: int, flips: int, place: Path, tally: Tally) -> None:
    """Bits flipped in an archive, and its end cut off."""
    content, dice = io.BytesIO(), random.Random(seed)
    with zipfile.ZipFile(content, "w") as opened:
        for info, picture in _good():
            opened.writestr(info, picture)
    whole = content.getvalue()
    truth = _imported("import: as it should be", place, [], tally, must="no effect", archive=whole)
    for turn in range(flips):
        changed = bytearray(whole)
        # The central directory, at the end, says what the archive holds.
        at = dice.randrange(len(whole)) if turn % 2 else len(whole) - 1 - dice.randrange(400)
        changed[at] ^= 1 << dice.randrange(8)
        _imported("import: damaged archives", place, [], tally, archive=bytes(changed), whole=truth)
    for _ in range(flips // 8):
        _imported(
            "import: cut archives", place, [], tally, must="refused", archive=whole[: dice.randrange(1, len(whole))]
        )


def _downloaded(place: Path, tally: Tally) -> None:
    """A data set whose artists and styles are such names: none becomes a path."""
    import datasets

    from wikiart_data.acquire.download import DownloadOptions, download

    datasets.disable_progress_bars()
    names = [name for name in (*OUT, *ODD) if "\0" not in name]
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
    room = place / "hub-of-names"
    (room / "deep").mkdir(parents=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(room / "rows.parquet")
    what, target = "download: hostile artists and styles", room / "deep" / "data"
    with contextlib.redirect_stdout(io.StringIO()):
        status = download(DownloadOptions(target, source=str(room / "rows.parquet")))
    files = [path for path in room.rglob("*") if path.is_file() and path.name != "rows.parquet"]
    made = [path.relative_to(target) for path in files if target in path.parents]
    good = [path for path in made if path.name[0] == "." or (len(path.parts) == 3 and path.parts[1] == "Cubism")]
    if status or len(made) != len(files) or len(good) != len(made) or len(made) != len(names) + 1:
        tally.lose(
            what, f"status {status}, {len(files)} files, {len(made)} in the folder, {len(good)} as they should be"
        )
    else:
        tally.add(what, "no effect", len(rows))


def _good() -> list[tuple[zipfile.ZipInfo, bytes]]:
    names = ("train/Cubism/a.jpg", "train/Baroque/b.jpg", "valid/Cubism/c.jpg", "test/Baroque/d.jpg")
    return [(_named(name), _jpeg(number)) for number, name in enumerate(names)]


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # past what ZipInfo makes of a name
    return info


def _jpeg(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), tuple(struct.pack("<I", 9973 * (number + 1))[:3])).save(content, "JPEG")
    return content.getvalue()
