"""Packing JPEG files against plain Pillow, and a second start with all that the first one left behind.

    uv run python benchmarks/packing.py [--pictures 2000] [--large 150] [--size 147] [--again 80000] [--again-size 74]

Pictures of 416 and of 1,500 px are made into squares of `--size` px: by `pack`, which decodes on all cores, lets JPEG
leave out detail that the square cannot show (draft mode), and writes a checksum for each; and by loops that open,
convert and resize into an array. All take turns over several rounds, with the files in the system's cache. The second
start is `scan` and `pack` over `--again` small files that were packed before: every picture of the pack is checked.
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
"""Side of the JPEG files, in pixels → how many distinct ones are painted."""


def pillow(path: Path, size: int, draft: bool = False) -> np.ndarray:
    """One file to (size, size, 3) uint8, without much thought."""
    with Image.open(path) as opened:
        if draft:
            opened.draft("RGB", (size, size))
        return np.asarray(opened.convert("RGB").resize((size, size)))


def in_a_loop(catalog: Catalog, size: int, draft: bool = False, workers: int = 1) -> None:
    """All files of a catalog into an array, by Pillow."""
    images = np.empty((len(catalog), size, size, 3), dtype=np.uint8)

    def one(row: int) -> None:
        images[row] = pillow(catalog.root / catalog.files[row], size, draft)

    if workers == 1:
        for row in range(len(catalog)):
            one(row)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, range(len(catalog))))


def by_pack(catalog: Catalog, size: int) -> None:
    """All files into a new pack."""
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        pack(catalog, size, cache_dir=Path(folder))


WAYS: dict[str, Callable[[Catalog, int], None]] = {
    "ours, to disk": by_pack,
    "Pillow, a loop": in_a_loop,
    "Pillow, a loop with draft mode": lambda catalog, size: in_a_loop(catalog, size, draft=True),
    "Pillow, as many threads as cores": lambda catalog, size: in_a_loop(catalog, size, workers=available_cores()),
}


def clocks() -> tuple[float, float]:
    """Seconds on the wall, and of the processor."""
    return time.perf_counter(), time.process_time()


def against_pillow(side: int, pictures: int, size: int, rounds: int) -> list[str]:
    """Rows of the table for files of one side."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        root = Path(folder) / "data"
        each = make_folder(root, pictures, side, SIDES[side])
        catalog = scan(root, cache_dir=Path(folder) / "cache")
        for _ in range(rounds):
            for way, do in WAYS.items():
                began = clocks()
                do(catalog, size)
                found[way].append((clocks()[0] - began[0], clocks()[1] - began[1]))
    rows = []
    for way, measured in found.items():
        ratios = [
            [theirs[clock] / ours[clock] for ours, theirs in zip(found["ours, to disk"], measured, strict=True)]
            for clock in (0, 1)
        ]
        wall, processor = (statistics.median(one[clock] for one in measured) for clock in (0, 1))
        faster = ["1", "1"] if way == "ours, to disk" else [f"{statistics.median(one):.1f} ×" for one in ratios]
        rows.append(
            f"| {side:,} px, {each / 1e3:.0f} kB | {way} | {pictures / wall:,.0f} | {faster[0]} | "
            f"{1e3 * processor / pictures:.2f} ms | {faster[1]} |"
        )
    return rows


def second_start(pictures: int, size: int, rounds: int) -> str:
    """What is said of a second start over `pictures` small files."""
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        make_folder(root, pictures, side=64)
        began = time.perf_counter()
        pack(scan(root, cache_dir=cache), size, cache_dir=cache)
        first = time.perf_counter() - began
        time.sleep(2.1)  # a manifest is trusted when the folders had been still for two seconds before it was taken
        scan(root, cache_dir=cache)
        found = []
        for _ in range(rounds):
            began, used = clocks()
            catalog = scan(root, cache_dir=cache)
            scanned = clocks()[0]
            packed = pack(catalog, size, cache_dir=cache)
            found.append((clocks()[0] - began, scanned - began, clocks()[1] - used))
            assert len(packed.images) == pictures
        size_of = packed.images.nbytes
    whole, listed, processor = (statistics.median(one[place] for one in found) for place in range(3))
    return (
        f"{pictures:,} files packed at {size} px ({size_of / 1e9:.1f} GB): {first:.0f} s at the first start, "
        f"{whole:.2f} s at the second (the manifest {listed:.2f} s, checking the pack {whole - listed:.2f} s; "
        f"{processor:.2f} processor seconds; median of {rounds})"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2_000, help="of 416 px")
    parser.add_argument("--large", type=int, default=150, help="of 1,500 px")
    parser.add_argument("--size", type=int, default=147, help="of the squares: what 128 px are cropped from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--again", type=int, default=80_000, help="files of the second start; 0 leaves it out")
    parser.add_argument("--again-size", type=int, default=74, help="what 64 px are cropped from")
    options = parser.parse_args(arguments)
    console.quiet = True
    rows = ["| JPEGs | way | pictures/s | ours is faster by | processor time a picture | ours takes less by |"]
    rows.append("|---|---|---|---|---|---|")
    for side, number in zip(SIDES, (options.pictures, options.large), strict=True):
        if number:
            rows += against_pillow(side, number, options.size, options.rounds)
    if len(rows) > 2:
        print("\n".join(rows))
    if options.again:
        print(second_start(options.again, options.again_size, options.rounds))


if __name__ == "__main__":
    main()
