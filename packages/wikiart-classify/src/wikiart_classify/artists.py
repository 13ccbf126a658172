"""A second task for training: naming the artist, so that the network learns what makes a hand recognisable.

A style's label is coarse and disputed; who painted a picture is neither, and most artists keep to one or two styles.
The task shares the network's features and is thrown away after training. It needs no data beyond file names, and where
they tell nothing it is left out.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_data.images.artists import known_artist
from wikiart_data.images.catalog import Catalog

LEAST = 5
"""Training pictures from which on an artist is one to be named."""


@dataclass(frozen=True)
class Tasks:
    """Styles and artists as one label a picture, so that mixing pictures blends both alike.

    A label stands for a pair of a style and an artist that occurs in the data.
    """

    labels: np.ndarray
    """(N,) int64 for every picture of the catalog: its pair."""
    to_styles: Tensor
    """(pairs, styles) float32: one-hot rows."""
    to_artists: Tensor
    """(pairs, artists) float32: one-hot rows; all 0 where the artist is unknown or has too few pictures."""

    def to(self, device: torch.device) -> "Tasks":
        """The same with its tensors on a device."""
        return Tasks(self.labels, self.to_styles.to(device), self.to_artists.to(device))


def two_tasks(catalog: Catalog, with_artists: bool) -> Tasks:
    """The labels of both tasks; without artists, or where fewer than two are known, the pairs are the styles.

    Args:
        catalog: the data; artists are counted in its train split.
        with_artists: whether there is a second task.
    """
    rows = catalog.rows("train")
    counts = Counter(catalog.artists[row] for row in rows.tolist() if with_artists)
    names = sorted(name for name, count in counts.items() if count >= LEAST and known_artist(name))
    if len(names) < 2:
        names = []
    place = {name: number for number, name in enumerate(names)}
    artists = np.array([place.get(name, -1) for name in catalog.artists] if names else [-1] * len(catalog))
    pairs, labels = np.unique(np.stack([catalog.labels, artists]), axis=1, return_inverse=True)
    to_styles = torch.zeros(pairs.shape[1], len(catalog.styles))
    to_styles[torch.arange(pairs.shape[1]), torch.from_numpy(pairs[0])] = 1.0
    to_artists = torch.zeros(pairs.shape[1], len(names))
    known = pairs[1] >= 0
    to_artists[torch.from_numpy(np.flatnonzero(known)), torch.from_numpy(pairs[1][known])] = 1.0
    return Tasks(labels.reshape(-1).astype(np.int64), to_styles, to_artists)


class BothTasks(nn.Module):
    """A network and a second last layer on its features, for the time of training.

    Args:
        network: has `features` (B, 3, H, W) → (B, F) and `head`; with no artists, any network.
        artists: how many there are to name; 0 leaves the second task out.
    """

    def __init__(self, network: nn.Module, artists: int):
        super().__init__()
        self.network = network
        self.artists = nn.Linear(network.head.in_features, artists) if artists else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B, 3, H, W) float in 0..1 → style logits (B, styles), artist logits (B, artists) or None."""
        if self.artists is None:
            return self.network(images), None
        features = self.network.features(images)
        return self.network.head(features), self.artists(features)
