"""`wikiart-stylegen synthesise`: a data folder of repaints, for training a classifier on them.

The folder is the artefact between this package and wikiart-classify: neither imports the other.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from wikiart_data.acquire.file_names import UniqueNames
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.files import new_folder
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.packed import PackedImages
from wikiart_data.images.pixels import to_pil
from wikiart_stylegen.colour_transfer import transfer_to_styles
from wikiart_stylegen.command_options import SynthesiseOptions
from wikiart_stylegen.targets import load_with_data

BATCH_SIZE = 64
JPEG_QUALITY = 92


def synthesise(options: SynthesiseOptions) -> dict[str, int]:
    """Write the folder, which exists once it is complete; a run that is interrupted leaves nothing behind.

    Returns:
        Number of images written by style.

    Raises:
        InputError: there is no such run or judge, they are of other styles, the data cannot be used, or the folder
            exists.
    """
    if options.to.exists():
        raise InputError(f"{options.to} exists: choose another folder.", field="--to")
    _, transfer, packed, judges = load_with_data(options, [] if options.judge is None else [options.judge])
    catalog, judge = packed.catalog, next(iter(judges), None)
    rows, targets = choose_inputs(packed, options)
    written = dict.fromkeys(catalog.styles, 0)
    device_images = DeviceImages(packed)
    with new_folder(options.to, "synthesis") as folder:
        for style in catalog.styles:
            (folder / "train" / style).mkdir(parents=True)
        starts = range(0, len(rows), BATCH_SIZE)
        for start in track(starts, len(starts), "repainting", "batches"):
            batch = slice(start, start + BATCH_SIZE)
            inputs = next(device_images.in_order(rows[batch], BATCH_SIZE, packed.size))
            if options.kind == "repaints":
                images = transfer.repaint_batch(inputs, torch.from_numpy(targets[batch]), options.strength)
            elif options.kind == "colour-transfer":
                images = transfer_to_styles(packed, inputs, targets[batch])
            else:
                images = inputs
            kept = np.ones(len(images), dtype=bool)
            if judge is not None:
                kept = judge.predict_batches(images, BATCH_SIZE)[0].argmax(dim=1).numpy() == targets[batch]
            for number in np.flatnonzero(kept):
                style = catalog.styles[targets[start + number]]
                # No artist in the name: a classifier must not take the input's for that of the repaint.
                _save(images[number], folder / "train" / style / f"{options.kind}-{start + number:06d}.jpg")
                written[style] += 1
        missing = [style for style, count in written.items() if not count]
        for style in missing:
            (folder / "train" / style).rmdir()
        _link_held_out(catalog, [style for style in catalog.styles if written[style]], folder)
    styles, number = len(written) - len(missing), sum(written.values())
    echo(f"{number:,} of {len(rows):,} images in {styles} styles: {options.to}/train.")
    return written


def choose_inputs(packed: PackedImages, options: SynthesiseOptions) -> tuple[np.ndarray, np.ndarray]:
    """Training images and the styles in which they are repainted, each another than its own; paintings in their own.

    Returns:
        Rows (N,) and target labels (N,), sorted by target.

    Raises:
        InputError: no style has so few training images.
    """
    train, random = packed.rows("train"), np.random.default_rng(options.seed)
    labels, counts = packed.catalog.labels[train], packed.catalog.counts("train")
    rows, targets = [], []
    for label, count in enumerate(counts.tolist()):
        if options.max_train_images is not None and count > options.max_train_images:
            continue
        inputs = train[(labels == label) == (options.kind == "paintings")]
        learned = (labels == label).any()  # nothing is made of a style without training images
        number = options.per_style if options.per_style is not None and learned else count
        passes = max(1, -(-number // max(1, len(inputs))))
        # No input twice until every one was taken.
        chosen = np.concatenate([random.permutation(inputs) for _ in range(passes)])[:number]
        rows.append(chosen)
        targets.append(np.full(len(chosen), label))
    if not rows:
        raise InputError(
            f"--max-train-images {options.max_train_images}: no style has so few.", field="--max-train-images"
        )
    return np.concatenate(rows), np.concatenate(targets)


def _link_held_out(catalog: Catalog, styles: Sequence[str], folder: Path) -> None:
    """Make links to the images of valid and test of some styles, in `folder`/{valid,test}/<Style>.

    Each file is linked by itself, because the splits of the data need not be folders of these names: they may be called
    otherwise, or be cut from a folder without splits.
    """
    root, names = catalog.root.resolve(), UniqueNames()
    for split in ("valid", "test"):
        for row in catalog.rows(split):
            style, file = catalog.styles[catalog.labels[row]], catalog.files[row]
            if style in styles:
                link = folder / names.add(PurePosixPath(split, style, PurePosixPath(file).name))
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(root / file)


def _save(image: Tensor, path: Path) -> None:
    to_pil(image).save(path, quality=JPEG_QUALITY)
