"""Temporary: tables guessed from the shape of an untyped result, until each part makes its own `Table`s.

A result holds figures in one of two shapes, `"top1": 0.5, "top1_interval": [0.4, 0.6]` or `"top1": {"value": …,
"interval": …}`. Whatever else stands in it is left to the file itself, which the page links to.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from wikiart_data.results import statistics as statistics_of_images
from wikiart_data.results.tables import Table
from wikiart_data.styles import display_name

# Every figure that the parts report, in the order of a table: what it is called, what it is multiplied by, digits.
FIGURES: dict[str, tuple[str, float, int]] = {
    "top1": ("top-1, %", 100, 1),
    "majority": ("always the most frequent style, %", 100, 1),
    "top3": ("top-3, %", 100, 1),
    "balanced": ("balanced accuracy, %", 100, 1),
    "macro_f1": ("macro-F1, %", 100, 1),
    "many": ("recall, many, %", 100, 1),
    "medium": ("recall, medium, %", 100, 1),
    "few": ("recall, few, %", 100, 1),
    "ece": ("calibration error, %", 100, 1),
    "bytes": ("bytes", 1, 0),
    "psnr": ("PSNR, dB", 1, 2),
    "ssim": ("SSIM", 1, 3),
    "mse": ("MSE", 1, 5),
    "ami": ("AMI", 1, 3),
    "nmi": ("NMI", 1, 3),
    "ari": ("ARI", 1, 3),
    "homogeneity": ("homogeneity", 1, 3),
    "completeness": ("completeness", 1, 3),
    "purity": ("purity", 1, 3),
    "silhouette": ("silhouette, in code space", 1, 3),
    "knn_top1": ("20 neighbours, top-1, %", 100, 1),
    "knn_balanced": ("20 neighbours, balanced, %", 100, 1),
    "probe_top1": ("linear probe, top-1, %", 100, 1),
    "probe_balanced": ("linear probe, balanced, %", 100, 1),
    "chance": ("chance, %", 100, 1),
    "edges": ("edges kept", 1, 2),
    "found": ("found again of 100, %", 100, 0),
    "kid": ("KID", 1, 3),
    "diversity": ("diversity", 1, 3),
    "recall": ("recall, %", 100, 0),
    "precision": ("precision, %", 100, 0),
    "f1": ("F1, %", 100, 0),
    "value": ("named as that style, %", 100, 0),
}
BASELINES = ("majority", "chance")
"""Figures that others are held against."""
FACTS: dict[str, str] = {
    "method": "method",
    "tau": "strength chosen on valid, τ",
    "n": "pictures",
    "dimensions": "numbers a code",
    "numbers": "numbers a code",
    "styles": "styles",
    "strength": "strength",
    "epochs": "epochs",
    "steps": "steps",
    "parameters": "parameters",
    "trainable": "weights trained",
    "base_parameters": "weights of the base",
    "seconds_to_40_percent": "seconds to 40 % top-1 on valid",
    "train_seconds": "seconds of training",
}
_STYLE_COLUMNS = {"train": "training", "n": "scored"}
_TWO_SIDED = 2


def guessed_tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a result, whatever part it is of; none of what is not known."""
    found: list[Table | None] = []
    splits = {split: result[split] for split in ("test", "valid") if _is(result.get(split), Mapping)}
    if splits:
        found.append(_down("", {f"{split}, {one.get('n', 0):,} pictures": one for split, one in splits.items()}))
    makers = (_variants, _seeds, _codes, _rates, _strengths, _truth, _probe, _aims)
    found += [_or_none(make, result) for make in makers]
    found += [_down(name, {"": result[key]}) for key, name in _MEASURED.items() if _is(result.get(key), Mapping)]
    found += [_or_none(_by_style, one, split) for split, one in (splits or {"": result}).items()]
    shown = [table for table in found if table is not None and table.rows]
    about = " · ".join(f"{name} {text}" for name, text in facts(result).items())
    return [*shown, *([Table("", ("",), (), about)] if about else [])]


def facts(result: Mapping[str, Any]) -> dict[str, str]:
    """Single numbers beside the tables: name → text."""
    return {name: plain(result[key]) for key, name in FACTS.items() if _is(result.get(key), (str, int, float))}


def figure_text(key: str, value: Any) -> str:
    """A figure as it is written, in the unit of its name: 0.5 of top1 is `50.0`."""
    if not _is(value, (int, float)):
        return "–"
    _, scale, digits = FIGURES.get(key, ("", 1, 4))
    return f"{scale * value:,.{digits}f}"


def figure_name(key: str) -> str:
    """`top1` as a person writes it: `top-1, %`."""
    return FIGURES[key][0] if key in FIGURES else key.replace("_", " ")


