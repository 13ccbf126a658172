"""Nine ways to sort codes into clusters, behind one function.

**One scale for all.** Codes are centred and divided by one number, their root mean square. Every method here but the
mixture asks only which distance is larger, so this changes no answer; it makes thresholds mean the same for every
encoder. Each number is not divided by its own deviation, nor are codes whitened: that would make as much of a direction
in which paintings hardly differ as of the largest (KMeans on pixel-PCA(128) of realart: AMI 0.054 with one scale, 0.038
with each its own).
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from wikiart_autoencode.density import dbscan, hdbscan, optics
from wikiart_autoencode.reduce import reduce
from wikiart_data.errors import InputError

Method = Literal["kmeans", "minibatch", "agglomerative", "gmm", "birch", "spectral", "dbscan", "optics", "hdbscan"]
METHODS: tuple[Method, ...] = get_args(Method)
DENSITY: tuple[Method, ...] = ("dbscan", "optics", "hdbscan")
"""These find their own number of clusters, and may call a code noise."""

SAMPLE = 5_000
"""Methods whose time or memory grows with the square of the codes are fitted on at most so many."""
DENSITY_DIMENSIONS = 10
"""Density means little in many dimensions: nearest and farthest neighbours become alike (Beyer et al. 1999)."""
MIXTURE_DIMENSIONS = 32
"""Principal components for gmm, which has few codes for each variance else, and birch, whose tree is slow in many."""
NOISY = 0.4
"""A larger share of noise is spoken of."""


@dataclass(frozen=True, eq=False)
class Clustering:
    """A cluster for each code."""

    labels: np.ndarray
    """(n,) int64: 0 is the largest cluster, 1 the next; −1 is noise."""
    parameters: dict[str, Any]
    """What the method ran with, chosen or given, as plain values for JSON."""
    note: str
    """What a person should know, in sentences; empty if there is nothing."""

    @property
    def clusters(self) -> int:
        """How many were found."""
        return int(self.labels.max()) + 1

    @property
    def noise(self) -> float:
        """The share of codes in no cluster, 0..1."""
        return float((self.labels < 0).mean())


def cluster(codes: np.ndarray, method: Method, clusters: int = 27, seed: int = 0) -> Clustering:
    """Sort codes into clusters; the same codes and seed give the same answer.

    Density methods (DENSITY) see the first DENSITY_DIMENSIONS principal components, or the codes themselves if they
    have no more numbers than that, and choose their parameters from the codes (module `density`).

    Args:
        codes: (n, D) float, finite.
        method: one of METHODS.
        clusters: how many to find; density methods find their own number.
        seed: of everything random.

    Raises:
        InputError: there are fewer different codes than clusters.
    """
    codes = _standardised(codes)
    wanted = 2 if method in DENSITY else max(2, clusters)
    different = len({row.tobytes() for row in codes})
    if different < wanted:
        raise InputError(
            f"{len(codes):,} codes, {different:,} of them different, cannot be sorted into {wanted} clusters: ask for "
            "fewer clusters, give more pictures, or look whether the encoder gives every picture the same code."
        )
    note = ""
    match method:
        case "kmeans":
            labels, parameters = _kmeans(codes, clusters, seed)
        case "minibatch":
            labels, parameters = _minibatch(codes, clusters, seed)
        case "gmm":
            labels, parameters = _gmm(_components(codes, MIXTURE_DIMENSIONS, seed), clusters, seed)
        case "birch":
            labels, parameters = _birch(_components(codes, MIXTURE_DIMENSIONS, seed), clusters, seed)
        case "agglomerative":
            rows = _sample(len(codes), clusters, seed)
            labels, parameters = _agglomerative(codes[rows], clusters)
            # Ward's clusters are balls about their means, so a code belongs to the nearest mean.
            labels, note = _assigned_to_means(codes, rows, labels)
        case "spectral":
            rows = _sample(len(codes), clusters, seed)
            labels, parameters = _spectral(codes[rows], clusters, seed)
            labels, note = _assigned_to_neighbours(codes, rows, labels)
        case "dbscan":
            labels, parameters = dbscan(_components(codes, DENSITY_DIMENSIONS, seed))
        case "optics":
            codes = _components(codes, DENSITY_DIMENSIONS, seed)
            rows = _sample(len(codes), 2, seed)
            labels, parameters = optics(codes[rows], seed)
            labels, note = _assigned_to_neighbours(codes, rows, labels)
        case "hdbscan":
            labels, parameters = hdbscan(_components(codes, DENSITY_DIMENSIONS, seed), NOISY)
        case _:
            raise ValueError(f"{method!r} is none of {', '.join(METHODS)}")
    labels = _largest_first(labels)
    if method in DENSITY:
        note = " ".join(part for part in (note, _honest(labels)) if part)
    return Clustering(labels, parameters, note)


def _standardised(codes: np.ndarray) -> np.ndarray:
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    return (centred / (np.sqrt((centred**2).mean()) or 1.0)).astype(np.float32)


def _components(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    return codes if codes.shape[1] <= dimensions else reduce(codes, "pca", min(dimensions, len(codes)), seed)


def _kmeans(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    from sklearn.cluster import KMeans

    return KMeans(clusters, n_init=4, random_state=seed).fit_predict(codes), {"clusters": clusters, "starts": 4}


def _minibatch(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    from sklearn.cluster import MiniBatchKMeans

    batch = min(2_048, len(codes))
    found = MiniBatchKMeans(clusters, batch_size=batch, n_init=4, random_state=seed).fit_predict(codes)
    return found, {"clusters": clusters, "starts": 4, "batch": batch}


def _gmm(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """A mixture of Gaussians along the principal components: full covariances would have more numbers than codes."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(clusters, covariance_type="diag", reg_covar=1e-3, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        # A likelihood that still creeps after 200 steps moves a handful of codes; its measures say what it is worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = mixture.fit_predict(codes)
    return found, {"clusters": clusters, "covariance": "diag", "dimensions": codes.shape[1]}


