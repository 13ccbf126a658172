"""A result as a person reads it in a terminal of 80 columns."""

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from wikiart_classify.comparison import spread
from wikiart_classify.scores import MANY, MEDIUM, most_confused
from wikiart_data.console import console, echo, echo_wrapped
from wikiart_data.styles import display_name


def show(result: dict[str, Any], split: str) -> None:
    """Print the headline figures, the table by style, and the pairs most often confused."""
    table = Table(title=f"{result['n']:,} {split} pictures", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    rows = [
        ("top-1 accuracy", "top1"),
        ("  always the most frequent style", "majority"),
        ("top-3 accuracy", "top3"),
        (f"balanced accuracy ({result['styles_scored']} styles)", "balanced"),
        ("macro-F1", "macro_f1"),
        (f"recall, {result['many_styles']} styles with ≥ {MANY} training pictures", "many"),
        (f"recall, {result['medium_styles']} styles with {MEDIUM}–{MANY - 1}", "medium"),
        (f"recall, {result['few_styles']} styles with < {MEDIUM}", "few"),
    ]
    for label, key in rows:
        if result[key] is not None:
            table.add_row(label, f"{100 * result[key]:.1f}", _interval(result.get(f"{key}_interval")))
    console.print(table)
    echo()

    styles = Table(box=None, pad_edge=False)
    for heading in ("style", "train", split, "recall", "precision", "F1"):
        styles.add_column(heading, justify="left" if heading == "style" else "right", no_wrap=True)
    for row in sorted(result["per_style"], key=lambda row: -row["train"]):
        figures = [_percent(row[key]) for key in ("recall", "precision", "f1")]
        styles.add_row(display_name(row["style"]), str(row["train"]), str(row["n"]), *figures)
    console.print(styles)
    confused = most_confused(result)
    if confused:
        echo()
        echo("Most often taken for one another:")
        for true, named, times, total in confused:
            echo(f"  {display_name(true)} named {display_name(named)}: {times} of {total}")


_WIDTH = 80


def show_comparison(result: dict[str, Any]) -> None:
    """Print a comparison: a row a method, then how far each is from the first and how sure that is."""
    models = result["kind"] == "models"
    headings = ["top-1", *(["top-3"] if models else []), "balanced", "macro-\nF1", "many", "medium", "few", "ECE"]
    keys = ["top1", *(["top3"] if models else []), "balanced", "macro_f1", "many", "medium", "few", "ece"]
    rows = []
    for row in result["rows"]:
        cells = [_mean_of(row, key, with_std=key in ("top1", "balanced")) for key in keys]
        rows.append([row["label"], *cells, *([_seconds(row)] if models else [])])
    seeds = len(result["seeds"])
    over = f"mean ± std over {seeds} seeds" if seeds > 1 else "one seed"
    if result["kind"] == "artists":
        keys, headings = (
            ["majority", "top1", "top3", "balanced", "macro_f1"],
            ["majority", "top-1", "top-3", "balanced", "macro-F1"],
        )
        rows = [
            [f"{row['label']} ({_pictures(row)})", *(_mean_of(row, key, with_std=True) for key in keys)]
            for row in result["rows"]
        ]
        echo(f"{result['split']} pictures, {over}, in %.")
        echo()
        _print_table(["split", *headings], rows)
        return
    echo(f"{result['n']:,} {result['split']} pictures, {over}, in %.")
    echo(f"Always answering the most frequent style gives top-1 {100 * result['majority']:.1f}.")
    echo("ECE is the expected calibration error.")
    echo()
    _print_table(["method", *headings, *(["train\ns"] if models else [])], rows)

    compared = [row for row in result["rows"] if row.get("versus")]
    if not compared:
        return
    echo()
    told = f"Difference to {result['rows'][0]['label']} in points, with its 95 % interval, and p after Holm:"
    echo_wrapped(told)
    echo()
    rows = []
    for row in compared:
        pairs = [row["versus"][key] for key in ("top1", "balanced")]
        rows.append([row["label"], *(cell for pair in pairs for cell in (_difference(pair), _p(pair["p_holm"])))])
    _print_table(["method", "top-1", "p", "balanced", "p"], rows)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns a space apart; the first takes what the others leave of 80 columns, and long names break into lines."""
    columns = list(zip(headings, *rows, strict=True))[1:]
    taken = sum(1 + max(len(line) for cell in column for line in cell.split("\n")) for column in columns)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right", no_wrap=True, vertical="bottom")
    for name, *cells in rows:
        lines = textwrap.wrap(name, max(12, _WIDTH - taken), subsequent_indent="  ")
        table.add_row("\n".join(lines), *cells)
    console.print(table, markup=False)


def _mean_of(row: dict[str, Any], key: str, with_std: bool = False) -> str:
    found = spread(row, key)
    if found is None:
        return "–"
    mean, std = found
    return f"{100 * mean:.1f}" + (f"±{100 * std:.1f}" if with_std and std is not None else "")


def _pictures(row: dict[str, Any]) -> str:
    numbers, styles = ({run[key] for run in row["runs"]} for key in ("n", "styles_scored"))
    return f"{_span(numbers)} pictures, {_span(styles)} styles"


def _span(numbers: set[int]) -> str:
    return f"{min(numbers):,}" if len(numbers) == 1 else f"{min(numbers):,}–{max(numbers):,}"


def _seconds(row: dict[str, Any]) -> str:
    found = spread(row, "train_seconds")
    return "–" if found is None else f"{found[0]:,.0f}"


def _difference(pair: dict[str, Any]) -> str:
    low, high = pair["interval"]
    return f"{100 * pair['difference']:+.1f} ({100 * low:+.1f}, {100 * high:+.1f})"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"


def _interval(interval: list[float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
