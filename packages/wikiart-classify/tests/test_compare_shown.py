"""A comparison as a figure and in a terminal, from made-up numbers."""

import io

import numpy as np
import pytest

from wikiart_classify import report
from wikiart_classify.comparison import frontier, spread
from wikiart_classify.figures import frontier_figure
from wikiart_classify.report import show_comparison

METHODS = {  # mean top-1 and balanced accuracy in %
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
    "classifier trained again on balanced batches": (42.8, 28.6),
    "τ-normalisation": (46.2, 25.9),
    "balanced MixUp": (46.8, 25.0),
}


def a_comparison(kind: str = "imbalance", seeds: int = 3) -> dict:
    rows = []
    for label, (top1, balanced) in METHODS.items():
        shared = {"macro_f1": 0.25, "many": 0.5, "medium": 0.3, "few": None, "ece": 0.125}
        shared |= {"top3": 0.7, "train_seconds": 1234.0}
        runs = [
            {"seed": seed, "top1": (top1 + seed - 1) / 100, "balanced": (balanced - 0.5 * (seed - 1)) / 100} | shared
            for seed in range(seeds)
        ]
        told = {"difference": -0.123, "interval": [-0.144, -0.101], "p": 0.0001, "p_holm": 0.0002}
        versus = {"top1": told, "balanced": told | {"difference": 0.0321, "p_holm": 0.0456}} if rows else None
        rows.append({"method": label.upper(), "label": label, "paper": "", "runs": runs, "versus": versus})
    sweep = [
        {"tau": tau, "top1": 0.482 - 0.2 * tau**2, "balanced": 0.22 + 0.125 * tau - 0.07 * tau**2}
        for tau in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    ]
    about = {"kind": kind, "seeds": list(range(seeds)), "split": "test", "n": 1198, "majority": 0.235}
    return about | {"rows": rows} | ({"sweep": sweep} if kind == "imbalance" else {})


def test_spread_is_mean_and_sample_standard_deviation():
    runs = [{"top1": share, "few": few} for share, few in ((0.4, 0.1), (0.44, None), (0.48, 0.2))]
    assert spread({"runs": runs}, "top1") == pytest.approx((0.44, 0.04))
    assert spread({"runs": runs}, "few") is None
    assert spread({"runs": runs[:1]}, "top1") == (0.4, None)


def test_frontier_holds_what_none_beats_in_both():
    points = {"a": (0.5, 0.2), "b": (0.4, 0.3), "c": (0.4, 0.25), "d": (0.3, 0.3), "e": (0.45, 0.25), "f": (0.1, 0.4)}
    rows = [{"method": name, "runs": [{"top1": x, "balanced": y}]} for name, (x, y) in points.items()]
    assert frontier(rows) == ["f", "b", "e", "a"]
    twins = [*rows, {"method": "g", "runs": [{"top1": 0.5, "balanced": 0.2}]}]
    assert frontier(twins) == ["f", "b", "e", "a", "g"]


def apart(corners: np.ndarray, sizes: np.ndarray) -> bool:
    low = np.maximum(corners[:, None], corners)
    high = np.minimum((corners + sizes)[:, None], corners + sizes)
    shared = (high > low).all(axis=-1)
    return bool((shared == np.eye(len(corners), dtype=bool)).all())


def test_every_method_is_named_and_no_two_names_overlap():
    figure = frontier_figure(a_comparison())
    (axes,) = figure.axes
    texts = {text.get_text(): text for text in axes.texts}
    assert set(METHODS) <= set(texts)
    assert "τ 0" in texts
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    # A pixel is lost to rounding when the text is set.
    assert apart(np.array([box.p0 + 0.5 for box in boxes]), np.array([box.size - 1 for box in boxes]))
    assert figure.get_figwidth() * figure.dpi == 1080


def test_the_line_is_the_steps_of_the_frontier():
    result = a_comparison()
    axes = frontier_figure(result).axes[0]
    (line,) = [line for line in axes.lines if "better in both" in str(line.get_label())]
    kept = {METHODS[row["label"]] for row in result["rows"] if row["method"] in frontier(result["rows"])}
    drawn = {tuple(place) for place in np.round(line.get_xydata(), 6).tolist()}
    assert kept <= drawn
    assert len(kept) < len(METHODS)
    assert (np.diff(line.get_xdata()) >= 0).all()
    assert (np.diff(line.get_ydata()) <= 0).all()


def test_the_sweep_ends_at_its_best_balanced_accuracy():
    axes = frontier_figure(a_comparison()).axes[0]
    (curve,) = [line for line in axes.lines if "by τ" in str(line.get_label())]
    assert curve.get_xydata()[-1] == pytest.approx([28.2, 27.5])
    assert len(curve.get_xdata()) == 5


def test_a_figure_of_one_seed_and_no_sweep():
    figure = frontier_figure(a_comparison("models", seeds=1))
    assert "seeds" not in figure.axes[0].get_title(loc="left")
    assert not [line for line in figure.axes[0].lines if "by τ" in str(line.get_label())]


@pytest.fixture
def shown(monkeypatch) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(report.console, "_file", out)
    monkeypatch.setattr(report.console, "_width", 80)
    return out


@pytest.mark.parametrize("kind", ["imbalance", "models"])
def test_a_comparison_fits_80_columns(shown, kind):
    show_comparison(a_comparison(kind))
    lines = shown.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    (first,) = [line for line in lines if line.startswith("no balancing")]
    cells = ["48.2±1.0", *(["70.0"] if kind == "models" else []), "22.0±0.5", "25.0", "50.0", "30.0", "–", "12.5"]
    assert first.split()[2:] == [*cells, *(["1,234"] if kind == "models" else [])]
    # A method a line, but for names longer than their column, twice: the figures and the differences.
    assert sum(line.startswith("balanced softmax ") and "(" not in line for line in lines) == 1
    ends = [line for line in lines if line.startswith("  ") and "balanced batches" in line]
    assert len(ends) == 2 or kind == "models"


def test_differences_are_shown_with_interval_and_p(shown):
    show_comparison(a_comparison())
    (line,) = [line for line in shown.getvalue().splitlines() if line.startswith("focal loss") and "(" in line]
    assert line.removeprefix("focal loss").split() == [
        *("-12.3", "(-14.4,", "-10.1)", "<0.001"),
        *("+3.2", "(-14.4,", "-10.1)", "0.046"),
    ]


def test_one_seed_has_no_spread_and_no_second_table_without_differences(shown):
    result = a_comparison("models", seeds=1)
    result["rows"] = result["rows"][:1]
    show_comparison(result)
    assert "±" not in shown.getvalue()
    assert "Difference" not in shown.getvalue()
