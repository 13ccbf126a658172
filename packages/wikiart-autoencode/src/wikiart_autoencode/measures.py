"""Do clusters follow style? Measures of agreement between two ways to sort the same pictures, and what chance gives.

Everything but the silhouette is a function of one table: how many pictures of each style lie in each cluster. That is
why chance costs nothing here: permuting the labels makes another table with the same margins, and no picture is
touched.

**Noise.** Density methods leave pictures out as noise, label −1. For every measure on the table, noise is one cluster
of its own: all pictures count, for every method alike. Leaving noise out would let a method name only the pictures that
are easy and shine on them; a cluster for each noise picture would make homogeneity and purity perfect where nothing was
found. The silhouette alone leaves noise out, because noise claims no place in the space; read it beside `noise`.
"""

from typing import Any

import numpy as np
from scipy.special import xlogy

PERMUTATIONS = 20
SILHOUETTE_SAMPLE = 5_000
"""A silhouette needs the distances of all pairs; of more codes a seeded sample is taken."""

_CHUNK = 500


def cluster_measures(codes: np.ndarray, clusters: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """What a clustering is worth, as plain numbers for JSON.

    The module says how noise counts.

    Args:
        codes: (N, D) float, what was clustered, in code space: never a 2-D map.
        clusters: (N,) int, −1 is noise.
        labels: (N,) int, the styles.
        seed: of the silhouette's sample.

    Returns:
        `clusters` found and the share of `noise`; `ami`, `nmi`, `ari`, `homogeneity`, `completeness`, `purity` as
        `agreement` has them; `silhouette` in −1..1 or None.

    Raises:
        ValueError: lengths differ, or there is no picture.
    """
    found = np.unique(clusters[clusters >= 0])
    return {
        "n": len(labels),
        "clusters": len(found),
        "noise": float((clusters < 0).mean()),
        **agreement(table(clusters, labels)),
        "silhouette": silhouette(codes, clusters, seed),
    }


def with_permutations(
    codes: np.ndarray,
    clusters: np.ndarray,
    labels: np.ndarray,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Any]:
    """`cluster_measures`, and beside each what it is when the labels are dealt out anew at random.

    For the silhouette, which knows no labels, the clusters are dealt out anew among the codes that are not noise.

    Args:
        codes: (N, D) float.
        clusters: (N,) int, −1 is noise.
        labels: (N,) int, the styles.
        permutations: how many times.
        seed: of the permutations and of the silhouette's sample.

    Returns:
        The measures, and each again as `<measure>_permuted`: [mean, standard deviation] over permutations, or None.

    Raises:
        ValueError: lengths differ, or there is no picture.
    """
    result = cluster_measures(codes, clusters, labels, seed)
    random = np.random.default_rng(seed)
    by_chance = [agreement(table(clusters, random.permutation(labels))) for _ in range(permutations)]
    for name in by_chance[0]:
        result[f"{name}_permuted"] = mean_and_std([chance[name] for chance in by_chance])
    silhouettes = silhouette_permuted(codes, clusters, permutations, seed)
    result["silhouette_permuted"] = mean_and_std(silhouettes) if silhouettes else None
    return result


def table(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, C) int64: how many pictures of each style lie in each cluster; noise is the first cluster, if there is any.

    Raises:
        ValueError: lengths differ, or there is no picture.
    """
    if len(clusters) != len(labels) or len(labels) == 0:
        raise ValueError(f"{len(clusters)} clusters and {len(labels)} labels are not two names for each picture")
    rows, row = np.unique(clusters, return_inverse=True)
    columns, column = np.unique(labels, return_inverse=True)
    cells = np.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    return cells.reshape(len(rows), len(columns))


def agreement(counts: np.ndarray) -> dict[str, float]:
    """How far clusters and styles agree; 0 is none (or chance), 1 is all.

    With H the entropy of clusters, H' of styles and I their mutual information:

    - `nmi` = I / mean(H, H'). Rises by itself with the number of clusters.
    - `ami` = (I − E) / (mean(H, H') − E), E what chance gives at these sizes (Vinh et al. 2010). **The headline.**
    - `ari`: pairs of pictures that are together in both or in neither, corrected for chance (Hubert & Arabie 1985).
    - `homogeneity` = I / H': do clusters hold one style? `completeness` = I / H: are styles in one cluster?
      (Rosenberg & Hirschberg 2007)
    - `purity`: the share of pictures right if every cluster is named after its largest style. Compare it with the
      share of the largest style of all, never with 0: that is what one single cluster has.

    Where a measure is 0 / 0 it is 1, as in scikit-learn: one cluster and one style agree.

    Args:
        counts: (K, C) int, pictures of each style in each cluster; no row or column is empty.
    """
    from sklearn.metrics.cluster import expected_mutual_information  # the sum over all tables with these margins

    number = int(counts.sum())
    sizes, styles = counts.sum(axis=1), counts.sum(axis=0)
    entropy, style_entropy = _entropy(sizes), _entropy(styles)
    information = max(0.0, entropy + style_entropy - _entropy(counts))
    middle = (entropy + style_entropy) / 2
    chance = float(expected_mutual_information(counts, number)) if middle else 0.0
    together, by_cluster, by_style = (float(_pairs(part).sum()) for part in (counts, sizes, styles))
    expected = by_cluster * by_style / max(_pairs(np.array(number)), 1)
    return {
        "ami": _ratio(information - chance, middle - chance),
        "nmi": _ratio(information, middle),
        "ari": _ratio(together - expected, (by_cluster + by_style) / 2 - expected),
        "homogeneity": _ratio(information, style_entropy),
        "completeness": _ratio(information, entropy),
        "purity": float(counts.max(axis=1).sum() / number),
    }


def silhouette(codes: np.ndarray, clusters: np.ndarray, seed: int = 0) -> float | None:
    """Mean silhouette (Rousseeuw 1987), Euclidean: how much nearer a code is to its own cluster than to the next.

    Noise is left out; of more than SILHOUETTE_SAMPLE codes a seeded sample is taken. A code alone in its cluster has 0.

    Args:
        codes: (N, D) float.
        clusters: (N,) int, −1 is noise. Styles may be given too: how far styles themselves are clusters.
        seed: of the sample.

    Returns:
        −1..1, or None where there are fewer than two clusters or every code is one.
    """
    codes, clusters = _sampled(codes, clusters, seed)
    values = _silhouettes(codes, clusters[:, None])
    return values[0] if values else None


def silhouette_permuted(
    codes: np.ndarray, clusters: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
) -> list[float]:
    """Silhouettes of the same sample with its clusters dealt out anew; none where the silhouette is not defined."""
    codes, clusters = _sampled(codes, clusters, seed)
    random = np.random.default_rng(seed)
    dealt = [random.permutation(clusters) for _ in range(permutations)]
    return _silhouettes(codes, np.stack(dealt, axis=1))


def mean_and_std(values: list[float]) -> list[float]:
    """[mean, sample standard deviation], as JSON has it; the deviation of one value is 0."""
    return [float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0]


def _sampled(codes: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(clusters >= 0)
    if len(rows) > SILHOUETTE_SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SILHOUETTE_SAMPLE, replace=False))
    return codes[rows], np.unique(clusters[rows], return_inverse=True)[1]


def _silhouettes(codes: np.ndarray, clusters: np.ndarray) -> list[float]:
    """The mean silhouette of each column of `clusters` (n, P), whose values are 0..K-1 and equally frequent in all.

    Distances are computed once. The sums of a code's distances to each cluster are, for all P at once, a product with
    a sparse matrix of ones, whose cost does not grow with K.
    """
    from scipy.sparse import csr_array

    number, columns = clusters.shape
    sizes = np.bincount(clusters[:, 0]) if number else np.zeros(0, dtype=int)
    kinds = len(sizes)
    if kinds < 2 or kinds >= number:
        return []
    flat = (clusters + kinds * np.arange(columns)).ravel()
    row = np.repeat(np.arange(number), columns)
    members = csr_array((np.ones(len(flat)), (flat, row)), shape=(columns * kinds, number))
    codes = codes - codes.mean(axis=0, dtype=np.float64)
    squares = (codes**2).sum(axis=1)
    totals = np.zeros(columns)
    for start in range(0, number, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, number))
        distances = np.sqrt(np.maximum(squares[:, None] + squares[rows] - 2 * codes @ codes[rows].T, 0))
        distances[rows, np.arange(len(rows))] = 0  # a code is at no distance from itself, whatever rounding says
        sums = (members @ distances).reshape(columns, kinds, len(rows))
        own = clusters[rows].T[:, None, :]
        alone = sizes[own[:, 0]] == 1
        inside = np.take_along_axis(sums, own, axis=1)[:, 0] / np.maximum(sizes[own[:, 0]] - 1, 1)
        means = sums / sizes[:, None]
        np.put_along_axis(means, own, np.inf, axis=1)
        outside = means.min(axis=1)
        larger = np.maximum(inside, outside)
        values = np.divide(outside - inside, larger, out=np.zeros_like(larger), where=larger > 0)
        totals += np.where(alone, 0, values).sum(axis=1)
    return [float(total / number) for total in totals]


def _entropy(counts: np.ndarray) -> float:
    """Of a distribution given as counts, in nats."""
    shares = counts / counts.sum()
    return float(-xlogy(shares, shares).sum()) + 0.0  # no minus zero


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _ratio(above: float, below: float) -> float:
    return float(above / below) if abs(below) > 1e-12 else 1.0
