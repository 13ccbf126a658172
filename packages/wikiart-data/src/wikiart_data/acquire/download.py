"""`wikiart-data download`: WikiArt from the Hugging Face hub, streamed and reduced, into a data folder.

The data set is some seventy parquet files of half a gigabyte. They are streamed one after another; each picture is
reduced and written at once, so that the disk holds only what is kept. A dot file in the target records the progress: a
killed download continues with the file it was in, and ends with the same pictures as an uninterrupted one.
"""

import hashlib
import io
import json
import re
import time
import unicodedata
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from wikiart_data.acquire.hub import HUB, HubRow, label_reader, open_rows, rows_of
from wikiart_data.cli.option_types import Names
from wikiart_data.console import PLAIN_INTERVAL_S, echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.decode import available_cores
from wikiart_data.styles import STYLES, canonical_name

if TYPE_CHECKING:
    from datasets import IterableDataset

FRACTIONS = (0.8, 0.1, 0.1)
PROGRESS = ".wikiart-download.json"
NAMED = 5
"""Damaged rows named on the screen; the dot file names up to 1,000."""

MAX_BAD_FRACTION = 0.01
"""With a larger fraction of damaged rows the source itself is doubted."""

_BATCH = 64
_QUALITY = 92
_NAMED_AT_MOST = 1000


@dataclass(frozen=True)
class DownloadOptions:
    """Get WikiArt (81,444 paintings) from the Hugging Face hub. Run it again to continue after an interruption.

    Example: wikiart-data download paintings --limit 500
    """

    folder: tyro.conf.Positional[Path]
    """The data folder to make."""
    size: int = 512
    """Reduce pictures to at most this many pixels on the long side; 0 keeps them as they are."""
    limit: int = 0
    """At most this many pictures per style; 0 takes all. Reading ends once every style has as many."""
    styles: Names = ()
    """Only these styles (default: all 27)."""
    fractions: tuple[float, float, float] = FRACTIONS
    """Fractions of train, valid and test."""
    seed: int = 0
    """Random seed for the splits."""
    source: str = HUB
    """A data set on the hub, or parquet files with the same columns: a folder, a file or a pattern."""


@dataclass
class _Progress:
    """How far a download got; everything needed to continue it."""

    options: dict[str, object]
    """What it was started with, and the number of files of the source."""
    file: int = 0
    """Parquet files that are done."""
    row: int = 0
    """Rows that are done in the next one."""
    number: int = 0
    """Rows that are done in all files: the number in a picture's name."""
    kept: Counter[str] = field(default_factory=Counter)
    """Pictures written, by style."""
    damaged: int = 0
    """Rows that hold no readable picture."""
    named: list[str] = field(default_factory=list)
    """The first of them."""
    foreign: int = 0
    """Rows of a style that is none of the 27."""
    done: bool = False


