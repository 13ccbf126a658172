"""Image sizes of training: one square, or aspect-ratio buckets of nearly equal area."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from wikiart_data.images.sampler import BalancedSampler

MAX_ASPECT = 2.0
"""Aspect ratio of the widest bucket, and the inverse of the tallest's."""


def make_buckets(size: int, multiple: int, aspect: bool) -> list[tuple[int, int]]:
    """(height, width) of every bucket, in pixels; all have about the area of the square.

    Args:
        size: side of the square.
        multiple: sides are multiples of this.
        aspect: False returns the square alone.
    """
    square = (size, size)
    if not aspect:
        return [square]
    buckets = {square}
    for width in range(multiple, int(size * MAX_ASPECT) + multiple, multiple):
        height = max(multiple, round(size * size / width / multiple) * multiple)
        if 1 / MAX_ASPECT <= width / height <= MAX_ASPECT and 0.75 < width * height / size**2 < 1.25:
            buckets.add((height, width))
    return sorted(buckets)


def nearest_bucket(width: int, height: int, buckets: Sequence[tuple[int, int]]) -> int:
    """Index of the bucket whose aspect ratio is nearest to an image's."""
    ratio = math.log(width / height)
    return min(range(len(buckets)), key=lambda index: abs(math.log(buckets[index][1] / buckets[index][0]) - ratio))


def resize_and_crop(image: Image.Image, bucket: tuple[int, int]) -> np.ndarray:
    """An image resized to cover a bucket and cropped at the centre: (height, width, 3) uint8."""
    height, width = bucket
    scale = max(width / image.width, height / image.height)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.uint8)


def epoch_batches(
    sampler: BalancedSampler, rows: np.ndarray, bucket_of: np.ndarray, batch_size: int, epoch: int
) -> list[np.ndarray]:
    """An epoch of batches, each from one bucket, in random order; the same for the same epoch.

    A bucket's last batch is filled up with images of that bucket that were drawn already.

    Args:
        sampler: over `rows`.
        rows: (n,) of the catalog.
        bucket_of: (N,) the bucket of each row of the catalog.
        batch_size: images per step.
        epoch: number of the epoch.

    Returns:
        Arrays (batch_size,) int64.
    """
    drawn = rows[sampler.epoch(epoch)]
    batches = []
    for bucket in np.unique(bucket_of[drawn]):
        in_bucket = drawn[bucket_of[drawn] == bucket]
        padded = -(-len(in_bucket) // batch_size) * batch_size
        batches += list(np.resize(in_bucket, padded).reshape(-1, batch_size))
    order = np.random.default_rng((sampler.seed, epoch, 1)).permutation(len(batches))
    return [batches[index] for index in order]
