"""Results as tables, for the terminal, a run's page and the report."""

import statistics

from wikiart_classify.comparison import ComparedMethod, Comparison, Metric, mean_and_std
from wikiart_classify.scores import MANY, MEDIUM, Scores, TrainResult, most_frequent_confusions
from wikiart_classify.significance import PairedDifference
from wikiart_data.console import echo
from wikiart_data.results.tables import Cell, Number, Table, print_table
from wikiart_data.styles import display_name


def tables(result: TrainResult | Comparison) -> list[Table]:
    """All tables of a training run or a comparison, the most important first."""
    if isinstance(result, Comparison):
        return _comparison_tables(result)
    split, scores = result.final
    valid = [] if split == "valid" else [metrics_table(result.valid, "valid", folded=True)]
    return [*score_tables(scores, split), *valid, _cost_table(result)]


def score_tables(scores: Scores, split: str) -> list[Table]:
    """Metrics, most frequent confusions, and metrics per style of one split."""
    confusions = [
        (display_name(row.true), display_name(row.predicted), Number(row.count), Number(row.n))
        for row in most_frequent_confusions(scores)
    ]
    per_style = [
        (
            display_name(row.style),
            Number(row.train),
            Number(row.n),
            *(_percent(x) for x in (row.recall, row.precision, row.f1)),
        )
        for row in sorted(scores.per_style, key=lambda row: -row.train)
    ]
    result = [metrics_table(scores, split)]
    if confusions:
        columns = ("true style", "predicted style", "errors", "images")
        result.append(Table("Most frequent confusions", columns, tuple(confusions)))
    columns = ("style", "train", split, "recall", "precision", "F1")
    return [*result, Table(f"Metrics per style on {split}", columns, tuple(per_style), folded=True)]


def metrics_table(scores: Scores, split: str, folded: bool = False) -> Table:
    """The metrics of one split with their intervals."""
    rows: list[tuple[Cell, ...]] = [
        ("top-1 accuracy", Number(scores.top1, "%", interval=scores.top1_interval)),
        ("  always the most frequent style", Number(scores.majority, "%")),
        ("top-3 accuracy", Number(scores.top3, "%", interval=scores.top3_interval)),
        (
            f"balanced accuracy ({scores.styles_scored} styles)",
            Number(scores.balanced, "%", interval=scores.balanced_interval),
        ),
        ("macro-F1", Number(scores.macro_f1, "%", interval=scores.macro_f1_interval)),
    ]
    for label, value, interval in (
        (f"recall, {scores.many_styles} styles with ≥ {MANY} training images", scores.many, scores.many_interval),
        (f"recall, {scores.medium_styles} styles with {MEDIUM}–{MANY - 1}", scores.medium, scores.medium_interval),
        (f"recall, {scores.few_styles} styles with < {MEDIUM}", scores.few, scores.few_interval),
    ):
        if value is not None:
            rows.append((label, Number(value, "%", interval=interval)))
    if scores.frequent is not None:
        label = f"balanced accuracy, {scores.frequent_styles} styles with ≥ {MEDIUM}"
        rows.insert(4, (label, Number(scores.frequent, "%", interval=scores.frequent_interval)))
    rows.append(("expected calibration error", Number(scores.ece, "%")))
    if scores.nll is not None:
        rows.append(("negative log-likelihood", Number(scores.nll, digits=3)))
    return Table(f"Metrics on {split}: {scores.n:,} images", ("", split), tuple(rows), folded=folded)


def print_scores(scores: Scores, split: str) -> None:
    """Print all tables of one split."""
    for index, table in enumerate(score_tables(scores, split)):
        if index:
            echo()
        print_table(table)


def print_comparison(comparison: Comparison) -> None:
    """Print all tables of a comparison."""
    for index, table in enumerate(tables(comparison)):
        if index:
            echo()
        print_table(table)


def _cost_table(result: TrainResult) -> Table:
    rows = [
        ("parameters", Number(result.parameters)),
        ("epochs", Number(result.epochs)),
        ("training time", Number(result.train_seconds, "s", digits=0)),
    ]
    if result.seconds_to_40_percent is not None:
        rows.append(("training time to 40 % top-1 on valid", Number(result.seconds_to_40_percent, "s", digits=0)))
    if result.tau is not None:
        rows.append(("strength τ chosen on valid", Number(result.tau, digits=2)))
    if result.temperature is not None:
        rows.append(("temperature chosen on valid", Number(result.temperature, digits=2)))
    if result.head_epochs is not None:
        rows.append(("epochs of re-training the last layer", Number(result.head_epochs)))
    return Table("Training", ("", "value"), tuple(rows))


_NAMES: dict[Metric, str] = {
    "majority": "majority",
    "top1": "top-1",
    "top3": "top-3",
    "balanced": "balanced",
    "frequent": "balanced, ≥ 50",
    "macro_f1": "macro-F1",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "ece": "ECE",
    "nll": "NLL",
    "calibrated_nll": "NLL, calibrated",
    "train_seconds": "training",
}
_COLUMNS: dict[str, tuple[Metric, ...]] = {
    "models": ("top1", "top3", "balanced", "macro_f1", "many", "medium", "few", "ece"),
    "imbalance": ("top1", "balanced", "frequent", "macro_f1", "many", "medium", "few", "ece"),
    "recipes": ("calibrated_nll", "nll", "top1", "top3", "balanced", "frequent", "ece", "train_seconds"),
    "data": ("top1", "top3", "balanced", "frequent", "macro_f1", "ece"),
    "artists": ("majority", "top1", "top3", "balanced", "macro_f1"),
}
_FIRST_COLUMN = {
    "models": "network",
    "imbalance": "method",
    "artists": "split",
    "recipes": "recipe",
    "data": "training images",
}


