"""metrics.jsonl, one line per epoch, of which a kill may have cut the last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wikiart_data.files import write_bytes
from wikiart_data.results.serialization import json_text


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl up to the first damaged one; none if there is no such file."""
    return list(_intact_lines(path))


def _intact_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if not isinstance(entry, dict) or not isinstance(entry.get("epoch"), int):
            return
        yield entry


def drop_metrics(path: Path, from_epoch: int) -> None:
    """Drop the lines of epochs that will be repeated.

    Args:
        path: metrics.jsonl; nothing is done if it does not exist.
        from_epoch: the first epoch to drop.

    Raises:
        InputError: the file cannot be written.
    """
    if path.exists():
        kept = [line for line in read_metrics(path) if line["epoch"] < from_epoch]
        write_bytes(path, "".join(json_text(line) + "\n" for line in kept).encode())
