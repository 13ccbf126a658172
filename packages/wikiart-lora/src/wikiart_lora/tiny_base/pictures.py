"""What the autoencoder learns from: batches of plain scenes and of random marks, drawn anew for every interval."""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.augment import Augment, random_boxes, resized_crops
from wikiart_data.images.batches import step_seed
from wikiart_data.images.decode import available_cores
from wikiart_data.sample.painters import PHOTOGRAPH, paint
from wikiart_data.sample.scenes import SCENES, Scene
from wikiart_lora.tiny_base.config import StageOptions
from wikiart_lora.tiny_base.marks import marked_picture
from wikiart_lora.tiny_base.networks import SIZE
from wikiart_lora.tiny_base.scenes import FIRST_SEED, SIDE

PLAIN = 0.3
"""Fraction of plain scenes; all others are random marks."""
USES = 4
"""How often a picture is used on average, each time in another crop and in other colours."""
CROPS = Augment(crop=(0.45, 1.0), ratio=1.2, flip=0.5, brightness=0.0, contrast=0.0)


def draw_pictures(seed: int, first: int, number: int) -> np.ndarray:
    """Pictures `first` to `first + number` of an endless series: (number, SIDE, SIDE, 3) uint8.

    About 3 ms for a plain scene and 20 ms for random marks.
    """
    return np.stack([_draw_picture(seed, index) for index in range(first, first + number)])


def _draw_picture(seed: int, index: int) -> np.ndarray:
    rng = np.random.default_rng([seed, index])
    scene = Scene(SCENES[index % len(SCENES)], FIRST_SEED + index // len(SCENES))
    if rng.random() < PLAIN:
        return paint(scene, PHOTOGRAPH, SIDE)
    return marked_picture(scene, SIDE, rng)


def recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mix the channels of a third of the images at random, and change contrast and brightness of all: (B, 3, S, S)."""
    number = len(images)
    chosen = (torch.rand(number, 1, 1, generator=generator) < 0.33).float()
    mixing = (torch.eye(3) + chosen * 0.4 * torch.randn(number, 3, 3, generator=generator)).to(images.device)
    contrast, brightness = (0.15 * torch.randn(2, number, 1, 1, 1, generator=generator)).to(images.device)
    mixed = torch.einsum("bij,bjhw->bihw", mixing, images - 0.5)
    return (mixed * contrast.exp() + 0.5 + 0.5 * brightness).clamp_(0, 1)


def number_of_workers(options: StageOptions, device: torch.device) -> int:
    """Processes that draw pictures, unless the options say how many: all cores but one with a GPU, none on a CPU."""
    if options.workers is not None:
        return options.workers
    return 0 if device.type == "cpu" else max(1, available_cores() - 1)


def start_workers(number: int) -> ProcessPoolExecutor:
    """Processes that draw. They are not forked: a fork of a process with threads or with a GPU may hang."""
    return ProcessPoolExecutor(number, get_context("spawn"))


class PictureBatches:
    """Batches of augmented crops, the same for the same seed and step however they are drawn.

    Args:
        options: seed, batch size, steps per interval, and number of processes that draw.
        device: where batches are needed.
    """

    def __init__(self, options: StageOptions, batch_size: int, device: torch.device):
        self.options, self.batch_size, self.device = options, batch_size, device
        self.number = max(1, options.save_every * batch_size // USES)
        workers = number_of_workers(options, device)
        self.executor = start_workers(workers) if workers else None
        self.parts = max(1, workers)
        self.upcoming: dict[int, list[Future[np.ndarray]]] = {}

    def interval(self, interval: int, steps: range) -> Iterator[tuple[int, Tensor]]:
        """Yield (step, images) for the steps of one interval; images are (B, 3, SIZE, SIZE) float32 in [-1, 1]."""
        pictures = torch.from_numpy(self._pictures(interval))
        for step in steps:
            generator = torch.Generator().manual_seed(step_seed(self.options.seed, 0, step))
            rows = torch.randint(len(pictures), (self.batch_size,), generator=generator)
            boxes = random_boxes(len(rows), CROPS, generator)
            crops = resized_crops(pictures[rows].to(self.device), boxes, SIZE).div_(255)
            images = recolour(crops, generator) * 2 - 1
            yield step, images.contiguous(memory_format=torch.channels_last)

    def __enter__(self) -> "PictureBatches":
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes that draw, also where the run was asked to stop: nobody needs the next interval's."""
        if self.executor is not None:
            self.executor.shutdown(cancel_futures=True)

    def _pictures(self, interval: int) -> np.ndarray:
        if self.executor is None:
            return draw_pictures(self.options.seed, interval * self.number, self.number)
        futures = self.upcoming.pop(interval, None) or self._submit(interval)
        self.upcoming = {interval + 1: self._submit(interval + 1)}  # drawn while this interval trains
        return np.concatenate([future.result() for future in futures])

    def _submit(self, interval: int) -> "list[Future[np.ndarray]]":
        assert self.executor is not None
        bounds = np.linspace(0, self.number, self.parts + 1).astype(int) + interval * self.number
        pairs = [(int(low), int(high - low)) for low, high in pairwise(bounds) if high > low]
        return [self.executor.submit(draw_pictures, self.options.seed, first, number) for first, number in pairs]