def plain(value: Any) -> str:
    """An option or a fact as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "–"
    return "–" if value is None else str(value)


def _or_none(make: Callable[..., Table], *given: Any) -> Table | None:
    """A table, or none of a result that lacks something: it may have been written by another version."""
    try:
        return make(*given)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


_MEASURED = {
    "measures": "Clusters against styles",
    "kmeans": "Beside it, kmeans",
    "leakage": "Style read from the code",
}


def _down(title: str, columns: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a figure; of each column the value and what stands beside it: an interval, or the value by chance."""
    keys = [key for key in FIGURES if any(_value(one, key) is not None for one in columns.values())]
    by_chance = any(f"{key}_permuted" in one for one in columns.values() for key in keys)
    beside = "shuffled labels" if by_chance else "95 % interval"
    heading = [""]
    for name in columns:
        heading += [name or "value", beside]
    rows = []
    for key in keys:
        styles = next((one[f"{key}_styles"] for one in columns.values() if f"{key}_styles" in one), None)
        cells = [figure_name(key) + ("" if styles is None else f" ({plain(styles)} styles)")]
        for one in columns.values():
            cells += [figure_text(key, _value(one, key)), _chance(one, key) if by_chance else _interval(one, key)]
        rows.append(tuple(cells))
    return Table(title, tuple(heading), tuple(rows))


def _across(
    title: str, first: str, lines: Sequence[tuple[str, Mapping[str, Any]]], keys: Iterable[str], **more: Any
) -> Table:
    """A row a thing, a column a figure, intervals in brackets."""
    keys = [key for key in keys if any(_value(one, key) is not None for _, one in lines)]
    rows = tuple((name, *(_with_interval(one, key) for key in keys)) for name, one in lines)
    return Table(title, (first, *map(figure_name, keys)), rows, **more)


def _variants(result: Mapping[str, Any]) -> Table:
    """Of a proof or a score: each way to make pictures, and last what chance gives."""
    rows = result["rows"]
    lines = [(str(one.get("label", name)), one) for name, one in rows.items()]
    if _is(result.get("chance"), Mapping):
        lines.append(("chance", result["chance"]))
    return _across("What the judge names, and what is kept", "pictures", lines, FIGURES)


def _seeds(result: Mapping[str, Any]) -> Table:
    """Of a comparison: a row a method, mean ± standard deviation over seeds."""
    rows = result["rows"]
    keys = [key for key in FIGURES if key not in BASELINES and any(key in run for row in rows for run in row["runs"])]
    cells = [(str(row.get("label", "")), *(_over_seeds(row["runs"], key) for key in keys)) for row in rows]
    majority = ("always the most frequent style", figure_text("majority", result.get("majority")))
    cells.append((*majority, *[""] * (len(keys) - 1)))
    seeds = ", ".join(map(str, result.get("seeds", [])))
    title = f"{result.get('n', 0):,} {result.get('split', '')} pictures, mean ± std over seeds {seeds}"
    return Table(title, ("", *map(figure_name, keys)), tuple(cells))


def _codes(result: Mapping[str, Any]) -> Table:
    """Of a comparison of codes: clusters by the first method, and style read from the codes."""
    rows = result["rows"]
    method = next(iter(rows[0]["clusters"]["train"]))
    keys = ("knn_top1", "knn_balanced", "probe_top1", "probe_balanced")
    heading = ("codes", "numbers", f"AMI, {method}", "shuffled labels", "AMI on test", *map(figure_name, keys))
    cells = []
    for row in rows:
        train, test = (row["clusters"][split][method] for split in ("train", "test"))
        amis = (figure_text("ami", train.get("ami")), _chance(train, "ami"), figure_text("ami", test.get("ami")))
        read = (figure_text(key, row["space_measures"].get(key)) for key in keys)
        cells.append((str(row["space"]), plain(row["dimensions"]), *amis, *read))
    first = rows[0]["space_measures"]
    majority, chance = (figure_text(key, first.get(key)) for key in BASELINES)
    cells.append(("always the most frequent style", "", "", "", "", majority, chance, majority, chance))
    return Table("Clusters, and style read from codes", heading, tuple(cells))


def _rates(result: Mapping[str, Any]) -> Table:
    """Of autoencoders against files: a row an autoencoder, then every curve's point nearest to the first's bytes."""
    points = result["codes"]
    lines = [(f"vector, {one['code']}" if one.get("code") else "spatial code", one) for one in points]
    first = points[0]["bytes"]
    for name, curve in result.get("curves", {}).items():
        lines.append((name, min(curve, key=lambda point: abs(math.log(point["bytes"] / first)))))
    title = (
        f"{result.get('n', 0):,} {result.get('split', '')} pictures; below, files of about as many bytes as the first"
    )
    return _across(title, "code", lines, ("bytes", "psnr", "ssim", "mse"))


