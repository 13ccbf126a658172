"""`wikiart-data download`: WikiArt from the Hugging Face hub, streamed and made small, into a data folder.

The data set comes as some seventy parquet files of half a gigabyte. One is streamed after another; each picture is
reduced and written at once, so that the disk holds only what is kept. A dot file in the target says how far it got: a
killed download goes on with the file it was in, and ends with the same pictures as an unbroken one.
"""

import hashlib
import io
import json
import os
import re
import socket
import time
import unicodedata
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from glob import glob
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tyro
from PIL import Image

from wikiart_data.console import PLAIN_EVERY_S, printable, say
from wikiart_data.decode import BadPictureError, decode
from wikiart_data.errors import InputError
from wikiart_data.styles import STYLES, canonical

if TYPE_CHECKING:
    from datasets import IterableDataset

HUB = "huggan/wikiart"
SHARES = (0.8, 0.1, 0.1)
PROGRESS = ".wikiart-download.json"
NAMED = 5
"""Damaged rows named on the screen; the dot file names all."""

_BATCH = 64
_QUALITY = 92
_OFFER = (
    "Without it there are the built-in sample set (wikiart-data sample) and a local copy "
    "(wikiart-data download FOLDER --source DIR, with the data set's parquet files in DIR)."
)


@dataclass(frozen=True)
class DownloadOptions:
    """Get WikiArt (81,444 paintings) from the Hugging Face hub. Run it again to go on after a break."""

    folder: tyro.conf.Positional[Path]
    """The data folder to make."""
    size: int = 512
    """Reduce pictures to at most this many pixels on the long side; 0 keeps them as they are."""
    limit: int = 0
    """At most this many pictures of each style; 0 takes all. Reading ends once every style has its share."""
    styles: tuple[str, ...] = ()
    """Only these styles (default: all 27)."""
    shares: tuple[float, float, float] = SHARES
    """Shares of train, valid and test."""
    seed: int = 0
    """Which picture goes to which split."""
    source: str = HUB
    """A data set on the hub, or parquet files of the same columns: a folder, a file or a pattern."""


@dataclass
class _Progress:
    """How far a download got; everything needed to go on as if nothing had happened."""

    options: dict[str, Any]
    """What it was started with, and in how many files the source comes."""
    file: int = 0
    """Parquet files that are done."""
    row: int = 0
    """Rows that are done in the next one."""
    number: int = 0
    """Rows that are done altogether: the number in a picture's name."""
    kept: Counter[str] = field(default_factory=Counter)
    """Pictures written, by style."""
    skipped: list[str] = field(default_factory=list)
    """Rows that hold no readable picture."""
    foreign: int = 0
    """Rows of a style that is none of the 27."""
    done: bool = False


def download(options: DownloadOptions) -> int:
    """Fill a data folder from the hub or from local parquet files.

    Returns:
        0; damaged rows are named and counted, no more.

    Raises:
        InputError: no network, another source than expected, a target that is not ours or cannot be written.
    """
    wanted = _check(options)
    folder = options.folder.expanduser().absolute()
    settings = {
        "source": options.source,
        "size": options.size,
        "limit": options.limit,
        "styles": sorted(wanted),
        "shares": list(options.shares),
        "seed": options.seed,
    }
    progress = _resumed(folder, settings)
    if progress.done:
        say(f"{folder} is complete: {progress.kept.total():,} pictures in {len(progress.kept)} styles.")
        return 0
    dataset = _open(options.source)
    if progress.options.setdefault("files", dataset.num_shards) != dataset.num_shards:
        raise InputError(
            f"{options.source} has changed since {folder} was begun ({progress.options['files']} files then, "
            f"{dataset.num_shards} now); begin another folder."
        )
    if progress.number:
        say(f"Going on after {progress.number:,} rows, {progress.kept.total():,} pictures.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remember(folder, progress)
        for stale in folder.glob("*/*/.*.part"):
            stale.unlink()
        _fill(folder, dataset, options, wanted, progress)
        progress.done = True
        _remember(folder, progress)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}); make room or choose another folder. What is "
            "there is whole, and the same command goes on from it."
        ) from error
    if not progress.kept:
        raise InputError(f"{options.source} holds no picture of {', '.join(sorted(wanted)[:3])}, ...: nothing written.")
    for name in progress.skipped[:NAMED]:
        say(f"  skipped {printable(name)}")
    if progress.skipped or progress.foreign:
        say(
            f"{len(progress.skipped):,} damaged rows skipped, {progress.foreign:,} of a style that is none of the 27 "
            f"(all are named in {folder / PROGRESS})."
        )
    say(f"{progress.kept.total():,} pictures in {len(progress.kept)} styles in {folder}")
    say(f"Next: wikiart-data stats --data {folder}, then wikiart-classify --data {folder}")
    return 0


