"""`wikiart-data doctor`: what is wrong with a data folder, most serious first, and what to do about it."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from wikiart_data.cli.option_types import MaybeData, MaybeFolder
from wikiart_data.cli.options import LabelOptions

if TYPE_CHECKING:
    from wikiart_data.doctor.findings import Finding
    from wikiart_data.doctor.system_checks import SystemReport

EXAMPLES_SHOWN = 5
"""Example files on the screen per finding; `--json` names all."""


@dataclass(frozen=True)
class DoctorOptions(LabelOptions):
    """Check a data folder and the machine: unreadable and odd files, duplicates, layout, disk. Nothing is changed.

    Example: wikiart-data doctor --data paintings
    """

    data: MaybeData = None
    """Data folder (default: $WIKIART_DATA, else the built-in sample set)."""
    strict: bool = False
    """Exit with status 2 if any picture is in two splits."""
    no_near: bool = False
    """Look for identical files only, not for resized, re-encoded or slightly changed copies: faster."""
    fix: bool = False
    """Print the shell commands that correct what was found. None is run."""
    json: bool = False
    """Print everything as JSON, every file named, and nothing else."""
    cache_dir: MaybeFolder = None
    """Cache folder (default: $WIKIART_CACHE, else the user's own)."""


@dataclass(frozen=True)
class Report:
    """What doctor found."""

    data: str
    status: int
    """0 all well (notes at most), 1 warnings, 2 a run would stop."""
    pictures: int
    counts: dict[str, dict[str, int]]
    """Split → style → pictures."""
    notes: list[str]
    """What `scan` says about the folder: which split is used, what is left out."""
    findings: list["Finding"]
    """Most serious first."""
    machine: "SystemReport"
    commands: list[str]
    """Shell commands that correct what was found."""
    seconds: float


def doctor(options: DoctorOptions) -> int:
    """Inspect a data folder and print the report.

    Returns:
        0 all well (notes at most), 1 warnings, 2 a run would stop.
    """
    report = _inspect(options)
    if options.json:
        print(json.dumps(asdict(report), indent=1))  # ASCII: whatever a name holds comes out as an escape
    else:
        _print(report, fix=options.fix)
    return report.status


def _inspect(options: DoctorOptions) -> Report:
    from wikiart_data.console import track
    from wikiart_data.doctor.findings import (
        Finding,
        UnlistedFiles,
        class_findings,
        copy_findings,
        file_findings,
        folder_findings,
        split_counts,
    )
    from wikiart_data.doctor.fixes import fix_commands
    from wikiart_data.doctor.inspect_file import inspect_file
    from wikiart_data.doctor.system_checks import check_system
    from wikiart_data.errors import InputError
    from wikiart_data.files import cache_root
    from wikiart_data.images.catalog import scan
    from wikiart_data.images.data_folder import find_data
    from wikiart_data.images.decode import available_cores
    from wikiart_data.images.layout import DataSource
    from wikiart_data.sample import is_sample_set

    start = time.monotonic()
    chosen = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    source = DataSource.parse(chosen)
    root = source.root
    findings: list[Finding] = []
    catalog = None
    try:
        catalog = scan(chosen, cache_dir=options.cache_dir)
    except InputError as refusal:
        findings.append(Finding("layout", "stop", str(refusal), "Correct this first."))
    unlisted = UnlistedFiles(root, catalog)
    rows = unlisted.rows
    if catalog is not None:
        styles = [catalog.styles[label] for label in catalog.labels]
        rows = list(zip(catalog.files, catalog.splits.tolist(), styles, strict=True))
        findings += class_findings(catalog)
    if catalog is None or not catalog.table:
        findings += folder_findings(file for file, _, _ in rows)
    system = check_system(root, [file for file, _, _ in rows], cache_root(options.cache_dir))
    with ThreadPoolExecutor(min(8, available_cores())) as pool:
        inspected = pool.map(lambda row: inspect_file(root, *row, near=not options.no_near), rows)
        pictures = list(track(inspected, len(rows), "inspecting", "pictures"))
    findings += file_findings(pictures)
    findings += copy_findings(pictures, strict=options.strict, sample=is_sample_set(root))
    findings += unlisted.findings(catalog)
    findings += [Finding("machine", "warn", what, do) for what, do in system.problems]
    findings.sort(key=lambda finding: finding.rank)
    worst = findings[0].level if findings else "note"
    return Report(
        data=str(chosen),
        status={"stop": 2, "warn": 1, "note": 0}[worst],
        pictures=len(rows),
        counts=split_counts(rows),
        notes=list(catalog.notes) if catalog else [],
        findings=findings,
        machine=system,
        commands=fix_commands(findings, root),
        seconds=round(time.monotonic() - start, 1),
    )


def _print(report: Report, *, fix: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from wikiart_data.console import console, echo, printable

    splits = ", ".join(f"{split} {sum(styles.values()):,}" for split, styles in report.counts.items())
    echo(f"{report.pictures:,} pictures ({splits or 'none'}), inspected in {report.seconds:.0f} s\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("found", ratio=1, overflow="fold")
    table.add_column("what to do", width=24)
    colours = {"stop": "bold red", "warn": "yellow", "note": "dim"}
    for finding in report.findings:
        table.add_row(Text(finding.level, colours[finding.level]), Text(printable(finding.what)), Text(finding.do))
    console.print(table, soft_wrap=False)  # cells are Text: a name in square brackets is not read as markup
    for finding in report.findings:
        if finding.level != "note" and finding.examples:
            echo(f"\n{printable(finding.what)}")
            for example in finding.examples[:EXAMPLES_SHOWN]:
                why = f"  ({example.why})" if example.why else ""
                echo(printable(f"  {' = '.join(example.files[:4])}{why}"))
            if len(finding.examples) > EXAMPLES_SHOWN:
                echo(f"  and {len(finding.examples) - EXAMPLES_SHOWN:,} more (--json names all)")
    if fix:
        _print_commands(report.commands)
    echo()
    for line in report.machine.lines:
        echo(printable(line))
    if report.commands and not fix:
        echo("--fix prints commands that correct some of this.")
    echo(("All well.", "A run survives this; mind the warnings.", "A run would stop here.")[report.status])


def _print_commands(commands: Sequence[str]) -> None:
    from wikiart_data.console import echo

    echo(
        "\nCommands (none has been run; read them first):"
        if commands
        else "\nThere is nothing that a command corrects."
    )
    for command in commands:
        echo(command)
