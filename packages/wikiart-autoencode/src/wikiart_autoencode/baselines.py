"""What codes are measured against: pixels seen by PCA, colours counted, an encoder that was never trained."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages

FITTED = 6_500
"""Most training pictures that PCA is fitted on, drawn by seed: more change little and cost memory."""
LEVELS = 4
"""Values per colour of the histogram: 4 × 4 × 4 = 64 bins."""


@dataclass(frozen=True)
class PixelPCA:
    """Principal components of pictures as rows of pixels."""

    mean: Tensor
    """(P,) float32."""
    directions: Tensor
    """(K, P) float32, orthonormal rows, the strongest first."""
    deviations: Tensor
    """(K,) float32: standard deviation along each."""

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) → (B, K)."""
        return (images.flatten(1) - self.mean) @ self.directions.T

    def decode(self, code: Tensor, size: int) -> Tensor:
        """(B, k) with k ≤ K, the strongest components → images (B, 3, size, size)."""
        return (code @ self.directions[: code.shape[1]] + self.mean).view(-1, 3, size, size)


def fit_pca(packed: PackedImages, components: int, size: int, seed: int = 0) -> PixelPCA:
    """PCA of the training pictures.

    Args:
        packed: the pictures.
        components: how many; at most the number of pictures.
        size: side at which they are seen, in pixels.
        seed: of the pictures it is fitted on, and of the randomised solver (Halko et al. 2011).
    """
    from sklearn.decomposition import PCA

    rows = packed.rows("train")
    if len(rows) > FITTED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, FITTED, replace=False))
    pixels = torch.cat([images.flatten(1) for images in DeviceImages(packed).in_order(rows, 256, size)]).numpy()
    found = PCA(min(components, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    parts = (found.mean_, found.components_, np.sqrt(found.explained_variance_))
    return PixelPCA(*(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in parts))


def colour_histogram(images: Tensor) -> Tensor:
    """Shares of a picture's pixels in each of 64 colours: (B, 3, H, W) float in 0..1 → (B, 64) float32."""
    levels = (images * LEVELS).long().clamp(max=LEVELS - 1)
    bins = (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]
    counts = torch.zeros(len(images), LEVELS**3).scatter_add_(
        1, bins.flatten(1), torch.ones_like(bins.flatten(1)).float()
    )
    return counts / bins[0].numel()