def split_of(picture: bytes, shares: tuple[float, float, float], seed: int) -> str:
    """The split of a picture, drawn by its bytes: a copy under another style lands in the same one."""
    digest = hashlib.sha256(f"{seed}\0".encode() + picture).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64 * sum(shares)
    return "train" if draw < shares[0] else "valid" if draw < shares[0] + shares[1] else "test"


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
    # One pixel more than wanted, so that a JPEG decoded at a fraction is never mistaken for one that fits.
    decoded = decode(picture, at_least=size + 1 if size else None)
    if picture.startswith(b"\xff\xd8\xff") and (not size or max(decoded.size) <= size):
        return picture
    if size:
        decoded.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    written = io.BytesIO()
    decoded.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _check(options: DownloadOptions) -> set[str]:
    """The wanted styles, after a look at the options."""
    wanted = {canonical(style) for style in options.styles} or set(STYLES)
    if unknown := wanted - set(STYLES):
        raise InputError(f"--styles: {', '.join(sorted(unknown))} is none of the 27; they are {', '.join(STYLES)}.")
    if options.size < 0 or 0 < options.size < 32 or options.limit < 0:
        raise InputError("--size must be 0 or at least 32, and --limit 0 or more.")
    if min(options.shares) < 0 or options.shares[0] <= 0:
        raise InputError("--shares must be three numbers of 0 or more, the first (train) above 0.")
    return wanted


def _resumed(folder: Path, settings: dict[str, Any]) -> _Progress:
    try:
        saved = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        progress = _Progress(**{**saved, "kept": Counter(saved["kept"])})
    except FileNotFoundError:
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and was not begun by this command; choose a new folder.") from None
        return _Progress(settings)
    except OSError as error:
        raise InputError(f"{folder} cannot be used: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder / PROGRESS} is damaged; begin another folder.") from error
    for name, value in settings.items():
        if progress.options.get(name) != value:
            raise InputError(
                f"{folder} was begun with --{name} {progress.options.get(name)}, not {value}: use the same options to "
                "go on, or another folder."
            )
    return progress


