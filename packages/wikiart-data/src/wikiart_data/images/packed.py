"""Every picture of a catalog, decoded once: squares of bytes in one memory-mapped file in the user's cache.

A pack is a folder of two files. `images.u8` holds the pictures one after another, (N, size, size, 3) uint8 and nothing
else. `index.npz` holds a CRC-32 of each picture and the reasons why some could not be decoded; it is written last, so a
folder without it is unfinished. Opening a pack checks every picture against its CRC-32 and decodes damaged ones again.
"""

import hashlib
import json
import os
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from wikiart_data.console import echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root, writable_folder
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.decode import BadPictureError, available_cores, decode, square

if TYPE_CHECKING:
    from torch import Tensor

MAX_BAD_FRACTION = 0.01
"""A data folder with a larger fraction of unreadable files is refused."""

_VERSION = 2  # of what decoding gives: ICC profiles and 12-bit scans are converted since 2
_DONE = struct.Struct("<IIB")  # row, CRC-32, 1 if it was decoded
_CHUNK = 512
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, repr=False)
class PackedImages:
    """The decoded pictures of a catalog, in its order; a map-style dataset for `torch.utils.data.DataLoader`.

    It holds the pictures of all splits: `torch.utils.data.Subset(packed, packed.rows("train"))` is one of them.
    Pickling it, for a loader's worker processes, passes on the folder, not the pixels.
    """

    catalog: Catalog
    images: np.ndarray
    """(N, size, size, 3) uint8 in 0..255, a read-only memory map; the row of an unreadable file is black."""
    bad: dict[int, str]
    """Row → why that file could not be read."""
    folder: Path
    """The folder of the pack."""

    def __len__(self) -> int:
        """Number of pictures, unreadable ones included."""
        return len(self.images)

    def __getitem__(self, row: int) -> tuple["Tensor", int]:
        """Image (3, size, size) float32 in 0..1 and style label of a row."""
        import torch  # here, because packing does without it

        pixels = torch.from_numpy(np.array(self.images[row]))
        return pixels.permute(2, 0, 1).float().div_(255.0), int(self.catalog.labels[row])

    def __repr__(self) -> str:
        return (
            f"PackedImages({len(self):,} pictures of {self.size} px, {len(self.catalog.styles)} styles, {self.folder})"
        )

    def __reduce__(self):
        if not isinstance(self.images, np.memmap):
            return PackedImages, (self.catalog, self.images, self.bad, self.folder)
        return _reopen, (self.catalog, self.size, self.bad, self.folder)

    @property
    def size(self) -> int:
        """Side of the square pictures, in pixels."""
        return self.images.shape[1]

    def rows(self, split: str) -> np.ndarray:
        """(n,) int64: rows of one split (train, valid or test), without the unreadable files."""
        rows = self.catalog.rows(split)
        return rows[~np.isin(rows, list(self.bad))] if self.bad else rows


def _reopen(catalog: Catalog, size: int, bad: dict[int, str], folder: Path) -> PackedImages:
    return PackedImages(catalog, _map(folder, len(catalog), size), bad, folder)


def pack(
    catalog: Catalog,
    size: int,
    *,
    cache_dir: Path | str | None = None,
    max_bad_fraction: float = MAX_BAD_FRACTION,
    workers: int | None = None,
) -> PackedImages:
    """Open the pack of a catalog at `size` pixels; make, finish or repair it first if necessary.

    The name of the pack is a digest of the paths, sizes and times of the files, so a changed folder gets another pack.
    One process packs while others wait; what a killed one has finished is not done again.

    Args:
        catalog: what to pack.
        size: side of the squares, in pixels.
        cache_dir: where packs are kept (default: `cache_root()`).
        max_bad_fraction: largest fraction of unreadable files to accept.
        workers: decoding threads (default: one per core).

    Raises:
        InputError: there are too many unreadable files, or the cache cannot be written or is full.
        ValueError: the size is no integer of at least 1.
    """
    if int(size) != size or size < 1:
        raise ValueError(f"expected a size of at least 1 pixel, an integer, got {size}")
    size = int(size)
    packs = cache_root(cache_dir) / "packs"
    folder = packs / f"{_key(catalog)}-{size}"
    workers = workers or available_cores()
    packed = _open(catalog, size, folder, workers)
    if packed is None:
        with _exclusive(writable_folder(packs) / f"{folder.name}.lock", folder):
            packed = _open(catalog, size, folder, workers)  # another process may have finished it in the meantime
            if packed is None:
                _make(catalog, size, folder, workers)
                packed = _open(catalog, size, folder, workers)
    if packed is None:
        raise InputError(f"The pack {folder} does not read back as it was written: is the disk failing?", field=folder)
    _check_bad(packed, max_bad_fraction)
    return packed


