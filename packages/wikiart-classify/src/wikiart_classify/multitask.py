"""An auxiliary task for training: classifying the artist, so that the network learns features of the painter's hand.

Style labels are coarse and disputed; the artist of a painting is neither, and most artists keep to one or two styles.
The task shares the network's features and is discarded after training. It needs no data beyond file names, and is
skipped where these give no artists.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

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


class Outputs(NamedTuple):
    """What `MultiTaskModel` computes of B images."""

    styles: Tensor
    """(B, styles) logits."""
    artists: Tensor | None
    """(B, artists) logits; None without that task."""
    projections: tuple[Tensor, Tensor] | None
    """(B, D) of the predictor and of the projector; None without two views."""


class MultiTaskModel(nn.Module):
    """A network with a second last layer for the artists, used during training only.

    Args:
        network: the classifier to train.
        artists: number of artists; 0 omits the second layer.
        two_views: whether features are projected, so that two views of an image can be compared (SimSiam, Chen & He
            2021).
    """

    def __init__(self, network: StyleNet | InClass | ThreeBlock, artists: int, two_views: bool = False):
        super().__init__()
        self.network = network
        channels = network.head.in_features
        self.artist_head = nn.Linear(channels, artists) if artists else None
        self.projector = _two_layers(channels, channels, channels) if two_views else None
        self.predictor = _two_layers(channels, channels // 4, channels) if two_views else None

    def forward(self, images: Tensor) -> Outputs:
        """Images (B, 3, H, W) float in [0, 1] → logits of both tasks, and projected features."""
        if self.artist_head is None and self.projector is None:
            return Outputs(self.network(images), None, None)
        features = self.network.features(images)
        artists = None if self.artist_head is None else self.artist_head(features)
        projections = None
        if self.projector is not None and self.predictor is not None:
            projected = self.projector(features)
            projections = self.predictor(projected), projected
        return Outputs(self.network.head(features), artists, projections)


def _two_layers(channels_in: int, hidden: int, channels_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(channels_in, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, channels_out)
    )
