"""WikiArt's rows, streamed from the Hugging Face hub or from parquet files of the same columns."""

import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wikiart_data.errors import InputError
from wikiart_data.styles import canonical_name

if TYPE_CHECKING:
    from datasets import IterableDataset

HUB = "huggan/wikiart"
"""81,444 paintings: image, artist (129 names), genre, style (27 names)."""

_OFFER = (
    "Without it there are the built-in sample set (wikiart-data sample) and a local copy "
    "(wikiart-data download FOLDER --source DIR, with the data set's parquet files in DIR)."
)


def open_rows(source: str) -> "IterableDataset":
    """The source as a stream of rows {image: {bytes, path}, artist, genre, style}."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "The download needs the library 'datasets': put `uv run --extra hub --package wikiart-data` before the "
            "command, or pip install 'wikiart-data[hub]'."
        ) from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what fails is said below, in a sentence
    local = _local_files(source)
    try:
        if local is None:
            reach_hub()
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


def rows_of(shard: "IterableDataset", source: str) -> Iterator[dict[str, Any]]:
    """The rows of one parquet file; what breaks off becomes a sentence."""
    try:
        yield from shard
    except Exception as error:  # whatever network and parquet libraries raise; writing is not done in here
        raise InputError(
            f"Reading {source} broke off ({_short(error)}). The same command goes on from where it is."
        ) from error


def label_reader(dataset: "IterableDataset", column: str) -> Callable[[dict[str, Any]], str]:
    """How a row's label is read: by the names that the column carries, or as the text that it is."""
    feature = dataset.features[column]
    names = getattr(feature, "names", None)
    if names is None and getattr(feature, "dtype", "") != "string":
        raise InputError(f"The column {column!r} holds numbers without names; expected labels as in {HUB}.")

    def read(row: dict[str, Any]) -> str:
        value = row[column]
        if names is not None:
            value = names[value] if value is not None and 0 <= value < len(names) else ""
        return canonical_name(value or "") if column == "style" else value or ""

    return read


def _local_files(source: str) -> list[str] | None:
    """Parquet files a local source names, sorted; None if the source is a data set on the hub."""
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*.parquet"))
    elif path.is_file() or path.suffix == ".parquet" or any(c in source for c in "*?["):
        found = sorted([str(path)] if path.is_file() else glob(str(path), recursive=True))  # noqa: PTH207  (may be absolute)
    elif re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        return None
    else:
        found = []
    if not found:
        raise InputError(f"--source {source}: there are no parquet files; expected a folder, a file or a pattern.")
    return found


def reach_hub() -> None:
    """Fail in a moment, not after half a minute of retries, where there is plainly no network.

    Raises:
        OSError: the hub's name is not known here.
    """
    from huggingface_hub import constants

    if not urllib.request.getproxies():  # a proxy looks names up itself
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