_FURTHER_NOTES = {
    "imbalance": f"balanced, ≥ 50: over the styles with at least {MEDIUM} training images. ",
    "recipes": "NLL: mean negative log-likelihood; lower is better. Calibrated: after the temperature that makes it "
    "smallest, as --calibrate does, so that no recipe is chosen for its confidence alone. Measured on valid. ",
    "data": f"balanced, ≥ 50: over the styles with at least {MEDIUM} training images of --data. ",
}


def _comparison_tables(comparison: Comparison) -> list[Table]:
    seeds = ", ".join(map(str, comparison.seeds))
    over = f"mean ± std over {len(comparison.seeds)} seeds ({seeds})" if len(comparison.seeds) > 1 else f"seed {seeds}"
    # A metric that no run has is one that earlier versions did not measure.
    runs = [run for row in comparison.rows for run in row.runs]
    metrics: list[Metric] = [
        name for name in _COLUMNS[comparison.kind] if any(getattr(run, name) is not None for run in runs)
    ]
    artists = comparison.kind == "artists"
    columns = [_FIRST_COLUMN[comparison.kind], *(["images", "styles"] if artists else [])]
    columns += [_NAMES[metric] for metric in metrics]
    rows = []
    for row in comparison.rows:
        sizes = [_span({run.n for run in row.runs}), _span({run.styles_scored for run in row.runs})] if artists else []
        rows.append((row.label, *sizes, *(_mean_cell(row, metric) for metric in metrics)))
    number = "" if artists else f"{comparison.n:,} "
    further = _FURTHER_NOTES.get(comparison.kind, "") if "frequent" in metrics else ""
    groups = (
        "many, medium, few: mean recall over the styles with that many training images "
        f"(≥ {MANY}, {MEDIUM}–{MANY - 1}, < {MEDIUM}). "
    )
    note = (
        f"{groups if 'many' in metrics else ''}ECE: expected calibration error. {further}"
        f"Always predicting the most frequent style gives top-1 {100 * comparison.majority:.1f} %."
    )
    title = f"{number}{comparison.split} images, {over}"
    result = [Table(title, tuple(columns), tuple(rows), note="" if artists else note)]
    compared = [(row.label, row.versus) for row in comparison.rows if row.versus is not None]
    if compared:
        differences = tuple(
            (label, *_difference_cells(versus.top1), *_difference_cells(versus.balanced)) for label, versus in compared
        )
        baseline = comparison.rows[0].label
        title = f"Difference to {baseline} in points, with 95 % interval and p adjusted by Holm's method"
        result.append(Table(title, ("method", "top-1", "p", "balanced", "p"), differences))
    if comparison.kind == "imbalance" or (comparison.kind == "recipes" and any(row.paper for row in comparison.rows)):
        result.append(_methods_table(comparison))
    elif comparison.kind == "models":
        result.append(_networks_table(comparison))
    return result


def _methods_table(comparison: Comparison) -> Table:
    """Where each method comes from, and the strength that it chose."""
    rows = []
    for row in comparison.rows:
        strengths = dict.fromkeys(f"{run.tau:g}" for run in row.runs if run.tau is not None)
        rows.append((row.label, row.paper, ", ".join(strengths)))
    if comparison.kind == "recipes":
        return Table("Papers", ("recipe", "paper"), tuple(row[:2] for row in rows if row[1]))
    return Table("Papers, and the strength τ that a method chose on valid", ("method", "paper", "τ"), tuple(rows))


def _networks_table(comparison: Comparison) -> Table:
    """What each network is and costs; times are means over the seeds that have one."""
    rows = []
    for row in comparison.rows:
        first = row.runs[0]
        reached = [run.seconds_to_40_percent for run in row.runs if run.seconds_to_40_percent is not None]
        share = f" ({len(reached)} of {len(row.runs)} seeds)" if 0 < len(reached) < len(row.runs) else ""
        rows.append(
            (
                row.label + share,
                Number(first.parameters or None),
                f"{first.size} px",
                Number(first.epochs or None),
                _mean_cell(row, "train_seconds"),
                Number(statistics.mean(reached) if reached else None, "s", digits=0),
            )
        )
    columns = ("network", "parameters", "images", "epochs", "training", "training to 40 % top-1 on valid")
    device = f" on {comparison.device}" if comparison.device else ""
    return Table(f"Size and training time{device}", columns, tuple(rows))


def _mean_cell(row: ComparedMethod, metric: Metric) -> Number:
    unit = {"train_seconds": "s", "nll": "", "calibrated_nll": ""}.get(metric, "%")
    mean_std = mean_and_std(row, metric)
    if mean_std is None:
        return Number(None, unit)
    return Number(mean_std[0], unit, digits={"s": 0, "": 3}.get(unit, 1), std=mean_std[1])


def _difference_cells(difference: PairedDifference) -> tuple[Number, str]:
    p = difference.p if difference.p_holm is None else difference.p_holm
    number = Number(difference.difference, "%", interval=difference.interval, signed=True)
    return number, "<0.001" if p < 0.001 else f"{p:.3f}"


def _span(numbers: set[int]) -> str:
    return f"{min(numbers):,}" if len(numbers) == 1 else f"{min(numbers):,}–{max(numbers):,}"


def _percent(fraction: float | None) -> Number:
    return Number(fraction, "%", digits=0)
