"""A result as a person reads it in a terminal of 80 columns."""

from typing import Any

from rich.table import Table

from wikiart_classify.scores import MANY, MEDIUM, most_confused
from wikiart_data.console import console, say
from wikiart_data.styles import readable


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
    say()

    styles = Table(box=None, pad_edge=False)
    for heading in ("style", "train", split, "recall", "precision", "F1"):
        styles.add_column(heading, justify="left" if heading == "style" else "right", no_wrap=True)
    for row in sorted(result["per_style"], key=lambda row: -row["train"]):
        figures = [_percent(row[key]) for key in ("recall", "precision", "f1")]
        styles.add_row(readable(row["style"]), str(row["train"]), str(row["n"]), *figures)
    console.print(styles)
    confused = most_confused(result)
    if confused:
        say()
        say("Most often taken for one another:")
        for true, named, times, total in confused:
            say(f"  {readable(true)} named {readable(named)}: {times} of {total}")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}"


def _interval(interval: list[float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
