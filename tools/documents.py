"""Documents whose tables and numbers are filled in from kept JSON files; tools/report.py says how they are marked."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wikiart_data.results import Number, Table, markdown_table
from wikiart_data.results.tables import Cell

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_MARKED_TABLE = re.compile(r"(<!-- table (\S+)((?: \w+=\"[^\"]*\")*) -->\n).*?(<!-- end -->)", re.DOTALL)
_MARKED_NUMBER = re.compile(r"(<!-- = (.+?) -->)(.*?)(<!-- -->)", re.DOTALL)
_CHOICE = re.compile(r'(\w+)="([^"]*)"')
_NOT_PROSE = re.compile(
    r"<!-- table .*?<!-- end -->|<!-- = .*?<!-- -->|<!--.*?-->|^```.*?^```|`[^`]*`"
    r"|\]\([^)]*\)|Stable Diffusion [\d.]+|95 %\s+interval",
    re.DOTALL | re.MULTILINE,
)
_MEASURED = re.compile(r"\d+\.\d+(?!\d*\.\d)|\d+ %|\d{1,3}(?:,\d{3})+")
"""What looks like a measurement in a sentence: decimals, percentages, thousands."""


def table(path: Path) -> str:
    """Markdown for a kept JSON: the tables that are not folded.

    Runs of several seeds are shown as the mean and standard deviation of their first table, and the tables of the
    first run's cost.

    Raises:
        InputError: a table cannot be read.
    """
    kept = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(kept, list):
        return "\n".join(map(markdown_table, _shown_tables(kept)))
    if _are_evaluations(kept):
        return "\n".join(markdown_table(table) for table in all_tables(path) if not table.folded)
    runs = [_shown_tables(run) for run in kept]
    seeds = [run["seed"] for run in kept]
    origin = f"seed {seeds[0]}, {kept[0]['device']}"
    cost = replace(runs[0][-1], title=f"{runs[0][-1].title} ({origin})")
    return "\n".join(map(markdown_table, [over_seeds([tables[0] for tables in runs], seeds), cost]))


def _are_evaluations(kept: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are evaluations of several runs' models, which say of each run what it was."""
    return all(result.get("training") for result in kept)


def _shown_tables(result: Mapping[str, Any]) -> list[Table]:
    return [table for table in map(Table.from_json, result["tables"]) if not table.folded]


def over_seeds(tables: Sequence[Table], seeds: Sequence[int]) -> Table:
    """One table of the same numbers from several seeds: means of numbers and of the ends of their intervals.

    Args:
        tables: one per seed, with the same rows and columns.
        seeds: as many.

    Raises:
        SystemExit: rows or columns differ.
    """
    first = tables[0]
    for other in tables[1:]:
        if other.columns != first.columns or [row[0] for row in other.rows] != [row[0] for row in first.rows]:
            raise SystemExit(f"{first.title!r} has other rows or columns in another seed: they have no mean.")
    if len(tables) == 1:
        return replace(first, title=f"{first.title}, seed {seeds[0]}")
    rows = []
    for same_row in zip(*(table.rows for table in tables), strict=True):
        cells = [_mean_cell(cells) for cells in zip(*(row[1:] for row in same_row), strict=True)]
        rows.append((same_row[0][0], *cells))
    spread = f"mean ± std over {len(seeds)} seeds ({', '.join(map(str, sorted(seeds)))})"
    return replace(first, title=f"{first.title}, {spread}", rows=tuple(rows))


def _mean_cell(cells: Sequence[str | Number | None]) -> str | Number | None:
    """The mean of numbers; other cells must be equal.

    The interval is the mean of the seeds' intervals: that of one network which is as good as they are on average. Seeds
    are tested on the same images, so it is not narrower for their number.
    """
    first = cells[0]
    if isinstance(first, Number):
        values = [cell.value for cell in cells if isinstance(cell, Number) and cell.value is not None]
        if len(values) < len(cells):
            return replace(first, value=None)
        ends = [cell.interval for cell in cells if isinstance(cell, Number) and cell.interval is not None]
        interval = None
        if len(ends) == len(cells):
            interval = (statistics.mean(low for low, _ in ends), statistics.mean(high for _, high in ends))
        spread = statistics.stdev(values)
        spread = spread if spread > 1e-6 else None  # the same in every seed
        return replace(first, value=statistics.mean(values), std=spread, interval=interval)
    if any(cell != first for cell in cells):
        raise SystemExit(f"{first!r} differs between seeds.")
    return first


def choose(tables: Sequence[Table], choice: Mapping[str, str]) -> list[Table]:
    """Some rows and columns of some tables, for a document with little room.

    Args:
        tables: of one result.
        choice: `of` (numbers of tables, from 0), `columns` and `rows` (names separated by semicolons, in the order in
            which they are shown), `title`, `note`.

    Raises:
        SystemExit: there is no such table, column, row or choice.
    """
    if unknown := choice.keys() - {"of", "columns", "rows", "title", "note"}:
        raise SystemExit(
            f"A table is chosen by of, columns, rows, title and note, not by {', '.join(sorted(unknown))}."
        )
    if "of" in choice:
        tables = [tables[int(number)] for number in choice["of"].split(";")]
    chosen = []
    for table in tables:
        names = [row[0] for row in table.rows]
        rows = [_position(name, names) for name in _listed(choice.get("rows"))] or range(len(names))
        columns = [_position(name, table.columns) for name in _listed(choice.get("columns"))] or range(
            1, len(table.columns)
        )
        chosen.append(
            Table(
                choice.get("title", table.title),
                (table.columns[0], *(table.columns[column] for column in columns)),
                tuple((table.rows[row][0], *(table.rows[row][column] for column in columns)) for row in rows),
                choice.get("note", table.note),
            )
        )
    return chosen


