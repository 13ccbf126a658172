"""Nine clustering methods behind one function.

**Scaling.** Codes are centred and divided by one number, their root mean square. Every method here except the mixture
depends only on which distance is larger, so the scale changes no result; it makes thresholds mean the same for every
encoder. Dimensions are not scaled separately, nor are codes whitened: that would weigh a direction in which paintings
hardly differ as much as the largest (KMeans on pixel-PCA(128) of realart: AMI 0.054 with one scale, 0.038 with one
scale per dimension).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

import numpy as np

from wikiart_autoencode.clustering.config import Method
from wikiart_autoencode.clustering.density import Parameters, dbscan, hdbscan, optics
from wikiart_autoencode.clustering.dimensionality import reduce_dimensions
from wikiart_autoencode.clustering.scores import ClusteringScores, clustering_scores
from wikiart_autoencode.codes import Codes
from wikiart_data.errors import InputError

METHODS: tuple[Method, ...] = get_args(Method)
DENSITY_METHODS: tuple[Method, ...] = ("dbscan", "optics", "hdbscan")
"""These determine the number of clusters themselves, and may label a code as noise."""

SAMPLE = 5_000
"""Methods whose time or memory grows quadratically are fitted on at most this many codes."""
DENSITY_DIMENSIONS = 10
"""Density means little in many dimensions: nearest and farthest neighbours become alike (Beyer et al. 1999)."""
HDBSCAN_DIMENSIONS = 40
"""HDBSCAN compares densities only along its tree, so it bears more dimensions, and few lose the clusters that differ in
later components: on 15,000 codes of benchmarks/clusters.py AMI is 0.72 in 10 dimensions, 0.84 in 20 and 0.91 in 40."""
HDBSCAN_SAMPLE = 20_000
"""HDBSCAN is fitted on at most this many codes: in 40 dimensions its time grows quadratically, too."""
MIXTURE_DIMENSIONS = 32
"""Principal components for gmm, which otherwise has few codes per variance, and birch, whose tree is slow in many."""
MUCH_NOISE = 0.4
"""A larger fraction of noise is worth a note."""


@dataclass(frozen=True, eq=False, repr=False)
class Clustering:
    """A cluster for each code: `labels` (n,) int64, 0 for the largest cluster, 1 for the next; −1 is noise.

    `scores` compares the clusters with the styles of the codes, and with permuted ones.
    """

    labels: np.ndarray
    """(n,) int64: 0 is the largest cluster, 1 the next; −1 is noise."""
    method: Method
    parameters: Parameters
    """What the method ran with, chosen or given."""
    note: str = ""
    """What a reader should know, in sentences; empty if there is nothing."""
    codes: np.ndarray | None = field(default=None, repr=False)
    """(n, D) float, what was clustered, for `scores`."""
    styles: np.ndarray | None = field(default=None, repr=False)
    """(n,) int, the style of each code, for `scores`."""
    seed: int = 0

    @property
    def n_clusters(self) -> int:
        """Number of clusters found, without noise."""
        return int(self.labels.max()) + 1

    @property
    def noise_fraction(self) -> float:
        """Fraction of codes in no cluster, in [0, 1]."""
        return float((self.labels < 0).mean())

    @cached_property
    def scores(self) -> ClusteringScores:
        """How far clusters agree with styles, and the same for permuted labels.

        Raises:
            ValueError: the codes were clustered as an array, without styles.
        """
        if self.codes is None or self.styles is None:
            raise ValueError("scores need styles: pass a Codes object to `cluster`, not an array")
        return clustering_scores(self.codes, self.labels, self.styles, seed=self.seed)

    def __repr__(self) -> str:
        return (
            f"Clustering({self.method}, {len(self.labels):,} codes, {self.n_clusters} clusters, "
            f"{self.noise_fraction:.0%} noise)"
        )


def cluster(
    codes: Codes | np.ndarray, method: Method = "hdbscan", n_clusters: int | None = None, seed: int = 0
) -> Clustering:
    """Cluster codes; the same codes and seed give the same clusters.

    Methods that need all pairs (agglomerative, spectral, optics) are fitted on at most SAMPLE codes, hdbscan on at most
    HDBSCAN_SAMPLE, and the others are assigned. Density methods (DENSITY_METHODS) choose their parameters from the
    codes (module `density`) and run on the first principal components: DENSITY_DIMENSIONS of them, hdbscan on
    HDBSCAN_DIMENSIONS, or on the codes themselves if they have no more dimensions than that.

    >>> clusters = cluster(Codes.load("codes.npz").select("train"), "kmeans")
    >>> clusters.scores.ami

    Args:
        codes: `Codes`, or (n, D) float, finite.
        method: one of METHODS.
        n_clusters: number of clusters (default: the number of styles of `Codes`); density methods determine it
            themselves.
        seed: of everything random.

    Raises:
        InputError: there are fewer distinct codes than clusters, or for spectral not more codes than clusters.
        ValueError: the codes have another shape or are not finite, the number of clusters of an array is not given, or
            there is no such method.
    """
    if isinstance(codes, Codes):
        n_clusters = number_of_clusters(codes, n_clusters)
    elif n_clusters is None and method in DENSITY_METHODS:
        n_clusters = 2  # not used
    elif n_clusters is None:
        raise ValueError(f"{method} needs n_clusters for an array, which has no styles")
    array = codes.codes if isinstance(codes, Codes) else np.asarray(codes)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"expected finite codes of shape (n, D), got {array.shape}")
    x = _standardize(array)
    needed = 2 if method in DENSITY_METHODS else max(2, n_clusters)
    distinct = len({row.tobytes() for row in x})
    if distinct < needed:
        raise InputError(
            f"{len(x):,} codes, {distinct:,} of them distinct, cannot be divided into {needed} clusters: use fewer "
            "clusters or more pictures, and check that the encoder does not give every picture the same code.",
            field="--clusters",
        )
    if method == "spectral" and len(x) <= n_clusters:  # as many eigenvectors as codes cannot be computed
        raise InputError(
            f"spectral needs more codes than clusters: there are {len(x):,} codes for {n_clusters} clusters.",
            field="--clusters",
        )
    note = ""
    match method:
        case "kmeans":
            labels, parameters = _kmeans(x, n_clusters, seed)
        case "minibatch":
            labels, parameters = _minibatch(x, n_clusters, seed)
        case "gmm":
            labels, parameters = _gmm(_components(x, MIXTURE_DIMENSIONS, seed), n_clusters, seed)
        case "birch":
            labels, parameters = _birch(_components(x, MIXTURE_DIMENSIONS, seed), n_clusters, seed)
        case "agglomerative":
            rows = _sample(len(x), n_clusters, seed)
            labels, parameters = _agglomerative(x[rows], n_clusters)
            # Ward's clusters are balls around their means, so a code belongs to the nearest mean.
            labels, note = _assign_to_means(x, rows, labels)
        case "spectral":
            rows = _sample(len(x), n_clusters, seed)
            labels, parameters = _spectral(x[rows], n_clusters, seed)
            labels, note = _assign_to_neighbours(x, rows, labels)
        case "dbscan":
            labels, parameters = dbscan(_components(x, DENSITY_DIMENSIONS, seed))
        case "optics":
            x = _components(x, DENSITY_DIMENSIONS, seed)
            rows = _sample(len(x), 2, seed)
            labels, parameters = optics(x[rows], seed)
            labels, note = _assign_to_neighbours(x, rows, labels)
        case "hdbscan":
            x = _components(x, HDBSCAN_DIMENSIONS, seed)
            rows = _sample(len(x), 2, seed, HDBSCAN_SAMPLE)
            labels, parameters = hdbscan(x[rows], MUCH_NOISE)
            labels, note = _assign_to_neighbours(x, rows, labels)
        case _:
            raise ValueError(f"unknown method {method!r}; the methods are {', '.join(METHODS)}")
    labels = _largest_first(labels)
    if method in DENSITY_METHODS:
        note = " ".join(part for part in (note, _caveat(labels)) if part)
    styles = codes.labels if isinstance(codes, Codes) else None
    return Clustering(labels, method, parameters, note, array, styles, seed)


def number_of_clusters(codes: Codes, n_clusters: int | None = None) -> int:
    """`n_clusters`, or if it is None the number of styles, which is at least 2."""
    return max(2, len(codes.styles)) if n_clusters is None else n_clusters


def _standardize(codes: np.ndarray) -> np.ndarray:
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    return (centred / (np.sqrt((centred**2).mean()) or 1.0)).astype(np.float32)


def _components(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    if codes.shape[1] <= dimensions:
        return codes
    return reduce_dimensions(codes, "pca", min(dimensions, len(codes)), seed)


def _kmeans(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, Parameters]:
    from sklearn.cluster import KMeans

    kmeans = KMeans(clusters, n_init=4, random_state=seed)  # pyright: ignore[reportArgumentType]  (default: "auto")
    return kmeans.fit_predict(codes), {"clusters": clusters, "starts": 4}


def _minibatch(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, Parameters]:
    from sklearn.cluster import MiniBatchKMeans

    batch = min(2_048, len(codes))
    kmeans = MiniBatchKMeans(
        clusters,
        batch_size=batch,
        n_init=4,  # pyright: ignore[reportArgumentType]  (scikit-learn's default is "auto")
        random_state=seed,
    )
    return kmeans.fit_predict(codes), {"clusters": clusters, "starts": 4, "batch": batch}


def _gmm(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, Parameters]:
    """Gaussians with diagonal covariances in principal components: full ones would have more parameters than codes."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(clusters, covariance_type="diag", reg_covar=1e-3, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        # A likelihood that still improves after 200 steps moves a handful of codes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = mixture.fit_predict(codes)
    return labels, {"clusters": clusters, "covariance": "diag", "dimensions": codes.shape[1]}


