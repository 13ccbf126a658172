"""Decode once: every picture of a catalog as a square of bytes in one memory-mapped file under the user's cache.

A pack is a folder of two files. `images.u8` is the pictures, one after another, (N, size, size, 3) uint8 and nothing
else. `index.npz` holds a CRC-32 of each picture and the reasons of those that could not be decoded; it is written last,
so a folder without it is unfinished work. Opening a pack checks every picture against its CRC-32 and decodes the
damaged ones again.
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

BAD_LIMIT = 0.01
"""A data folder with a larger share of unreadable files is refused."""

_VERSION = 2  # of what decoding gives: ICC profiles and 12-bit scans are converted since 2
_DONE = struct.Struct("<IIB")  # row, CRC-32, 1 if it was decoded
_CHUNK = 512
_Result = TypeVar("_Result")


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
        """(n,) int64: rows of one split, without the unreadable files."""
        rows = self.catalog.rows(split)
        return rows[~np.isin(rows, list(self.bad))] if self.bad else rows


def _reopen(catalog: Catalog, size: int, bad: dict[int, str], folder: Path) -> PackedImages:
    return PackedImages(catalog, _map(folder, len(catalog), size), bad, folder)


def pack(
    catalog: Catalog,
    size: int,
    *,
    cache_dir: Path | None = None,
    bad_limit: float = BAD_LIMIT,
    workers: int | None = None,
) -> PackedImages:
    """Open the pack of a catalog at `size` pixels, making, finishing or mending it first where that is needed.

    The pack's name is a digest of the files' paths, sizes and times: change the folder and another pack is made. One
    process packs while others wait; a killed one leaves finished rows that the next takes over.

    Args:
        catalog: what to pack.
        size: side of the squares, in pixels.
        cache_dir: where packs are kept (default: `cache_root()`).
        bad_limit: largest share of unreadable files to accept.
        workers: decoding threads (default: one a core).

    Raises:
        InputError: too many unreadable files, or the cache cannot be written or is full.
    """
    packs = cache_root(cache_dir) / "packs"
    folder = packs / f"{_key(catalog)}-{size}"
    workers = workers or available_cores()
    opened = _open(catalog, size, folder, workers)
    if opened is None:
        with _alone(writable_folder(packs) / f"{folder.name}.lock", folder):
            opened = _open(catalog, size, folder, workers)  # another process may have finished it meanwhile
            if opened is None:
                _make(catalog, size, folder, workers)
                opened = _open(catalog, size, folder, workers)
    if opened is None:
        raise InputError(f"The pack {folder} does not read back as it was written: is the disk failing?")
    _judge_bad(opened, bad_limit)
    return opened


def _key(catalog: Catalog) -> str:
    digest = hashlib.sha256(f"{_VERSION}\0".encode() + os.fsencode(catalog.root))
    digest.update(catalog.fingerprint.encode())
    digest.update(catalog.times.tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(lock: Path, folder: Path) -> Iterator[None]:
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        echo(f"Another process is making {folder.name}; waiting for it.")
        held.acquire()
    try:
        yield
    finally:
        held.release()


def _open(catalog: Catalog, size: int, folder: Path, workers: int) -> PackedImages | None:
    """The finished pack, mended if pictures in it are damaged; None if there is none to be trusted."""
    if not folder.is_dir():
        return None
    try:
        # A zip: each member has its own CRC-32. The file is opened here because np.load leaves a broken one open.
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
        if not _mend(catalog, size, folder, damaged, crcs):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        images = _map(folder, len(catalog), size)
    return PackedImages(catalog, images, bad, folder)


def _map(folder: Path, number: int, size: int) -> np.memmap:
    return np.memmap(folder / "images.u8", dtype=np.uint8, mode="r", shape=(number, size, size, 3))


def _intact(images: np.ndarray, crcs: np.ndarray, workers: int) -> list[bool]:
    """Compare every picture with its CRC-32; reading it all also warms the page cache for the first epoch."""

    def block(start: int) -> list[bool]:
        return [zlib.crc32(images[row]) == crcs[row] for row in range(start, min(start + _CHUNK, len(images)))]

    with ThreadPoolExecutor(workers) as pool:
        return [good for part in pool.map(block, range(0, len(images), _CHUNK)) for good in part]


def _mend(catalog: Catalog, size: int, folder: Path, damaged: list[int], crcs: np.ndarray) -> bool:
    """Decode the damaged rows again in place; False if a row does not come out as it once was."""
    try:
        with _Writer(folder / "images.u8", size) as writer:
            return all(writer.write(catalog, row)[0] == crcs[row] for row in damaged)
    except OSError:
        return False


def _make(catalog: Catalog, size: int, folder: Path, workers: int) -> None:
    """Decode what is not done yet into `<folder>.part`, then rename it into place."""
    part = folder.with_name(folder.name + ".part")
    need = len(catalog) * size * size * 3
    try:
        part.mkdir(exist_ok=True)
        done = _finished_rows(part, len(catalog), size)
        free = shutil.disk_usage(part).free + len(done) * size * size * 3
        if need > free:
            raise InputError(
                f"The pack needs {need / 1e9:.1f} GB and {part.parent} has {free / 1e9:.1f} GB free; free some or "
                "choose another place with --cache-dir DIR."
            )
        where = f"{len(done):,} of {len(catalog):,} already done" if done else f"{need / 1e6:,.0f} MB in the cache"
        echo(f"Packing {len(catalog):,} pictures at {size} × {size} pixels, once ({where}).")
        todo = [row for row in range(len(catalog)) if row not in done]
        with (
            _Writer(part / "images.u8", size, len(catalog)) as writer,
            (part / "done").open("ab", buffering=0) as journal,  # a kill must not take records with it
            ThreadPoolExecutor(workers) as pool,
        ):
            results = _in_order(pool, lambda row: (row, *writer.write(catalog, row)), todo)
            reasons = {row: reason for row, (_, reason) in done.items() if reason}
            crcs = np.zeros(len(catalog), dtype=np.uint32)
            crcs[list(done)] = [crc for crc, _ in done.values()]
            for row, crc, reason in track(results, len(todo), "packing", "pictures"):
                crcs[row] = crc
                if reason:
                    reasons[row] = reason
                else:
                    # Bad rows are not journalled: they are cheap to try again, and their reason is wanted anyway.
                    journal.write(_DONE.pack(row, crc, 1))
            os.fsync(writer.descriptor)
        with (part / "index.npz").open("wb") as file:
            np.savez(file, crcs=crcs, bad=np.frombuffer(json.dumps(reasons).encode(), dtype=np.uint8))
            file.flush()
            os.fsync(file.fileno())
        (part / "done").unlink()
        shutil.rmtree(folder, ignore_errors=True)  # only there if it could not be trusted
        part.rename(folder)
    except OSError as error:
        raise InputError(
            f"Packing stopped: {part} cannot be written ({error.strerror}). What is done is kept; free some space or "
            "choose another place with --cache-dir DIR."
        ) from error


def _in_order(pool: ThreadPoolExecutor, do: Callable[[int], _Result], rows: Sequence[int]) -> Iterator[_Result]:
    """As `pool.map`, which would hold a task for every row at once: a kilobyte and a half each, of a million rows."""
    waiting: deque[Future[_Result]] = deque()
    for row in rows:
        waiting.append(pool.submit(do, row))
        if len(waiting) > _CHUNK:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _finished_rows(part: Path, number: int, size: int) -> dict[int, tuple[int, str]]:
    """Rows that a killed packer left whole: journalled, and still matching their CRC-32."""
    try:
        journal = (part / "done").read_bytes()
        images = _map(part, number, size)
    except (OSError, ValueError):
        with suppress(OSError):
            (part / "done").unlink()  # it tells of pictures that are not there
        return {}
    whole = len(journal) - len(journal) % _DONE.size
    records = [record for record in _DONE.iter_unpack(journal[:whole]) if record[0] < number]
    if whole < len(journal):  # cut a record torn by the kill, or the next ones would be read askew
        os.truncate(part / "done", whole)
    return {row: (crc, "") for row, crc, _ in records if zlib.crc32(images[row]) == crc}


class _Writer:
    """Writes decoded pictures to their rows. A full disk is an OSError here; through a memory map it would kill."""

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
        """Decode one file into its row: its CRC-32, and why it is black if it could not be read."""
        reason = ""
        try:
            pixels = square(decode(catalog.root / catalog.files[row], at_least=self.size), self.size)
        except BadPictureError as error:
            pixels, reason = np.zeros((self.size, self.size, 3), dtype=np.uint8), str(error)
        data = memoryview(np.ascontiguousarray(pixels)).cast("B")
        offset, written = row * len(data), 0
        while written < len(data):
            written += os.pwrite(self.descriptor, data[written:], offset + written)
        return zlib.crc32(data), reason


def _judge_bad(packed: PackedImages, limit: float) -> None:
    if not packed.bad:
        return
    named = [f"  {printable(packed.catalog.files[row])}: {reason}" for row, reason in sorted(packed.bad.items())]
    shown = "\n".join(named[:20] + ([f"  … and {len(named) - 20} more"] if len(named) > 20 else []))
    if len(packed.bad) > limit * len(packed.catalog):
        raise InputError(
            f"{len(packed.bad)} of {len(packed.catalog)} pictures in {packed.catalog.root} cannot be read, more than "
            f"{limit:.0%}:\n{shown}\nwikiart-data doctor says more; mend or remove them, or raise --bad-limit."
        )
    echo(f"{len(packed.bad)} unreadable pictures are left out:\n{shown}")
