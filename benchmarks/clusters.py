"""Maps and clusters of many codes: our defaults beside scikit-learn's t-SNE and plain HDBSCAN.

    uv run python benchmarks/clusters.py [--number 15000] [--dimensions 128] [--without-baselines]

Codes are drawn from 27 overlapping Gaussians with the imbalance of paintings. Each step runs once, in one process,
after its libraries were imported on a few codes. Ours and the baseline follow one another, with processor seconds
beside those on the wall. What a map is worth: of a code's 20 nearest neighbours, how many are among its 20 nearest on
the map. What clusters are worth: AMI with the true clouds, and the share of noise.
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
    """(number, dimensions) float32 and labels (number,): 27 clouds, the largest 500 times the smallest."""
    random = np.random.default_rng(0)
    shares = np.geomspace(1, 1 / 500, len(STYLES))
    labels = random.choice(len(STYLES), size=number, p=shares / shares.sum())
    spectrum = 1 / np.sqrt(1 + np.arange(dimensions))
    centres = random.normal(size=(len(STYLES), dimensions)) * spectrum
    return (centres[labels] + random.normal(size=(number, dimensions)) * spectrum).astype(np.float32), labels


def sklearn_map(codes: np.ndarray) -> np.ndarray:
    """scikit-learn's t-SNE as it comes."""
    from sklearn.manifold import TSNE

    return TSNE(random_state=0).fit_transform(codes)


def plain_hdbscan(codes: np.ndarray) -> np.ndarray:
    """HDBSCAN as it comes, on the codes as they are."""
    from hdbscan import HDBSCAN

    return HDBSCAN().fit_predict(codes)


def neighbours_kept(codes: np.ndarray, points: np.ndarray, sample: int = 1_000) -> float:
    """Share of a code's nearest neighbours that are among its nearest on the map, over a sample of codes."""
    from sklearn.neighbors import NearestNeighbors

    rows = np.random.default_rng(0).choice(len(codes), min(sample, len(codes)), replace=False)
    near = [
        NearestNeighbors(n_neighbors=NEAREST + 1, algorithm="brute").fit(x).kneighbors(x[rows])[1][:, 1:]
        for x in (codes, points)
    ]
    return float(np.mean([len(set(one) & set(other)) / NEAREST for one, other in zip(*near, strict=True)]))


def worth(found: np.ndarray, labels: np.ndarray) -> str:
    """What clusters are worth."""
    from sklearn.metrics import adjusted_mutual_info_score

    score = adjusted_mutual_info_score(labels, found)
    return f"AMI {score:.2f}, {100 * (found < 0).mean():.0f} % noise"


@dataclass(frozen=True)
class Step:
    """What took how long."""

    name: str
    found: Any
    wall: float
    processor: float


def timed(name: str, do: Callable[[], Any]) -> Step:
    """Do it once."""
    wall, processor = time.perf_counter(), time.process_time()
    found = do()
    return Step(name, found, time.perf_counter() - wall, time.process_time() - processor)


def row(step: Step, worth: str = "", beside: Step | None = None) -> str:
    """A row of the table, with ratios if ours stands `beside` it."""
    ratios = f"{step.wall / beside.wall:.1f} × / {step.processor / beside.processor:.1f} ×" if beside else ""
    return f"| {step.name} | {step.wall:.1f} | {step.processor:.1f} | {ratios} | {worth} |"


def main(arguments: list[str] | None = None) -> None:
    """Time each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=15_000, help="of codes")
    parser.add_argument("--dimensions", type=int, default=128, help="numbers of a code")
    parser.add_argument("--without-baselines", action="store_true", help="scikit-learn's and plain HDBSCAN take long")
    options = parser.parse_args(arguments)
    codes, labels = codes_like_paintings(options.number, options.dimensions)
    few = codes[:300]
    with tempfile.TemporaryDirectory(prefix="clusters-") as folder:
        cache = Path(folder)
        reduce_dimensions(few, "tsne", cache_dir=cache)  # imports
        cluster(few, "hdbscan")
        neighbours_kept(few, few[:, :2])
        print(f"| {options.number:,} codes of {options.dimensions} | seconds | processor | baseline takes | worth |")
        print("|---|---|---|---|---|")
        ours = timed("t-SNE, ours", lambda: reduce_dimensions(codes, "tsne", cache_dir=cache))
        print(row(ours, f"{100 * neighbours_kept(codes, ours.found):.0f} % of neighbours kept"), flush=True)
        if not options.without_baselines:
            theirs = timed("t-SNE, scikit-learn's", lambda: sklearn_map(codes))
            kept = f"{100 * neighbours_kept(codes, theirs.found):.0f} % of neighbours kept"
            print(row(theirs, kept, ours), flush=True)
        points = timed(
            "the same t-SNE again, from the cache", lambda: reduce_dimensions(codes, "tsne", cache_dir=cache)
        )
        print(row(points))
        found = timed("HDBSCAN, ours (15 parameters tried)", lambda: cluster(codes, "hdbscan"))
        print(row(found, worth(found.found.labels, labels)), flush=True)
        if not options.without_baselines:
            plain = timed("HDBSCAN, plain (5, on all numbers)", lambda: plain_hdbscan(codes))
            print(row(plain, worth(plain.found, labels), found), flush=True)
        kmeans = timed("KMeans, 27", lambda: cluster(codes, "kmeans"))
        print(row(kmeans, worth(kmeans.found.labels, labels)))
        print(row(timed("PCA to 2", lambda: reduce_dimensions(codes, "pca"))))
        print(row(timed("measures, 20 permutations", lambda: clustering_scores(codes, kmeans.found.labels, labels))))
        styles = list(STYLES)
        drawn = {
            "map": lambda: map_figure(points.found, labels, styles, kmeans.found.labels, "codes"),
            "styles": lambda: small_multiples(points.found, labels, styles),
            "clusters": lambda: cluster_style_heatmap(kmeans.found.labels, labels, styles),
        }
        figures = timed(
            "figures, PNG and SVG",
            lambda: write_figures(cache / "figures", {name: draw() for name, draw in drawn.items()}),
        )
        print(row(figures), flush=True)


if __name__ == "__main__":
    main()
