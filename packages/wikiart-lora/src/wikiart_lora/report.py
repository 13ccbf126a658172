"""The score as a person reads it in a terminal of 80 columns."""

from typing import Any

from rich.table import Table

from wikiart_data.console import console, echo, echo_wrapped


def show_score(result: dict[str, Any]) -> None:
    """Print the tables."""
    echo_wrapped(
        f"{result['n']:,} pictures of {result['styles']} styles, same prompts and seeds; in brackets 95 % intervals"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("", "judge: top-1", "top-3", "KID", "diversity"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for name, row in result["rows"].items():
        top = [_percent(row[key]) if key in row else "–" for key in ("top1", "top3")]
        distance = f"{row['kid']['value']:.3f}" if "kid" in row else "–"
        spread = f"{row['diversity']['value']:.3f}" if row.get("diversity") else "–"
        table.add_row(name, *top, distance, spread)
    if "chance" in result:
        table.add_row("chance", *(f"{100 * result['chance'][key]:.1f}" for key in ("top1", "top3")), "", "")
    console.print(table, markup=False)
    if "probe" in result:
        shown = " · ".join(f"{name} {_percent(row)}" for name, row in result["probe"].items())
        echo_wrapped(f"\nThe scene that was asked for is seen by the probe, in %: {shown}")
    about = result["memorisation"]["adapted"]
    echo_wrapped(
        f"\nDistance to the nearest training picture: painted {_number(about['painted'])}, held-out real pictures "
        f"{_number(about['held_out'])}; {_percent(about['closer'])} % of the painted are nearer than 95 % of those."
    )
    echo()
    for name, aim in result["targets"].items():
        echo(f"{'reached' if aim['reached'] else 'missed '}  {name}: {aim['value']:.3g} (aim {aim['aim']:.3g})")


def _percent(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * row['value']:.1f} ({100 * low:.0f}–{100 * high:.0f})"


def _number(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['value']:.4f} ({low:.4f}–{high:.4f})"
