"""Sizes that pictures are trained at: one square, or some of nearly the same area in other proportions."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from wikiart_data.images.sampler import BalancedSampler

RATIO = 2.0
"""The widest and the tallest bucket."""


def make_buckets(size: int, multiple: int, aspect: bool) -> list[tuple[int, int]]:
    """(height, width) of every bucket, in pixels; all have about the area of the square.

    Args:
        size: side of the square.
        multiple: sides are multiples of this.
        aspect: False gives the square alone.
    """
    square = (size, size)
    if not aspect:
        return [square]
    found = {square}
    for width in range(multiple, int(size * RATIO) + multiple, multiple):
        height = max(multiple, round(size * size / width / multiple) * multiple)
        if 1 / RATIO <= width / height <= RATIO and 0.75 < width * height / size**2 < 1.25:
            found.add((height, width))
    return sorted(found)


def nearest(width: int, height: int, buckets: Sequence[tuple[int, int]]) -> int:
    """The place of the bucket whose proportions are nearest to a picture's."""
    wanted = math.log(width / height)
    return min(range(len(buckets)), key=lambda place: abs(math.log(buckets[place][1] / buckets[place][0]) - wanted))


def fitted(picture: Image.Image, bucket: tuple[int, int]) -> np.ndarray:
    """A picture made to cover a bucket, and what stands out cut off evenly: (height, width, 3) uint8."""
    height, width = bucket
    scale = max(width / picture.width, height / picture.height)
    covered = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    if covered != picture.size:
        picture = picture.resize(covered, Image.Resampling.BICUBIC, reducing_gap=2.0)
    left, top = (covered[0] - width) // 2, (covered[1] - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height)), dtype=np.uint8)


def epoch_batches(sampler: BalancedSampler, rows: np.ndarray, bucket_of: np.ndarray, batch: int, epoch: int):
    """An epoch of batches, each of one bucket, in random order; the same for the same epoch.

    A bucket's last batch is filled up with pictures of that bucket that were shown already.

    Args:
        sampler: over `rows`.
        rows: (n,) of the catalog.
        bucket_of: (N,) the bucket of each row of the catalog.
        batch: pictures in a step.
        epoch: which one.

    Returns:
        A list of (batch,) int64.
    """
    drawn = rows[sampler.epoch(epoch)]
    batches = []
    for bucket in np.unique(bucket_of[drawn]):
        mine = drawn[bucket_of[drawn] == bucket]
        full = -(-len(mine) // batch) * batch
        batches += list(np.resize(mine, full).reshape(-1, batch))
    order = np.random.default_rng((sampler.seed, epoch, 1)).permutation(len(batches))
    return [batches[place] for place in order]
