"""An auxiliary task for training: classifying the artist, so that the network learns features of the painter's hand.

Style labels are coarse and disputed; the artist of a painting is neither, and most artists keep to one or two styles.
The task shares the network's features and is discarded after training. It needs no data beyond file names, and is
skipped where these give no artists.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_classify.baselines import InClass, ThreeBlock
from wikiart_classify.network import StyleNet
from wikiart_data.images.artists import known_artist
from wikiart_data.images.catalog import Catalog

MIN_IMAGES = 5
"""Training images that an artist needs to become a class of the task."""


@dataclass(frozen=True)
class TaskLabels:
    """Style and artist of each image as one label, so that mixing images mixes the targets of both tasks alike.

    A label stands for a pair of a style and an artist that occurs in the data.
    """

    pairs: np.ndarray
    """(N,) int64: the pair of every image of the catalog."""
    to_styles: Tensor
    """(pairs, styles) float32, one-hot rows."""
    to_artists: Tensor
    """(pairs, artists) float32, one-hot rows; all 0 where the artist is unknown or has too few images."""

    def to(self, device: torch.device) -> "TaskLabels":
        """The same with its tensors on a device."""
        return TaskLabels(self.pairs, self.to_styles.to(device), self.to_artists.to(device))


def task_labels(catalog: Catalog, with_artists: bool) -> TaskLabels:
    """The labels of both tasks; without artists, or with fewer than two of them, the pairs are the styles.

    Args:
        catalog: the data; artists are counted in its train split.
        with_artists: whether the auxiliary task is wanted.
    """
    rows = catalog.rows("train")
    counts = Counter(catalog.artists[row] for row in rows.tolist() if with_artists)
    names = sorted(name for name, count in counts.items() if count >= MIN_IMAGES and known_artist(name))
    if len(names) < 2:
        names = []
    index = {name: artist for artist, name in enumerate(names)}
    artists = np.array([index.get(name, -1) for name in catalog.artists] if names else [-1] * len(catalog))
    pairs, labels = np.unique(np.stack([catalog.labels, artists]), axis=1, return_inverse=True)
    number = pairs.shape[1]
    to_styles = torch.zeros(number, len(catalog.styles))
    to_styles[torch.arange(number), torch.from_numpy(pairs[0])] = 1.0
    to_artists = torch.zeros(number, len(names))
    known = np.flatnonzero(pairs[1] >= 0)
    to_artists[torch.from_numpy(known), torch.from_numpy(pairs[1][known])] = 1.0
    return TaskLabels(labels.reshape(-1).astype(np.int64), to_styles, to_artists)


class MultiTaskModel(nn.Module):
    """A network with a second last layer for the artists, used during training only.

    Args:
        network: the classifier to train.
        artists: number of artists; 0 omits the second layer.
    """

    def __init__(self, network: StyleNet | InClass | ThreeBlock, artists: int):
        super().__init__()
        self.network = network
        self.artist_head = nn.Linear(network.head.in_features, artists) if artists else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B, 3, H, W) float in [0, 1] → style logits (B, styles), artist logits (B, artists) or None."""
        if self.artist_head is None:
            return self.network(images), None
        features = self.network.features(images)
        return self.network.head(features), self.artist_head(features)