def download(options: DownloadOptions) -> int:
    """Fill a data folder from the hub or from local parquet files.

    Returns:
        0, or 1 if so many rows are damaged (named, skipped, counted) that the source must be.

    Raises:
        InputError: no network, another source than expected, a target that is not ours or cannot be written.
    """
    from filelock import FileLock, Timeout

    chosen = _check(options)
    folder = options.folder.expanduser().absolute()
    lock = FileLock(folder.with_name(f".{folder.name}.download.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"Another download into {folder} is under way; wait for it.", field=folder) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}); choose another folder.", field=folder
        ) from error
    try:
        return _download(options, chosen, folder)
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _download(options: DownloadOptions, chosen: set[str], folder: Path) -> int:
    settings = {
        "source": options.source,
        "size": options.size,
        "limit": options.limit,
        "styles": sorted(chosen),
        "fractions": list(options.fractions),
        "seed": options.seed,
    }
    progress = _load_progress(folder, settings)
    if progress.done:
        echo(f"{folder} is complete: {progress.kept.total():,} pictures in {len(progress.kept)} styles.")
        return 0
    dataset = open_rows(options.source)
    if progress.options.setdefault("files", dataset.num_shards) != dataset.num_shards:
        raise InputError(
            f"{options.source} has changed since {folder} was begun ({progress.options['files']} files then, "
            f"{dataset.num_shards} now); begin another folder.",
            field="--source",
        )
    if progress.number:
        echo(f"Continuing after {progress.number:,} rows, {progress.kept.total():,} pictures.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _save(folder, progress)
        for stale in folder.glob("*/*/.*.part"):
            stale.unlink()
        _fill(folder, dataset, options, chosen, progress)
        if progress.kept:
            progress.done = True
            _save(folder, progress)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}); make room or choose another folder. What is "
            "there is complete, and the same command continues from it.",
            field=folder,
        ) from error
    if not progress.kept:
        raise InputError(
            f"{options.source} holds no picture of {', '.join(sorted(chosen)[:3])}, …: nothing written.",
            field="--source",
        )
    for name in progress.named[:NAMED]:
        echo(f"  skipped {printable(name)}")
    if progress.damaged or progress.foreign:
        echo(
            f"{progress.damaged:,} damaged rows skipped (named in {folder / PROGRESS}), {progress.foreign:,} rows of "
            "other styles than the 27."
        )
    echo(f"{progress.kept.total():,} pictures in {len(progress.kept)} styles in {folder}")
    echo(f"Next: wikiart-data stats --data {folder}, then wikiart-classify --data {folder}")
    if progress.damaged > max(NAMED, MAX_BAD_FRACTION * progress.number):
        echo(f"More than {MAX_BAD_FRACTION:.0%} of the rows are damaged: is {options.source} complete?")
        return 1
    return 0


def split_of(picture: bytes, fractions: tuple[float, float, float], seed: int) -> str:
    """The split of a picture, drawn by its bytes: a copy under another style lands in the same one."""
    digest = hashlib.sha256(f"{seed}\0".encode() + picture).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64 * sum(fractions)
    return "train" if draw < fractions[0] else "valid" if draw < fractions[0] + fractions[1] else "test"


def picture_name(artist: str, number: int) -> str:
    """`claude-monet_012345.jpg`, or `unknown-012345.jpg`: without the underscore it names no artist."""
    plain = unicodedata.normalize("NFKD", artist).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80]
    return f"unknown-{number:06}.jpg" if slug in ("", "unknown", "unknown-artist") else f"{slug}_{number:06}.jpg"


def reduced(picture: bytes, size: int) -> bytes:
    """A picture as a JPEG of at most `size` pixels on the long side (0: of any); a JPEG that fits is kept as it is.

    Raises:
        BadPictureError: it cannot be decoded.
    """
    from PIL import Image

    from wikiart_data.images.decode import decode

    # One pixel more than needed, so that a JPEG decoded at a fraction is never mistaken for one that fits.
    decoded = decode(picture, at_least=size + 1 if size else None)
    if picture.startswith(b"\xff\xd8\xff") and (not size or max(decoded.size) <= size):
        return picture
    if size:
        decoded.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    written = io.BytesIO()
    decoded.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _check(options: DownloadOptions) -> set[str]:
    """The chosen styles.

    Raises:
        InputError: an option is out of range.
    """
    chosen = {canonical_name(style) for style in options.styles} or set(STYLES)
    if unknown := chosen - set(STYLES):
        raise InputError(
            f"--styles: {', '.join(sorted(unknown))} is none of the 27; they are {', '.join(STYLES)}.", field="--styles"
        )
    if options.size < 0 or 0 < options.size < 32:
        raise InputError(f"--size {options.size}: expected 0 or at least 32.", field="--size")
    if options.limit < 0:
        raise InputError(f"--limit {options.limit}: expected 0 or more.", field="--limit")
    if min(options.fractions) < 0 or options.fractions[0] <= 0:
        raise InputError(
            "--fractions: expected three numbers of 0 or more, the first (train) above 0.", field="--fractions"
        )
    return chosen