def _strengths(result: Mapping[str, Any]) -> Table:
    lines = [(f"{row['strength']:g}", row) for row in result["strengths"]]
    return _across("Strength", "strength", lines, FIGURES)


def _truth(result: Mapping[str, Any]) -> Table:
    lines = [(name, one) for name, one in result["truth"].items() if _is(one, Mapping)]
    return _across("Beside the same scene by painters of the style", "pictures", lines, ("psnr", "ssim"))


def _probe(result: Mapping[str, Any]) -> Table:
    shares = result["probe"]
    rows = [
        (name, figure_text("top1", one.get("value")), _interval({"top1": one}, "top1")) for name, one in shares.items()
    ]
    return Table("Is it still the scene? What the probe sees", ("pictures", "%", "95 % interval"), tuple(rows))


def _aims(result: Mapping[str, Any]) -> Table:
    rows = [
        (name, f"{one['value']:.3g}", f"{one['aim']:.3g}", "reached" if one["reached"] else "missed")
        for name, one in result["targets"].items()
    ]
    return Table("Aims", ("", "value", "aim", ""), tuple(rows))


def _by_style(result: Mapping[str, Any], split: str) -> Table:
    """A row a style, most training pictures first where they are told."""
    rows = sorted(result["per_style"], key=lambda row: -row.get("train", 0))
    counted = [key for key in _STYLE_COLUMNS if key in rows[0]]
    lines = [(row, {k: v for k, v in row.items() if k not in ("base", "adapted")}) for row in rows]
    sides = [side for side in ("base", "adapted") if any(side in row for row in rows)]
    keys = [key for key in ("recall", "precision", "f1", "value") if key in rows[0]]
    heading = ["style", *(_STYLE_COLUMNS[key] for key in counted), *map(figure_name, keys)]
    heading += [f"{side}: {figure_name(key)}" for key in ("top1", "kid") for side in sides]
    cells = []
    for row, own in lines:
        line = [display_name(str(row["style"])), *(plain(row[key]) for key in counted)]
        line += [_with_interval(own, key) for key in keys]
        line += [figure_text(key, _value(row.get(side, {}), key)) for key in ("top1", "kid") for side in sides]
        cells.append(tuple(line))
    return Table(f"By style{', ' + split if split else ''}", tuple(heading), tuple(cells), folded=True)


def _value(one: Mapping[str, Any], key: str) -> float | None:
    value = one.get(key)
    if _is(value, Mapping):
        value = value.get("value")
    return value if _is(value, (int, float)) else None


def _interval(one: Mapping[str, Any], key: str) -> str:
    whole = one.get(key)
    ends = whole.get("interval") if _is(whole, Mapping) else one.get(f"{key}_interval")
    if not _is(ends, list | tuple) or len(ends) != _TWO_SIDED:
        return ""
    return "–".join(figure_text(key, end) for end in ends)


def _with_interval(one: Mapping[str, Any], key: str) -> str:
    own = {**one, f"{key}_interval": one.get("interval")} if key == "value" else one
    between = _interval(own, key)
    return figure_text(key, _value(one, key)) + (f" ({between})" if between else "")


def _chance(one: Mapping[str, Any], key: str) -> str:
    told = one.get(f"{key}_permuted")
    if not _is(told, list | tuple) or len(told) != _TWO_SIDED:
        return ""
    return " ± ".join(figure_text(key, value) for value in told)


def _over_seeds(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [run.get(key) for run in runs]
    if not values or not all(_is(value, (int, float)) for value in values):
        return "–"
    mean = figure_text(key, statistics.mean(values))
    return mean + (f" ± {figure_text(key, statistics.stdev(values))}" if len(values) > 1 else "")


def _is(value: Any, kind: Any) -> bool:
    """Of a kind, and a number that is one: JSON here may hold NaN, and true is no number."""
    if isinstance(value, bool):
        return False
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def proportion(successes: np.ndarray) -> dict[str, Any]:
    """Temporary: `statistics.proportion` as a dict."""
    return asdict(statistics_of_images.proportion(successes))


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Temporary: `statistics.bootstrap_mean` as a dict."""
    return asdict(statistics_of_images.bootstrap_mean(values, seed))


def kid(real: Any, generated: Any, scale: float | None = None, seed: int = 0) -> dict[str, Any]:
    """Temporary: `statistics.kid` as a dict."""
    return asdict(statistics_of_images.kid(real, generated, scale, seed))
