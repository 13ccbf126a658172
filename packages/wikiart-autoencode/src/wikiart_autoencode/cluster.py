"""`wikiart-cluster`: from codes to clusters, measures and the map; whatever is missing on the way is made first."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_autoencode.cluster_config import ClusterConfig
from wikiart_autoencode.clusterers import NOISY, Clustering, cluster
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.config import EncodeConfig, TrainConfig
from wikiart_autoencode.encode import encode
from wikiart_autoencode.map_figures import cluster_style_heatmap, map_figure, small_multiples, write_figures
from wikiart_autoencode.map_page import write_map
from wikiart_autoencode.measures import with_permutations
from wikiart_autoencode.reduce import reduce
from wikiart_autoencode.train import fit
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.packed import pack
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.run import read_run_record

CODE = 256
"""Numbers of the vector code that is trained where there is none."""
FRESH: dict[str, Any] = {}
"""Further options of that training."""
THUMBNAIL = 128
"""Side of the pictures that the page is given, in pixels; it makes them smaller if they are many."""


def cluster_codes(config: ClusterConfig) -> None:
    """Cluster, measure, draw, and write RUNS/cluster/<name>/.

    Raises:
        InputError: codes or data cannot be used, or the run's folder exists.
    """
    path = find_codes(config)
    codes = Codes.load(path)
    catalog = catalog_of(path, config, codes)
    rows = np.arange(len(codes)) if config.split == "all" else codes.rows(config.split)
    if len(rows) <= config.clusters:
        raise InputError(f"{path} has {len(rows)} codes in {config.split}: too few for {config.clusters} clusters.")
    run = Run.start("cluster", config, catalog, codes=codes.fingerprint)
    some, labels = codes.codes[rows], codes.labels[rows]
    echo(f"{len(rows):,} codes of {some.shape[1]:,} numbers, {config.method} …")
    found = cluster(some, config.method, config.clusters, config.seed)
    figures = with_permutations(some, found.labels, labels, seed=config.seed)
    result: dict[str, Any] = {
        "kind": "clusters",
        "codes": codes.fingerprint,
        "split": config.split,
        "n": len(rows),
        "dimensions": some.shape[1],
        "method": config.method,
        "parameters": found.parameters,
        "note": found.note,
        "measures": figures,
    }
    tell(config.method, found, figures)
    if found.noise > NOISY:
        beside = cluster(some, "kmeans", config.clusters, config.seed)
        result["kmeans"] = with_permutations(some, beside.labels, labels, seed=config.seed)
        tell(f"beside it, kmeans with {config.clusters}", beside, result["kmeans"])

    echo(f"The map, by {config.reduce} …")
    points = reduce(some, config.reduce, 2, config.seed, config.cache_dir)
    title = f"{len(rows):,} paintings by {config.reduce}"
    write_figures(
        run.folder / "figures",
        {
            "map": map_figure(points, labels, codes.styles.tolist(), found.labels, title),
            "styles": small_multiples(points, labels, codes.styles.tolist()),
            "clusters": cluster_style_heatmap(found.labels, labels, codes.styles.tolist()),
        },
    )
    files = codes.files[rows].tolist()
    artists, thumbnails = known_of(catalog, files, config)
    side = write_map(
        run.folder / "map.html", points, labels, codes.styles.tolist(), found.labels, files, artists, thumbnails, title
    )
    run.write_arrays("clusters.npz", clusters=found.labels, points=points, rows=rows)
    write_bytes(run.folder / "clusters.csv", table(files, codes.styles[labels].tolist(), found.labels).encode())
    run.finish(result, {})
    echo(f"\nEverything is in {run.folder}/ (open index.html; clusters.csv, figures/).")
    echo(f"The map to explore, with pictures of {side} pixels: open {run.folder / 'map.html'} in a browser.")


def find_codes(config: ClusterConfig) -> Path:
    """The file of codes to work on; an autoencoder is trained and its codes are saved where there are none.

    Raises:
        InputError: a file was named that is not there, or training cannot be done.
    """
    if config.codes is not None:
        return config.codes / "codes.npz" if config.codes.is_dir() else config.codes
    places = {"runs": config.runs, "device": config.device, "cache_dir": config.cache_dir}
    data = None if config.data is None else find_data(config.data).absolute()
    runs = sorted(
        (config.runs / "autoencode").glob("*/result.json"), key=lambda found: found.stat().st_mtime, reverse=True
    )
    fitting = [one.parent for one in runs if data is None or read_run_record(one.parent)["data"]["root"] == str(data)]
    if fitting:
        folder = fitting[0]
        echo(f"Codes of the newest autoencoder in {config.runs}: {folder}")
    else:
        echo(f"No autoencoder is trained yet in {config.runs}: that is done first (a vector code of {CODE} numbers).")
        run, _ = fit(TrainConfig(code=CODE, data=config.data, bad_limit=config.bad_limit, **FRESH, **places))
        folder = run.folder
    if not (folder / "codes.npz").exists():
        encode(EncodeConfig(folder, data=config.data, bad_limit=config.bad_limit, **places))
    return folder / "codes.npz"


def catalog_of(path: Path, config: ClusterConfig, codes: Codes) -> Catalog:
    """The data that codes were made of: named by --data, else by the run that the file lies in.

    Raises:
        InputError: it is not there, or is another.
    """
    root: str | None = config.data
    if root is None and (path.parent / "run.json").exists():
        root = read_run_record(path.parent)["data"]["root"]
    catalog = scan(find_data(root, config.cache_dir), cache_dir=config.cache_dir)
    if missing := set(codes.files.tolist()) - set(catalog.files):
        raise InputError(
            f"{path} was made of other pictures than {catalog.root} has ({len(missing):,} of {len(codes):,} are not "
            "there): name their folder with --data."
        )
    return catalog


def known_of(catalog: Catalog, files: list[str], config: ClusterConfig) -> tuple[list[str], np.ndarray]:
    """Artists ('' if unknown) and thumbnails (n, THUMBNAIL, THUMBNAIL, 3) uint8 of pictures named by file."""
    place = {file: row for row, file in enumerate(catalog.files)}
    rows = np.array([place[file] for file in files])
    packed = pack(catalog, THUMBNAIL, cache_dir=config.cache_dir, bad_limit=config.bad_limit)
    return [catalog.artists[row] for row in rows], packed.images[rows]


def table(files: list[str], styles: list[str], clusters: np.ndarray) -> str:
    """CSV: file, style, cluster (−1 is noise)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "style", "cluster"])
    writer.writerows(zip(files, styles, clusters.tolist(), strict=True))
    return text.getvalue().encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def tell(name: str, found: Clustering, figures: dict[str, Any]) -> None:
    """Print the measures of a clustering beside those of permuted labels."""
    echo(f"{name}: {found.clusters} clusters, {100 * found.noise:.0f} % noise, {json.dumps(found.parameters)}")
    if found.note:
        echo(found.note)
    for key, label in MEASURES:
        if figures[key] is None:
            continue
        chance = figures.get(f"{key}_permuted")
        beside = f"   permuted {chance[0]:.3f} ± {chance[1]:.3f}" if chance else ""
        echo(f"  {label:<22} {figures[key]:6.3f}{beside}")


MEASURES = (
    ("ami", "AMI"),
    ("nmi", "NMI"),
    ("ari", "ARI"),
    ("homogeneity", "homogeneity"),
    ("completeness", "completeness"),
    ("purity", "purity"),
    ("silhouette", "silhouette (codes)"),
)
