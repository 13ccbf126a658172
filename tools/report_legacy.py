"""Temporary: tables of results from before results described themselves as tables."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

_ROWS = (
    ("top-1", "top1"),
    ("always the most frequent style", "majority"),
    ("top-3", "top3"),
    ("balanced accuracy", "balanced"),
    ("macro-F1", "macro_f1"),
    ("recall, many (≥ 200 training pictures)", "many"),
    ("recall, medium (50–199)", "medium"),
    ("recall, few (< 50)", "few"),
    ("expected calibration error", "ece"),
)


def table(kept: Any) -> str:
    """Markdown for a kept JSON: a list of runs, or a comparison of one kind or the other.

    Raises:
        SystemExit: a kind that has no table.
    """
    if isinstance(kept, list):
        return _runs_table(kept)
    if kept["kind"] not in _COMPARISONS:
        raise SystemExit(f"There is no table for the kind {kept['kind']!r}, only for {', '.join(_COMPARISONS)}.")
    return _COMPARISONS[kept["kind"]](kept)


def _runs_table(runs: Sequence[dict[str, Any]]) -> str:
    """Mean ± standard deviation over seeds, the first seed's 95 % interval, and the cost."""
    seeds = ", ".join(str(run["seed"]) for run in runs)
    first = runs[0]["test"]
    lines = [
        f"| {first['n']:,} test pictures, % | mean ± std over {len(runs)} seeds ({seeds}) | 95 % interval, seed "
        f"{runs[0]['seed']} |",
        "|---|---|---|",
    ]
    for label, key in _ROWS:
        values = [run["test"].get(key) for run in runs]
        if None in values:
            continue
        interval = first.get(f"{key}_interval")
        shown = f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}" if interval else ""
        styles = f", {first[f'{key}_styles']} styles" if f"{key}_styles" in first else ""
        lines.append(f"| {label}{styles} | {_percent(values[:1] if key == 'majority' else values)} | {shown} |")
    # One run's, not a mean: it is enough that one of them had the machine to itself, and it is to be given first.
    alone, to_40 = f"seed {runs[0]['seed']}, {runs[0]['device']}", runs[0]["seconds_to_40_percent"]
    lines.append(f"| seconds of training ({alone}) | {runs[0]['train_seconds']:,.0f} | |")
    if to_40 is not None:
        lines.append(f"| seconds to 40 % top-1 on valid | {to_40:,.0f} | |")
    lines.append(f"| parameters | {runs[0]['parameters'] / 1e6:.2f} M | |")
    return "\n".join(lines) + "\n"


def _imbalance_table(result: dict[str, Any]) -> str:
    """A row a method against class imbalance, and how far its balanced accuracy is from the first row's."""
    keys = ("top1", "balanced", "macro_f1", "many", "medium", "few", "ece")
    reference = result["rows"][0]["label"]
    headings = [_over(result), "top-1", "balanced", "macro-F1", "many", "medium", "few", "ECE"]
    lines = [[*headings, f"balanced less {reference}: points, 95 % interval, Holm p"]]
    lines += [[_method(row), *(_figure(row, key) for key in keys), _difference(row)] for row in result["rows"]]
    lines.append(_majority_row(result, len(lines[0]), before=1))
    return _markdown(lines)


def _models_table(result: dict[str, Any]) -> str:
    """A row a model: what it is, what it reaches, what it costs."""
    keys = ("top1", "top3", "balanced", "macro_f1", "ece")
    headings = [_over(result), "parameters", "size × epochs", "top-1", "top-3", "balanced", "macro-F1", "ECE"]
    lines = [[*headings, f"seconds ({result['device']})", "seconds to 40 %"]]
    for row in result["rows"]:
        first = row["runs"][0]
        parameters = f"{first['parameters'] / 1e6:.2f} M" if first["parameters"] else "–"
        trained = f"{first['size']} × {first['epochs']}" if first["epochs"] else f"{first['size']}"
        cost = [_seconds(row, "train_seconds"), _seconds(row, "seconds_to_40_percent")]
        lines.append([_method(row), parameters, trained, *(_figure(row, key) for key in keys), *cost])
    lines.append(_majority_row(result, len(lines[0]), before=3))
    return _markdown(lines)


