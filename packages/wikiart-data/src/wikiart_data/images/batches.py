"""Packed pictures as batches on the device: shuffled, cropped, relit, the same however they are dealt out."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.augment import NO_AUGMENTATION, Augment, colour_jitter, random_boxes, resized_crops
from wikiart_data.images.packed import PackedImages
from wikiart_data.images.sampler import BalancedSampler

GPU_SHARE = 0.5
"""A pack is kept on the GPU if it takes at most this share of the memory that is free there."""


class Batches:
    """Batches of a pack's rows, deterministic by (seed, epoch, step) and independent of the number of processes.

    Where the pack fits on the GPU it is copied there once and every batch is a gather on the device; elsewhere rows
    are gathered from the memory map. Cropping and light happen on the device, a whole batch at a time.

    Args:
        packed: the pictures.
        rows: (n,) rows of the pack to draw from.
        batch_size: pictures in a step over all processes; must be a multiple of `world`.
        device: where batches are wanted.
        power: of the balanced sampler.
        augment: how training pictures change.
        labels: (N,) int64 for every row of the pack, what batches say of their pictures (default: the style). The
            sampler balances styles all the same.
        bf16: whether crops are multiplied in bf16 (`resized_crops` says what it costs).
        seed: of the run.
        rank: this process.
        world: number of processes.

    Raises:
        ValueError: batch_size is not a multiple of world, or larger than an epoch.
    """

    def __init__(
        self,
        packed: PackedImages,
        rows: np.ndarray,
        batch_size: int,
        device: torch.device | str = "cpu",
        *,
        power: float = 0.0,
        augment: Augment = NO_AUGMENTATION,
        labels: np.ndarray | None = None,
        bf16: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        if batch_size % world:
            raise ValueError(f"a batch of {batch_size} cannot be shared evenly by {world} processes")
        if batch_size > len(rows):
            raise ValueError(f"a batch of {batch_size} is more than the {len(rows)} pictures there are")
        self.device = torch.device(device)
        self.pictures = DeviceImages(packed, self.device)
        self.products = torch.bfloat16 if bf16 else torch.float32
        self.labels = torch.from_numpy(packed.catalog.labels if labels is None else labels)
        self.rows = np.asarray(rows)
        self.sampler = BalancedSampler(packed.catalog.labels[self.rows], power, seed=seed)
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.share = slice(rank, None, world)

    def __len__(self) -> int:
        """Steps in an epoch; the pictures of a last, partial batch wait for another epoch."""
        return len(self.sampler) // self.batch_size

    def epoch(
        self, epoch: int, size: int, start: int = 0, power: float | None = None, stream: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, beginning at step `start`.

        Args:
            epoch: which one.
            size: side of the pictures, in pixels (it may grow from epoch to epoch).
            start: steps to leave out, for a run that goes on in the middle of an epoch.
            power: of the sampler in this epoch (default: the one the batches were made with).
            stream: the same pictures in the same order with other crops and light: a second view of each.

        Yields:
            images (b, 3, size, size) float32 in 0..1, channels-last, and labels (b,) int64, both on the device,
            b = batch_size / world.
        """
        sampler = self.sampler
        if power is not None and power != sampler.power:
            sampler = BalancedSampler(self.pictures.packed.catalog.labels[self.rows], power, seed=self.seed)
        drawn = self.rows[sampler.epoch(epoch)]
        for step in range(start, len(self)):
            rows = drawn[step * self.batch_size : (step + 1) * self.batch_size]
            generator = torch.Generator().manual_seed(step_seed(self.seed, epoch, step, stream))
            mine = rows[self.share]
            if self.augment == NO_AUGMENTATION:
                images = next(self.pictures.in_order(mine, len(mine), size))
            else:
                boxes = random_boxes(len(rows), self.augment, generator)[self.share]
                images = resized_crops(self.pictures.bytes(mine), boxes, size, self.products).div_(255.0)
                images = colour_jitter(images, self.augment, generator, self.share)
            yield images, self.labels[mine].to(self.device, non_blocking=True)


class DeviceImages:
    """Rows of a pack as tensors, whole on the GPU where they fit there, from the memory map elsewhere."""

    def __init__(self, packed: PackedImages, device: torch.device | str = "cpu"):
        self.packed, self.device = packed, torch.device(device)
        self.resident: Tensor | None = None
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if packed.images.nbytes <= GPU_SHARE * free:
                self.resident = _as_tensor(packed.images).to(self.device)

    def bytes(self, rows: np.ndarray) -> Tensor:
        """(b, S, S, 3) uint8 in 0..255 on the device."""
        if self.resident is not None:
            return self.resident[torch.from_numpy(rows).to(self.device)]
        gathered = torch.from_numpy(self.packed.images[rows])
        if self.device.type == "cuda":
            return gathered.pin_memory().to(self.device, non_blocking=True)
        return gathered.to(self.device)

    def in_order(self, rows: np.ndarray, batch_size: int, size: int) -> Iterator[Tensor]:
        """Yield all `rows` once, unchanged but for resizing: (b, 3, size, size) float32 in 0..1, channels-last."""
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]])
        for start in range(0, len(rows), batch_size):
            images = self.bytes(rows[start : start + batch_size])
            if images.shape[1] == size:
                yield images.permute(0, 3, 1, 2).float().div_(255.0)
            else:
                yield resized_crops(images, whole.expand(len(images), 5), size).div_(255.0)


def step_seed(seed: int, epoch: int, step: int, stream: int = 0) -> int:
    """One seed for one step of a run: the same after a resume, far apart for neighbours.

    Args:
        seed: of the run.
        epoch: of the step.
        step: within the epoch.
        stream: `Batches` draws crops and light from 0, and second views from others; whatever else a step draws
            takes one of its own.
    """
    return int(np.random.SeedSequence((seed, epoch, step, stream)).generate_state(1, np.uint64)[0] >> 1)


def _as_tensor(images: np.ndarray) -> Tensor:
    # The memory map is read-only, which torch warns about; it is only ever copied from.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(images)