def _birch(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Birch with the widest threshold that leaves ten leaves for each cluster, found on a sample by narrowing it.

    Too wide a threshold leaves fewer leaves than clusters, too narrow a one a leaf for each code.
    """
    from sklearn.cluster import Birch

    sample = codes[_sample(len(codes), clusters, seed, most=2_000)]
    enough = min(10 * clusters, max(clusters, len(sample) // 2))
    threshold = float(np.sqrt((codes.astype(np.float64) ** 2).sum(axis=1).mean()))  # the radius of all codes
    while threshold > 1e-4:
        if len(Birch(threshold=threshold, n_clusters=None).fit(sample).subcluster_centers_) >= enough:
            break
        threshold *= 0.8
    found = Birch(threshold=threshold, n_clusters=clusters).fit_predict(codes)
    return found, {"clusters": clusters, "threshold": threshold, "dimensions": codes.shape[1]}


def _agglomerative(codes: np.ndarray, clusters: int) -> tuple[np.ndarray, dict[str, Any]]:
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(clusters, linkage="ward").fit_predict(codes), {"clusters": clusters, "link": "ward"}


def _spectral(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    import warnings

    from sklearn.cluster import SpectralClustering

    near = min(10, len(codes) - 1)
    spectral = SpectralClustering(clusters, affinity="nearest_neighbors", n_neighbors=near, random_state=seed)
    with warnings.catch_warnings():
        # A graph in several pieces is what well separated clusters look like; the eigenvectors then tell the pieces.
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        found = spectral.fit_predict(codes)
    return found, {"clusters": clusters, "neighbours": near}


def _sample(number: int, clusters: int, seed: int, most: int | None = None) -> np.ndarray:
    """Rows to fit on: all, or a seeded sample of `most` (SAMPLE; more only if it would be short of clusters)."""
    most = max(most or SAMPLE, 2 * clusters)
    if number <= most:
        return np.arange(number)
    return np.sort(np.random.default_rng(seed).choice(number, most, replace=False))


def _assigned_to_means(codes: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    if len(rows) == len(codes):
        return labels, ""
    from sklearn.metrics import pairwise_distances_argmin

    means = np.stack([codes[rows[labels == label]].mean(axis=0) for label in range(labels.max() + 1)])
    found = pairwise_distances_argmin(codes, means)
    found[rows] = labels
    return found, f"Fitted on {len(rows):,} of {len(codes):,} codes; each other code joined the nearest cluster mean."


def _assigned_to_neighbours(codes: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Each code that was not fitted takes the cluster, or the noise, of the nearest that was."""
    if len(rows) == len(codes):
        return labels, ""
    from sklearn.metrics import pairwise_distances_argmin

    found = labels[pairwise_distances_argmin(codes, codes[rows])]
    found[rows] = labels
    return found, f"Fitted on {len(rows):,} of {len(codes):,} codes; each other code follows the nearest of them."


def _largest_first(labels: np.ndarray) -> np.ndarray:
    """(n,) int64: clusters numbered by size, noise kept."""
    sizes = np.bincount(labels[labels >= 0])
    place = np.empty(len(sizes), dtype=np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    numbered = np.full(len(labels), -1, dtype=np.int64)
    numbered[labels >= 0] = place[labels[labels >= 0]]
    return numbered


def _honest(labels: np.ndarray) -> str:
    """What a density method found, said when it is little."""
    noise = float((labels < 0).mean())
    largest = float((labels == 0).mean())
    advice = "Try --method kmeans, which sorts every picture, codes that know more of style, or --reduce umap."
    if not (labels >= 0).any():
        return f"No cluster was found, every picture is noise: nowhere are these codes denser than around. {advice}"
    if noise > NOISY:
        return f"{noise:.0%} of the pictures are noise: these codes form few dense groups. {advice}"
    if largest > 0.5:
        return f"One cluster holds {largest:.0%} of the pictures: these codes are one cloud, not many. {advice}"
    return ""
