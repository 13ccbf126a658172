"""The real images that generated ones are compared with: those trained on, and held-out ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import track
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_lora.buckets import resize_and_crop

MAX_REAL = 1500
"""Real images compared with, drawn at random from larger sets."""
FEWEST_HELD_OUT = 2
"""Held-out images without which nothing is compared."""


@dataclass(frozen=True)
class RealImages:
    """Real images as training sees them."""

    images: Tensor
    """(n, 3, size, size) float32 in [0, 1]."""
    rows: np.ndarray
    """(n,) of the catalog."""
    labels: np.ndarray
    """(n,) styles."""


@dataclass(frozen=True)
class HeldOut:
    """Which images are held out for comparison."""

    split: str
    """valid or test."""
    all_styles: bool
    """Whether they are of all styles, because those trained on have too few in every split."""


def choose_held_out(catalog: Catalog, split: str, labels: Sequence[int]) -> HeldOut:
    """The held-out images of some styles; rare styles may have none or one in a split.

    Taken is the first that has enough images: the split, valid, and then the same two with all styles.

    Args:
        catalog: the data.
        split: the one to compare with, if possible.
        labels: the styles.

    Raises:
        InputError: neither split has enough images, of any style.
    """
    choices = [HeldOut(name, all_styles) for all_styles in (False, True) for name in dict.fromkeys((split, "valid"))]
    for choice in choices:
        styles = range(len(catalog.styles)) if choice.all_styles else labels
        if len(_rows_of(catalog, choice.split, styles)) >= FEWEST_HELD_OUT:
            return choice
    raise InputError(
        f"{catalog.root} has fewer than {FEWEST_HELD_OUT} images in each of test and valid, and generated images are "
        "compared with those: add some.",
        field=catalog.root,
    )


def random_rows(catalog: Catalog, split: str, labels: Sequence[int], seed: int) -> np.ndarray:
    """At most MAX_REAL rows of a split of some styles, in order."""
    rows = _rows_of(catalog, split, labels)
    if len(rows) <= MAX_REAL:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MAX_REAL, replace=False))


def _rows_of(catalog: Catalog, split: str, labels: Sequence[int]) -> np.ndarray:
    rows = catalog.rows(split)
    return rows[np.isin(catalog.labels[rows], list(labels))]


def read_real_images(catalog: Catalog, rows: np.ndarray, size: int, at_least: int = FEWEST_HELD_OUT) -> RealImages:
    """Real images cropped as in training, of those rows that can be read.

    Raises:
        InputError: fewer than `at_least` of them can be.
    """
    images, readable = [], []
    for row in track(rows, len(rows), "reading real images", "images"):
        try:
            image = decode(catalog.root / catalog.files[row], at_least=size)
        except BadPictureError:
            continue  # reported during training
        images.append(torch.from_numpy(resize_and_crop(image, (size, size)).copy()))
        readable.append(row)
    if len(images) < at_least:
        raise InputError(
            f"{catalog.root} has {len(images)} readable images to compare with, and {at_least} are needed.",
            field=catalog.root,
        )
    readable = np.array(readable)
    return RealImages(torch.stack(images).permute(0, 3, 1, 2).float() / 255, readable, catalog.labels[readable])
