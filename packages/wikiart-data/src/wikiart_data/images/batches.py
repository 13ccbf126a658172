"""Packed pictures as batches on the device: shuffled, cropped, jittered, whatever the number of processes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.augment import (
    NO_AUGMENTATION,
    Augment,
    colour_jitter,
    random_boxes,
    random_light,
    resize,
    resized_crops,
)
from wikiart_data.images.packed import PackedImages
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.training.device import select_device

RESIDENT_FRACTION = 0.5
"""A pack is copied to the GPU if it takes at most this fraction of the memory that is free there."""


class Batches:
    """Training batches of a pack, determined by (seed, epoch, step) and independent of the number of processes.

    If the pack fits on the GPU it is copied there once, and each batch is a gather on the device; otherwise rows are
    gathered from the memory map. Crops and colour jitter are computed on the device, a batch at a time. Everything
    random about an epoch is drawn when it begins and copied to the device once: no step waits for the host.

        batches = Batches(pack(scan("paintings"), 128), split="train", batch_size=64)
        for epoch in range(10):
            batches.set_epoch(epoch)
            for images, labels in batches:
                ...

    Args:
        packed: the pictures.
        rows: (n,) rows of the pack to draw from (default: all readable ones of `split`).
        batch_size: images per step over all processes; must be a multiple of `world`.
        device: of the batches: auto, cpu, cuda, cuda:N or mps.
        split: train, valid or test; not used if `rows` are given.
        size: side of the images, in pixels, where `epoch` is not given one (default: that of the pack).
        power: of the balanced sampler, 0 natural … 1 uniform over styles.
        augment: random changes of the pictures.
        labels: (N,) int64, a label for each row of the pack (default: its style). The sampler balances styles whatever
            the labels are.
        bf16: whether crops are computed in bf16 (`resized_crops` says what it costs).
        seed: of the run.
        rank: index of this process.
        world: number of processes.

    Raises:
        InputError: this machine has no such device.
        ValueError: batch_size is not a multiple of world, or larger than an epoch.
    """

    def __init__(
        self,
        packed: PackedImages,
        rows: np.ndarray | None = None,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        *,
        split: str = "train",
        size: int | None = None,
        power: float = 0.0,
        augment: Augment = NO_AUGMENTATION,
        labels: np.ndarray | None = None,
        bf16: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        self.rows = packed.rows(split) if rows is None else np.asarray(rows)
        self._draw_from(packed.catalog.labels[self.rows], batch_size, power, seed, rank, world)
        self.device = select_device(device)
        self.pictures = DeviceImages(packed, self.device)
        self.products = torch.bfloat16 if bf16 else torch.float32
        self.labels = to_device(torch.from_numpy(packed.catalog.labels if labels is None else labels), self.device)
        self.augment = augment
        self.size = packed.size if size is None else size

    def _draw_from(self, labels: np.ndarray, batch_size: int, power: float, seed: int, rank: int, world: int) -> None:
        if batch_size < 1 or batch_size % world:
            raise ValueError(f"a batch of {batch_size} cannot be shared evenly by {world} processes")
        if batch_size > len(labels):
            raise ValueError(f"a batch of {batch_size} is more than the {len(labels)} pictures there are")
        self.sampled_labels = labels
        """(n,) int64: the style of each picture that is drawn from."""
        self.sampler = BalancedSampler(labels, power, seed=seed)
        self.batch_size, self.seed = batch_size, seed
        self.shard = slice(rank, None, world)
        """Which images of each batch belong to this process."""
        self._epoch = 0

    def __len__(self) -> int:
        """Steps in an epoch; the pictures of a last, partial batch are left for another epoch."""
        return len(self.sampler) // self.batch_size

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} of {self.batch_size} from {len(self.sampled_labels):,} pictures, "
            f"{self.size} px, power {self.sampler.power}, {self.device})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that iteration yields."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images and labels of the epoch that `set_epoch` chose, as `epoch` does."""
        return self.epoch(self._epoch)

    def epoch(
        self, epoch: int, size: int | None = None, start: int = 0, power: float | None = None, stream: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, beginning at step `start`.

        Args:
            epoch: its number.
            size: side of the images, in pixels; it may grow from epoch to epoch (default: `self.size`).
            start: number of steps to skip, for a run that is resumed in the middle of an epoch.
            power: of the sampler in this epoch (default: the one the batches were made with).
            stream: the same pictures in the same order with other crops and jitter: a second view of each.

        Yields:
            images (b, 3, size, size) float32 in 0..1, channels-last, and labels (b,) int64, both on the device,
            b = batch_size / world.
        """
        size = self.size if size is None else size
        drawn = self.rows[self._draws(epoch, power)]
        rows = np.ascontiguousarray(drawn[start:, self.shard])
        device_rows = to_device(torch.from_numpy(rows), self.device)
        labels = self.labels[device_rows]
        boxes, light = self._augmentations(epoch, start, stream)
        for step in range(len(rows)):
            images = self.pictures.bytes(rows[step], device_rows[step])
            yield self._augmented(images, boxes, light, step, size), labels[step]

    def _draws(self, epoch: int, power: float | None = None) -> np.ndarray:
        """(steps, batch_size) int64: what the sampler draws in each step of an epoch."""
        sampler = self.sampler
        if power is not None and power != sampler.power:
            sampler = BalancedSampler(self.sampled_labels, power, seed=self.seed)
        return sampler.epoch(epoch)[: len(self) * self.batch_size].reshape(len(self), self.batch_size)

    def _augmented(self, images: Tensor, boxes: Tensor | None, light: Tensor | None, step: int, size: int) -> Tensor:
        """(b, S, S, 3) uint8 → (b, 3, size, size) float32 in 0..1: cropped and jittered, or resized."""
        if boxes is None or light is None:
            return resize(images, size).div_(255.0)
        crops = resized_crops(images, boxes[step], size, self.products).div_(255.0)
        return colour_jitter(crops, light[step])

    def _augmentations(self, epoch: int, start: int, stream: int) -> tuple[Tensor | None, Tensor | None]:
        """Boxes (steps, b, 5) and light (steps, b, 2) of this process's shard, on the device; None without any."""
        if self.augment == NO_AUGMENTATION or start >= len(self):
            return None, None
        boxes, light = [], []
        for step in range(start, len(self)):
            generator = torch.Generator().manual_seed(step_seed(self.seed, epoch, step, stream))
            boxes.append(random_boxes(self.batch_size, self.augment, generator)[self.shard])
            light.append(random_light(self.batch_size, self.augment, generator)[self.shard])
        return to_device(torch.stack(boxes), self.device), to_device(torch.stack(light), self.device)


class DeviceImages:
    """Rows of a pack as tensors: from the GPU if the pack fits there, else from the memory map."""

    def __init__(self, packed: PackedImages, device: torch.device | str = "cpu"):
        self.packed, self.device = packed, select_device(device)
        self.resident: Tensor | None = None
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if packed.images.nbytes <= RESIDENT_FRACTION * free:
                self.resident = _as_tensor(packed.images).to(self.device)

    def __repr__(self) -> str:
        source = "resident" if self.resident is not None else "memory-mapped"
        return f"DeviceImages({len(self.packed):,} pictures of {self.packed.size} px, {source}, {self.device})"

    def bytes(self, rows: np.ndarray, device_rows: Tensor | None = None) -> Tensor:
        """(b, S, S, 3) uint8 in 0..255 on the device.

        Args:
            rows: (b,) int64.
            device_rows: the same on the device, where the caller has them already.
        """
        if self.resident is not None:
            return self.resident[to_device(torch.from_numpy(rows), self.device) if device_rows is None else device_rows]
        return to_device(torch.from_numpy(self.packed.images[rows]), self.device)

    def in_order(self, rows: np.ndarray, batch_size: int, size: int) -> Iterator[Tensor]:
        """Yield all `rows` once, unchanged but for resizing: (b, 3, size, size) float32 in 0..1, channels-last."""
        for start in range(0, len(rows), batch_size):
            yield resize(self.bytes(rows[start : start + batch_size]), size).div_(255.0)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device; from the CPU to a GPU through pinned memory, without waiting for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def step_seed(seed: int, epoch: int, step: int, stream: int = 0) -> int:
    """The seed of one step of a run: the same after a resume, unrelated for neighbouring steps.

    Args:
        seed: of the run.
        epoch: of the step.
        step: within the epoch.
        stream: `Batches` draws crops and jitter from 0 and second views from the number it is given; anything else that
            is random in a step takes a number of its own.
    """
    return int(np.random.SeedSequence((seed, epoch, step, stream)).generate_state(1, np.uint64)[0] >> 1)


def _as_tensor(images: np.ndarray) -> Tensor:
    # The memory map is read-only, which torch warns about; it is only ever copied from.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(images)
