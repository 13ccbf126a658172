"""Packing JPEG files compared with plain Pillow, and the start of a second run, which finds the pack.

    uv run python benchmarks/packing.py [--pictures 2000] [--large 150] [--size 147] [--again 80000] [--again-size 74]

Pictures of 416 and of 1,500 px are resized to squares of `--size` px: by `pack`, which decodes on all cores, uses
JPEG's draft mode to skip detail that the square cannot show, and writes a checksum for each; and by loops that open,
convert and resize into an array. All methods take turns over several rounds, with the files in the system's cache. The
second start is `scan` and `pack` over `--again` small files that are packed already: each picture is checked.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from paintings import make_folder
from PIL import Image

from wikiart_data.console import console
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.decode import available_cores
from wikiart_data.images.packed import pack

SIDES = {416: 300, 1_500: 20}
"""Side of the JPEG files in pixels → number of distinct ones."""


def pillow(path: Path, size: int, draft: bool = False) -> np.ndarray:
    """One file to (size, size, 3) uint8, the plain way."""
    with Image.open(path) as opened:
        if draft:
            opened.draft("RGB", (size, size))
        return np.asarray(opened.convert("RGB").resize((size, size)))


def with_pillow(catalog: Catalog, size: int, draft: bool = False, workers: int = 1) -> None:
    """Decode all files of a catalog into an array with Pillow."""
    images = np.empty((len(catalog), size, size, 3), dtype=np.uint8)

    def decode(row: int) -> None:
        images[row] = pillow(catalog.root / catalog.files[row], size, draft)

    if workers == 1:
        for row in range(len(catalog)):
            decode(row)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(decode, range(len(catalog))))


def with_pack(catalog: Catalog, size: int) -> None:
    """Decode all files into a new pack."""
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        pack(catalog, size, cache_dir=Path(folder))


METHODS: dict[str, Callable[[Catalog, int], None]] = {
    "ours, to disk": with_pack,
    "Pillow, a loop": with_pillow,
    "Pillow, a loop with draft mode": lambda catalog, size: with_pillow(catalog, size, draft=True),
    "Pillow, as many threads as cores": lambda catalog, size: with_pillow(catalog, size, workers=available_cores()),
}


def clocks() -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    return time.perf_counter(), time.process_time()


def compare_with_pillow(side: int, pictures: int, size: int, rounds: int) -> list[str]:
    """Rows of the table for files of one size."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        root = Path(folder) / "data"
        each = make_folder(root, pictures, side, SIDES[side])
        catalog = scan(root, cache_dir=Path(folder) / "cache")
        for _ in range(rounds):
            for name, method in METHODS.items():
                began = clocks()
                method(catalog, size)
                times[name].append((clocks()[0] - began[0], clocks()[1] - began[1]))
    rows = []
    for name, measured in times.items():
        ratios = [
            [theirs[clock] / ours[clock] for ours, theirs in zip(times["ours, to disk"], measured, strict=True)]
            for clock in (0, 1)
        ]
        wall, cpu = (statistics.median(x[clock] for x in measured) for clock in (0, 1))
        faster = ["1", "1"] if name == "ours, to disk" else [f"{statistics.median(x):.1f} ×" for x in ratios]
        rows.append(
            f"| {side:,} px, {each / 1e3:.0f} kB | {name} | {pictures / wall:,.0f} | {faster[0]} | "
            f"{1e3 * cpu / pictures:.2f} ms | {faster[1]} |"
        )
    return rows


def second_start(pictures: int, size: int, rounds: int) -> str:
    """Describe a first and a second start over `pictures` small files."""
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        make_folder(root, pictures, side=64)
        began = time.perf_counter()
        pack(scan(root, cache_dir=cache), size, cache_dir=cache)
        first = time.perf_counter() - began
        time.sleep(2.1)  # a manifest is trusted if the folders had not changed for two seconds when it was written
        scan(root, cache_dir=cache)
        times = []
        for _ in range(rounds):
            began, used = clocks()
            catalog = scan(root, cache_dir=cache)
            scanned = clocks()[0]
            packed = pack(catalog, size, cache_dir=cache)
            times.append((clocks()[0] - began, scanned - began, clocks()[1] - used))
            assert len(packed.images) == pictures
        nbytes = packed.images.nbytes
    total, listed, cpu = (statistics.median(x[index] for x in times) for index in range(3))
    return (
        f"{pictures:,} files packed at {size} px ({nbytes / 1e9:.1f} GB): first start {first:.0f} s, "
        f"second start {total:.2f} s (reading the manifest {listed:.2f} s, checking the pack {total - listed:.2f} s; "
        f"{cpu:.2f} CPU seconds; median of {rounds})"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=2_000, help="number of pictures of 416 px")
    parser.add_argument("--large", type=int, default=150, help="number of pictures of 1,500 px")
    parser.add_argument("--size", type=int, default=147, help="side of the squares, in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="times that every method is measured")
    parser.add_argument("--again", type=int, default=80_000, help="number of files for the second start; 0 skips it")
    parser.add_argument("--again-size", type=int, default=74, help="side of their squares, in pixels")
    options = parser.parse_args(arguments)
    console.quiet = True
    rows = ["| JPEGs | method | pictures/s | speed-up | CPU time per picture | CPU saving |"]
    rows.append("|---|---|---|---|---|---|")
    for side, number in zip(SIDES, (options.pictures, options.large), strict=True):
        if number:
            rows += compare_with_pillow(side, number, options.size, options.rounds)
    if len(rows) > 2:
        print("\n".join(rows))
    if options.again:
        print(second_start(options.again, options.again_size, options.rounds))


if __name__ == "__main__":
    main()
