"""Cross-validation: folds of all images, so that every image is once among those that no network was trained on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wikiart_data.images.catalog import Catalog
from wikiart_data.images.names import artwork_of


def split_into_folds(catalog: Catalog, folds: int, fold: int, seed: int = 0) -> Catalog:
    """Hold out one fold of all images as test; the others keep valid, and everything else is train.

    The folds are even in size and, as far as possible, in styles. Variants of one artwork are in one fold, also if they
    are in several style folders and their artist is known. Only `splits` changes, so a pack of the catalog fits the new
    one too.

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
    result = np.full(len(catalog), -1, dtype=np.int64)
    counts = np.zeros((len(catalog.styles), folds), dtype=np.int64)  # artworks of each style in each fold

    shared = _in_several_styles(catalog, artworks)
    random = np.random.default_rng((seed, 1))
    # Those of most styles first: the others can still make up for what is uneven.
    for index in sorted(random.permutation(len(shared)), key=lambda index: -len(shared[index])):
        labels = [label for label, _ in shared[index]]
        order = random.permutation(folds)
        fold = order[counts[labels].sum(axis=0)[order].argmin()]
        counts[labels, fold] += 1
        result[[row for key in shared[index] for row in artworks[key]]] = fold

    of_style: dict[int, list[list[int]]] = defaultdict(list)
    for (label, _), rows in sorted(artworks.items()):
        of_style[label].append(rows)
    random = np.random.default_rng(seed)
    next_fold = 0  # goes on from style to style, so that the folds of small styles are not always the same
    for label in sorted(of_style):
        for index in random.permutation(len(of_style[label])):
            rows = of_style[label][index]
            if result[rows[0]] < 0:
                in_turn = np.roll(np.arange(folds), -next_fold)
                fold = in_turn[counts[label, in_turn].argmin()]
                next_fold = (fold + 1) % folds
                counts[label, fold] += 1
                result[rows] = fold
    return result


def _in_several_styles(
    catalog: Catalog, artworks: Mapping[tuple[int, str], Sequence[int]]
) -> list[list[tuple[int, str]]]:
    """The keys (label, artwork) of each artwork that lies in several style folders, by its name and artist.

    Without an artist, a name such as 0001.jpg in another folder is another picture.
    """
    labels_of: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for (label, artwork), rows in sorted(artworks.items()):
        if artist := max(catalog.artists[row] for row in rows):
            labels_of[artist, artwork].append((label, artwork))
    return [keys for keys in labels_of.values() if len(keys) > 1]
