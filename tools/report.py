#!/usr/bin/env python3
"""The tables and numbers of REPORT.md and README.md, rendered from the JSON files in report/.

    tools/report.py keep NAME RUN [RUN ...]    keep the results of runs, one per seed, as report/NAME.json, and the
                                               first run's figures as report/figures/NAME-*.png
    tools/report.py keep NAME FOLDER           the same for the folder of a comparison or an evaluation
    tools/report.py                            render every table and number, and report/TABLES.md
    tools/report.py --check                    fail if one differs from what is rendered, or was typed by hand, or a
                                               figure of report/figures is shown on no page
    tools/report.py retable                    make the tables in every JSON anew, after a change to a part's tables
    tools/report.py draw                       redraw every kept figure that needs nothing but its JSON

A table stands between `<!-- table NAME -->` and `<!-- end -->`: the tables that the result itself holds, or what is
chosen of them by `of="0"`, `columns="top-1; ECE"`, `rows="ours; chance"`, `title="…"` and `note="…"` after the name.

A number in a sentence stands between `<!-- = EXPRESSION -->` and `<!-- -->`, not at the beginning of a line, where a
comment would end the paragraph. The expression is jinja2's; in a table it holds no `|`.

    cell("classify-realart", "top-1 accuracy", "test")     the cell of a table; the mean over the seeds
    interval(cell(…))                                      its 95 % interval
    kept("classify-realart")[0].test.n                     anything else in the JSON
    percent, points, thousands, minutes                    0.515 → 51.5, 0.032 → +3.2, 1198 → 1,198, 90 s → 2

report/TABLES.md holds all tables of all files, whole.
"""

import functools
import importlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from documents import over_seeds, recall_at_mix, render, table, tables_page, typed_numbers  # noqa: F401
from wikiart_data.results import from_plain, to_plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("REPORT.md", "README.md")
PAGES = ("*.md", "docs/**/*.md", "packages/*/*.md")
"""Where a figure may be shown."""
_LOCAL_OPTIONS = ("data", "runs", "name", "config", "cache_dir", "resume", "overwrite")
"""Options that say where something is on one machine, and not what was done."""
_RUN_FACTS = ("seed", "git_commit", "versions", "device", "processes")


def keep(name: str, folders: Sequence[Path], target: Path | None = None) -> None:
    """Write NAME.json from the results of runs, of evaluations of runs, or of one comparison, and copy the figures.

    No path of this machine is kept.

    Args:
        name: of the table.
        folders: of runs, or of evaluations of runs, one per seed, the one to show first; or of one other result.
        target: the folder to write (default: `report/` of this repository).

    Raises:
        SystemExit: several folders are given and one is neither a run nor an evaluation of one.
    """
    if all((folder / "run.json").exists() for folder in folders):
        kept = [_kept_run(folder) for folder in folders]
    else:
        kept = [_without_paths(_read(folder / "result.json")) for folder in folders]
        if len(folders) > 1 and not all(result.get("training") for result in kept):
            raise SystemExit(
                "Several folders are runs, or evaluations of runs, of several seeds; others are kept alone."
            )
        kept = kept if len(folders) > 1 else kept[0]
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
_FRONTIER = {"frontier": "wikiart_classify.figures:frontier_figure"}
_TRAINING = Kind(
    "wikiart_classify.scores:TrainResult",
    "wikiart_classify.tables:tables",
    {"confusion": "wikiart_classify.figures:confusion_figure", "recall": "wikiart_classify.figures:recall_figure"},
    figures_of="test",
)
KINDS = {
    "classify": _TRAINING,
    "imbalance-full": Kind(*_COMPARISON, {**_FRONTIER, "per-style": "wikiart_classify.figures:dumbbell_figure"}),
    "imbalance": Kind(*_COMPARISON, _FRONTIER),
    "recipes": Kind(*_COMPARISON),
    "data": Kind(*_COMPARISON),
    "cas": Kind(*_COMPARISON),
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
    "vector": Kind("wikiart_autoencode.training:TrainResult", "wikiart_autoencode.training:tables"),
    "rates": Kind(
        "wikiart_autoencode.evaluation.evaluate:RateComparison",
        "wikiart_autoencode.evaluation.evaluate:tables",
        {"rates": "wikiart_autoencode.figures:rate_figure"},
    ),
    "codes": Kind(
        "wikiart_autoencode.clustering.comparison:CodeComparison",
        "wikiart_autoencode.clustering.comparison:tables",
        {"ami": "wikiart_autoencode.figures:ami_figure"},
    ),
}
"""By how the name of a kept JSON begins; the first that fits."""


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
    """Write `figures` of every JSON in `folder` over those that are kept; others stay away."""
    from wikiart_data.results.figures import png

    for path in sorted(folder.glob("*.json")):
        for name, figure in figures(path):
            if (target := folder / "figures" / f"{path.stem}-{name}.png").exists():
                target.write_bytes(png(figure))


def unshown(root: Path) -> list[str]:
    """Names of the figures in report/figures that no page of the repository shows: kept with a run, and never read."""
    pages = [page for pattern in PAGES for page in root.glob(pattern)]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return [path.name for path in sorted((root / "report" / "figures").iterdir()) if f"figures/{path.name}" not in text]


def _import(name: str) -> Any:
    """What `module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


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
    rendered = {ROOT / "report" / "TABLES.md": tables_page(ROOT / "report")}
    typed = []
    for path in (ROOT / name for name in DOCUMENTS):
        rendered[path] = render(path.read_text(encoding="utf-8"), ROOT / "report")
        typed += [f"{path.name}: a number is typed by hand: … {words} …" for words in typed_numbers(rendered[path])]
    if arguments == ["--check"]:
        stale = [path.name for path, text in rendered.items() if not path.exists() or path.read_text("utf-8") != text]
        unread = [f"report/figures/{name} is shown on no page: show or remove it." for name in unshown(ROOT)]
        wrong = [*typed, *(f"{name} is stale: run tools/report.py." for name in stale), *unread]
        print("\n".join(wrong) or "REPORT.md is up to date.")
        return int(bool(wrong))
    for path, text in rendered.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
