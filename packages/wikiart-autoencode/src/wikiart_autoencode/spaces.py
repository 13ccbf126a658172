"""The same pictures as other codes: what an autoencoder's codes are measured against, and a ceiling."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wikiart_autoencode.baselines import colour_histogram, fit_pca
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.encode import encoded
from wikiart_autoencode.network import Autoencoder
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages
from wikiart_data.judge import Judge

COMPONENTS = 128
"""Of pixel-PCA."""
SIDE = 64
"""At which pixels are compared: finer detail is in none of the first components."""


def baseline_spaces(packed: PackedImages, code: int, device: torch.device, seed: int) -> Iterator[tuple[str, Codes]]:
    """Yield (name, codes) of pixel-PCA, colour histograms and an untrained encoder.

    Args:
        packed: the pictures.
        code: numbers of the untrained encoder's vector code.
        device: where it runs.
        seed: of PCA's pictures and of the encoder's weights.
    """
    rows = _rows(packed)
    pictures = DeviceImages(packed)
    pca = fit_pca(packed, COMPONENTS, SIDE, seed)
    small = [pca.encode(images) for images in pictures.in_order(rows, 256, SIDE)]
    yield f"pixel-PCA ({COMPONENTS})", _codes(packed, torch.cat(small).numpy())
    colours = [colour_histogram(images) for images in pictures.in_order(rows, 256, SIDE)]
    yield "colour histogram (64 bins)", _codes(packed, torch.cat(colours).numpy())
    torch.manual_seed(seed)
    yield "untrained encoder", encoded(untrained(packed, code).to(device), packed, device, bf16=False)


@torch.no_grad()
def untrained(packed: PackedImages, code: int) -> nn.Module:
    """An encoder with random weights that has seen 256 training pictures, for the statistics of its last layer."""
    encoder = Autoencoder(code=code, size=packed.size).encoder.train()
    encoder(
        next(
            DeviceImages(packed).in_order(
                packed.rows("train")[:: max(1, len(packed.rows("train")) // 256)], 256, packed.size
            )
        )
    )
    return encoder.eval()


def judge_space(folder: Path, packed: PackedImages, device: torch.device) -> Codes:
    """Features of a judge, what its last layer sees, as codes.

    Raises:
        InputError: there is no judge in that folder, or it knows other styles.
    """
    judge = Judge.load(folder, device)
    if judge.styles != packed.catalog.styles:
        raise InputError(f"The judge in {folder} knows other styles than {packed.catalog.root} has.")
    batches = DeviceImages(packed, device).in_order(_rows(packed), 128, packed.size)
    return _codes(packed, judge.predict_batches(batches)[1].numpy())


def _rows(packed: PackedImages) -> np.ndarray:
    return np.sort(np.concatenate([packed.rows(split) for split in ("train", "valid", "test")]))


def _codes(packed: PackedImages, codes: np.ndarray) -> Codes:
    rows, catalog = _rows(packed), packed.catalog
    files = np.array([catalog.files[row] for row in rows])
    return Codes(codes, catalog.labels[rows], files, np.array(catalog.styles), catalog.splits[rows])
