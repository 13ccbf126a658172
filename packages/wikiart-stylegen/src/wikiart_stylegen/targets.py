"""What `evaluate`, `synthesise` and `study` start from: a trained network, the images to repaint, and target styles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wikiart_data.errors import InputError
from wikiart_data.images.artists import keep_half_of_artists
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.judge import Judge
from wikiart_data.sample import is_sample_set
from wikiart_data.training.run import find_model
from wikiart_stylegen.command_options import DataRepaintOptions
from wikiart_stylegen.transfer import StyleTransfer

MIN_TRAIN_IMAGES, MIN_TRAIN_IMAGES_ON_SAMPLE = 50, 1
"""Defaults of --min-train-images: in general, and on the sample set."""


def load_with_data(
    options: DataRepaintOptions, judges: Sequence[Path] = ()
) -> tuple[Path, StyleTransfer, PackedImages, list[Judge]]:
    """A network with the data folder it was trained on, or another one, and judges of the same styles.

    Returns:
        The network's file, the network, the images at its size (of its half of the artists, if it has one), and the
        judges.

    Raises:
        InputError: there is no such run or judge, they are of other styles, or the data cannot be used.
    """
    file = find_model(options.model, options.runs, "stylegen")
    transfer = StyleTransfer.load(file, device=options.device)
    catalog = scan(find_data(options.data or transfer.config.data, options.cache_dir), cache_dir=options.cache_dir)
    loaded = [Judge.load(path, transfer.device) for path in judges]
    for source, styles in ((file, transfer.styles), *zip(judges, (judge.styles for judge in loaded), strict=True)):
        if styles != catalog.styles:
            raise InputError(f"{source} was trained on other styles than {catalog.root} has.", field=source)
    if (half := transfer.config.artist_half) != "all":
        catalog = keep_half_of_artists(catalog, half)
    size, limit = transfer.config.size, options.max_bad_fraction
    return file, transfer, pack(catalog, size, cache_dir=options.cache_dir, max_bad_fraction=limit), loaded


def choose_target_styles(packed: PackedImages, min_train_images: int | None) -> np.ndarray:
    """Labels of the styles with enough training images; of all that have any where the default leaves fewer than two.

    Raises:
        InputError: fewer than two styles have as many training images as the user wants, or any.
    """
    counts = packed.catalog.counts("train")
    with_images = np.isin(np.arange(len(counts)), packed.catalog.labels[packed.rows("train")])
    default = MIN_TRAIN_IMAGES_ON_SAMPLE if is_sample_set(packed.catalog.root) else MIN_TRAIN_IMAGES
    minimum = default if min_train_images is None else min_train_images
    allowed = np.flatnonzero(with_images & (counts >= minimum))
    if len(allowed) >= 2:
        return allowed
    if min_train_images is not None:
        raise InputError(
            f"--min-train-images {minimum}: fewer than two styles have so many training images.",
            field="--min-train-images",
        )
    if with_images.sum() < 2:
        root = packed.catalog.root
        raise InputError(f"Fewer than two styles of {root} have training images for this network.", field=root)
    return np.flatnonzero(with_images)