def recall_at_mix(recalls: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]]) -> float:
    """The mean recall of a classifier over styles, each weighted by how often it is a target.

    Args:
        recalls: `per_style` of a classifier's result on real images.
        targets: `per_style` of an evaluation of repaints.
    """
    recall = {style["style"]: style["recall"] or 0.0 for style in recalls}
    weights = {style["style"]: style["repaints"]["n"] for style in targets}
    return sum(recall[style] * n for style, n in weights.items()) / sum(weights.values())


def _listed(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(";")] if names else []


def _position(name: str, names: Sequence[Cell]) -> int:
    stripped = [str(other).strip() for other in names]
    if name not in stripped:
        raise SystemExit(f"There is no {name!r} in {', '.join(map(repr, stripped))}.")
    return stripped.index(name)


def expressions(folder: Path) -> "SandboxedEnvironment":
    """The jinja2 environment in which the expressions of numbers are evaluated.

    Args:
        folder: of the kept JSON files.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined)

    def cell(name: str, row: str, column: str, table: int = 0) -> str | Number | None:
        chosen = all_tables(folder / f"{name}.json")[table]
        return chosen.rows[_position(row, [cells[0] for cells in chosen.rows])][_position(column, chosen.columns)]

    def kept(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    environment.globals |= {
        "cell": cell,
        "kept": kept,
        "recall_at_mix": recall_at_mix,
        "interval": lambda number: replace(number, baseline=None).detail(),
        "percent": lambda value, digits=1: Number(float(value), "%", digits).headline(unit=False),
        "points": lambda value, digits=1: Number(float(value), "%", digits, signed=True).headline(unit=False),
        "thousands": lambda value: f"{value:,.0f}",
        "minutes": lambda seconds: f"{seconds / 60:.0f}",
    }
    return environment


def all_tables(path: Path) -> list[Table]:
    """Every table of a kept JSON, folded ones too.

    Of several seeds, the first table is the mean, and of evaluations every table of numbers is. All others are those of
    the first seed: a run's most frequent confusions, its cost.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    runs = [
        [Table.from_json(table) for table in run["tables"]]
        for run in (content if isinstance(content, list) else [content])
    ]
    if not isinstance(content, list):
        return runs[0]
    if not _are_evaluations(content):
        return [over_seeds([tables[0] for tables in runs], [run["seed"] for run in content]), *runs[0][1:]]
    seeds = [result["training"]["seed"] for result in content]
    return [
        replace(tables[0], title=f"{tables[0].title}, seed {seeds[0]}")
        if any(isinstance(cell, str) for row in tables[0].rows for cell in row[1:])
        else over_seeds(tables, seeds)
        for tables in zip(*runs, strict=True)
    ]


def render(text: str, folder: Path) -> str:
    """A document with every table and every marked number rendered anew.

    Args:
        text: of the document.
        folder: of the kept JSON files.

    Raises:
        SystemExit: there is no JSON of a table's name, or an expression cannot be evaluated.
    """
    environment = expressions(folder)

    def marked_table(match: re.Match[str]) -> str:
        path = folder / f"{match[2]}.json"
        if not path.is_file():
            raise SystemExit(f"A document has a table {match[2]!r}, and there is no report/{path.name}.")
        choice = dict(_CHOICE.findall(match[3]))
        shown = "\n".join(map(markdown_table, choose(all_tables(path), choice))) if choice else table(path)
        return match[1] + shown + match[4]

    def marked_number(match: re.Match[str]) -> str:
        from jinja2 import TemplateError

        try:
            value = environment.compile_expression(match[2], undefined_to_none=False)()
            shown = replace(value, std=None).headline(unit=False) if isinstance(value, Number) else str(value)
        except (TemplateError, OSError, TypeError, ValueError) as error:
            raise SystemExit(f"{match[2]} cannot be evaluated: {error}") from error
        return match[1] + shown + match[4]

    return _MARKED_NUMBER.sub(marked_number, _MARKED_TABLE.sub(marked_table, text))


def typed_numbers(text: str) -> list[str]:
    """Measurements in the sentences of a document that no marker fills in, each with the words around it."""
    prose = _NOT_PROSE.sub(" ", text)
    return [" ".join(prose[max(0, m.start() - 30) : m.end() + 20].split()) for m in _MEASURED.finditer(prose)]


def tables_page(folder: Path) -> str:
    """All tables of all kept JSON files as one Markdown page."""
    lines = [
        "# All tables",
        "",
        "The results behind [REPORT.md](../REPORT.md), whole. `tools/report.py` writes this page from the JSON files",
        "in this folder.",
        "",
    ]
    for path in sorted(folder.glob("*.json")):
        lines += [f"## {path.stem}", "", *map(markdown_table, all_tables(path))]
    return "\n".join(lines)