def _artists_table(result: dict[str, Any]) -> str:
    """A row a split: what is scored, and what the network reaches there."""
    keys = ("majority", "top1", "top3", "balanced", "macro_f1")
    over = _over(result).split(", ", 1)[1]
    lines = [[over, "pictures scored", "styles", "always the most frequent", "top-1", "top-3", "balanced", "macro-F1"]]
    for row in result["rows"]:
        spans = [sorted({run[key] for run in row["runs"]}) for key in ("n", "styles_scored")]
        told = ["–".join(f"{number:,}" for number in dict.fromkeys((span[0], span[-1]))) for span in spans]
        lines.append([row["label"], *told, *(_figure(row, key) for key in keys)])
    return _markdown(lines)


def _rates_table(result: dict[str, Any]) -> str:
    """A row an autoencoder: its quality, and what PCA, JPEG and WebP make of as many bytes."""
    names = list(result["curves"])
    lines = [[f"{result['n']:,} {result['split']} pictures at {result['size']} px", "bytes", "PSNR, dB", "SSIM", "MSE"]]
    lines[0] += [f"PSNR of {name} at as many bytes" for name in names]
    for point in result["codes"]:
        low, high = point["psnr_interval"]
        form = f"vector code, {point['code']}" if point["code"] else f"spatial code, {point['channels']} channels"
        label = form if point["objective"] == "none" else f"{form}, {point['objective']}"
        cells = [f"{point['psnr']:.2f} ({low:.2f}–{high:.2f})", f"{point['ssim']:.3f}", f"{point['mse']:.5f}"]
        at = [_at(result["curves"][name], point["bytes"]) for name in names]
        lines.append([label, f"{point['bytes']:,}", *cells, *("–" if x is None else f"{x:.2f}" for x in at)])
    return _markdown(lines)


def _at(curve: list[dict[str, float]], size: float) -> float | None:
    """PSNR of a curve at so many bytes, between its points; None where it has no files so small or large."""
    points = sorted((point["bytes"], point["psnr"]) for point in curve)
    for (left, low), (right, high) in itertools.pairwise(points):
        if left <= size <= right:
            return low + (high - low) * (size - left) / (right - left)
    return None


def _codes_table(result: dict[str, Any]) -> str:
    """A row a kind of code: clusters against styles, and style read from the codes; chance beside both."""
    lines = [["codes", "numbers"]]
    methods = list(result["rows"][0]["clusters"]["train"])
    for method in methods:
        lines[0] += [f"AMI, {method}", "by chance", "AMI on test", "ARI", "purity", "silhouette"]
    lines[0] += ["kNN-20, %", "balanced", "linear probe, %", "balanced"]
    for row in result["rows"]:
        cells = [row["space"], f"{row['dimensions']:,}"]
        for method in methods:
            found = row["clusters"]["train"][method]
            mean, std = found["ami_permuted"]
            cells += [f"{found['ami']:.3f}", f"{mean:.3f} ± {std:.3f}", f"{row['clusters']['test'][method]['ami']:.3f}"]
            cells += ["–" if found[key] is None else f"{found[key]:.3f}" for key in ("ari", "purity", "silhouette")]
        found = row["space_measures"]
        for key in ("knn_top1", "knn_balanced", "probe_top1", "probe_balanced"):
            cells.append(f"{100 * found[key]:.1f}")
        lines.append(cells)
    first = result["rows"][0]["space_measures"]
    majority, chance = f"{100 * first['majority']:.1f}", f"{100 * first['chance']:.1f}"
    blank = [""] * (1 + 6 * len(methods))
    lines.append(["always the most frequent style", *blank, majority, chance, majority, chance])
    return _markdown(lines)


