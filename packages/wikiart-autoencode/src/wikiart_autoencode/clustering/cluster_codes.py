"""`wikiart-cluster`: from codes to clusters, scores and the map; missing codes are computed first."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wikiart_autoencode.clustering.config import REDUCTION_NAMES, ClusterOptions, Method
from wikiart_autoencode.clustering.density import Parameters
from wikiart_autoencode.clustering.dimensionality import reduce_dimensions
from wikiart_autoencode.clustering.methods import MUCH_NOISE, Clustering, cluster, number_of_clusters
from wikiart_autoencode.clustering.scores import ClusteringScores, scores_table
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.commands import encode
from wikiart_autoencode.config import EncodeOptions, TrainOptions
from wikiart_autoencode.map.columns import read_metadata
from wikiart_autoencode.map.figures import cluster_style_heatmap, map_figure, small_multiples, write_figures
from wikiart_autoencode.map.page import MapContent, write_map
from wikiart_autoencode.map.vikus import write_vikus
from wikiart_autoencode.training import fit
from wikiart_data.console import echo, echo_wrapped
from wikiart_data.errors import InputError
from wikiart_data.files import csv_bytes, write_bytes
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.layout import DataSource
from wikiart_data.results.tables import Table, print_table
from wikiart_data.training.run import Part, Run, read_run_record

PART = Part(
    name="cluster",
    title="Clusters of paintings, and their map",
    command="wikiart-cluster",
    next_commands=("wikiart-cluster compare",),
)
FIRST_TRAINING = TrainOptions(code=256)
"""Options of the autoencoder that is trained if there is none."""


@dataclass(frozen=True)
class ClusterResult:
    """What result.json of a clustering run holds."""

    codes: str
    """Fingerprint of the codes."""
    split: str
    n: int
    dimensions: int
    method: Method
    parameters: Parameters
    note: str
    scores: ClusteringScores
    kmeans: ClusteringScores | None = None
    """Scores of KMeans on the same codes, where the method left much noise."""
    kind: str = "clusters"


def cluster_codes(options: ClusterOptions) -> ClusterResult:
    """Cluster, measure, draw, and write RUNS/cluster/<name>/.

    Raises:
        InputError: codes or data cannot be used, or the run folder exists.
    """
    path = find_codes(options)
    codes = Codes.load(path)
    catalog = catalog_of(path, options, codes)
    rows = np.arange(len(codes)) if options.split == "all" else codes.rows(options.split)
    n_clusters = number_of_clusters(codes, options.clusters)
    if len(rows) <= n_clusters:
        raise InputError(
            f"{path} has {len(rows)} codes in {options.split}: too few for {n_clusters} clusters.",
            field="--clusters",
        )
    selected = codes.select(rows)
    files = selected.files.tolist()
    metadata = None if options.metadata is None else read_metadata(options.metadata, files)
    run = Run.start(PART, options, catalog, codes=codes.fingerprint)
    number, dimensions = selected.codes.shape
    echo(f"{number:,} codes of {dimensions:,} numbers, {options.method} …")
    clustering = cluster(selected, options.method, n_clusters, options.seed)
    print_summary(clustering)
    kmeans = None
    if clustering.noise_fraction > MUCH_NOISE:
        kmeans = cluster(selected, "kmeans", n_clusters, options.seed)
        print_summary(kmeans, comparison=True)

    echo(f"The map, by {REDUCTION_NAMES[options.reduce]} …")
    points = reduce_dimensions(selected.codes, options.reduce, 2, options.seed, options.cache_dir)
    title = f"{number:,} paintings by {REDUCTION_NAMES[options.reduce]}"
    styles, labels, clusters = codes.styles.tolist(), selected.labels, clustering.labels
    write_figures(
        run.folder / "figures",
        {
            "map": map_figure(points, labels, styles, clusters, title),
            "styles": small_multiples(points, labels, styles),
            "clusters": cluster_style_heatmap(clusters, labels, styles),
        },
    )
    content = MapContent.of_codes(
        selected,
        catalog,
        points,
        clusters,
        metadata,
        cache_dir=options.cache_dir,
        max_bad_fraction=options.max_bad_fraction,
    )
    side = write_map(run.folder / "map.html", content, title, folder=options.folder)
    write_vikus(run.folder / "vikus", content)
    run.write_arrays("clusters.npz", clusters=clusters, points=points, rows=rows)
    table = zip(files, codes.styles[labels].tolist(), clusters.tolist(), strict=True)
    write_bytes(run.folder / "clusters.csv", csv_bytes(["file", "style", "cluster"], table))
    result = ClusterResult(
        codes=codes.fingerprint,
        split=options.split,
        n=number,
        dimensions=dimensions,
        method=clustering.method,
        parameters=clustering.parameters,
        note=clustering.note,
        scores=clustering.scores,
        kmeans=None if kmeans is None else kmeans.scores,
    )
    run.finish(result, tables(result), {})
    echo(f"\nEverything is in {run.folder}/ (open index.html; clusters.csv, figures/).")
    echo(f"Interactive map, with pictures of {side} pixels: open {run.folder / 'map.html'} in a browser.")
    return result


def find_codes(options: ClusterOptions) -> Path:
    """The file of codes to work on; without one, an autoencoder is trained and its codes are saved.

    Raises:
        InputError: training is not possible.
    """
    if options.codes is not None:
        return options.codes / "codes.npz" if options.codes.is_dir() else options.codes
    source = None if options.data is None else str(DataSource.parse(find_data(options.data)))
    results = (options.runs / "autoencode").glob("*/result.json")
    runs = [path.parent for path in sorted(results, key=lambda path: path.stat().st_mtime, reverse=True)]
    if source is not None:
        runs = [folder for folder in runs if _data_of(folder) == source]
    if runs:
        folder = runs[0]
        echo(f"Codes of the newest autoencoder in {options.runs}: {folder}")
    else:
        echo(
            f"There is no trained autoencoder in {options.runs} yet: training one first (a vector code of "
            f"{FIRST_TRAINING.code} numbers)."
        )
        folder, _ = fit(
            replace(
                FIRST_TRAINING,
                data=options.data,
                runs=options.runs,
                device=options.device,
                cache_dir=options.cache_dir,
                max_bad_fraction=options.max_bad_fraction,
            )
        )
    if not (folder / "codes.npz").exists():
        encode(
            EncodeOptions(
                folder,
                data=options.data,
                runs=options.runs,
                device=options.device,
                cache_dir=options.cache_dir,
                max_bad_fraction=options.max_bad_fraction,
            )
        )
    return folder / "codes.npz"


def catalog_of(path: Path, options: ClusterOptions, codes: Codes) -> Catalog:
    """The data that codes come from: the folder given by --data, else that of the run that the file lies in.

    Raises:
        InputError: the folder is missing, or has other pictures.
    """
    root: str | None = options.data
    if root is None and (path.parent / "run.json").exists():
        root = _data_of(path.parent)
    catalog = scan(find_data(root, options.cache_dir), cache_dir=options.cache_dir)
    if missing := set(codes.files.tolist()) - set(catalog.files):
        raise InputError(
            f"{path} was computed from other pictures than those of {catalog.root} ({len(missing):,} of {len(codes):,} "
            "are missing there): give their folder with --data.",
            field="--data",
        )
    return catalog


def _data_of(folder: Path) -> str:
    """The data of a run, as `scan` takes it: earlier versions did not keep the table and the column of its labels."""
    data = read_run_record(folder)["data"]
    return data.get("source") or data["root"]


def print_summary(clustering: Clustering, comparison: bool = False) -> None:
    """Print what a method found and its scores."""
    noise = 100 * clustering.noise_fraction
    label = f"For comparison, {clustering.method}" if comparison else clustering.method
    echo(f"{label}: {clustering.n_clusters} clusters, {noise:.0f} % noise, {json.dumps(clustering.parameters)}")
    if clustering.note:
        echo_wrapped(clustering.note)
    print_table(scores_table("", clustering.scores))
    echo()


def tables(result: ClusterResult) -> list[Table]:
    """The scores of the clustering, and of KMeans if it was computed."""
    shown = [scores_table(f"Clusters by {result.method} and styles", result.scores)]
    return shown + ([scores_table("For comparison: kmeans", result.kmeans)] if result.kmeans else [])
