"""How time and memory grow from 10,000 to 1,000,000 files.

    uv run python benchmarks/growth.py [--files 10000 30000 100000 300000 1000000] [--to docs/growth.png]

The files hold one byte and are hard links; names, folders, listing and manifest are as with paintings. `pack` itself
plans, journals, indexes and checks the pack, but decoding is replaced by a black picture: the memory map is sparse and
takes no room on the disk. Training batches are drawn from a sparse memory map of 128 pixels. Every step runs in a
process of its own; its time and memory are those beyond its imports. Prints Markdown tables and draws the figure.
"""

import argparse
import importlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from wikiart_data.styles import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wikiart_data.images.catalog import Catalog

STATUS = Path("/proc/self/status")
FILES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LINKS = 50_000
"""Hard links per file: ext4 allows 65,000."""
SMALL, LARGE = 8, 128
"""Side of the pictures of the pack that is made, and of those that batches are drawn from, in pixels."""


def make_folder(root: Path, number: int) -> None:
    """Make `number` files: nine tenths in train, 27 styles, the largest 150 times the smallest."""
    rng = np.random.default_rng(0)
    weights = np.geomspace(1, 1 / 150, len(STYLES))
    styles = rng.choice(len(STYLES), number, p=weights / weights.sum())
    splits = rng.choice(("train", "valid", "test"), number, p=(0.9, 0.05, 0.05))
    styles[: 3 * len(STYLES)] = np.tile(np.arange(len(STYLES)), 3)  # none is empty
    splits[: 3 * len(STYLES)] = np.repeat(("train", "valid", "test"), len(STYLES))
    folders = [(split, style) for split in ("train", "valid", "test") for style in STYLES]
    for split, style in folders:
        (root / split / style).mkdir(parents=True)
    for row in range(number):
        first = root / f".{row // LINKS}"
        if row % LINKS == 0:
            first.write_bytes(b"x")
        name = f"painter-{row % 997}_a-title-of-some-words-{row}.jpg"
        os.link(first, root / splits[row] / STYLES[styles[row]] / name)
    hour_ago = time.time() - 3600  # the manifest does not trust a folder that has just changed
    for split, style in folders:
        os.utime(root / split / style, (hour_ago, hour_ago))
    for split in ("train", "valid", "test"):
        os.utime(root / split, (hour_ago, hour_ago))


# -- steps: each prepares what it needs and returns the function to measure --------------------------------------------


def scan_step(root: Path, cache: Path) -> Callable[[], object]:
    """List the folder, or reuse the manifest if there is one."""
    from wikiart_data.images.catalog import scan

    return lambda: scan(root, cache_dir=cache)


def pack_step(root: Path, cache: Path) -> Callable[[], object]:
    """Make the pack without decoding and writing pixels, or open and check an existing one."""
    from wikiart_data.images import packed

    catalog = _scanned(root, cache)
    black = (zlib.crc32(bytes(SMALL * SMALL * 3)), "")

    def write(writer: object, catalog: "Catalog", row: int) -> tuple[int, str]:
        return black

    def pack() -> object:
        with mock.patch.object(packed._Writer, "write", write):
            return packed.pack(catalog, SMALL, cache_dir=cache)

    return pack


def epoch_step(root: Path, cache: Path) -> Callable[[], object]:
    """Draw an epoch of the training rows at power ½."""
    from wikiart_data.images.sampler import BalancedSampler

    catalog = _scanned(root, cache)
    labels = catalog.labels[catalog.rows("train")]
    return lambda: BalancedSampler(labels, 0.5).epoch(0)


def batch_step(root: Path, cache: Path) -> Callable[[], object]:
    """The first training batch: 128 crops of 112 pixels from a sparse memory map of 128."""
    from wikiart_data.images.augment import Augment
    from wikiart_data.images.batches import Batches
    from wikiart_data.images.packed import PackedImages

    catalog = _scanned(root, cache)
    sparse = cache / "sparse.u8"
    with sparse.open("wb") as file:
        file.truncate(len(catalog) * LARGE * LARGE * 3)
    images = np.memmap(sparse, dtype=np.uint8, mode="r", shape=(len(catalog), LARGE, LARGE, 3))
    packed = PackedImages(catalog, images, {}, cache)
    return lambda: next(Batches(packed, packed.rows("train"), 128, augment=Augment(), power=0.5).epoch(0, 112))


def _scanned(root: Path, cache: Path) -> "Catalog":
    from wikiart_data.images.catalog import scan

    return scan(root, cache_dir=cache)


STEPS = {
    "scan": ("images.catalog", scan_step),
    "scan again": ("images.catalog", scan_step),
    "pack": ("images.packed", pack_step),
    "open the pack": ("images.packed", pack_step),
    "draw an epoch": ("images.sampler", epoch_step),
    "first batch": ("images.batches", batch_step),
}
"""Step → the module of wikiart_data imported before measuring, and the function. The order matters: a step uses what
earlier ones left in the cache."""


def measure(step: str, root: Path, cache: Path) -> dict[str, float]:
    """Wall-clock seconds, CPU seconds, and the increase of the process's peak memory in MB.

    Memory counts from after the imports, so the catalog that the step works on is included.
    """
    module, prepare = STEPS[step]
    importlib.import_module(f"wikiart_data.{module}")
    _reset_peak()
    before = _peak()
    function = prepare(root, cache)
    began, cpu = time.perf_counter(), time.process_time()
    function()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return {"seconds": seconds, "cpu": cpu, "peak": _peak() - before}