def _lora_table(result: dict[str, Any]) -> str:
    """A row a painter: what the judge names right, how near it is to real paintings, and whether the scene is left."""
    lines = [[f"{result['n']} pictures, 95 % intervals", "style named right, %", "among the first three, %"]]
    lines[0] += ["KID", "diversity", "scene seen by the probe, %", "distance to the nearest training picture"]
    probe, near = result.get("probe", {}), result["memorisation"]
    scenes = {"base": "base, style asked", "adapted": "adapted, style asked", "real": "real"}
    names = {"base": "base", "adapted": "base + adapter", "real": "real valid pictures"}
    for key, row in result["rows"].items():
        cells = [_share(row[top]) if top in row else "–" for top in ("top1", "top3")]
        cells.append(_with_interval(row["kid"], 2) if "kid" in row else "–")
        cells.append(f"{row['diversity']['value']:.3f}" if row.get("diversity") else "–")
        cells.append(_share(probe[scenes[key]]) if scenes.get(key) in probe else "–")
        place = near["adapted"]["held_out"] if key == "real" else near.get(key, {}).get("painted")
        lines.append([names.get(key, key), *cells, _with_interval(place, 3) if place else "–"])
    if "base" in probe:
        lines.append(["base, scene alone asked", "", "", "", "", _share(probe["base"]), ""])
    if "chance" in result:
        lines.append(["chance", *(f"{100 * result['chance'][key]:.1f}" for key in ("top1", "top3")), "", "", "", ""])
    return _markdown(lines)


def _share(told: dict[str, Any]) -> str:
    low, high = told["interval"]
    return f"{100 * told['value']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _with_interval(told: dict[str, Any], digits: int) -> str:
    low, high = told["interval"]
    return f"{told['value']:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


_COMPARISONS = {
    "lora score": _lora_table,
    "rates": _rates_table,
    "codes": _codes_table,
    "imbalance": _imbalance_table,
    "models": _models_table,
    "artists": _artists_table,
}


def _over(result: dict[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    spread = f"mean ± std over {len(result['seeds'])} seeds ({seeds})" if len(result["seeds"]) > 1 else f"seed {seeds}"
    return f"{result['n']:,} {result['split']} pictures, %, {spread}"


def _method(row: dict[str, Any]) -> str:
    """The label, the τ that was chosen where there is one (a seed each if they differ), and the paper."""
    taus = list(dict.fromkeys(f"{run['tau']:g}" for run in row["runs"] if run.get("tau") is not None))
    tau = f", τ {', '.join(taus)}" if taus else ""
    paper = f" ({row['paper']})" if row["paper"] else ""
    return f"{row['label']}{tau}{paper}"


def _figure(row: dict[str, Any], key: str) -> str:
    values = [run.get(key) for run in row["runs"]]
    return "–" if None in values else _percent(values)


def _percent(shares: Sequence[float]) -> str:
    """Mean ± standard deviation of shares, in %."""
    values = [100 * share for share in shares]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _difference(row: dict[str, Any]) -> str:
    if not row.get("versus"):
        return ""
    told = row["versus"]["balanced"]
    low, high = told["interval"]
    p = "< 0.001" if told["p_holm"] < 0.001 else f"{told['p_holm']:.3f}"
    return f"{100 * told['difference']:+.1f} ({100 * low:+.1f}, {100 * high:+.1f}), p {p}"


def _seconds(row: dict[str, Any], key: str) -> str:
    """The mean over seeds; where only some have it, of those, and how many they are."""
    values = [run[key] for run in row["runs"] if run.get(key) is not None]
    if not values:
        return "–"
    part = f" ({len(values)} of {len(row['runs'])} seeds)" if len(values) < len(row["runs"]) else ""
    return f"{statistics.mean(values):,.0f}{part}"


def _majority_row(result: dict[str, Any], width: int, before: int) -> list[str]:
    """What always answering the most frequent style gives; top-1 stands after `before` cells."""
    cells = ["always the most frequent style", *[""] * (width - 1)]
    cells[before] = f"{100 * result['majority']:.1f}"
    return cells


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]]) + "\n"


class Untyped:
    """A result as plain JSON."""

    @staticmethod
    def from_json(content: dict[str, Any]) -> dict[str, Any]:
        """The content itself."""
        return content