def _birch(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, Parameters]:
    """Birch with the largest threshold that gives ten leaves per cluster, searched on a sample from above.

    Too large a threshold gives fewer leaves than clusters, too small a one a leaf for each code.
    """
    from sklearn.cluster import Birch

    sample = codes[_sample(len(codes), clusters, seed, most=2_000)]
    enough = min(10 * clusters, max(clusters, len(sample) // 2))
    threshold = float(np.sqrt((codes.astype(np.float64) ** 2).sum(axis=1).mean()))  # the radius of all codes
    while threshold > 1e-4:
        tree = Birch(threshold=threshold, n_clusters=None)  # pyright: ignore[reportArgumentType]  (None: no last step)
        if len(tree.fit(sample).subcluster_centers_) >= enough:
            break
        threshold *= 0.8
    labels = Birch(threshold=threshold, n_clusters=clusters).fit_predict(codes)
    return labels, {"clusters": clusters, "threshold": threshold, "dimensions": codes.shape[1]}


def _agglomerative(codes: np.ndarray, clusters: int) -> tuple[np.ndarray, Parameters]:
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(clusters, linkage="ward").fit_predict(codes), {
        "clusters": clusters,
        "linkage": "ward",
    }


def _spectral(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, Parameters]:
    import warnings

    from sklearn.cluster import SpectralClustering

    neighbours = min(10, len(codes) - 1)
    spectral = SpectralClustering(clusters, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed)
    with warnings.catch_warnings():
        # A graph in several components is what well separated clusters look like; the eigenvectors identify them.
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        labels = spectral.fit_predict(codes)
    return labels, {"clusters": clusters, "neighbours": neighbours}


def _sample(number: int, clusters: int, seed: int, most: int | None = None) -> np.ndarray:
    """Rows to fit on: all, or a random sample of `most` (default SAMPLE), but at least two per cluster."""
    most = max(most or SAMPLE, 2 * clusters)
    if number <= most:
        return np.arange(number)
    return np.sort(np.random.default_rng(seed).choice(number, most, replace=False))


def _assign_to_means(codes: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    if len(rows) == len(codes):
        return labels, ""
    from sklearn.metrics import pairwise_distances_argmin

    means = np.stack([codes[rows[labels == label]].mean(axis=0) for label in range(labels.max() + 1)])
    assigned = pairwise_distances_argmin(codes, means)
    assigned[rows] = labels
    return assigned, f"Fitted on {len(rows):,} of {len(codes):,} codes; the others joined the nearest cluster mean."


def _assign_to_neighbours(codes: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Each code that was not fitted takes the label of the nearest one that was, noise included."""
    if len(rows) == len(codes):
        return labels, ""
    from sklearn.metrics import pairwise_distances_argmin

    assigned = labels[pairwise_distances_argmin(codes, codes[rows])]
    assigned[rows] = labels
    return assigned, f"Fitted on {len(rows):,} of {len(codes):,} codes; the others took the nearest one's label."


def _largest_first(labels: np.ndarray) -> np.ndarray:
    """(n,) int64: clusters numbered by decreasing size; noise stays −1."""
    sizes = np.bincount(labels[labels >= 0])
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    ranked = np.full(len(labels), -1, dtype=np.int64)
    ranked[labels >= 0] = rank[labels[labels >= 0]]
    return ranked


def _caveat(labels: np.ndarray) -> str:
    """What to know about a density clustering that found little."""
    noise = float((labels < 0).mean())
    largest = float((labels == 0).mean())
    advice = "Try --method kmeans, which assigns every picture, codes that separate styles better, or --reduce umap."
    if not (labels >= 0).any():
        return f"No cluster was found, every picture is noise: the codes have no dense regions. {advice}"
    if noise > MUCH_NOISE:
        return f"{noise:.0%} of the pictures are noise: the codes have few dense regions. {advice}"
    if largest > 0.5:
        return f"One cluster holds {largest:.0%} of the pictures: the codes form a single dense region. {advice}"
    return ""
