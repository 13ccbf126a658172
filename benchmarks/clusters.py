#!/usr/bin/env python3
"""How long clusters, measures and figures of 15,000 codes of 128 numbers take.

    python benchmarks/clusters.py [NUMBER [DIMENSIONS]]

Codes are drawn from 27 overlapping Gaussians with the imbalance of paintings. Every step is timed once, in one process,
after its libraries were imported; the second t-SNE comes from the cache.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wikiart_autoencode.clusterers import cluster
from wikiart_autoencode.map_figures import cluster_style_heatmap, map_figure, small_multiples, write_figures
from wikiart_autoencode.measures import with_permutations
from wikiart_autoencode.reduce import reduce
from wikiart_data.styles import STYLES


def codes_like_paintings(number: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """(number, dimensions) float32 and labels (number,): 27 clouds, the largest 500 times the smallest."""
    random = np.random.default_rng(0)
    shares = np.geomspace(1, 1 / 500, len(STYLES))
    labels = random.choice(len(STYLES), size=number, p=shares / shares.sum())
    spectrum = 1 / np.sqrt(1 + np.arange(dimensions))
    centres = random.normal(size=(len(STYLES), dimensions)) * spectrum
    return (centres[labels] + random.normal(size=(number, dimensions)) * spectrum).astype(np.float32), labels


def main(arguments: list[str]) -> int:
    """Time each step."""
    number = int(arguments[0]) if arguments else 15_000
    dimensions = int(arguments[1]) if len(arguments) > 1 else 128
    codes, labels = codes_like_paintings(number, dimensions)
    for step in ("pca", "tsne"):
        reduce(codes[:300], step)  # imports
    cluster(codes[:300], "hdbscan", 5)
    total = 0.0

    def timed(name: str, do: Callable[[], object]) -> object:
        nonlocal total
        began = time.perf_counter()
        found = do()
        seconds = time.perf_counter() - began
        total += seconds
        print(f"{name:<28} {seconds:6.1f} s", flush=True)
        return found

    print(f"{number:,} codes of {dimensions} numbers")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        timed("PCA to 2", lambda: reduce(codes, "pca"))
        points = timed("t-SNE", lambda: reduce(codes, "tsne", cache_dir=cache))
        found = timed("HDBSCAN", lambda: cluster(codes, "hdbscan"))
        timed("KMeans", lambda: cluster(codes, "kmeans"))
        timed("measures, 20 permutations", lambda: with_permutations(codes, found.labels, labels))
        styles = list(STYLES)
        timed(
            "figures, PNG and SVG",
            lambda: write_figures(
                cache / "figures",
                {
                    "map": map_figure(points, labels, styles, found.labels, "codes"),
                    "styles": small_multiples(points, labels, styles),
                    "clusters": cluster_style_heatmap(found.labels, labels, styles),
                },
            ),
        )
        print(f"{'together':<28} {total:6.1f} s")
        timed("the same t-SNE again", lambda: reduce(codes, "tsne", cache_dir=cache))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
