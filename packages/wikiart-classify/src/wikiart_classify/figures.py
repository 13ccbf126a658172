"""Figures of a run (learning curve, confusions, recall per style) and of a comparison (top-1 against balanced)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wikiart_classify.comparison import Comparison, Metric, StyleRecalls, SweepPoint, mean_and_std, pareto_frontier
from wikiart_classify.scores import Scores, StyleScores, most_frequent_confusions
from wikiart_data.results.figures import (
    ACCENT,
    FAINT,
    GREY,
    INK,
    LINES,
    PALE,
    SECOND,
    SMALL,
    TINY,
    canvas,
    count_axis,
    markers,
    styled,
)
from wikiart_data.results.label_placement import label_points
from wikiart_data.styles import display_name, period_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

MAX_STYLES = 40
"""Up to this many styles, the confusion matrix has a row per style and the recall a bar."""
FEW_IMAGES = 10
"""Rows of the confusion matrix with fewer images are grey: one image is more than 10 % of such a row."""
MAX_CONFUSIONS = 25
"""Number of confusions shown for more styles."""


@styled
def learning_curve(metrics: Sequence[Mapping[str, Any]], majority: float) -> "Figure":
    """Loss on training batches, and top-1, top-3 and balanced accuracy on valid, per epoch."""
    figure, ((left, right),) = canvas(2.6, columns=2)
    epochs = [line["epoch"] + 1 for line in metrics]
    points = markers(len(epochs))
    losses = [line["loss"] for line in metrics]
    left.plot(epochs, losses, color=INK, **points)
    left.set(title="Loss on mixed training batches", xlabel="epoch", ylim=(0, 1.05 * max(losses)))
    for key, label, line_style in zip(("top1", "balanced", "top3"), ("top-1", "balanced", "top-3"), LINES, strict=True):
        right.plot(epochs, [100 * line[key] for line in metrics], label=label, **line_style, **points)
    right.axhline(100 * majority, color=INK, linestyle=":", linewidth=1, label="always the most frequent style")
    right.set(title="Accuracy on valid", xlabel="epoch", ylabel="%", ylim=(0, 100))
    figure.legend(loc="outside lower right", ncols=4)
    for axes in (left, right):
        count_axis(axes, epochs)
    return figure


@styled
def confusion_figure(scores: Scores) -> "Figure":
    """Confusion matrix, each row in % of the true style's images; for many styles, the most frequent confusions."""
    return _confusion_matrix(scores) if len(scores.per_style) <= MAX_STYLES else _confusion_bars(scores)


def _confusion_matrix(scores: Scores) -> "Figure":
    """Styles in the order of their periods, so that related ones are neighbours; rows of few images are grey."""
    order = period_order([row.style for row in scores.per_style])
    counts = np.array(scores.confusion, dtype=float)[order][:, order]
    totals = counts.sum(axis=1)
    percent = 100 * counts / np.maximum(totals, 1)[:, None]
    names = [display_name(scores.per_style[index].style) for index in order]
    is_few = totals < FEW_IMAGES
    figure, ((axes,),) = canvas(6.9)
    for rows, colours in ((~is_few, "Blues"), (is_few, "Greys")):
        # Greys stay light: a dark cell would look like much evidence.
        shown = np.ma.masked_array(percent, np.broadcast_to(~rows[:, None], percent.shape))
        axes.imshow(shown, cmap=colours, vmin=0, vmax=100 if colours == "Blues" else 350)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), [f"{name} ({int(n)})" for name, n in zip(names, totals, strict=True)])
    for label, few in zip(axes.get_yticklabels(), is_few, strict=True):
        label.set_color(GREY if few else INK)
    axes.set(xlabel=f"predicted style ({scores.n:,} images)", ylabel="true style (images)")
    note = f"; grey: fewer than {FEW_IMAGES} images" if is_few.any() else ""
    axes.set_title(f"Predicted styles in % of each true style{note}")
    for i, j in zip(*np.nonzero(percent >= 5), strict=True):
        ink = GREY if is_few[i] else "white" if percent[i, j] > 55 else INK
        axes.text(j, i, f"{percent[i, j]:.0f}", ha="center", va="center", color=ink, fontsize=TINY)
    return figure


