"""A comparison and a run as figures and tables, from made-up numbers."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

from wikiart_classify.comparison import (
    ComparedMethod,
    Comparison,
    Differences,
    RunMetrics,
    SweepPoint,
    mean_and_std,
    pareto_frontier,
)
from wikiart_classify.figures import MAX_STYLES, confusion_figure, frontier_figure, learning_curve, recall_figure
from wikiart_classify.scores import TrainResult, score
from wikiart_classify.significance import PairedDifference
from wikiart_classify.tables import print_comparison, tables
from wikiart_data.results.figures import GREY
from wikiart_data.results.serialization import json_text
from wikiart_data.results.tables import Number, Table

METHODS = {  # mean top-1 and balanced accuracy, %
    "no balancing": (48.2, 22.0),
    "sampler, power ½": (47.0, 25.3),
    "sampler, power 1": (40.4, 27.2),
    "weights, inverse counts": (33.5, 26.0),
    "weights, effective number": (38.2, 26.9),
    "focal loss": (47.6, 21.2),
    "logit adjustment in the loss": (41.6, 29.4),
    "balanced softmax": (41.9, 29.1),
    "deferred re-weighting": (44.1, 28.2),
    "LDAM + deferred re-weighting": (43.2, 26.5),
    "classifier re-trained on balanced batches": (42.8, 28.6),
    "τ-normalisation": (46.2, 25.9),
    "balanced MixUp": (46.8, 25.0),
}


def run_metrics(seed: int = 0, top1: float = 0.5, balanced: float = 0.3, few: float | None = None) -> RunMetrics:
    return RunMetrics(
        seed=seed,
        n=1198,
        majority=0.235,
        styles_scored=27,
        top1=top1,
        top3=0.7,
        balanced=balanced,
        macro_f1=0.25,
        many=0.5,
        medium=0.3,
        few=few,
        ece=0.125,
        valid_top1=0.5,
        valid_balanced=0.3,
        train_seconds=1234.0,
        seconds_to_40_percent=None,
        parameters=1000,
        epochs=12,
        tau=None,
        size=64,
    )


def a_comparison(kind: str = "imbalance", seeds: int = 3) -> Comparison:
    rows = []
    for label, (top1, balanced) in METHODS.items():
        runs = tuple(
            run_metrics(seed, (top1 + seed - 1) / 100, (balanced - 0.5 * (seed - 1)) / 100) for seed in range(seeds)
        )
        difference = PairedDifference(-0.123, (-0.144, -0.101), 0.0001, 0.0002)
        versus = Differences(difference, replace(difference, difference=0.0321, p_holm=0.0456)) if rows else None
        rows.append(ComparedMethod(label.upper(), label, "", runs, versus))
    taus = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    sweep = tuple(SweepPoint(tau, 0.482 - 0.2 * tau**2, 0.22 + 0.125 * tau - 0.07 * tau**2) for tau in taus)
    return Comparison(
        kind=kind,
        seeds=tuple(range(seeds)),
        split="test",
        n=1198,
        majority=0.235,
        rows=tuple(rows),
        sweep=sweep if kind == "imbalance" else (),
    )


def a_row(name: str, *points: tuple[float, float]) -> ComparedMethod:
    return ComparedMethod(name, name, "", tuple(run_metrics(i, x, y) for i, (x, y) in enumerate(points)))


def test_mean_and_sample_standard_deviation():
    row = a_row("a", (0.4, 0.1), (0.44, 0.1), (0.48, 0.2))
    assert mean_and_std(row, "top1") == pytest.approx((0.44, 0.04))
    assert mean_and_std(row, "few") is None
    assert mean_and_std(replace(row, runs=row.runs[:1]), "top1") == (0.4, None)


def test_pareto_frontier():
    points = {"a": (0.5, 0.2), "b": (0.4, 0.3), "c": (0.4, 0.25), "d": (0.3, 0.3), "e": (0.45, 0.25), "f": (0.1, 0.4)}
    rows = [a_row(name, point) for name, point in points.items()]
    assert pareto_frontier(rows) == ["f", "b", "e", "a"]
    assert pareto_frontier([*rows, a_row("g", (0.5, 0.2))]) == ["f", "b", "e", "a", "g"]


def test_a_comparison_survives_json():
    comparison = a_comparison()
    assert Comparison.from_json(json.loads(json_text(comparison))) == comparison


def apart(corners: np.ndarray, sizes: np.ndarray) -> bool:
    lower = np.maximum(corners[:, None], corners)
    upper = np.minimum((corners + sizes)[:, None], corners + sizes)
    overlap = (upper > lower).all(axis=-1)
    return bool((overlap == np.eye(len(corners), dtype=bool)).all())


def test_every_method_is_labelled_and_no_two_labels_overlap():
    figure = frontier_figure(a_comparison())
    (axes,) = figure.axes
    texts = {text.get_text(): text for text in axes.texts}
    assert set(METHODS) <= set(texts)
    assert "τ 0" in texts
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    # Positions are rounded to a pixel when the text is placed.
    assert apart(np.array([box.p0 + 0.5 for box in boxes]), np.array([box.size - 1 for box in boxes]))
    assert figure.get_figwidth() * figure.dpi == 1080


def test_the_line_passes_through_the_frontier():
    comparison = a_comparison()
    axes = frontier_figure(comparison).axes[0]
    (line,) = [line for line in axes.lines if "frontier" in str(line.get_label())]
    frontier = {METHODS[row.label] for row in comparison.rows if row.method in pareto_frontier(comparison.rows)}
    drawn = {tuple(point) for point in np.round(line.get_xydata(), 6).tolist()}
    assert frontier <= drawn
    assert len(frontier) < len(METHODS)
    assert (np.diff(line.get_xdata()) >= 0).all()
    assert (np.diff(line.get_ydata()) <= 0).all()


def test_the_sweep_ends_at_its_best_balanced_accuracy():
    axes = frontier_figure(a_comparison()).axes[0]
    (curve,) = [line for line in axes.lines if "by τ" in str(line.get_label())]
    assert curve.get_xydata()[-1] == pytest.approx([28.2, 27.5])
    assert len(curve.get_xdata()) == 5


def test_methods_close_together_are_enlarged_and_each_is_labelled_once():
    crowd = {f"method {number}": (40 + 0.2 * number, 20 - 0.3 * number) for number in range(8)}
    points = {**crowd, "far": (20.0, 40.0), "bad": (10.0, 25.0)}
    rows = tuple(a_row(name, (x / 100, y / 100)) for name, (x, y) in points.items())
    comparison = replace(a_comparison("models", seeds=1), rows=rows)
    everything, enlarged = frontier_figure(comparison).axes
    assert {text.get_text() for text in everything.texts} == {"far", "bad"}
    assert {text.get_text() for text in enlarged.texts} == set(crowd)
    assert enlarged.get_xlim()[0] > 38
    for left, right in ((everything.get_xlim(), (10, 42)), (enlarged.get_xlim(), (40, 41.4))):
        assert left[0] < right[0] < right[1] < left[1]


def test_rows_of_few_images_are_grey_and_styles_are_ordered_by_period():
    labels = np.repeat([0, 1, 2], [20, 3, 12])
    scores = score(np.eye(3)[labels], labels, ["Pop_Art", "Impressionism", "Baroque"], np.array([9, 9, 9]))
    (axes,) = confusion_figure(scores).axes
    rows = axes.get_yticklabels()
    assert [label.get_text().split(" (")[0] for label in rows] == ["Baroque", "Impressionism", "Pop Art"]
    assert [label.get_color() == GREY for label in rows] == [False, True, False]
    blue, grey = (image.get_array().mask for image in axes.images)
    assert blue[:, 0].tolist() == [False, True, False]
    assert (grey == ~blue).all()


def test_a_figure_of_one_seed_and_no_sweep():
    figure = frontier_figure(a_comparison("models", seeds=1))
    assert "seeds" not in figure.axes[0].get_title(loc="left")
    assert not [line for line in figure.axes[0].lines if "by τ" in str(line.get_label())]


# -- figures of many styles, and of one epoch -------------------------------------------------------------------------


@functools.cache
def many_styles(styles: int, images: int = 1200):
    random = np.random.default_rng(0)
    labels = random.integers(0, styles, images)
    probabilities = np.eye(styles)[np.where(random.random(images) < 0.6, labels, random.integers(0, styles, images))]
    names = [f"Style_of_a_very_long_name_indeed_{number}" for number in range(styles)]
    return score(probabilities, labels, names, random.integers(1, 1000, styles))


@pytest.mark.parametrize("draw", [confusion_figure, recall_figure])
def test_figures_of_300_styles_stay_small_and_readable(draw):
    figure = draw(many_styles(300))
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    assert height <= width
    visible = [text for axes in figure.axes for text in axes.get_xticklabels() + axes.get_yticklabels()]
    assert len(visible) <= 2 * MAX_STYLES


def test_figures_up_to_the_limit_show_every_style():
    scores = many_styles(MAX_STYLES)
    assert len(confusion_figure(scores).axes[0].get_yticks()) == MAX_STYLES
    assert len(recall_figure(scores).axes[0].patches) == MAX_STYLES


def test_the_learning_curve_of_one_epoch_shows_its_points():
    line = {"epoch": 0, "loss": 2.0, "top1": 0.4, "balanced": 0.2, "top3": 0.6}
    left, right = learning_curve([line], 0.2).axes
    for axes in (left, right):
        curves = [curve for curve in axes.lines if len(curve.get_xdata()) == 1]
        assert curves
        assert all(curve.get_marker() == "o" for curve in curves)
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]


# -- tables -----------------------------------------------------------------------------------------------------------


def cells(table: Table, name: str) -> dict[str, object]:
    (row,) = [row for row in table.rows if row[0] == name]
    return dict(zip(table.columns, row, strict=True))


@pytest.mark.parametrize("kind", ["imbalance", "models", "artists"])
def test_a_comparison_has_a_row_per_method_and_fits_80_columns(kind, capsys):
    comparison = a_comparison(kind)
    table = tables(comparison)[0]
    assert [row[0] for row in table.rows] == list(METHODS)
    assert str(cells(table, "no balancing")["top-1"]) == "48.2 ± 1.0 %"
    print_comparison(comparison)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_differences_have_interval_and_adjusted_p():
    _, differences, methods = tables(a_comparison())
    assert [row[0] for row in differences.rows] == list(METHODS)[1:]
    (row,) = [row for row in differences.rows if row[0] == "focal loss"]
    top1, p_top1, balanced, p_balanced = row[1:]
    assert top1 == Number(-0.123, "%", interval=(-0.144, -0.101), signed=True)
    assert isinstance(balanced, Number)
    assert (p_top1, balanced.value, p_balanced) == ("<0.001", 0.0321, "0.046")
    assert [row[0] for row in methods.rows] == list(METHODS)


def test_one_seed_has_no_std_and_one_row_no_differences():
    comparison = a_comparison("models", seeds=1)
    table, networks = tables(replace(comparison, rows=comparison.rows[:1]))
    assert [row[0] for row in networks.rows] == ["no balancing"]
    assert all(cell.std is None for row in table.rows for cell in row if isinstance(cell, Number))


def test_tables_of_a_run():
    scores = many_styles(5)
    result = TrainResult(valid=scores, test=None, train_seconds=9.5, parameters=1000, epochs=2, tau=0.35)
    metrics, confusions, per_style, cost = tables(result)
    assert cells(metrics, "top-1 accuracy")["valid"] == Number(scores.top1, "%", interval=scores.top1_interval)
    assert len(confusions.rows) == 5
    assert len(per_style.rows) == 5
    assert per_style.folded
    assert str(cells(cost, "strength τ chosen on valid")["value"]) == "0.35"
    assert len(tables(replace(result, test=scores))) == 5
