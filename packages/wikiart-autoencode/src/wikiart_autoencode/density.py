"""Density methods, and how they choose their parameters from the codes alone: no seed, no style, no hand.

Codes arrive reduced, see `clusterers`. Each function returns clusters with −1 for noise, and what it chose.
"""

import tempfile
from typing import Any

import numpy as np

from wikiart_autoencode.measures import silhouette
from wikiart_data.images.decode import available_cores

XIS = (0.01, 0.02, 0.05, 0.1)
"""Steepness of the valleys that OPTICS takes for clusters; the paper's figures show 0.05 and less."""
SIZES = (0.001, 0.002, 0.005, 0.01, 0.02)
"""Smallest clusters that HDBSCAN is tried with, as shares of all codes."""
SAMPLES = (1, 5, 15)
"""HDBSCAN's min_samples that are tried: few call little noise, many draw smoother clusters."""
PAIRS = 100_000_000
"""Neighbour pairs that DBSCAN may hold at once, 8 bytes each."""


def least_neighbours(codes: np.ndarray) -> int:
    """How many codes make a place dense: twice the dimensions (Sander et al. 1998), of few codes fewer."""
    number, dimensions = codes.shape
    return max(3, min(2 * dimensions, number // 20))


def dbscan(codes: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """DBSCAN (Ester et al. 1996) at the knee of the sorted distances to the k-th neighbour.

    The knee is where the curve lies deepest below its chord (Satopää et al. 2011): beyond it codes are suddenly far
    from all others.

    Args:
        codes: (n, d) float, d small.
    """
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    least = min(least_neighbours(codes), len(codes))
    nearest = NearestNeighbors(n_neighbors=least).fit(codes)
    distances = np.sort(nearest.kneighbors(codes)[0][:, -1])  # a code is its own first neighbour, for DBSCAN too
    eps = max(float(distances[knee(distances)]), 1e-9)
    # sklearn's DBSCAN holds all neighbours at once. In one dense cloud they can be most pairs: then eps gives way.
    sample = codes[:: max(1, len(codes) // 500)]
    while _pairs(nearest, sample, eps) > PAIRS:
        eps *= 0.9
    labels = DBSCAN(eps=eps, min_samples=least).fit_predict(codes)
    return labels, {"eps": eps, "min_samples": least, "dimensions": codes.shape[1]}


def knee(values: np.ndarray) -> int:
    """The place in (n,) rising values that lies farthest below the line from the first to the last."""
    rise = values[-1] - values[0]
    if rise <= 0:
        return len(values) - 1
    return int(np.argmax(np.linspace(0, 1, len(values)) - (values - values[0]) / rise))


def optics(codes: np.ndarray, seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """OPTICS (Ankerst et al. 1999) with the xi whose clusters have the largest silhouette, noise counting as 0.

    Args:
        codes: (n, d) float, d small, n a few thousand: its time grows with the square.
        seed: of the silhouette's sample.
    """
    from sklearn.cluster import OPTICS, cluster_optics_xi

    least = min(least_neighbours(codes), len(codes))
    with np.errstate(divide="ignore", invalid="ignore"):  # of equal codes it takes the ratio of two reachabilities 0
        found = OPTICS(min_samples=least, xi=XIS[0], n_jobs=1).fit(codes)
        tried = []
        for xi in XIS:
            labels, _ = cluster_optics_xi(
                reachability=found.reachability_,
                predecessor=found.predecessor_,
                ordering=found.ordering_,
                min_samples=least,
                xi=xi,
            )
            score = (silhouette(codes, labels, seed) or 0.0) * float((labels >= 0).mean())
            tried.append((score, xi, labels))
    _, xi, labels = max(tried, key=lambda one: one[0])
    return labels, {"xi": xi, "min_samples": least, "dimensions": codes.shape[1]}


def hdbscan(codes: np.ndarray, noise: float) -> tuple[np.ndarray, dict[str, Any]]:
    """HDBSCAN (Campello et al. 2013) with the parameters of largest relative validity within a bound on noise.

    Relative validity approximates DBCV (Moulavi et al. 2014) from the spanning tree. Where no parameters leave so
    little noise and at least two clusters, those with the least noise are taken. It is the package hdbscan and not
    scikit-learn's: that has neither the validity nor the tree by Borůvka's algorithm on a k-d tree.

    Args:
        codes: (n, d) float, d small.
        noise: the largest share of noise that is wanted.
    """
    from hdbscan import HDBSCAN
    from joblib import Memory

    codes = codes.astype(np.float64)
    tried = []
    with tempfile.TemporaryDirectory(prefix="wikiart-hdbscan-") as folder:
        memory = Memory(folder, verbose=0)  # the tree depends on min_samples alone and is most of the work
        for samples in SAMPLES:
            for size in sorted({max(5, round(share * len(codes))) for share in SIZES}):
                model = HDBSCAN(
                    min_cluster_size=size,
                    min_samples=min(samples, len(codes) - 1),
                    gen_min_span_tree=True,
                    core_dist_n_jobs=available_cores(),
                    memory=memory,
                ).fit(codes)
                with np.errstate(divide="ignore", invalid="ignore"):  # equal codes: no distance over no distance
                    validity = float(np.nan_to_num(model.relative_validity_, nan=-1.0))
                tried.append((model.labels_, validity, size, model.min_samples))
    sound = [one for one in tried if one[0].max() >= 1]
    quiet = [one for one in sound if (one[0] < 0).mean() <= noise]
    if quiet:
        labels, validity, size, samples = max(quiet, key=lambda one: one[1])
    else:
        labels, validity, size, samples = min(sound or tried, key=lambda one: (one[0] < 0).mean())
    chosen = {"min_cluster_size": size, "min_samples": samples, "relative_validity": validity}
    return labels, {**chosen, "dimensions": codes.shape[1]}


def _pairs(nearest: Any, sample: np.ndarray, eps: float) -> float:
    """About how many pairs of codes are within eps of each other, by a sample's."""
    near = nearest.radius_neighbors(sample, eps, return_distance=False)
    return float(np.mean([len(rows) for rows in near])) * nearest.n_samples_fit_