def _key(catalog: Catalog) -> str:
    digest = hashlib.sha256(f"{_VERSION}\0".encode() + os.fsencode(catalog.root))
    digest.update(catalog.fingerprint.encode())
    digest.update(catalog.times.tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _exclusive(path: Path, folder: Path) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        echo(f"Another process is making {folder.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _open(catalog: Catalog, size: int, folder: Path, workers: int) -> PackedImages | None:
    """The finished pack, with damaged pictures decoded again; None if there is none, or none that can be repaired."""
    if not folder.is_dir():
        return None
    try:
        # A zip file has a CRC-32 of each member. It is opened here because np.load does not close a broken one.
        with (folder / "index.npz").open("rb") as file, np.load(file, allow_pickle=False) as index:
            crcs = index["crcs"]
            bad = {int(row): reason for row, reason in json.loads(index["bad"].tobytes()).items()}
        images = _map(folder, len(catalog), size)
    except Exception:  # a damaged zip raises nearly everything, from BadZipFile to RuntimeError ("is encrypted")
        return None
    if len(crcs) != len(catalog):
        return None
    damaged = [row for row, good in enumerate(_intact(images, crcs, workers)) if not good]
    if damaged:
        echo(f"{len(damaged):,} packed pictures were damaged in {folder}; decoding them again.")
        if not _repair(catalog, size, folder, damaged, crcs):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        images = _map(folder, len(catalog), size)
    return PackedImages(catalog, images, bad, folder)


def _map(folder: Path, number: int, size: int) -> np.ndarray:
    return np.memmap(folder / "images.u8", dtype=np.uint8, mode="r", shape=(number, size, size, 3))


def _intact(images: np.ndarray, crcs: np.ndarray, workers: int) -> list[bool]:
    """Whether each picture matches its CRC-32; reading them all also fills the page cache for the first epoch."""

    def check(start: int) -> list[bool]:
        return [zlib.crc32(images[row]) == crcs[row] for row in range(start, min(start + _CHUNK, len(images)))]

    with ThreadPoolExecutor(workers) as pool:
        return [good for part in pool.map(check, range(0, len(images), _CHUNK)) for good in part]


def _repair(catalog: Catalog, size: int, folder: Path, damaged: list[int], crcs: np.ndarray) -> bool:
    """Decode the damaged rows again in place; False if one does not match its CRC-32 even then."""
    try:
        with _Writer(folder / "images.u8", size) as writer:
            return all(writer.write(catalog, row)[0] == crcs[row] for row in damaged)
    except OSError:
        return False


def _make(catalog: Catalog, size: int, folder: Path, workers: int) -> None:
    """Decode into `<folder>.part` what is not there yet, then rename it to `folder`."""
    part = folder.with_name(folder.name + ".part")
    needed = len(catalog) * size * size * 3
    try:
        part.mkdir(exist_ok=True)
        done = _finished_rows(part, len(catalog), size)
        free = shutil.disk_usage(part).free + len(done) * size * size * 3
        if needed > free:
            raise InputError(
                f"The pack needs {needed / 1e9:.1f} GB and {part.parent} has {free / 1e9:.1f} GB free; free some space "
                "or choose another folder with --cache-dir DIR.",
                field=part.parent,
            )
        progress = f"{len(done):,} of {len(catalog):,} already done" if done else f"{needed / 1e6:,.0f} MB in the cache"
        echo(f"Packing {len(catalog):,} pictures at {size} × {size} pixels, once ({progress}).")
        todo = [row for row in range(len(catalog)) if row not in done]
        with (
            _Writer(part / "images.u8", size, len(catalog)) as writer,
            (part / "done").open("ab", buffering=0) as journal,  # unbuffered: a kill must not lose records
            ThreadPoolExecutor(workers) as pool,
        ):
            results = _in_order(pool, lambda row: (row, *writer.write(catalog, row)), todo)
            reasons: dict[int, str] = {}
            crcs = np.zeros(len(catalog), dtype=np.uint32)
            crcs[list(done)] = list(done.values())
            for row, crc, reason in track(results, len(todo), "packing", "pictures"):
                crcs[row] = crc
                if reason:
                    reasons[row] = reason
                else:
                    # Bad rows are not recorded: trying them again is cheap and gives the reason once more.
                    journal.write(_DONE.pack(row, crc, 1))
            os.fsync(writer.descriptor)
        with (part / "index.npz").open("wb") as file:
            np.savez(file, crcs=crcs, bad=np.frombuffer(json.dumps(reasons).encode(), dtype=np.uint8))
            file.flush()
            os.fsync(file.fileno())
        (part / "done").unlink()
        shutil.rmtree(folder, ignore_errors=True)  # it exists only if it was beyond repair
        part.rename(folder)
    except OSError as error:
        raise InputError(
            f"Packing stopped: {part} cannot be written ({error.strerror}). Finished pictures are kept; free some "
            "space or choose another folder with --cache-dir DIR.",
            field=part.parent,
        ) from error


def _in_order(pool: ThreadPoolExecutor, do: Callable[[int], Result], rows: Sequence[int]) -> Iterator[Result]:
    """`pool.map` with a bounded queue: it would make the tasks of all rows at once, 1.5 kB for each of a million."""
    waiting: deque[Future[Result]] = deque()
    for row in rows:
        waiting.append(pool.submit(do, row))
        if len(waiting) > _CHUNK:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _finished_rows(part: Path, number: int, size: int) -> dict[int, int]:
    """CRC-32 of the rows that a killed packer finished: recorded in its journal and matching their CRC-32."""
    try:
        journal = (part / "done").read_bytes()
        images = _map(part, number, size)
    except (OSError, ValueError):
        with suppress(OSError):
            (part / "done").unlink()  # its pictures are not there
        return {}
    whole = len(journal) - len(journal) % _DONE.size
    records = [record for record in _DONE.iter_unpack(journal[:whole]) if record[0] < number]
    if whole < len(journal):  # cut off a torn record, or the next ones would be misread
        os.truncate(part / "done", whole)
    return {row: crc for row, crc, _ in records if zlib.crc32(images[row].data) == crc}


class _Writer:
    """Writes decoded pictures to their rows: a full disk is an OSError, which a memory map would turn into a SIGBUS."""

    def __init__(self, path: Path, size: int, number: int | None = None):
        self.size = size
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if number is not None:
            os.ftruncate(self.descriptor, number * size * size * 3)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)

    def write(self, catalog: Catalog, row: int) -> tuple[int, str]:
        """Decode a file into its row; returns the CRC-32, and the reason if the file could not be read."""
        reason = ""
        try:
            pixels = square(decode(catalog.root / catalog.files[row], at_least=self.size), self.size)
        except BadPictureError as error:
            pixels, reason = np.zeros((self.size, self.size, 3), dtype=np.uint8), str(error)
        data = np.ascontiguousarray(pixels).data.cast("B")
        offset, written = row * len(data), 0
        while written < len(data):
            written += os.pwrite(self.descriptor, data[written:], offset + written)
        return zlib.crc32(data), reason


def _check_bad(packed: PackedImages, max_fraction: float) -> None:
    if not packed.bad:
        return
    lines = [f"  {printable(packed.catalog.files[row])}: {reason}" for row, reason in sorted(packed.bad.items())]
    shown = "\n".join(lines[:20] + ([f"  … and {len(lines) - 20} more"] if len(lines) > 20 else []))
    if len(packed.bad) > max_fraction * len(packed.catalog):
        raise InputError(
            f"{len(packed.bad)} of {len(packed.catalog)} pictures in {packed.catalog.root} cannot be read, more than "
            f"{max_fraction:.0%}:\n{shown}\nwikiart-data doctor shows details; repair or remove them, or raise "
            "--max-bad-fraction.",
            field="--max-bad-fraction",
        )
    echo(f"{len(packed.bad)} unreadable pictures are left out:\n{shown}")
