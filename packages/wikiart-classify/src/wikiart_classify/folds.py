"""Cross-validation: folds of all images, so that every image is once among those that no network was trained on."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from wikiart_data.images.catalog import Catalog
from wikiart_data.images.names import artwork_of


def split_into_folds(catalog: Catalog, folds: int, fold: int, seed: int = 0) -> Catalog:
    """Hold out one fold of all images as test; the others keep valid, and everything else is train.

    The folds are even in size and, as far as possible, in styles; variants of one artwork are in one fold. Only
    `splits` changes, so a pack of the catalog fits the new one too.

    Args:
        catalog: the data.
        folds: number of folds.
        fold: the one to hold out, in 0..folds-1.
        seed: the same seed gives the same folds.
    """
    held_out = assign_folds(catalog, folds, seed) == fold
    splits = np.where(held_out, "test", np.where(catalog.splits == "valid", "valid", "train"))
    return replace(catalog, splits=splits)


def assign_folds(catalog: Catalog, folds: int, seed: int = 0) -> np.ndarray:
    """(N,) int64 in 0..folds-1: the fold of every image."""
    artworks: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row, (label, file) in enumerate(zip(catalog.labels.tolist(), catalog.files, strict=True)):
        artworks[label, artwork_of(file)].append(row)
    of_style: dict[int, list[list[int]]] = defaultdict(list)
    for (label, _), rows in sorted(artworks.items()):
        of_style[label].append(rows)
    random = np.random.default_rng(seed)
    result = np.zeros(len(catalog), dtype=np.int64)
    next_fold = 0  # goes on from style to style, so that the folds of small styles are not always the same
    for label in sorted(of_style):
        for index in random.permutation(len(of_style[label])):
            result[of_style[label][index]] = next_fold
            next_fold = (next_fold + 1) % folds
    return result
