"""WikiArt's rows, streamed from the Hugging Face hub or from parquet files of the same columns."""

import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, cast
from urllib.parse import urlsplit

from wikiart_data.errors import InputError, how_to_install
from wikiart_data.styles import canonical_name

if TYPE_CHECKING:
    from datasets import IterableDataset

HUB = "huggan/wikiart"
"""81,444 paintings: image, artist (129 names), genre, style (27 names)."""


class HubImage(TypedDict):
    """An undecoded cell of the column `image`."""

    bytes: bytes | None
    path: str | None


class HubRow(TypedDict):
    """A row of WikiArt on the hub; labels are numbers whose names the column carries, or text."""

    image: HubImage | None
    artist: int | str | None
    genre: int | str | None
    style: int | str | None


_OFFER = (
    "Without it there are the built-in sample set (wikiart-data sample) and a local copy "
    "(wikiart-data download FOLDER --source DIR, with the data set's parquet files in DIR)."
)


def open_rows(source: str) -> "IterableDataset":
    """The source as a stream of rows {image: {bytes, path}, artist, genre, style}.

    Raises:
        InputError: there is no network, no such source, other columns, or the library `datasets` is missing.
    """
    try:
        import datasets
        from datasets.exceptions import DatasetNotFoundError
    except ImportError as error:
        raise InputError(
            f"The download needs the package datasets, which is not installed: {how_to_install('hub', 'datasets')}.",
            field="datasets",
        ) from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # failures become one sentence below
    local = _local_files(source)
    try:
        if local is None:
            reach_hub()
            dataset = datasets.load_dataset(source, split="train", streaming=True)
        else:
            dataset = datasets.load_dataset("parquet", data_files=local, split="train", streaming=True)
        dataset = dataset.decode(False)  # bytes as they are: `decode` knows more kinds of damage
    except DatasetNotFoundError as error:
        raise InputError(
            f"--source {source}: the hub has no such data set, or does not let everybody read it.", field="--source"
        ) from error
    except Exception as error:
        if local is not None:
            raise InputError(f"{source} cannot be read as parquet: {_short(error)}.", field="--source") from error
        raise InputError(
            f"The Hugging Face hub cannot be reached for {source} ({_short(error)}). {_OFFER}", field="--source"
        ) from error
    columns = set(dataset.features or ())
    if missing := {"image", "artist", "style"} - columns:
        raise InputError(
            f"{source} has no column {', '.join(sorted(missing))}; expected image, artist, genre, style as in {HUB}.",
            field="--source",
        )
    return dataset


def rows_of(shard: "IterableDataset", source: str) -> Iterator[HubRow]:
    """The rows of one parquet file.

    Raises:
        InputError: reading broke off.
    """
    try:
        for row in shard:
            yield cast(HubRow, row)
    except Exception as error:  # whatever network and parquet libraries raise; writing is not done in here
        raise InputError(
            f"Reading {source} broke off ({_short(error)}). The same command continues from there.", field="--source"
        ) from error


def label_reader(dataset: "IterableDataset", column: Literal["style", "artist"]) -> Callable[[HubRow], str]:
    """A function that reads a row's label: by the names that the column carries, or as text.

    Raises:
        InputError: the column holds numbers without names.
    """
    feature = (dataset.features or {})[column]
    names = getattr(feature, "names", None)
    if names is None and getattr(feature, "dtype", "") != "string":
        raise InputError(
            f"The column {column!r} holds numbers without names; expected labels as in {HUB}.", field="--source"
        )

    def read(row: HubRow) -> str:
        value = row[column]
        if names is not None:
            value = names[value] if isinstance(value, int) and 0 <= value < len(names) else ""
        text = str(value or "")
        return canonical_name(text) if column == "style" else text

    return read


def _local_files(source: str) -> list[str] | None:
    """Parquet files a local source names, sorted; None if the source is a data set on the hub."""
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(str(file) for file in path.rglob("*.parquet"))
    elif path.is_file() or path.suffix == ".parquet" or any(c in source for c in "*?["):
        files = sorted([str(path)] if path.is_file() else glob(str(path), recursive=True))  # noqa: PTH207  (may be absolute)
    elif re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        return None
    else:
        files = []
    if not files:
        raise InputError(
            f"--source {source}: there are no parquet files; expected a folder, a file or a pattern.", field="--source"
        )
    return files


def reach_hub() -> None:
    """Fail at once, not after half a minute of retries, where there is plainly no network.

    Raises:
        OSError: the hub's host name cannot be resolved.
    """
    from huggingface_hub import constants

    if not urllib.request.getproxies():  # a proxy looks names up itself
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