def _load_progress(folder: Path, settings: dict[str, object]) -> _Progress:
    try:
        saved = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        crc = saved.pop("crc32", None)  # None: begun by an earlier version
        if crc is not None and crc != _crc(saved):
            raise ValueError("its checksum is another")
        progress = _Progress(**{**saved, "kept": Counter(saved["kept"])})
    except FileNotFoundError:
        # What a full disk left of the first progress file is this command's own.
        if folder.is_dir() and any(entry.name != f".{PROGRESS}.part" for entry in folder.iterdir()):
            raise InputError(
                f"{folder} is not empty and was not begun by this command; choose a new folder.", field=folder
            ) from None
        return _Progress(settings)
    except OSError as error:
        raise InputError(f"{folder} cannot be used: {error.strerror or error}.", field=folder) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{folder / PROGRESS} is damaged; begin another folder.", field=folder / PROGRESS) from error
    for name, value in settings.items():
        if progress.options.get(name) != value:
            raise InputError(
                f"{folder} was begun with --{name} {progress.options.get(name)}, not {value}: use the same options to "
                "continue, or another folder.",
                field=f"--{name}",
            )
    return progress


def _fill(
    folder: Path, dataset: "IterableDataset", options: DownloadOptions, chosen: set[str], progress: _Progress
) -> None:
    """Stream what is missing, one parquet file after another, in batches of rows."""
    style_of, artist_of = label_reader(dataset, "style"), label_reader(dataset, "artist")
    files, printed = dataset.num_shards, time.monotonic()

    def full(style: str) -> bool:
        return 0 < options.limit <= progress.kept[style]

    def reduce_row(row: HubRow) -> bytes | str | None:
        style = style_of(row)
        return _reduced_row(row, options.size) if style in chosen and not full(style) else None

    with ThreadPoolExecutor(available_cores()) as pool:
        while progress.file < files:
            shard = dataset.shard(num_shards=files, index=progress.file)
            rows = rows_of(shard.skip(progress.row) if progress.row else shard, options.source)
            while batch := list(islice(rows, _BATCH)):
                for row, content in zip(batch, pool.map(reduce_row, batch), strict=True):
                    style, name = style_of(row), picture_name(artist_of(row), progress.number)
                    if style not in STYLES:
                        progress.foreign += 1
                    elif isinstance(content, str):
                        progress.damaged += 1
                        if len(progress.named) < _NAMED_AT_MOST:
                            progress.named.append(f"file {progress.file}, row {progress.row}, {style}: {content}")
                    elif content is not None and not full(style):
                        # A style's first picture is for training: without any, the folder would be refused.
                        first = not progress.kept[style]
                        split = "train" if first else split_of(_bytes(row), options.fractions, options.seed)
                        _write(folder / split / style / name, content)
                        progress.kept[style] += 1
                    progress.row += 1
                    progress.number += 1
                _save(folder, progress)
                if options.limit and all(map(full, chosen)):
                    return
                if time.monotonic() - printed >= PLAIN_INTERVAL_S:
                    printed = time.monotonic()
                    kept = progress.kept.total()
                    echo(f"file {progress.file + 1} of {files}: {progress.number:,} rows read, {kept:,} pictures kept")
            progress.file, progress.row = progress.file + 1, 0
            _save(folder, progress)


def _reduced_row(row: HubRow, size: int) -> bytes | str:
    """A row's picture as it will be written, or the reason why there is none."""
    from wikiart_data.images.decode import BadPictureError

    picture = _bytes(row)
    if not picture:
        return "no picture"
    try:
        return reduced(picture, size)
    except BadPictureError as error:
        return str(error)


def _bytes(row: HubRow) -> bytes:
    image = row["image"]
    return (image["bytes"] if image else None) or b""


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _save(folder: Path, progress: _Progress) -> None:
    content = vars(progress)
    _write(folder / PROGRESS, json.dumps({**content, "crc32": _crc(content)}, indent=1).encode())


def _crc(content: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
