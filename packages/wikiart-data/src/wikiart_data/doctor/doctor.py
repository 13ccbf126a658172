"""`wikiart-data doctor`: what is wrong with a data folder, most serious first, and what to do about it."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wikiart_data.cli.option_types import MaybeData, MaybeFolder

if TYPE_CHECKING:
    from wikiart_data.doctor.findings import Finding

SHOWN = 5
"""Example files on the screen for each finding; `--json` names all."""


@dataclass(frozen=True)
class DoctorOptions:
    """Check a data folder: unreadable and odd files, the same picture twice, the machine. It is only read.

    Example: wikiart-data doctor --data paintings
    """

    data: MaybeData = None
    """Data folder (default: $WIKIART_DATA, else the built-in sample set)."""
    strict: bool = False
    """Exit with status 2 if any picture is in two splits."""
    no_near: bool = False
    """Look for the same file twice only, not for resized, re-encoded or slightly changed copies: faster."""
    json: bool = False
    """Print everything as JSON, every file named, and nothing else."""
    cache_dir: MaybeFolder = None
    """Cache folder (default: $WIKIART_CACHE, else the user's own)."""


def doctor(options: DoctorOptions) -> int:
    """Examine a data folder and print the report.

    Returns:
        0 all well (notes at most), 1 warnings, 2 a run would stop.
    """
    from wikiart_data.console import track
    from wikiart_data.doctor.findings import Finding, Lying, of_classes, of_copies, of_files
    from wikiart_data.doctor.inspect_file import inspect_file
    from wikiart_data.doctor.system_checks import measure
    from wikiart_data.errors import InputError
    from wikiart_data.files import cache_root
    from wikiart_data.images.catalog import find_data, scan
    from wikiart_data.images.decode import available_cores
    from wikiart_data.sample import is_sample_set

    start = time.monotonic()
    root = find_data(options.data, options.cache_dir).absolute()
    findings: list[Finding] = []
    try:
        catalog = scan(root, cache_dir=options.cache_dir)
    except InputError as refusal:
        catalog = None
        findings.append(Finding("layout", "stop", str(refusal), "Mend this first."))
    lying = Lying(root, whole=catalog is None)
    rows = lying.rows
    if catalog is not None:
        styles = [catalog.styles[label] for label in catalog.labels]
        rows = list(zip(catalog.files, catalog.splits.tolist(), styles, strict=True))
        findings += of_classes(catalog)
    facts, complaints = measure(root, [file for file, _, _ in rows], cache_root(options.cache_dir))
    with ThreadPoolExecutor(min(8, available_cores())) as pool:
        examined = pool.map(lambda row: inspect_file(root, *row, near=not options.no_near), rows)
        pictures = list(track(examined, len(rows), "examining", "pictures"))
    painted = is_sample_set(root)
    findings += [*of_files(pictures), *of_copies(pictures, strict=options.strict, painted=painted), *lying.findings()]
    findings += [Finding("machine", "warn", what, do) for what, do in complaints]
    findings.sort(key=lambda finding: finding.rank)
    worst = findings[0].level if findings else "note"
    counts: dict[str, Counter[str]] = {}
    for _, split, style in rows:
        counts.setdefault(split, Counter())[style] += 1
    report = {
        "data": str(root),
        "status": {"stop": 2, "warn": 1, "note": 0}[worst],
        "pictures": len(rows),
        "counts": counts,
        "findings": [asdict(finding) for finding in findings],
        "machine": facts,
        "seconds": round(time.monotonic() - start, 1),
    }
    if options.json:
        print(json.dumps(report, indent=1))  # ASCII: whatever a name holds comes out as an escape
    else:
        _print(report, findings)
    return report["status"]


def _print(report: dict[str, Any], findings: Sequence["Finding"]) -> None:
    from rich.table import Table
    from rich.text import Text

    from wikiart_data.console import console, echo, printable

    splits = ", ".join(f"{split} {sum(styles.values()):,}" for split, styles in report["counts"].items())
    echo(f"{report['pictures']:,} pictures ({splits or 'none'}), examined in {report['seconds']:.0f} s\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("found", ratio=1, overflow="fold")
    table.add_column("what to do", width=24)
    colours = {"stop": "bold red", "warn": "yellow", "note": "dim"}
    for finding in findings:
        table.add_row(Text(finding.level, colours[finding.level]), Text(printable(finding.what)), Text(finding.do))
    console.print(table, soft_wrap=False)  # cells are Text: a name in square brackets is not read as markup
    for finding in findings:
        if finding.level != "note" and finding.examples:
            echo(f"\n{printable(finding.what)}")
            for example in finding.examples[:SHOWN]:
                why = f"  ({example['why']})" if example["why"] else ""
                echo(printable(f"  {' = '.join(example['files'][:4])}{why}"))
            if len(finding.examples) > SHOWN:
                echo(f"  and {len(finding.examples) - SHOWN:,} more (--json names all)")
    echo()
    for fact in report["machine"].values():
        echo(printable(fact["text"]))
    echo(("All well.", "A run survives this; mind the warnings.", "A run would stop here.")[report["status"]])
