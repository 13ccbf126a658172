"""`wikiart-cluster compare`: how much of style codes hold, beside pixels, colours, an untrained encoder and chance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wikiart_autoencode.cluster import catalog_of, find_codes
from wikiart_autoencode.cluster_config import ClusterConfig, CompareConfig, Method
from wikiart_autoencode.clusterers import cluster
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.comparison import show_comparison
from wikiart_autoencode.measures import with_permutations
from wikiart_autoencode.probes import space_measures
from wikiart_autoencode.spaces import baseline_spaces, judge_space
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.packed import pack
from wikiart_data.results.folder import write_results
from wikiart_data.results.guessed_tables import guessed_tables
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.run import read_run_record


def compare(config: CompareConfig) -> None:
    """Measure every kind of code, print the table, and write RUNS/compare-codes/result.json.

    Raises:
        InputError: codes, data or the judge cannot be used.
    """
    places = {"data": config.data, "runs": config.runs, "device": config.device, "cache_dir": config.cache_dir}
    wanted = ClusterConfig(**places)
    paths = list(config.codes) or [find_codes(wanted)]
    paths = [path / "codes.npz" if path.is_dir() else path for path in paths]
    given = [Codes.load(path) for path in paths]
    catalog = catalog_of(paths[0], wanted, given[0])
    if odd := [path for path, codes in zip(paths, given, strict=True) if set(codes.files) != set(given[0].files)]:
        raise InputError(f"{odd[0]} was made of other pictures than {paths[0]}: they cannot stand in one table.")
    device = create_accelerator(config.device).device
    size = _size(paths[0])
    packed = pack(catalog, size, cache_dir=config.cache_dir, bad_limit=config.bad_limit)

    def spaces() -> Iterator[tuple[str, Codes]]:
        for path, codes in zip(paths, given, strict=True):
            yield _name(path), codes
        yield from baseline_spaces(packed, given[0].codes.shape[1], device, config.seed)
        if config.judge:
            yield "judge (trained with labels)", judge_space(config.judge, packed, device)

    rows = []
    for name, codes in spaces():
        echo(f"{name} …")
        # Test has its own clusters beside those of train: a judge, and it alone, knows train's labels by heart.
        clusters = {
            split: {method: clusters_of(codes, split, method, config) for method in config.methods}
            for split in ("train", "test")
        }
        row = {"space": name, "dimensions": codes.codes.shape[1], "clusters": clusters}
        rows.append({**row, "space_measures": space_measures(codes, seed=config.seed)})
    result = {
        "kind": "codes",
        "command": "wikiart-cluster compare",
        "seed": config.seed,
        "n": {split: len(given[0].rows(split)) for split in ("train", "valid", "test")},
        "data_fingerprint": catalog.fingerprint,
        "rows": rows,
    }
    folder = config.runs / "compare-codes"
    write_results(folder, result, guessed_tables(result), {})
    echo()
    show_comparison(result)
    echo(f"\nEverything is in {folder}/ (open index.html).")


def clusters_of(codes: Codes, split: str, method: Method, config: CompareConfig) -> dict[str, Any]:
    """Cluster one split's codes: measures, those of permuted labels, and what the method ran with.

    A small split is sorted into no more clusters than half its codes.
    """
    rows = codes.rows(split)
    found = cluster(codes.codes[rows], method, min(config.clusters, len(rows) // 2), config.seed)
    measured = with_permutations(codes.codes[rows], found.labels, codes.labels[rows], seed=config.seed)
    return {**measured, "parameters": found.parameters, "note": found.note}


def _size(path: Path) -> int:
    """Side of the pictures that codes were made of, if a run beside them tells; 128 else."""
    return read_run_record(path.parent)["config"]["size"] if (path.parent / "run.json").exists() else 128


def _name(path: Path) -> str:
    """What made the codes, if a run beside them tells: its form and its second objective."""
    if not (path.parent / "run.json").exists():
        return path.stem
    options = read_run_record(path.parent)["config"]
    form = f"vector code ({options['code']})" if options["code"] else "spatial code"
    return form if options["objective"] == "none" else f"{form}, {options['objective']}"