def _confusion_bars(scores: Scores) -> "Figure":
    confusions = most_frequent_confusions(scores, MAX_CONFUSIONS)
    rows = np.arange(len(confusions))
    figure, ((axes,),) = canvas(1.0 + 0.2 * max(4, len(confusions)))
    axes.barh(rows, [row.count for row in confusions], color=ACCENT, height=0.7)
    for index, row in enumerate(confusions):
        axes.text(row.count, index, f" {row.count} of {row.n}", va="center", fontsize=TINY, color=INK)
    labels = [f"{_short(row.true)} → {_short(row.predicted)}" for row in confusions]
    axes.set_yticks(rows, labels)
    axes.set(xlabel="images", ylim=(len(confusions) - 0.4, -0.6))
    axes.margins(x=0.12)
    axes.set_title(f"Most frequent confusions, true → predicted style ({scores.n:,} images)")
    return figure


@styled
def recall_figure(scores: Scores) -> "Figure":
    """Recall of each style against its number of training images."""
    rows = sorted((row for row in scores.per_style if row.recall is not None), key=lambda row: -row.train)
    figure, ((axes,),) = canvas(3.4)
    if len(rows) <= MAX_STYLES:
        _recall_bars(axes, rows)
    else:
        _recall_points(axes, rows)
    axes.axhline(100 * scores.balanced, color=SECOND, linewidth=1, label=f"mean {100 * scores.balanced:.1f} %")
    axes.set(ylabel="recall, %", ylim=(0, 105))
    axes.legend(loc="upper right")
    return figure


def _recall_bars(axes: "Axes", rows: Sequence[StyleScores]) -> None:
    x = np.arange(len(rows))
    recall = [100 * (row.recall or 0.0) for row in rows]
    axes.bar(x, recall, color=ACCENT, width=0.7)
    for position, (height, row) in enumerate(zip(recall, rows, strict=True)):
        axes.text(position, height + 1.5, f"{row.n}", ha="center", fontsize=TINY, color=INK)
    axes.set_xticks(x, [f"{display_name(row.style)} · {row.train}" for row in rows], rotation=90)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_title("Recall per style, by number of training images (above the bars: images scored)")


def _recall_points(axes: "Axes", rows: Sequence[StyleScores]) -> None:
    recall = [100 * (row.recall or 0.0) for row in rows]
    axes.scatter([row.train for row in rows], recall, s=14, color=ACCENT, alpha=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("training images of the style")
    axes.set_title(f"Recall of {len(rows):,} styles")


DUMBBELL = {"none": GREY, "sampler-half": ACCENT, "post-hoc": SECOND}
"""Methods whose recall per style is compared, and their colours."""


@styled
def dumbbell_figure(comparison: Comparison) -> "Figure":
    """Recall of every style without balancing, with the half-balanced sampler and with post-hoc logit adjustment."""
    labels = {row.method: row.label for row in comparison.rows}
    return _dumbbells(comparison.per_style, {name: labels[name] for name in DUMBBELL if name in labels})


def _dumbbells(rows: Sequence[StyleRecalls], labels: Mapping[str, str]) -> "Figure":
    """One line per style, with a mark for the recall of each method in `labels`."""
    rows = rows[:MAX_STYLES]
    figure, ((axes,),) = canvas(1.1 + 0.2 * len(rows))
    y = np.arange(len(rows))
    recalls = {name: np.array([100 * row.recalls[name] for row in rows]) for name in labels}
    ends = np.array(list(recalls.values()))
    axes.hlines(y, ends.min(axis=0), ends.max(axis=0), color=PALE, linewidth=2, zorder=1)
    for name, marker in zip(labels, "osD", strict=False):
        # Equal values lie on top of one another: the first method is the largest marker.
        size = {"o": 52, "s": 30, "D": 14}[marker]
        axes.scatter(recalls[name], y, s=size, marker=marker, color=DUMBBELL[name], label=labels[name], zorder=2)
    axes.set_yticks(y, [f"{display_name(row.style)} ({row.train:,} · {row.n:,})" for row in rows])
    axes.set(xlabel="recall, %", xlim=(-2, 102), ylim=(len(rows) - 0.4, -0.6))
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_title("Recall per style (training images · images scored)", pad=18)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.1, handletextpad=0.2)
    return figure


