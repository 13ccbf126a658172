"""The options of wikiart-cluster's commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wikiart_data.cli.option_types import FilesArgument, MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeText
from wikiart_data.errors import InputError

Method = Literal["kmeans", "minibatch", "agglomerative", "gmm", "birch", "spectral", "dbscan", "optics", "hdbscan"]
Reduction = Literal["tsne", "umap", "pca", "svd"]
REDUCTION_NAMES: dict[Reduction, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA", "svd": "SVD"}


@dataclass(frozen=True)
class ClusterOptions:
    """Cluster the codes of paintings, measure whether clusters are styles, and draw the map.

    If there is no trained autoencoder yet, one is trained first.

    Example: wikiart-cluster --method hdbscan --data paintings
    """

    codes: MaybeFile = None
    """codes.npz of wikiart-autoencode encode (default: of the newest run in RUNS/autoencode, written if needed)."""
    method: Method = "kmeans"
    """Clustering method. kmeans, minibatch, gmm, birch, agglomerative and spectral find --clusters clusters; dbscan,
    optics and hdbscan determine the number themselves and leave some pictures as noise."""
    clusters: MaybeNumber = None
    """Number of clusters, for the methods that need it (default: the number of styles)."""
    reduce: Reduction = "tsne"
    """Dimensionality reduction of the map; umap needs the extra `umap`. Clusters are found and measured in code space,
    never on the map."""
    split: Literal["train", "valid", "test", "all"] = "train"
    """Split to cluster and draw."""
    data: MaybeData = None
    """Folder of paintings, for training and for the map's thumbnails (default: the one that the codes come from)."""
    metadata: MaybeFile = None
    """CSV file with a column file and any others, such as year or museum: the map is coloured by them and searches
    them. title, artist and year replace what file names say."""
    folder: bool = False
    """Write the map's pictures to a folder next to map.html, which loads those in view; for over 20,000 pictures."""
    runs: Path = Path("runs")
    """Where the run folder is created: RUNS/cluster/NAME."""
    name: MaybeText = None
    """Name of the run folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of that name."""
    seed: int = 0
    """Random seed for the clustering method and the map."""
    device: str = "auto"
    """Device for training and encoding: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures and maps are cached (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to tolerate."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            InputError: there are fewer than 2 clusters, or the seed is out of range.
        """
        _check_clusters(self.clusters)
        _check_seed(self.seed)


@dataclass(frozen=True)
class CompareOptions:
    """Measure how well codes agree with styles: compared with pixels, colours, an untrained encoder, permuted labels.

    Example: wikiart-cluster compare runs/autoencode/plain/codes.npz runs/autoencode/texture/codes.npz --judge judge
    """

    codes: FilesArgument = ()
    """Files of codes, or run folders (default: the newest run in RUNS/autoencode)."""
    methods: tuple[Method, ...] = ("kmeans",)
    """Clustering methods, each applied to every kind of code."""
    judge: MaybeFolder = None
    """Judge of wikiart-classify export, as an upper bound: it was trained with the labels."""
    clusters: MaybeNumber = None
    """Number of clusters, for the methods that need it (default: the number of styles)."""
    data: MaybeData = None
    """Folder of paintings (default: the one that the first codes come from)."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one; everything is written to RUNS/compare-codes."""
    seed: int = 0
    """First random seed, for the methods, the permuted labels and the untrained encoder."""
    seeds: int = 3
    """Number of seeds that clusters are found with; the tables show mean and standard deviation."""
    device: str = "auto"
    """Device for encoding: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are cached (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to tolerate."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            InputError: there are fewer than 2 clusters or no seed, or a seed is out of range.
        """
        _check_clusters(self.clusters)
        if self.seeds < 1:
            raise InputError(f"--seeds {self.seeds}: at least one seed is needed.", field="--seeds")
        _check_seed(self.seed, self.seeds)


def _check_seed(seed: int, seeds: int = 1) -> None:
    """scikit-learn takes seeds of 32 bits."""
    if not 0 <= seed <= 2**32 - seeds:
        raise InputError(f"--seed {seed} is not between 0 and {2**32 - seeds}.", field="--seed")


def _check_clusters(clusters: int | None) -> None:
    if clusters is not None and clusters < 2:
        raise InputError(f"--clusters {clusters}: at least 2 clusters are needed.", field="--clusters")
