"""What a run will meet on this machine: the speed of the data folder's disk, /dev/shm, room in the cache."""

import os
import random
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wikiart_data.cli.options import PackOptions

_SAMPLE = 256
_AT_MOST_S = 3.0
_READERS = 8
_SLOW_FILES_PER_S = 50
_PACKED_PX = PackOptions.size
_SMALL_SHM = 1 << 30


@dataclass(frozen=True)
class DiskSpeed:
    """How fast files of the data folder are read, uncached."""

    files_per_s: float
    bytes_per_s: int
    text: str


@dataclass(frozen=True)
class SharedMemory:
    """/dev/shm, which PyTorch's worker processes use."""

    bytes: int
    text: str


@dataclass(frozen=True)
class CacheRoom:
    """The cache folder and the pack that will be written to it; sizes in bytes."""

    free: int
    needed: int
    writable: bool
    text: str


@dataclass(frozen=True)
class SystemReport:
    """What was measured; None where it could not be."""

    disk: DiskSpeed | None = None
    shm: SharedMemory | None = None
    cache: CacheRoom | None = None
    problems: tuple[tuple[str, str], ...] = ()
    """(what is wrong, what to do) for each problem."""

    @property
    def lines(self) -> list[str]:
        """What was measured, for people."""
        return [part.text for part in (self.disk, self.shm, self.cache) if part is not None]


def check_system(root: Path, files: Sequence[str], cache: Path) -> SystemReport:
    """Measure disk, shared memory and cache, as far as the system permits.

    Args:
        root: the data folder.
        files: its pictures, below `root`.
        cache: the cache folder; it may not exist yet.
    """
    problems: list[tuple[str, str]] = []
    disk = _read_speed(root, files)
    if disk and disk.files_per_s < _SLOW_FILES_PER_S:
        problems.append((disk.text, "Be patient once: packing reads each file a single time."))
    shm = None
    if (folder := Path("/dev/shm")).is_dir():
        size = shutil.disk_usage(folder).total
        small = ", small: give a container --shm-size=2g if PyTorch workers fail" if size < _SMALL_SHM else ""
        shm = SharedMemory(size, f"/dev/shm: {_gib(size)}{small}")
    room = None
    existing = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), None)
    if existing is not None:
        free, needed = shutil.disk_usage(existing).free, len(files) * _PACKED_PX**2 * 3
        text = f"cache: {_gib(free)} free in {cache}; a pack of these pictures at {_PACKED_PX} px needs {_gib(needed)}"
        room = CacheRoom(free, needed, os.access(existing, os.W_OK), text)
        if free < needed:
            problems.append((text, "Make room, or choose another with --cache-dir."))
        elif not room.writable:
            problems.append((f"the cache folder {cache} cannot be written", "Choose another with --cache-dir."))
    return SystemReport(disk, shm, room, tuple(problems))


def _read_speed(root: Path, files: Sequence[str]) -> DiskSpeed | None:
    """Read some files with several readers, after asking the system to drop them from its page cache."""
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
    return DiskSpeed(round(rate, 1), round(speed), text)


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
