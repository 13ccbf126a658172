"""metrics.jsonl, a line an epoch: read as far as it is whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wikiart_data.files import write_bytes
from wikiart_data.results.serialization import json_text


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; one that a kill cut short is left out, and a missing file has none."""
    return list(_whole_lines(path))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            read = json.loads(line)
        except ValueError:
            return
        if not isinstance(read, dict) or not isinstance(read.get("epoch"), int):
            return
        yield read


def drop_metrics(path: Path, from_epoch: int) -> None:
    """Drop the lines of epochs that will be run again.

    Raises:
        InputError: the file cannot be written.
    """
    if path.exists():
        kept = [line for line in read_metrics(path) if line["epoch"] < from_epoch]
        write_bytes(path, "".join(json_text(line) + "\n" for line in kept).encode())