_SWEEP_LABEL = "logit adjustment post hoc of the unbalanced networks, by τ"
_LABELLED_TAUS = 5
_WINDOW = 0.4
"""Side of the part that is enlarged, as a fraction of what the methods span."""
_MIN_IN_WINDOW = 6
"""Fewer methods than this so close together are legible without enlargement."""


@styled
def frontier_figure(comparison: Comparison) -> "Figure":
    """Top-1 against balanced accuracy, one point per method; a line joins those that no other dominates.

    Where many methods are close together, a second panel enlarges them.

    Args:
        comparison: its sweep, if there is one, is drawn up to its best balanced accuracy: a stronger adjustment costs
            top-1 accuracy and gains nothing.
    """
    means, stds = _means_and_stds(comparison)
    sweep = _up_to_best(comparison.sweep)
    curve = 100 * np.array([(point.top1, point.balanced) for point in sweep]).reshape(-1, 2)
    window = _densest_window(means)
    figure, (panels,) = canvas(4.2, columns=1 if window is None else 2)
    for axes in panels:
        _draw_frontier(axes, comparison, means, stds, curve)
    everything = np.concatenate([means - stds, means + stds, curve])
    margin = 0.08 * (everything.max(axis=0) - everything.min(axis=0)) + 0.5
    (left, bottom), (right, top) = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    panels[0].set(xlim=(left, right), ylim=(bottom, top), ylabel="balanced accuracy, %")
    panels[0].set_title("Top-1 against balanced accuracy")
    seeds = len(comparison.seeds)
    over = f", mean ± std over {seeds} seeds" if seeds > 1 else ""
    majority = f"always the most frequent style: {100 * comparison.majority:.1f} %"
    figure.supxlabel(
        f"top-1 accuracy, %   ({comparison.n:,} {comparison.split} images{over}; {majority})", fontsize=SMALL
    )
    if sweep or len(pareto_frontier(comparison.rows)) > 1:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=2)

    labelled = np.unique(np.linspace(0, len(sweep) - 1, _LABELLED_TAUS).round().astype(int)) if sweep else []
    front = pareto_frontier(comparison.rows)
    labels = [(row.label, INK if row.method in front else GREY) for row in comparison.rows]
    labels += [(f"τ {sweep[index].tau:g}", SECOND) for index in labelled]
    points = np.concatenate([means, curve[labelled]]) if sweep else means
    is_inside = np.zeros(len(points), dtype=bool)
    if window is not None:
        low, high = window
        panels[1].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), title="The framed part, enlarged")
        panels[1].spines[:].set(visible=True, color=GREY)
        panels[0].add_patch(_frame(low, high))
        is_inside = ((points > low) & (points < high)).all(axis=1)
    for is_enlarged, axes in enumerate(panels):
        shown = is_inside == bool(is_enlarged)
        chosen = [label for label, is_shown in zip(labels, shown, strict=True) if is_shown]
        label_points(axes, points[shown], chosen, means, _ink(means, stds, [curve, _staircase(comparison, means)]))
    return figure


