#!/usr/bin/env python3
"""The tables of REPORT.md, rendered from the JSON files in report/.

    tools/report.py keep NAME RUN [RUN ...]    keep the results of runs, one per seed, as report/NAME.json, and the
                                               first run's figures as report/figures/NAME-*.png
    tools/report.py keep NAME FOLDER           the same for the folder of a comparison or an evaluation
    tools/report.py                            render every table of REPORT.md
    tools/report.py --check                    fail if a table differs from what is rendered
    tools/report.py retable                    make the tables in every JSON anew, after a change to a part's tables
    tools/report.py draw                       redraw every figure that needs nothing but its JSON

A table stands between `<!-- table NAME -->` and `<!-- end -->`: the tables that the result itself holds. No number in
one is written by hand.
"""

import functools
import importlib
import json
import re
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wikiart_data.results import Number, Table, from_plain, markdown_table, to_plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
_MARKED_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LOCAL_OPTIONS = ("data", "runs", "name", "config", "cache_dir", "resume", "overwrite")
"""Options that say where something is on one machine, and not what was done."""
_RUN_FACTS = ("seed", "git_commit", "versions", "device", "processes")


def keep(name: str, folders: Sequence[Path], target: Path | None = None) -> None:
    """Write NAME.json from the results of runs, or of one comparison or evaluation, and copy the figures.

    No path of this machine is kept.

    Args:
        name: of the table.
        folders: of runs, one per seed, the one to show first; or one other folder of results.
        target: the folder to write (default: `report/` of this repository).

    Raises:
        SystemExit: several folders are given and one is not a run.
    """
    is_run = [(folder / "run.json").exists() for folder in folders]
    if len(folders) > 1 and not all(is_run):
        raise SystemExit("Several folders are runs of several seeds; a comparison is kept alone.")
    kept = [_kept_run(folder) for folder in folders] if is_run[0] else _without_paths(_read(folders[0] / "result.json"))
    target = target or ROOT / "report"
    (target / "figures").mkdir(parents=True, exist_ok=True)
    (target / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for figure in sorted([*folders[0].glob("*.png"), *(folders[0] / "figures").glob("*.png")]):
        shutil.copy(figure, target / "figures" / f"{name}-{figure.name}")


def _kept_run(folder: Path) -> dict[str, Any]:
    """A run's result, with what run.json says of its origin."""
    record = _read(folder / "run.json")
    facts = {key: record[key] for key in _RUN_FACTS}
    origin = {**facts, "options": record["config"], "data_fingerprint": record["data"]["fingerprint"]}
    return _without_paths({**origin, **_read(folder / "result.json")})


def _without_paths(result: dict[str, Any]) -> dict[str, Any]:
    if "options" not in result:
        return result
    options = {key: value for key, value in result["options"].items() if key not in _LOCAL_OPTIONS}
    return {**result, "options": options}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


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
    runs = [_shown_tables(run) for run in kept]
    seeds = [run["seed"] for run in kept]
    origin = f"seed {seeds[0]}, {kept[0]['device']}"
    cost = replace(runs[0][-1], title=f"{runs[0][-1].title} ({origin})")
    return "\n".join(map(markdown_table, [over_seeds([tables[0] for tables in runs], seeds), cost]))


def _shown_tables(result: Mapping[str, Any]) -> list[Table]:
    return [table for table in map(Table.from_json, result["tables"]) if not table.folded]


def over_seeds(tables: Sequence[Table], seeds: Sequence[int]) -> Table:
    """One table of the same numbers from several seeds: means with standard deviations, and the first seed's intervals.

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
    spread = f"mean ± std over {len(seeds)} seeds ({', '.join(map(str, seeds))})"
    return replace(
        first, title=f"{first.title}, {spread}, in brackets the interval of seed {seeds[0]}", rows=tuple(rows)
    )


def _mean_cell(cells: Sequence[str | Number | None]) -> str | Number | None:
    """The mean of numbers; other cells must be equal."""
    first = cells[0]
    if isinstance(first, Number):
        values = [cell.value for cell in cells if isinstance(cell, Number) and cell.value is not None]
        if len(values) < len(cells):
            return replace(first, value=None)
        spread = None if len(set(values)) == 1 and isinstance(values[0], int) else statistics.stdev(values)
        return replace(first, value=statistics.mean(values), std=spread)
    if any(cell != first for cell in cells):
        raise SystemExit(f"{first!r} differs between seeds.")
    return first


@dataclass(frozen=True)
class Kind:
    """What the results of one kind are in Python. Every name is `module:name`."""

    result: str
    """The dataclass."""
    tables: str
    """Function of a result: its tables."""
    figures: dict[str, str] = field(default_factory=dict)
    """File name → function of a result: the figure. Only those that need nothing but the result."""
    figures_of: str | None = None
    """The field of the result that the figures show, if not all of it."""


_COMPARISON = ("wikiart_classify.comparison:Comparison", "wikiart_classify.tables:tables")
_TRAINING = Kind(
    "wikiart_classify.scores:TrainResult",
    "wikiart_classify.tables:tables",
    {"confusion": "wikiart_classify.figures:confusion_figure", "recall": "wikiart_classify.figures:recall_figure"},
    figures_of="test",
)
KINDS = {
    "classify": _TRAINING,
    "post-hoc": _TRAINING,
    "imbalance": Kind(*_COMPARISON, {"frontier": "wikiart_classify.figures:frontier_figure"}),
    "models": Kind(*_COMPARISON),
    "artists": Kind(*_COMPARISON),
    "stylegen": Kind(
        "wikiart_stylegen.results:EvaluationResult",
        "wikiart_stylegen.results:tables",
        {"evaluation": "wikiart_stylegen.figures:evaluation_figure"},
    ),
    "lora": Kind(
        "wikiart_lora.score:Score", "wikiart_lora.score:tables", {"score": "wikiart_lora.figures:score_figure"}
    ),
    "rates": Kind(
        "wikiart_autoencode.evaluation.evaluate:RateComparison",
        "wikiart_autoencode.evaluation.evaluate:tables",
        {"rates": "wikiart_autoencode.figures:rate_figure"},
    ),
    "codes": Kind(
        "wikiart_autoencode.clustering.compare:CodeComparison", "wikiart_autoencode.clustering.compare:tables"
    ),
}
"""By the name of a kept JSON, without the name of its data."""


def kind_of(path: Path) -> Kind | None:
    """The kind of results that a kept JSON holds."""
    return next((kind for name, kind in KINDS.items() if f"{path.stem}-".startswith(f"{name}-")), None)


def load(path: Path) -> list[Any]:
    """The results in a kept JSON, one per seed; a comparison is one.

    Raises:
        InputError: a field is missing or has another type.
    """
    kind = kind_of(path)
    assert kind is not None
    result_type = _import(kind.result)
    from_json = getattr(result_type, "from_json", None) or functools.partial(from_plain, result_type)
    content = json.loads(path.read_text(encoding="utf-8"))
    return [from_json(result) for result in (content if isinstance(content, list) else [content])]


def retable(folder: Path) -> None:
    """Make the tables of every kept JSON in `folder` anew; nothing else in it is changed."""
    for path in sorted(folder.glob("*.json")):
        kind = kind_of(path)
        if kind is None or not kind.tables:
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        kept = content if isinstance(content, list) else [content]
        for result, entry in zip(load(path), kept, strict=True):
            entry["tables"] = to_plain(_import(kind.tables)(result))
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def figures(path: Path) -> "Iterator[tuple[str, Figure]]":
    """The figures that a kept JSON alone makes, by file name; others need the run itself."""
    if (kind := kind_of(path)) is not None and kind.figures:
        result = load(path)[0]
        result = getattr(result, kind.figures_of) if kind.figures_of else result
        for name, function in kind.figures.items():
            yield name, _import(function)(result)


def draw(folder: Path) -> None:
    """Write `figures` of every JSON in `folder` over the figures that were kept from its run."""
    from wikiart_data.results.figures import png

    for path in sorted(folder.glob("*.json")):
        for name, figure in figures(path):
            (folder / "figures" / f"{path.stem}-{name}.png").write_bytes(png(figure))


def _import(name: str) -> Any:
    """What `module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def render(text: str) -> str:
    """REPORT.md with every table rendered anew.

    Raises:
        SystemExit: there is no JSON of a table's name.
    """

    def marked_table(match: re.Match[str]) -> str:
        path = ROOT / "report" / f"{match[2]}.json"
        if not path.is_file():
            raise SystemExit(f"REPORT.md has a table {match[2]!r}, and there is no {path.relative_to(ROOT)}.")
        return match[1] + table(path) + match[3]

    return _MARKED_TABLE.sub(marked_table, text)


def main(arguments: list[str]) -> int:
    """Keep, draw, render or check; returns the exit status."""
    if arguments[:1] == ["keep"] and len(arguments) >= 3:
        keep(arguments[1], [Path(run) for run in arguments[2:]])
    elif arguments == ["retable"]:
        retable(ROOT / "report")
    elif arguments == ["draw"]:
        draw(ROOT / "report")
        return 0
    elif arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    report = ROOT / "REPORT.md"
    text = report.read_text(encoding="utf-8")
    new = render(text)
    if arguments == ["--check"]:
        print("REPORT.md is up to date." if new == text else "REPORT.md is stale: run tools/report.py.")
        return int(new != text)
    report.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
