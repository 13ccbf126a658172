"""How far clusters agree with styles: scikit-learn's measures, and the same for permuted labels.

**Noise.** Density methods leave images out as noise, label −1. In every measure of agreement noise counts as one
cluster: all images count, for every method alike. Leaving noise out would favour a method that clusters only the easy
images; a cluster for each noise image would make homogeneity and purity perfect where nothing was found. Only the
silhouette leaves noise out, because noise has no place of its own in code space: read it together with `noise`.
"""

from dataclasses import dataclass

import numpy as np

from wikiart_data.results.tables import Number, Table

PERMUTATIONS = 20
SILHOUETTE_SAMPLE = 5_000
"""A silhouette needs the distances of all pairs: of more codes a random sample is taken."""

SCORE_NAMES = {
    "AMI": "ami",
    "NMI": "nmi",
    "ARI": "ari",
    "homogeneity": "homogeneity",
    "completeness": "completeness",
    "purity": "purity",
    "silhouette in code space": "silhouette",
}

MeanStd = tuple[float, float]
"""Mean and sample standard deviation over permutations."""


@dataclass(frozen=True)
class ClusteringScores:
    """Agreement of clusters and styles: 0 is none (or chance), 1 is perfect.

    A field ending in `_permuted` is (mean, standard deviation) of the same measure over permutations of the labels;
    for the silhouette, which uses no labels, over permutations of the clusters among the codes that are not noise.
    """

    n: int
    """Number of images."""
    clusters: int
    """Clusters found, without noise."""
    noise: float
    """Fraction of noise, in [0, 1]."""
    ami: float
    """Adjusted mutual information (Vinh et al. 2010), corrected for chance. **The headline.**"""
    nmi: float
    """Normalised mutual information; it grows with the number of clusters."""
    ari: float
    """Adjusted Rand index (Hubert & Arabie 1985), corrected for chance."""
    homogeneity: float
    """Whether clusters hold one style only (Rosenberg & Hirschberg 2007)."""
    completeness: float
    """Whether each style lies in one cluster."""
    purity: float
    """Accuracy if every cluster is labelled with its most frequent style. A single cluster already scores the
    fraction of the largest style."""
    silhouette: float | None
    """Mean silhouette in code space, in [-1, 1]; None where it is not defined."""
    ami_permuted: MeanStd
    nmi_permuted: MeanStd
    ari_permuted: MeanStd
    homogeneity_permuted: MeanStd
    completeness_permuted: MeanStd
    purity_permuted: MeanStd
    silhouette_permuted: MeanStd | None

    def __repr__(self) -> str:
        chance, std = self.ami_permuted
        return (
            f"ClusteringScores(AMI {self.ami:.3f}, permuted {chance:.3f} ± {std:.3f}, {self.clusters} clusters, "
            f"{self.noise:.0%} noise, n={self.n})"
        )


def clustering_scores(
    codes: np.ndarray, clusters: np.ndarray, labels: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
) -> ClusteringScores:
    """Compare clusters with styles.

    Args:
        codes: (N, D) float, what was clustered, in code space: never a 2-D map.
        clusters: (N,) int, −1 is noise.
        labels: (N,) int, the styles.
        permutations: of the labels.
        seed: of the permutations and of the silhouette's sample.

    Raises:
        ValueError: lengths differ, or there is no image.
    """
    random = np.random.default_rng(seed)
    measured = agreement(clusters, labels)
    by_chance = [agreement(clusters, random.permutation(labels)) for _ in range(permutations)]

    def permuted(name: str) -> MeanStd:
        return mean_and_std([getattr(chance, name) for chance in by_chance])

    silhouettes = silhouette_permuted(codes, clusters, permutations, seed)
    return ClusteringScores(
        n=len(labels),
        clusters=len(np.unique(clusters[clusters >= 0])),
        noise=float((clusters < 0).mean()),
        ami=measured.ami,
        nmi=measured.nmi,
        ari=measured.ari,
        homogeneity=measured.homogeneity,
        completeness=measured.completeness,
        purity=measured.purity,
        silhouette=silhouette(codes, clusters, seed),
        ami_permuted=permuted("ami"),
        nmi_permuted=permuted("nmi"),
        ari_permuted=permuted("ari"),
        homogeneity_permuted=permuted("homogeneity"),
        completeness_permuted=permuted("completeness"),
        purity_permuted=permuted("purity"),
        silhouette_permuted=mean_and_std(silhouettes) if silhouettes else None,
    )