def _draw_frontier(
    axes: "Axes", comparison: Comparison, means: np.ndarray, stds: np.ndarray, curve: np.ndarray
) -> None:
    """The points of all methods with their deviations, the line of the frontier and the sweep."""
    front = pareto_frontier(comparison.rows)
    on_front = np.array([row.method in front for row in comparison.rows])
    steps = _staircase(comparison, means)
    axes.plot(*steps.T, color=ACCENT, linewidth=1.4, zorder=2, label="Pareto frontier: no method is better in both")
    if len(curve):
        style = {"linewidth": 1, "linestyle": ":", "marker": ".", "markersize": 3}
        axes.plot(*curve.T, color=SECOND, zorder=2, label=_SWEEP_LABEL, **style)
    for colour, members, order in ((PALE, ~on_front, 1), (FAINT, on_front, 1.5)):
        bars = {"xerr": stds[members, 0], "yerr": stds[members, 1]}
        axes.errorbar(*means[members].T, **bars, fmt="none", ecolor=colour, elinewidth=1, zorder=order)
    axes.scatter(*means[~on_front].T, s=16, color=GREY, zorder=3, linewidths=0)
    axes.scatter(*means[on_front].T, s=24, color=ACCENT, zorder=3, linewidths=0)


def _staircase(comparison: Comparison, means: np.ndarray) -> np.ndarray:
    """(P, 2): the frontier's methods, joined down and then right; what lies below and left of it is dominated."""
    front = pareto_frontier(comparison.rows)
    best = means[[row.method in front for row in comparison.rows]]
    best = best[np.lexsort((-best[:, 1], best[:, 0]))]
    steps = np.repeat(best, 2, axis=0)
    return np.stack([steps[:-1, 0], steps[1:, 1]], axis=1)


def _densest_window(means: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper corner of the part that holds most methods, if they are many and too close to be told apart."""
    span = _WINDOW * (means.max(axis=0) - means.min(axis=0))
    corners = np.array([(x, y) for x in means[:, 0] for y in means[:, 1]])
    inside = ((means >= corners[:, None]) & (means <= corners[:, None] + span)).all(axis=2)
    densest = inside[int(np.argmax(inside.sum(axis=1)))]
    if densest.sum() < max(_MIN_IN_WINDOW, len(means) / 2):
        return None
    low, high = means[densest].min(axis=0), means[densest].max(axis=0)
    margin = 0.18 * (high - low) + 0.3
    return low - margin, high + margin


def _frame(low: np.ndarray, high: np.ndarray) -> "Rectangle":
    from matplotlib.patches import Rectangle

    width, height = high - low
    return Rectangle((low[0], low[1]), width, height, fill=False, edgecolor=GREY, linewidth=1, zorder=1)


def _means_and_stds(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 2) each: top-1 and balanced accuracy in %, and their standard deviations (0 for one seed)."""
    metrics: tuple[Metric, ...] = ("top1", "balanced")
    pairs = [mean_and_std(row, metric) or (np.nan, None) for row in comparison.rows for metric in metrics]
    values = 100 * np.array([(mean, std or 0.0) for mean, std in pairs]).reshape(-1, 2, 2)
    return values[:, :, 0], values[:, :, 1]


def _up_to_best(sweep: Sequence[SweepPoint]) -> list[SweepPoint]:
    """The sweep from its smallest τ to that of the best balanced accuracy."""
    ordered = sorted(sweep, key=lambda point: point.tau)
    return ordered[: 1 + int(np.argmax([point.balanced for point in ordered]))] if ordered else []


def _ink(means: np.ndarray, stds: np.ndarray, lines: Sequence[np.ndarray]) -> np.ndarray:
    """(M, 2): points on the error bars and along the lines, which labels should not cover."""
    along = np.linspace(-1, 1, 9)[None, :, None]
    arms = [(means[:, None] + along * stds[:, None] * arm).reshape(-1, 2) for arm in ((1, 0), (0, 1))]
    between = np.linspace(0, 1, 40)[:, None]
    parts = [start + between * (end - start) for line in lines for start, end in itertools.pairwise(line)]
    return np.concatenate([*arms, *parts])


def _short(style: str, longest: int = 28) -> str:
    name = display_name(style)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
