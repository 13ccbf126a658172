"""The options of wikiart-cluster's commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, MaybeText
from wikiart_data.errors import InputError

Method = Literal["kmeans", "minibatch", "agglomerative", "gmm", "birch", "spectral", "dbscan", "optics", "hdbscan"]


@dataclass(frozen=True)
class ClusterConfig:
    """Cluster the codes of paintings, say in numbers whether clusters are styles, and draw the map.

    With nothing trained yet, an autoencoder is trained first.

    Example: wikiart-cluster --method hdbscan --data paintings
    """

    codes: MaybeFile = None
    """codes.npz of wikiart-autoencode encode (default: of the newest run in RUNS/autoencode, made if need be)."""
    method: Method = "kmeans"
    """kmeans, minibatch, gmm, birch, agglomerative and spectral make --clusters clusters; dbscan, optics and hdbscan
    find how many there are, and leave noise over."""
    clusters: int = 27
    """How many, where the method wants to be told."""
    reduce: Literal["tsne", "umap", "pca", "svd"] = "tsne"
    """How the map is made. Clusters are found and measured in code space, never on the map. umap is an extra."""
    split: Literal["train", "valid", "test", "all"] = "train"
    """Whose pictures are clustered and drawn."""
    data: MaybeData = None
    """Folder of paintings, to train on and for the map's thumbnails (default: the one the codes were made of)."""
    runs: Path = Path("runs")
    """Where the run's folder is made: RUNS/cluster/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    seed: int = 0
    """Of the method and the map."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; for training and encoding."""
    cache_dir: MaybeFolder = None
    """Where packed pictures and maps are kept (default: $WIKIART_CACHE, else the user's cache)."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.clusters < 2:
            raise InputError(f"--clusters {self.clusters}: at least 2 clusters are needed.")


@dataclass(frozen=True)
class CompareConfig:
    """One table: how much of style codes hold, beside pixels, colours, an untrained encoder, and shuffled labels.

    Example: wikiart-cluster compare runs/autoencode/plain/codes.npz runs/autoencode/texture/codes.npz --judge judge
    """

    codes: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Files of codes (default: of the newest run in RUNS/autoencode)."""
    methods: tuple[Method, ...] = ("kmeans",)
    """Clustering methods, each on every kind of code."""
    judge: MaybeFolder = None
    """A judge of wikiart-classify export, as the ceiling: it was trained with the labels."""
    clusters: int = 27
    """How many, where the method wants to be told."""
    data: MaybeData = None
    """Folder of paintings (default: the one the first codes were made of)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for, and RUNS/compare-codes is written."""
    seed: int = 0
    """Of the methods, of permuted labels, and of the untrained encoder."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.clusters < 2:
            raise InputError(f"--clusters {self.clusters}: at least 2 clusters are needed.")