@dataclass(frozen=True)
class Agreement:
    """Six measures of agreement; `ClusteringScores` describes them."""

    ami: float
    nmi: float
    ari: float
    homogeneity: float
    completeness: float
    purity: float


def agreement(clusters: np.ndarray, labels: np.ndarray) -> Agreement:
    """Compare clusters with labels by scikit-learn's measures.

    Args:
        clusters: (N,) int; −1, noise, counts as one cluster.
        labels: (N,) int.

    Raises:
        ValueError: lengths differ, or there is no image.
    """
    from sklearn.metrics import (
        adjusted_mutual_info_score,
        adjusted_rand_score,
        homogeneity_completeness_v_measure,
    )
    from sklearn.metrics.cluster import contingency_matrix

    if len(clusters) != len(labels) or len(labels) == 0:
        raise ValueError(f"{len(clusters)} clusters and {len(labels)} labels: both are needed for each image")
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(labels, clusters)
    counts = np.asarray(contingency_matrix(labels, clusters))  # (styles, clusters)
    return Agreement(
        ami=float(adjusted_mutual_info_score(labels, clusters)),
        nmi=float(v_measure),  # with β = 1 it is the arithmetically normalised mutual information
        ari=float(adjusted_rand_score(labels, clusters)),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        purity=float(counts.max(axis=0).sum() / len(labels)),
    )


def silhouette(codes: np.ndarray, clusters: np.ndarray, seed: int = 0) -> float | None:
    """Mean silhouette (Rousseeuw 1987), Euclidean: how much nearer a code is to its own cluster than to the next.

    Noise is left out; of more than SILHOUETTE_SAMPLE codes a random sample is taken.

    Args:
        codes: (N, D) float.
        clusters: (N,) int, −1 is noise. Styles may be passed too: the silhouette of the styles themselves.
        seed: of the sample.

    Returns:
        A value in [-1, 1], or None where there are fewer than two clusters or every code is one.
    """
    codes, clusters = _sample(codes, clusters, seed)
    values = _silhouettes(codes, [clusters])
    return values[0] if values else None


def silhouette_permuted(
    codes: np.ndarray, clusters: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
) -> list[float]:
    """Silhouettes of the same sample with its clusters permuted; empty where the silhouette is not defined."""
    codes, clusters = _sample(codes, clusters, seed)
    random = np.random.default_rng(seed)
    return _silhouettes(codes, [random.permutation(clusters) for _ in range(permutations)])


def mean_and_std(values: list[float]) -> MeanStd:
    """Mean and sample standard deviation; the deviation of one value is 0."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _sample(codes: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(clusters >= 0)
    if len(rows) > SILHOUETTE_SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SILHOUETTE_SAMPLE, replace=False))
    return codes[rows], clusters[rows]


def _silhouettes(codes: np.ndarray, clusterings: list[np.ndarray]) -> list[float]:
    """The silhouette of each clustering of the same codes; the distances are computed once."""
    from sklearn.metrics import pairwise_distances, silhouette_score

    if not 2 <= len(np.unique(clusterings[0])) < len(codes):
        return []
    # Centred in double precision: the differences of codes far from the origin are small.
    distances = pairwise_distances(codes - codes.mean(axis=0, dtype=np.float64)).astype(np.float32)
    return [float(silhouette_score(distances, clusters, metric="precomputed")) for clusters in clusterings]


def scores_table(title: str, scores: ClusteringScores) -> Table:
    """One row per score, with the same for permuted labels."""
    rows: list[tuple[str | Number | None, ...]] = []
    for name, key in SCORE_NAMES.items():
        permuted = getattr(scores, f"{key}_permuted")
        mean, std = permuted or (None, None)
        rows.append((name, Number(getattr(scores, key), digits=3), Number(mean, digits=3, std=std)))
    note = f"{scores.n:,} images in {scores.clusters} clusters, {scores.noise:.0%} noise."
    return Table(title, ("score", "value", "permuted labels"), tuple(rows), note)
