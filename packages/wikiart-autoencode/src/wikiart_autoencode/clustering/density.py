"""Density methods, with parameters chosen from the codes alone: without labels and without tuning by hand.

Codes are already reduced to few dimensions (see `methods`). Each function returns labels, −1 for noise, and the
parameters it chose.
"""

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wikiart_autoencode.clustering.scores import silhouette
from wikiart_data.images.decode import available_cores

if TYPE_CHECKING:
    from sklearn.neighbors import NearestNeighbors

XIS = (0.01, 0.02, 0.05, 0.1)
"""Minimum steepness of a cluster boundary tried for OPTICS; the figures of the paper show 0.05 and less."""
SIZES = (0.001, 0.002, 0.005, 0.01, 0.02)
"""HDBSCAN's min_cluster_size to try, as fractions of all codes."""
HDBSCAN_MIN_SAMPLES = 1
"""HDBSCAN's min_samples. More smooths the density estimate and leaves more noise: on benchmarks/clusters.py's 15,000
codes AMI falls from 0.91 to 0.83 with 5. Relative validity cannot choose it: it prefers 5 there."""
MAX_PAIRS = 100_000_000
"""Most pairs of neighbours that DBSCAN may hold at once, 8 bytes each."""

Parameters = dict[str, int | float | str]


def default_min_samples(codes: np.ndarray) -> int:
    """DBSCAN's min_samples: twice the dimensions (Sander et al. 1998), fewer for few codes."""
    number, dimensions = codes.shape
    return max(3, min(2 * dimensions, number // 20))


def dbscan(codes: np.ndarray) -> tuple[np.ndarray, Parameters]:
    """DBSCAN (Ester et al. 1996) with eps at the knee of the sorted distances to the k-th neighbour.

    The knee is where the curve lies farthest below its chord (Satopää et al. 2011); beyond it distances rise steeply.

    Args:
        codes: (n, d) float, d small.
    """
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    neighbours = min(default_min_samples(codes), len(codes))
    nearest = NearestNeighbors(n_neighbors=neighbours).fit(codes)
    distances = np.sort(nearest.kneighbors(codes)[0][:, -1])  # DBSCAN too counts a code as its own neighbour
    eps = max(float(distances[knee(distances)]), 1e-9)
    # scikit-learn's DBSCAN holds all neighbours at once, which in one dense region can be most pairs: then shrink eps.
    sample = codes[:: max(1, len(codes) // 500)]
    while _pairs(nearest, sample, eps) > MAX_PAIRS:
        eps *= 0.9
    labels = DBSCAN(eps=eps, min_samples=neighbours).fit_predict(codes)
    return labels, {"eps": eps, "min_samples": neighbours, "dimensions": codes.shape[1]}


def knee(values: np.ndarray) -> int:
    """Index into (n,) increasing values of the one farthest below the line from the first to the last."""
    rise = values[-1] - values[0]
    if rise <= 0:
        return len(values) - 1
    return int(np.argmax(np.linspace(0, 1, len(values)) - (values - values[0]) / rise))


def optics(codes: np.ndarray, seed: int = 0) -> tuple[np.ndarray, Parameters]:
    """OPTICS (Ankerst et al. 1999) with the xi of the largest mean silhouette, where noise counts as 0.

    Args:
        codes: (n, d) float, d small, n a few thousand: the time grows quadratically.
        seed: of the silhouette's sample.
    """
    from sklearn.cluster import OPTICS, cluster_optics_xi

    neighbours = min(default_min_samples(codes), len(codes))
    with np.errstate(divide="ignore", invalid="ignore"):  # equal codes: 0 / 0 of reachabilities
        model = OPTICS(min_samples=neighbours, xi=XIS[0], n_jobs=1).fit(codes)
        candidates = []
        for xi in XIS:
            labels, _ = cluster_optics_xi(
                reachability=model.reachability_,
                predecessor=model.predecessor_,
                ordering=model.ordering_,
                min_samples=neighbours,
                xi=xi,
            )
            score = (silhouette(codes, labels, seed) or 0.0) * float((labels >= 0).mean())
            candidates.append((score, xi, labels))
    _, xi, labels = max(candidates, key=lambda candidate: candidate[0])
    return labels, {"xi": xi, "min_samples": neighbours, "dimensions": codes.shape[1]}


def hdbscan(codes: np.ndarray, max_noise: float) -> tuple[np.ndarray, Parameters]:
    """HDBSCAN (Campello et al. 2013) with the min_cluster_size of largest relative validity, with a bound on noise.

    Relative validity approximates DBCV (Moulavi et al. 2014) from the spanning tree. Where no size gives so little
    noise and at least two clusters, that with the least noise is taken. This is the package hdbscan, because
    scikit-learn's has neither the validity nor Borůvka's algorithm on a k-d tree.

    Args:
        codes: (n, d) float, d small.
        max_noise: the largest fraction of noise that is acceptable.
    """
    from hdbscan import HDBSCAN
    from joblib import Memory

    codes = codes.astype(np.float64)
    candidates: list[_Candidate] = []
    with tempfile.TemporaryDirectory(prefix="wikiart-hdbscan-") as folder:
        memory = Memory(folder, verbose=0)  # the tree is the same for all sizes, and most of the work
        for size in sorted({max(5, round(fraction * len(codes))) for fraction in SIZES}):
            model = HDBSCAN(
                min_cluster_size=size,
                min_samples=HDBSCAN_MIN_SAMPLES,
                gen_min_span_tree=True,
                core_dist_n_jobs=available_cores(),
                memory=memory,
            ).fit(codes)
            with np.errstate(divide="ignore", invalid="ignore"):  # equal codes: 0 / 0 of distances
                validity = float(np.nan_to_num(model.relative_validity_, nan=-1.0))
            candidates.append(_Candidate(model.labels_, validity, size))
    several = [candidate for candidate in candidates if candidate.labels.max() >= 1]
    quiet = [candidate for candidate in several if candidate.noise <= max_noise]
    if quiet:
        best = max(quiet, key=lambda candidate: candidate.validity)
    else:
        best = min(several or candidates, key=lambda candidate: candidate.noise)
    chosen: Parameters = {
        "min_cluster_size": best.min_cluster_size,
        "min_samples": HDBSCAN_MIN_SAMPLES,
        "relative_validity": best.validity,
        "dimensions": codes.shape[1],
    }
    return best.labels, chosen


@dataclass(frozen=True, eq=False)
class _Candidate:
    labels: np.ndarray
    validity: float
    min_cluster_size: int

    @property
    def noise(self) -> float:
        return float((self.labels < 0).mean())


def _pairs(nearest: "NearestNeighbors", sample: np.ndarray, eps: float) -> float:
    """An estimate, from a sample, of the number of pairs of codes within eps of each other."""
    neighbours = nearest.radius_neighbors(sample, eps, return_distance=False)
    return float(np.mean([len(rows) for rows in neighbours])) * nearest.n_samples_fit_
