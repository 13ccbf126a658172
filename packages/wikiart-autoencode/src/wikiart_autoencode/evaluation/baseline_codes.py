"""Codes to compare with: pixel PCA, colours, texture, an untrained encoder, and a judge as upper bound."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_autoencode.autoencoder import codes_of_rows, encode_packed, readable_rows
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.network import AutoencoderNet
from wikiart_autoencode.objectives import texture_statistics
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages
from wikiart_data.judge import Judge

COMPONENTS = 128
"""Principal components of pixel PCA as a code."""
SIDE = 64
"""Side of the images for pixel PCA and colour histograms, in pixels: the first components hold no finer detail."""
PCA_SAMPLE = 6_500
"""Most training images that PCA is fitted on, sampled at random: more change little and need memory."""
PIXELS, UNTRAINED = f"pixel-PCA ({COMPONENTS})", "untrained encoder"
"""Names of two kinds of baseline codes."""
LEVELS = 4
"""Levels per channel of the colour histogram: 4 × 4 × 4 = 64 bins."""


@dataclass(frozen=True)
class PixelPCA:
    """Principal components of images as vectors of P pixels."""

    mean: Tensor
    """(P,) float32."""
    components: Tensor
    """(K, P) float32, orthonormal rows, in decreasing order of variance."""
    deviations: Tensor
    """(K,) float32, the standard deviation along each component."""

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) → (B, K)."""
        return (images.flatten(1) - self.mean) @ self.components.T

    def decode(self, code: Tensor, size: int) -> Tensor:
        """The first k ≤ K components, (B, k) → images (B, 3, size, size)."""
        return (code @ self.components[: code.shape[1]] + self.mean).view(-1, 3, size, size)


def fit_pca(packed: PackedImages, components: int, size: int, seed: int = 0) -> PixelPCA:
    """Fit PCA on the training images.

    Args:
        packed: the pictures.
        components: how many; limited by the number of images.
        size: side of the images, in pixels.
        seed: of the sample of images, and of the randomised solver (Halko et al. 2011).
    """
    from sklearn.decomposition import PCA

    rows = packed.rows("train")
    if len(rows) > PCA_SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, PCA_SAMPLE, replace=False))
    pixels = torch.cat([images.flatten(1) for images in DeviceImages(packed).in_order(rows, 256, size)]).numpy()
    pca = PCA(min(components, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    arrays = (pca.mean_, pca.components_, np.sqrt(pca.explained_variance_))
    return PixelPCA(*(torch.from_numpy(np.asarray(array, dtype=np.float32)) for array in arrays))


def colour_histogram(images: Tensor) -> Tensor:
    """Fraction of an image's pixels in each of 64 colour bins: (B, 3, H, W) float in [0, 1] → (B, 64) float32."""
    levels = (images * LEVELS).long().clamp(max=LEVELS - 1)
    bins = (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]
    counts = torch.zeros(len(images), LEVELS**3).scatter_add_(
        1, bins.flatten(1), torch.ones_like(bins.flatten(1)).float()
    )
    return counts / bins[0].numel()


def baseline_codes(
    packed: PackedImages, code_size: int, device: torch.device, seed: int
) -> Iterator[tuple[str, Codes]]:
    """Yield (name, codes) of pixel PCA, colour histograms and their roots, texture statistics, an untrained encoder.

    Args:
        packed: the pictures.
        code_size: of the untrained encoder's vector code.
        device: of the untrained encoder.
        seed: of PCA's sample and of the encoder's weights.
    """
    rows = readable_rows(packed)
    images = DeviceImages(packed)
    pca = fit_pca(packed, COMPONENTS, SIDE, seed)
    components = [pca.encode(batch) for batch in images.in_order(rows, 256, SIDE)]
    yield PIXELS, codes_of_rows(packed, rows, torch.cat(components).numpy())
    histograms = torch.cat([colour_histogram(batch) for batch in images.in_order(rows, 256, SIDE)])
    yield "colour histogram (64 bins)", codes_of_rows(packed, rows, histograms.numpy())
    # Euclidean distance of square roots is Hellinger distance: large bins no longer outweigh all others.
    yield "colour histogram, square roots", codes_of_rows(packed, rows, histograms.sqrt().numpy())
    textures = [texture_statistics(batch).cpu() for batch in images.in_order(rows, 256, SIDE)]
    yield "texture statistics", codes_of_rows(packed, rows, standardized(torch.cat(textures), rows, packed))
    torch.manual_seed(seed)
    yield UNTRAINED, encode_packed(untrained_encoder(packed, code_size).to(device), packed, device, False)


def standardized(statistics: Tensor, rows: np.ndarray, packed: PackedImages) -> np.ndarray:
    """(n, D) float32: each statistic with mean 0 and variance 1 over train, because their units differ."""
    train = statistics[torch.from_numpy(np.isin(rows, packed.rows("train")))]
    return ((statistics - train.mean(dim=0)) / train.std(dim=0).clamp(min=1e-8)).numpy()


@torch.no_grad()
def untrained_encoder(packed: PackedImages, code_size: int) -> nn.Module:
    """An encoder with random weights; 256 training images have set the statistics of its last normalisation."""
    encoder = AutoencoderNet(code_size, size=packed.size).encoder.train()
    rows = packed.rows("train")
    encoder(next(DeviceImages(packed).in_order(rows[:: max(1, len(rows) // 256)], 256, packed.size)))
    return encoder.eval()


def judge_codes(folder: Path, packed: PackedImages, device: torch.device) -> Codes:
    """Features of a judge's penultimate layer as codes.

    Raises:
        InputError: there is no judge in that folder, or its styles are not the data's.
    """
    judge = Judge.load(folder, device)
    if judge.styles != packed.catalog.styles:
        raise InputError(f"The judge in {folder} has other styles than {packed.catalog.root}.", field=folder)
    rows = readable_rows(packed)
    batches = DeviceImages(packed, device).in_order(rows, 128, packed.size)
    return codes_of_rows(packed, rows, judge.predict_batches(batches)[1].numpy())
