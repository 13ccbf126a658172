"""The comparison of codes as a person reads it in a terminal."""

from typing import Any

from rich.table import Table

from wikiart_data.console import console, echo


def show_comparison(result: dict[str, Any]) -> None:
    """Print two tables: clusters against styles, and how well style can be read from each kind of code."""
    n = result["n"]
    methods = list(result["rows"][0]["clusters"]["train"])
    for method in methods:
        echo(f"Clusters by {method}, {n['train']:,} training pictures (±: std of AMI with permuted labels)")
        table = Table(box=None, pad_edge=False)
        for heading in ("codes", "AMI", "±", "on test", "ARI", "purity", "silhouette"):
            _add_column(table, heading)
        for row in result["rows"]:
            found, of_test = (row["clusters"][split][method] for split in ("train", "test"))
            figures = [_three(found[key]) for key in ("ari", "purity", "silhouette")]
            amis = (found["ami"], found["ami_permuted"][1], of_test["ami"])
            table.add_row(row["space"], *map(_three, amis), *figures)
        console.print(table, markup=False)
        echo()
    first = result["rows"][0]["space_measures"]
    echo(f"Style read from codes, {n['test']:,} test pictures, % (majority {100 * first['majority']:.1f})")
    table = Table(box=None, pad_edge=False)
    for heading in ("codes", "kNN-20", "balanced", "linear probe", "balanced"):
        _add_column(table, heading)
    for row in result["rows"]:
        found = row["space_measures"]
        keys = ("knn_top1", "knn_balanced", "probe_top1", "probe_balanced")
        table.add_row(row["space"], *(f"{100 * found[key]:.1f}" for key in keys))
    console.print(table, markup=False)


def _add_column(table: Table, heading: str) -> None:
    """Numbers keep their place; where 80 columns are too few, the names of codes go on in the next line."""
    if heading == "codes":
        table.add_column(heading, min_width=12)
    else:
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(5, len(heading)))


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
