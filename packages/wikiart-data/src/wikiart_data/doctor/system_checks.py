"""What a run will meet on this machine: the data folder's disk, /dev/shm, room in the cache."""

import os
import random
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wikiart_data.cli.options import PackOptions

_SAMPLE = 256
_AT_MOST_S = 3.0
_READERS = 8
_SLOW_FILES_PER_S = 50
_PACKED_PX = PackOptions.size
_SMALL_SHM = 1 << 30


def measure(root: Path, files: Sequence[str], cache: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Measure, best effort.

    Returns:
        Facts by name, each with a `text` for people, and complaints as (what, what to do).
    """
    facts: dict[str, dict[str, Any]] = {}
    complaints: list[tuple[str, str]] = []
    if read := _read_speed(root, files):
        facts["disk"] = read
        if read["files_per_s"] < _SLOW_FILES_PER_S:
            complaints.append((read["text"], "Be patient once: packing reads each file a single time."))
    shm = Path("/dev/shm")
    if shm.is_dir():
        size = shutil.disk_usage(shm).total
        small = ", small: give a container --shm-size=2g if PyTorch workers fail" if size < _SMALL_SHM else ""
        facts["shm"] = {"bytes": size, "text": f"/dev/shm: {_gib(size)}{small}"}
    above = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), None)
    if above is not None:
        free, needed = shutil.disk_usage(above).free, len(files) * _PACKED_PX**2 * 3
        text = f"cache: {_gib(free)} free in {cache}; a pack of these pictures at {_PACKED_PX} px needs {_gib(needed)}"
        facts["cache"] = {"free": free, "needed": needed, "writable": os.access(above, os.W_OK), "text": text}
        if free < needed:
            complaints.append((text, "Make room, or choose another with --cache-dir."))
        elif not facts["cache"]["writable"]:
            complaints.append((f"the cache folder {cache} cannot be written", "Choose another with --cache-dir."))
    return facts, complaints


def _read_speed(root: Path, files: Sequence[str]) -> dict[str, Any] | None:
    """Read some files with several readers, asking the system to forget what it remembers of them first."""
    sample = random.sample(list(files), min(_SAMPLE, len(files)))
    start = time.perf_counter()

    def read(file: str) -> int:
        if time.perf_counter() - start > _AT_MOST_S:
            return -1
        try:
            with (root / file).open("rb", buffering=0) as opened:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return len(opened.read())
        except OSError:
            return -1

    with ThreadPoolExecutor(_READERS) as pool:
        sizes = [size for size in pool.map(read, sample) if size >= 0]
    seconds = max(time.perf_counter() - start, 1e-6)
    if not sizes:
        return None
    rate, speed = len(sizes) / seconds, sum(sizes) / seconds
    text = f"disk: {rate:,.0f} files/s, {speed / 1e6:,.0f} MB/s ({len(sizes)} files, {_READERS} readers)"
    return {"files_per_s": round(rate, 1), "bytes_per_s": round(speed), "text": text}


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
