"""metrics.jsonl, a line an epoch: read as far as it is whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
