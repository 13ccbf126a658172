"""Maps and clusters of many codes: our defaults compared with scikit-learn's t-SNE and plain HDBSCAN.

    uv run python benchmarks/clusters.py [--number 15000] [--dimensions 128] [--without-baselines]

Codes are drawn from 27 overlapping Gaussians, imbalanced as paintings are. Each step runs once, in one process, after a
warm-up on a few codes; wall-clock and CPU seconds are measured. Quality of a map: how many of a code's 20 nearest
neighbours are among its 20 nearest on the map. Quality of clusters: AMI with the Gaussians, and proportion of noise.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_autoencode.clustering.dimensionality import reduce_dimensions
from wikiart_autoencode.clustering.methods import cluster
from wikiart_autoencode.clustering.scores import clustering_scores
from wikiart_autoencode.map.figures import cluster_style_heatmap, map_figure, small_multiples, write_figures
from wikiart_data.styles import STYLES

NEAREST = 20


def codes_like_paintings(number: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (number, dimensions) float32 and labels (number,) of 27 Gaussians, the largest 500 times the smallest."""
    rng = np.random.default_rng(0)
    weights = np.geomspace(1, 1 / 500, len(STYLES))
    labels = rng.choice(len(STYLES), size=number, p=weights / weights.sum())
    spectrum = 1 / np.sqrt(1 + np.arange(dimensions))
    centres = rng.normal(size=(len(STYLES), dimensions)) * spectrum
    return (centres[labels] + rng.normal(size=(number, dimensions)) * spectrum).astype(np.float32), labels


def sklearn_map(codes: np.ndarray) -> np.ndarray:
    """scikit-learn's t-SNE with its defaults."""
    from sklearn.manifold import TSNE

    return TSNE(random_state=0).fit_transform(codes)


def plain_hdbscan(codes: np.ndarray) -> np.ndarray:
    """HDBSCAN with its defaults, in all dimensions."""
    from hdbscan import HDBSCAN

    return HDBSCAN().fit_predict(codes)


def neighbours_kept(codes: np.ndarray, points: np.ndarray, sample: int = 1_000) -> float:
    """Proportion of a code's nearest neighbours that are among its nearest on the map, over a sample of codes."""
    from sklearn.neighbors import NearestNeighbors

    rows = np.random.default_rng(0).choice(len(codes), min(sample, len(codes)), replace=False)
    neighbours = [
        NearestNeighbors(n_neighbors=NEAREST + 1, algorithm="brute").fit(x).kneighbors(x[rows])[1][:, 1:]
        for x in (codes, points)
    ]
    return float(
        np.mean([len(set(in_space) & set(on_map)) / NEAREST for in_space, on_map in zip(*neighbours, strict=True)])
    )


def quality(clusters: np.ndarray, labels: np.ndarray) -> str:
    """Agreement of clusters with the true labels."""
    from sklearn.metrics import adjusted_mutual_info_score

    score = adjusted_mutual_info_score(labels, clusters)
    return f"AMI {score:.2f}, {100 * (clusters < 0).mean():.0f} % noise"


@dataclass(frozen=True)
class Step:
    """One measured step."""

    name: str
    result: Any
    wall: float
    cpu: float


def timed(name: str, function: Callable[[], Any]) -> Step:
    """Call a function once and measure it."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return Step(name, result, time.perf_counter() - wall, time.process_time() - cpu)


def row(step: Step, quality: str = "", ours: Step | None = None) -> str:
    """A row of the table; a baseline's row has the ratios to `ours`."""
    ratios = f"{step.wall / ours.wall:.1f} × / {step.cpu / ours.cpu:.1f} ×" if ours else ""
    return f"| {step.name} | {step.wall:.1f} | {step.cpu:.1f} | {ratios} | {quality} |"


def main(arguments: list[str] | None = None) -> None:
    """Time each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--number", type=int, default=15_000, help="number of codes")
    parser.add_argument("--dimensions", type=int, default=128, help="dimensions of a code")
    parser.add_argument(
        "--without-baselines", action="store_true", help="skip scikit-learn's t-SNE and plain HDBSCAN, which take long"
    )
    options = parser.parse_args(arguments)
    codes, labels = codes_like_paintings(options.number, options.dimensions)
    few = codes[:300]
    with tempfile.TemporaryDirectory(prefix="clusters-") as folder:
        cache = Path(folder)
        reduce_dimensions(few, "tsne", cache_dir=cache)  # imports the libraries
        cluster(few, "hdbscan")
        neighbours_kept(few, few[:, :2])
        print(f"| {options.number:,} codes of {options.dimensions} | seconds | CPU | baseline takes | quality |")
        print("|---|---|---|---|---|")
        ours = timed("t-SNE, ours", lambda: reduce_dimensions(codes, "tsne", cache_dir=cache))
        print(row(ours, f"{100 * neighbours_kept(codes, ours.result):.0f} % of neighbours kept"), flush=True)
        if not options.without_baselines:
            theirs = timed("t-SNE, scikit-learn's", lambda: sklearn_map(codes))
            preserved = f"{100 * neighbours_kept(codes, theirs.result):.0f} % of neighbours kept"
            print(row(theirs, preserved, ours), flush=True)
        points = timed(
            "the same t-SNE again, from the cache", lambda: reduce_dimensions(codes, "tsne", cache_dir=cache)
        )
        print(row(points))
        hdbscan = timed("HDBSCAN, ours (5 sizes tried)", lambda: cluster(codes, "hdbscan"))
        print(row(hdbscan, quality(hdbscan.result.labels, labels)), flush=True)
        if not options.without_baselines:
            plain = timed("HDBSCAN, plain (5, on all numbers)", lambda: plain_hdbscan(codes))
            print(row(plain, quality(plain.result, labels), hdbscan), flush=True)
        kmeans = timed("KMeans, 27", lambda: cluster(codes, "kmeans", n_clusters=27))
        print(row(kmeans, quality(kmeans.result.labels, labels)))
        print(row(timed("PCA to 2", lambda: reduce_dimensions(codes, "pca"))))
        print(row(timed("measures, 20 permutations", lambda: clustering_scores(codes, kmeans.result.labels, labels))))
        styles = list(STYLES)
        figures = {
            "map": lambda: map_figure(points.result, labels, styles, kmeans.result.labels, "codes"),
            "styles": lambda: small_multiples(points.result, labels, styles),
            "clusters": lambda: cluster_style_heatmap(kmeans.result.labels, labels, styles),
        }
        drawing = timed(
            "figures, PNG and SVG",
            lambda: write_figures(cache / "figures", {name: draw() for name, draw in figures.items()}),
        )
        print(row(drawing), flush=True)


if __name__ == "__main__":
    main()