def _open(source: str) -> "IterableDataset":
    """The source as a stream of rows {image: {bytes, path}, artist, genre, style}."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "The download needs the library 'datasets': uv sync --extra hub, or pip install 'wikiart-data[hub]'."
        ) from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what fails is said below, in a sentence
    local = _local_files(source)
    try:
        if local is None:
            _reach_hub()
            dataset = datasets.load_dataset(source, split="train", streaming=True)
        else:
            dataset = datasets.load_dataset("parquet", data_files=local, split="train", streaming=True)
        dataset = dataset.decode(False)  # bytes as they are: `decode` knows more kinds of damage
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(
            f"--source {source}: the hub has no such data set, or does not let everybody read it."
        ) from error
    except Exception as error:
        if local is not None:
            raise InputError(f"{source} cannot be read as parquet: {_short(error)}.") from error
        raise InputError(f"The Hugging Face hub cannot be reached for {source} ({_short(error)}). {_OFFER}") from error
    columns = set(dataset.features or ())
    if missing := {"image", "artist", "style"} - columns:
        raise InputError(
            f"{source} has no column {', '.join(sorted(missing))}; expected image, artist, genre, style as in {HUB}."
        )
    return dataset


def _local_files(source: str) -> list[str] | None:
    """Parquet files a local source names, sorted; None if the source is a data set on the hub."""
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*.parquet"))
    elif path.is_file() or path.suffix == ".parquet" or any(c in source for c in "*?["):
        found = sorted([str(path)] if path.is_file() else glob(str(path), recursive=True))
    elif re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        return None
    else:
        found = []
    if not found:
        raise InputError(f"--source {source}: there are no parquet files; expected a folder, a file or a pattern.")
    return found


def _reach_hub() -> None:
    """Fail in a moment, not after half a minute of retries, where there is plainly no network.

    Raises:
        OSError: the hub's name is not known here.
    """
    from huggingface_hub import constants

    if not urllib.request.getproxies():  # a proxy looks names up itself
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)


def _fill(
    folder: Path, dataset: "IterableDataset", options: DownloadOptions, wanted: set[str], progress: _Progress
) -> None:
    """Stream what is missing, one parquet file after another, in batches of rows."""
    style_of, artist_of = _reader(dataset, "style"), _reader(dataset, "artist")
    files, spoken = dataset.num_shards, time.monotonic()

    def make(row: dict[str, Any]) -> bytes | str | None:
        style = style_of(row)
        return _made(row, options.size) if style in wanted and not _full(style) else None

    def _full(style: str) -> bool:
        return 0 < options.limit <= progress.kept[style]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while progress.file < files:
            shard = dataset.shard(num_shards=files, index=progress.file)
            rows = _rows(shard.skip(progress.row) if progress.row else shard, options.source)
            while batch := list(islice(rows, _BATCH)):
                for row, made in zip(batch, pool.map(make, batch), strict=True):
                    style, name = style_of(row), picture_name(artist_of(row), progress.number)
                    if style not in STYLES:
                        progress.foreign += 1
                    elif isinstance(made, str):
                        progress.skipped.append(f"file {progress.file}, row {progress.row}, {style}: {made}")
                    elif made is not None and not _full(style):
                        # A style's first picture is for training: without any, the folder would be refused.
                        first = not progress.kept[style]
                        split = "train" if first else split_of(row["image"]["bytes"], options.shares, options.seed)
                        _write(folder / split / style / name, made)
                        progress.kept[style] += 1
                    progress.row += 1
                    progress.number += 1
                _remember(folder, progress)
                if options.limit and all(map(_full, wanted)):
                    return
                if time.monotonic() - spoken >= PLAIN_EVERY_S:
                    spoken = time.monotonic()
                    kept = progress.kept.total()
                    say(f"file {progress.file + 1} of {files}: {progress.number:,} rows read, {kept:,} pictures kept")
            progress.file, progress.row = progress.file + 1, 0
            _remember(folder, progress)


def _rows(shard: "IterableDataset", source: str) -> Iterator[dict[str, Any]]:
    try:
        yield from shard
    except Exception as error:  # whatever network and parquet libraries raise; writing is not done in here
        raise InputError(
            f"Reading {source} broke off ({_short(error)}). The same command goes on from where it is."
        ) from error


def _reader(dataset: "IterableDataset", column: str) -> Callable[[dict[str, Any]], str]:
    """How a row's label is read: by the names that the column carries, or as the text that it is."""
    feature = dataset.features[column]
    names = getattr(feature, "names", None)
    if names is None and getattr(feature, "dtype", "") != "string":
        raise InputError(f"The column {column!r} holds numbers without names; expected labels as in {HUB}.")

    def read(row: dict[str, Any]) -> str:
        value = row[column]
        if names is not None:
            value = names[value] if value is not None and 0 <= value < len(names) else ""
        return canonical(value or "") if column == "style" else value or ""

    return read


def _made(row: dict[str, Any], size: int) -> bytes | str:
    """A row's picture as it will be written, or the reason why there is none."""
    picture = (row["image"] or {}).get("bytes")
    if not picture:
        return "no picture"
    try:
        return reduced(picture, size)
    except BadPictureError as error:
        return str(error)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _remember(folder: Path, progress: _Progress) -> None:
    _write(folder / PROGRESS, json.dumps(asdict(progress), indent=1).encode())


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
