"""The proof as a person reads it in a terminal of 80 columns."""

from typing import Any

from rich.table import Table

from wikiart_data.console import console, echo, echo_wrapped


def show_proof(result: dict[str, Any]) -> None:
    """Print the table of variants, then what stands beside it."""
    n, styles = result["n"], result["styles"]
    echo_wrapped(
        f"{n:,} {result['split']} pictures, each in one of {styles} styles at strength {result['strength']:g}, "
        "in %; in brackets 95 % intervals"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("", "judge: top-1", "top-3", "SSIM", "edges", "found again"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row in result["rows"].values():
        low, high = row["top1"]["interval"]
        cells = [
            f"{100 * row['top1']['value']:.1f} ({100 * low:.0f}–{100 * high:.0f})",
            f"{100 * row['top3']['value']:.1f}",
        ]
        if "ssim" in row:
            cells += [f"{row[key]['value']:.2f}" for key in ("ssim", "edges")] + [f"{100 * row['found']['value']:.0f}"]
        table.add_row(row["label"], *cells)
    chance = result["chance"]
    table.add_row("chance", f"{100 * chance['top1']:.1f}", f"{100 * chance['top3']:.1f}", "", "", "1")
    console.print(table, markup=False)
    echo("\nstrength  " + "  ".join(f"{row['strength']:4g}" for row in result["strengths"]))
    for name, key in (("top-1", "top1"), ("found", "found")):
        echo(f"{name:<8}  " + "  ".join(f"{100 * row[key]['value']:4.0f}" for row in result["strengths"]))
    leak, moves = result["leakage"], result["sensitivity"]["style moves"]
    echo_wrapped(
        f"\nStyle read from the content code: probe {100 * leak['probe_top1']:.1f} %, neighbours "
        f"{100 * leak['knn_top1']:.1f} % (majority {100 * leak['majority']:.1f} %)."
    )
    echo_wrapped(
        f"When only the style changes, a pixel moves by {100 * moves['value']:.1f} % of the range, on average."
    )
    closer = sum(row["painted"]["value"] < row["unchanged"]["value"] for row in result["kid"])
    echo_wrapped(
        f"KID to real paintings is smaller than the unchanged inputs' in {closer} of {len(result['kid'])} styles."
    )
    if truth := result.get("truth"):
        echo_wrapped(
            f"Against the truth: {truth['painted']['psnr']:.2f} dB, unchanged {truth['unchanged']['psnr']:.2f} dB, "
            f"mean picture {truth['mean picture']['psnr']:.2f} dB, another painter of the style "
            f"{truth['another painter']['psnr']:.2f} dB; closer than the input in {truth['closer']} of "
            f"{truth['styles']} styles, another painter in {truth['another painter closer']}."
        )