def _peak() -> float:
    """Peak memory of this process, in MB."""
    if STATUS.exists():  # on Linux, getrusage's value starts from the parent's
        return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if "VmHWM" in line) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _reset_peak() -> None:
    """Reset the peak where the system can; otherwise temporary memory of imports counts as well."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure_alone(step: str, root: Path, cache: Path) -> dict[str, float]:
    """`measure` in a new process."""
    command = [sys.executable, __file__, "--measure", step, str(root), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def grow(number: int, work: Path, measure: Callable[[str, Path, Path], dict[str, float]]) -> dict[str, Any]:
    """Measure all steps at one number of files; folder and cache are made in `work` and removed again."""
    root, cache = work / "data", work / "cache"
    try:
        make_folder(root, number)
        cache.mkdir()
        measured: dict[str, Any] = {step: measure(step, root, cache) for step in STEPS}
        (manifest,) = (cache / "manifests").iterdir()
        return measured | {"manifest": manifest.stat().st_size / 1e6}
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)


# -- tables and figure -------------------------------------------------------------------------------------------------


def exponent(numbers: list[int], values: list[float]) -> float:
    """Slope of log(value) over log(number) by least squares: 1 is linear, n log n is about 1.09 here."""
    return float(np.polyfit(np.log(numbers), np.log(values), 1)[0])


def tables(grown: dict[int, dict[str, Any]]) -> str:
    """CPU time, wall-clock time and peak memory of each step, with the exponents of their growth."""
    numbers = sorted(grown)
    n_log_n = exponent(numbers, [n * math.log(n) for n in numbers])
    head = f"| {{}} | {' | '.join(f'{n:,}' for n in numbers)} | exponent | of the last step |"
    head += f"\n|---|{'---|' * (len(numbers) + 2)}"
    text = []
    for title, key in (("CPU time, s", "cpu"), ("wall-clock time, s", "seconds"), ("peak memory, MB", "peak")):
        text.append(head.format(title))
        rows = {step: [grown[n][step][key] for n in numbers] for step in STEPS}
        if key == "peak":
            rows["size of the manifest"] = [grown[n]["manifest"] for n in numbers]
        for name, values in rows.items():
            slopes = f"{exponent(numbers, values):.2f} | {exponent(numbers[-2:], values[-2:]):.2f}"
            text.append(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} | {slopes} |")
        text.append("")
    return "\n".join([*text, f"n log n itself has the exponent {n_log_n:.2f} over these numbers."])


def growth_figure(grown: dict[int, dict[str, Any]]) -> "Figure":
    """CPU time and peak memory over the number of files, both logarithmic, with n log n as a guide."""
    from wikiart_data.results.figures import styled

    return styled(_growth_figure)(grown)


def _growth_figure(grown: dict[int, dict[str, Any]]) -> "Figure":
    from wikiart_data.results.figures import ACCENT, FAINT, GREY, INK, NOISE, PALE, SECOND, THIRD, canvas

    colours = (ACCENT, FAINT, SECOND, THIRD, GREY, INK, NOISE)
    markers = "ooss^D."
    figure, axes = canvas(3.4, 1, 2)
    numbers = np.array(sorted(grown))
    for axis, (title, key) in zip(axes[0], (("CPU time, s", "cpu"), ("peak memory, MB", "peak")), strict=True):
        rows = {step: [grown[n][step][key] for n in numbers] for step in STEPS}
        if key == "peak":
            rows["size of the manifest"] = [grown[n]["manifest"] for n in numbers]
        for guide in (min(r[-1] for r in rows.values()), max(r[-1] for r in rows.values())):
            axis.plot(numbers, guide * 2 * numbers * np.log(numbers) / (numbers[-1] * np.log(numbers[-1])),
                       color=PALE, linestyle="--", linewidth=1, zorder=0)  # fmt: skip
        for (name, values), colour, marker in zip(rows.items(), colours, markers, strict=False):
            axis.plot(numbers, values, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
        axis.set(xscale="log", yscale="log", xlabel="files", title=title)
        axis.legend()
    return figure


def main(arguments: list[str]) -> int:
    """Measure, print the tables and draw the figure."""
    if arguments[:1] == ["--measure"]:
        print(json.dumps(measure(arguments[1], Path(arguments[2]), Path(arguments[3]))))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, nargs="+", default=list(FILES), help="numbers of files")
    parser.add_argument("--to", type=Path, default=Path("growth.png"), help="where the figure is written")
    parser.add_argument("--work", type=Path, help="where files and cache are made (default: a temporary folder)")
    parser.add_argument("--cache", type=Path, help="JSON file of earlier measurements, which are not repeated")
    options = parser.parse_args(arguments)
    earlier = json.loads(options.cache.read_text()) if options.cache and options.cache.exists() else {}
    grown = {int(number): measured for number, measured in earlier.items()}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for number in options.files:
            if number not in grown:
                grown[number] = grow(number, Path(work), measure_alone)
                if options.cache:
                    options.cache.write_text(json.dumps(grown, indent=1))
    print(tables(grown))
    growth_figure(grown).savefig(options.to)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
