"""A pack as shards, for collections that no disk of a training machine holds: litdata's chunks, a folder per style.

`write_shards` copies the pictures of a pack; `ShardBatches` streams them chunk by chunk, so that nothing is read at
random from a network file system or a mounted bucket. litdata (the extra `shards`) was faster than WebDataset and
resumes exactly: benchmarks/README.md.

    <folder>/<split>/shards.json              size, styles and the number of pictures of each; written last
    <folder>/<split>/<style>/chunk-*.bin      litdata's chunks, and its index.json; <style> is a number

Styles have folders of their own because then balanced sampling stays sequential: a style is drawn as often as the
sampler says by reading its chunks faster or slower than the others, and a rare one is read over and over.
"""

import json
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import echo, track
from wikiart_data.errors import InputError, how_to_install
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.augment import NO_AUGMENTATION, Augment
from wikiart_data.images.batches import Batches, step_seed, to_device
from wikiart_data.images.packed import PackedImages
from wikiart_data.training.device import select_device

CHUNK = 2048
"""Pictures in a chunk: 101 MB at 128 pixels."""
_INDEX = "shards.json"


def write_shards(packed: PackedImages, folder: Path | str, *, chunk: int = CHUNK, seed: int = 0) -> None:
    """Write every split of a pack as shards to `folder`/<split>.

    Pictures are written in random order, because readers shuffle within chunks only. A split is written under another
    name and renamed when it is complete.

    Args:
        packed: the pictures; unreadable ones are left out.
        folder: where to write; it must not hold one of the splits yet.
        chunk: pictures in a chunk, of size² · 3 bytes each.
        seed: of their order.

    Raises:
        InputError: litdata is not installed, a split exists already, the disk is full or cannot be written.
    """
    _require_litdata()
    folder = Path(folder)
    splits = [split for split in ("train", "valid", "test") if len(packed.rows(split))]
    for split in splits:
        if (folder / split).exists():
            raise InputError(f"{folder / split} exists already; remove it or choose another folder.", field="--shards")
    styles = packed.catalog.styles
    for split in splits:
        part = folder / f"{split}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)  # of a killed process
            part.mkdir(parents=True)
            rows = np.random.default_rng(seed).permutation(packed.rows(split))
            labels = packed.catalog.labels[rows]
            for style in track(range(len(styles)), len(styles), f"writing {split}", "styles"):
                of_style = rows[labels == style]
                if len(of_style) == 0:
                    continue
                write_chunks((np.array(packed.images[row]) for row in of_style.tolist()), part / str(style), chunk)
            counts = np.bincount(labels, minlength=len(styles)).tolist()
            about = {"size": packed.size, "styles": list(styles), "counts": counts}
            write_bytes(part / _INDEX, json.dumps(about, indent=1).encode())
            part.rename(folder / split)
        except OSError as error:
            raise not_written(folder / split, error) from error
        echo(f"{len(rows):,} pictures of {split} are in {folder / split}")


def write_chunks(images: Iterable[np.ndarray], folder: Path, chunk: int = CHUNK) -> None:
    """Write pictures of one style, (S, S, 3) uint8 each, and their CRC-32s as litdata's chunks to a new folder."""
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_size=chunk)
    for index, image in enumerate(images):
        writer[index] = {"image": image, "crc": zlib.crc32(image.tobytes())}
    writer.done()
    writer.merge(1)


