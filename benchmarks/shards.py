"""Shards in two existing formats, litdata's and WebDataset's, compared with the pack and with `ShardBatches`.

    uv run --with webdataset python benchmarks/shards.py [--pictures 8192] [--side 128] [--rounds 3]

Random pictures are written in both formats and read in turn by one process, in batches of bytes: all in order, and all
shuffled as the library does it. `ShardBatches` reads litdata's chunks of 27 styles, drawn naturally and balanced, with
its checksums; the pack is read at random, as in training. Then a million pictures, one chunk under many names: seconds
and memory until the first batch.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_data.images.shards import ShardBatches, write_chunks

BATCH, SHARD, STYLES = 128, 2048, 27
Batch = np.ndarray


def pictures(number: int, side: int) -> np.ndarray:
    """(number, side, side, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def stacked(samples: Iterable[np.ndarray]) -> Iterator[Batch]:
    """Whole batches."""
    samples = iter(samples)
    while len(batch := list(islice(samples, BATCH))) == BATCH:
        yield np.stack(batch)


class Pack:
    """Rows of one memory map."""

    name = "pack"

    def write(self, images: np.ndarray, folder: Path) -> None:
        """One file."""
        images.tofile(folder / "images.u8")
        self.images = np.memmap(folder / "images.u8", dtype=np.uint8, mode="r", shape=images.shape)

    def in_order(self) -> Iterator[Batch]:
        """All, batch by batch."""
        for start in range(0, len(self.images) - BATCH + 1, BATCH):
            yield np.array(self.images[start : start + BATCH])

    def shuffled(self) -> Iterator[Batch]:
        """A permutation of all."""
        rows = np.random.default_rng(1).permutation(len(self.images))[: len(self.images) // BATCH * BATCH]
        for of_batch in rows.reshape(-1, BATCH):
            yield self.images[of_batch]


class LitData:
    """litdata's chunks."""

    name = "litdata"

    def write(self, images: np.ndarray, folder: Path) -> None:
        """Chunks of SHARD pictures."""
        self.folder = folder / "chunks"
        write_chunks(images, self.folder, SHARD)

    def _read(self, shuffle: bool) -> Iterator[Batch]:
        from litdata import StreamingDataset

        return stacked(sample["image"] for sample in StreamingDataset(str(self.folder), shuffle=shuffle, seed=1))

    def in_order(self) -> Iterator[Batch]:
        """As its iterator reads."""
        return self._read(shuffle=False)

    def shuffled(self) -> Iterator[Batch]:
        """Chunks, and pictures within them."""
        return self._read(shuffle=True)


class Ours:
    """`ShardBatches`, without the conversion to floats."""

    name = "ShardBatches"

    def write(self, images: np.ndarray, folder: Path) -> None:
        """A folder per style; style k has about 1 / (k + 1) of the most frequent one's pictures."""
        shares = 1 / np.arange(1, STYLES + 1)
        counts = np.maximum(1, (len(images) * shares / shares.sum()).astype(int))
        (folder / "train").mkdir()
        for style, (end, count) in enumerate(zip(np.cumsum(counts), counts, strict=True)):
            write_chunks(images[end - count : end], folder / "train" / str(style), SHARD)
        about = {"size": images.shape[1], "styles": list(map(str, range(STYLES))), "counts": counts.tolist()}
        (folder / "train" / "shards.json").write_text(json.dumps(about))
        self.folder = folder

    def _read(self, power: float) -> Iterator[Batch]:
        batches: Any = ShardBatches(self.folder, BATCH, power=power)
        batches._augmented = lambda images, *_: images
        return (images.numpy() for images, _ in batches)

    def in_order(self) -> Iterator[Batch]:
        """Not in order: drawn naturally."""
        return self._read(0.0)

    def shuffled(self) -> Iterator[Batch]:
        """Drawn uniformly over styles, so that rare ones are read many times."""
        return self._read(1.0)


class WebDataset:
    """Tar files, each picture a `.npy`."""

    name = "webdataset"

    def write(self, images: np.ndarray, folder: Path) -> None:
        """Tar files of SHARD pictures."""
        import webdataset

        with webdataset.ShardWriter(str(folder / "%06d.tar"), maxcount=SHARD, maxsize=1 << 40, verbose=0) as writer:
            for row, image in enumerate(images):
                writer.write({"__key__": f"{row:09d}", "npy": image, "cls": row})
        self.shards = sorted(map(str, folder.glob("*.tar")))

    def in_order(self) -> Iterator[Batch]:
        """Tar file by tar file."""
        import webdataset

        dataset = webdataset.WebDataset(self.shards, shardshuffle=False).decode().to_tuple("npy")
        return stacked(image for (image,) in dataset)

    def shuffled(self) -> Iterator[Batch]:
        """Tar files, and pictures in a buffer of one of them."""
        import webdataset

        dataset = webdataset.WebDataset(self.shards, shardshuffle=len(self.shards), detshuffle=True, seed=1)
        return stacked(image for (image,) in dataset.shuffle(SHARD, initial=SHARD).decode().to_tuple("npy"))


FORMATS = (Pack, LitData, Ours, WebDataset)


def rate(read: Callable[[], Iterator[Batch]]) -> tuple[float, float]:
    """Images per second of wall-clock time and of CPU time."""
    began, used, count = time.perf_counter(), time.process_time(), 0
    for batch in read():
        count += len(batch)
    return count / (time.perf_counter() - began), count / max(1e-9, time.process_time() - used)


def a_million(folder: Path, side: int, chunks: int = 489) -> tuple[float, float, float]:
    """Seconds and CPU seconds until the first batch of a million pictures, and additional peak memory in MB."""
    (folder / "train").mkdir(parents=True)
    target = folder / "train" / "0"
    write_chunks(pictures(SHARD, side), target, SHARD)
    index = json.loads((target / "index.json").read_text())
    (chunk,) = index["chunks"]
    names = [f"chunk-0-{number}.bin" for number in range(chunks)]
    for name in names[1:]:
        os.link(target / chunk["filename"], target / name)
    (target / "index.json").write_text(json.dumps({**index, "chunks": [{**chunk, "filename": name} for name in names]}))
    about = {"size": side, "styles": ["0"], "counts": [chunks * SHARD]}
    (folder / "train" / "shards.json").write_text(json.dumps(about))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, used = time.perf_counter(), time.process_time()
    next(iter(ShardBatches(folder, BATCH)))
    return (
        time.perf_counter() - began,
        time.process_time() - used,
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
    )


def main(arguments: list[str] | None = None) -> None:
    """Write, read in turn, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=8192, help="number of pictures")
    parser.add_argument("--side", type=int, default=128, help="their side, in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is read")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="shards-") as folder:
        seconds, cpu, memory = a_million(Path(folder) / "million", options.side // 4)
        images = pictures(options.pictures, options.side)
        formats = [kind() for kind in FORMATS]
        written = {}
        for kind in formats:
            (Path(folder) / kind.name).mkdir()
            began = time.process_time()
            kind.write(images, Path(folder) / kind.name)
            written[kind.name] = len(images) / (time.process_time() - began)
        measured: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(options.rounds):
            for kind in formats:
                for way in ("in_order", "shuffled"):
                    measured.setdefault((kind.name, way), []).append(rate(getattr(kind, way)))
        print(f"| {options.side} px, images/s (per CPU second) | written | in order | shuffled |")
        print("|---|---|---|---|")
        for kind in formats:
            cells = [f"({written[kind.name]:,.0f})"]
            for way in ("in_order", "shuffled"):
                wall, of_cpu = (statistics.median(values) for values in zip(*measured[kind.name, way], strict=True))
                cells.append(f"{wall:,.0f} ({of_cpu:,.0f})")
            print(f"| {kind.name} | {' | '.join(cells)} |")
        print(f"\n1,001,472 pictures: first batch after {seconds:.2f} s, {cpu:.2f} CPU s, {memory:.0f} MB")


if __name__ == "__main__":
    main()