class ShardBatches(Batches):
    """Batches of the shards that `write_shards` wrote, with the interface of `Batches`.

    A batch is determined by (seed, epoch, step) and is the same for any number of processes; a run that is resumed at a
    step goes on with the same pictures. Styles are drawn as often as `Batches` draws them, and every picture of a style
    k times before any is drawn k + 2 times. The order is less random: chunks of a style are shuffled, and the pictures
    of a chunk in groups of 256. Every process reads all that is drawn, and keeps its share. Every picture is checked
    against its CRC-32 when it is read.

        for images, labels in ShardBatches("shards", split="train", batch_size=64):
            ...

    Args:
        folder: that `write_shards` wrote, on a local disk, a network file system or a mounted bucket.
        batch_size: images per step over all processes; must be a multiple of `world`.
        device: of the batches: auto, cpu, cuda, cuda:N or mps.
        split: train, valid or test.
        size: side of the images, in pixels, where `epoch` is not given one (default: that of the shards).
        power: of the balanced sampler, 0 natural … 1 uniform over styles.
        augment: random changes of the pictures.
        bf16: whether crops are computed in bf16 (`resized_crops` says what it costs).
        seed: of the run.
        rank: index of this process.
        world: number of processes.

    Raises:
        InputError: litdata is not installed, there are no complete shards of this split, or this machine has no such
            device.
        ValueError: batch_size is not a multiple of world, or larger than an epoch.
        InputError: while iterating, if a picture is damaged; the field is the folder of its style.
    """

    def __init__(
        self,
        folder: Path | str,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        *,
        split: str = "train",
        size: int | None = None,
        power: float = 0.0,
        augment: Augment = NO_AUGMENTATION,
        bf16: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        _require_litdata()
        self.folder = Path(folder) / split
        try:
            about = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
            self.packed_size, self.styles, counts = int(about["size"]), tuple(about["styles"]), about["counts"]
            self.counts = np.array(counts, dtype=np.int64)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.folder} holds no complete shards; write them with: wikiart-data pack --shards DIR",
                field=self.folder,
            ) from error
        self._draw_from(np.repeat(np.arange(len(self.counts)), self.counts), batch_size, power, seed, rank, world)
        self.device = select_device(device)
        self.products = torch.bfloat16 if bf16 else torch.float32
        self.augment = augment
        self.size = self.packed_size if size is None else size

    def epoch(
        self, epoch: int, size: int | None = None, start: int = 0, power: float | None = None, stream: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, beginning at step `start`, as `Batches.epoch` does."""
        size = self.size if size is None else size
        styles = self.sampled_labels[self._draws(epoch, power)]
        skipped = np.bincount(styles[:start].ravel(), minlength=len(self.counts))
        pictures = [self._pictures(epoch, style, int(skipped[style])) for style in range(len(self.counts))]
        boxes, light = self._augmentations(epoch, start, stream)
        for step, drawn in enumerate(styles[start:]):
            read = [next(pictures[style]) for style in drawn.tolist()]
            images = to_device(torch.from_numpy(np.stack(read[self.shard])), self.device)
            labels = to_device(torch.from_numpy(np.ascontiguousarray(drawn[self.shard])), self.device)
            yield self._augmented(images, boxes, light, step, size), labels

    def _pictures(self, epoch: int, style: int, skip: int) -> Iterator[np.ndarray]:
        """The pictures of a style in the order of an epoch, pass after pass, without the first `skip`."""
        from litdata.streaming import StreamingDataset

        first, offset = divmod(skip, max(1, int(self.counts[style])))
        passes = first
        while True:
            # litdata's seeds are 32 bits wide.
            seed = step_seed(self.seed, epoch, style, passes + 1000) % 2**32
            dataset = StreamingDataset(str(self.folder / str(style)), shuffle=True, seed=seed)
            # In several processes each would read a part of the chunks.
            dataset.distributed_env = type(dataset.distributed_env)(world_size=1, global_rank=0, num_nodes=1)
            if offset:
                state = dataset.state_dict(num_samples_yielded=offset, num_workers=0, batch_size=1)
                dataset.load_state_dict(state)
            try:
                for sample in dataset:
                    if zlib.crc32(sample["image"].tobytes()) != sample["crc"]:
                        raise ValueError("a picture does not match its checksum")
                    yield sample["image"]
            except Exception as error:  # litdata raises many kinds for chunks that are damaged, cut off or missing
                folder = self.folder / str(style)
                raise InputError(f"{folder} is damaged ({error}); write the shards again.", field=folder) from error
            passes, offset = passes + 1, 0


def _require_litdata() -> None:
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Shards need litdata, which is not installed: {how_to_install('shards', 'litdata')}.", field="--shards"
        ) from error
