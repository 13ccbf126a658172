"""A run's pictures (learning curve, confusion matrix, recall by style), and a comparison's: what each method trades."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from wikiart_classify.comparison import frontier, spread
from wikiart_data.results.figures import ACCENT, FAINT, GREY, INK, LINES, PALE, SECOND, SMALL, TINY, canvas, styled
from wikiart_data.results.label_placement import nearest_edge, place_labels
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def learning_curve(metrics: list[dict[str, Any]], majority: float) -> "Figure":
    """Loss on training batches, and top-1, top-3 and balanced accuracy on valid, an epoch at a time."""
    figure, ((left, right),) = canvas(2.6, columns=2)
    epochs = [line["epoch"] + 1 for line in metrics]
    left.plot(epochs, [line["loss"] for line in metrics], color=INK)
    left.set(title="Loss on mixed training batches", xlabel="epoch", ylim=(0, None))
    for key, label, line_of in zip(("top1", "balanced", "top3"), ("top-1", "balanced", "top-3"), LINES, strict=True):
        right.plot(epochs, [100 * line[key] for line in metrics], label=label, **line_of)
    right.axhline(100 * majority, color=INK, linestyle=":", linewidth=1, label="always the most frequent style")
    right.set(title="Accuracy on valid", xlabel="epoch", ylabel="%", ylim=(0, 100))
    right.legend(loc="upper left", ncols=2)
    return figure


@styled
def confusion_figure(result: dict[str, Any]) -> "Figure":
    """Confusion matrix, each row in % of the true style's pictures."""
    counts = np.array(result["confusion"], dtype=float)
    totals = counts.sum(axis=1)
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    names = [display_name(row["style"]) for row in result["per_style"]]
    figure, ((axes,),) = canvas(6.9)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), [f"{name} ({int(n)})" for name, n in zip(names, totals, strict=True)])
    axes.set(xlabel="named", ylabel="true style (pictures)")
    axes.set_title(f"Of 100 pictures of a style, how many were named what ({result['n']:,} pictures)")
    for i, j in zip(*np.nonzero(shares >= 5), strict=True):
        ink = "white" if shares[i, j] > 55 else INK
        axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", color=ink, fontsize=TINY)
    return figure


@styled
def recall_figure(result: dict[str, Any]) -> "Figure":
    """Recall of each style, from the style with most training pictures to the one with fewest."""
    rows = sorted((row for row in result["per_style"] if row["n"]), key=lambda row: -row["train"])
    places = np.arange(len(rows))
    figure, ((axes,),) = canvas(3.4)
    axes.bar(places, [100 * row["recall"] for row in rows], color=ACCENT, width=0.7)
    for place, row in zip(places, rows, strict=True):
        axes.text(place, 100 * row["recall"] + 1.5, f"{row['n']}", ha="center", fontsize=TINY, color=INK)
    axes.axhline(100 * result["balanced"], color=SECOND, linewidth=1, label=f"mean {100 * result['balanced']:.1f} %")
    axes.set_xticks(places, [f"{display_name(row['style'])} · {row['train']}" for row in rows], rotation=90)
    axes.set(ylabel="recall, %", ylim=(0, 105), xlim=(-0.6, len(rows) - 0.4))
    axes.set_title("Recall by style, most training pictures first (above the bars: pictures scored)")
    axes.legend(loc="upper right")
    return figure


_SWEEP = "logit adjustment after training, unbalanced networks, by τ"
_SWEEP_NAMED = 5


@styled
def frontier_figure(result: dict[str, Any]) -> "Figure":
    """Top-1 against balanced accuracy, a point a method: those that none beats in both are joined.

    Args:
        result: of a comparison; its "sweep", where there is one, is drawn as far as its best balanced accuracy
            (a stronger adjustment than that costs top-1 and wins nothing).
    """
    rows, kept = result["rows"], frontier(result["rows"])
    figure, ((axes,),) = canvas(4.6)
    spreads = [(spread(row, "top1"), spread(row, "balanced")) for row in rows]
    means = 100 * np.array([(x[0], y[0]) for x, y in spreads])
    stds = 100 * np.array([(x[1] or 0.0, y[1] or 0.0) for x, y in spreads])
    sweep = _until_best(result.get("sweep") or [])
    curve = 100 * np.array([(line["top1"], line["balanced"]) for line in sweep]).reshape(-1, 2)

    on = np.array([row["method"] in kept for row in rows])
    best = means[on][np.lexsort((-means[on][:, 1], means[on][:, 0]))]
    # From each to the next straight down, then right: all below and left of this line is beaten by some method.
    steps = np.repeat(best, 2, axis=0)
    steps = np.stack([steps[:-1, 0], steps[1:, 1]], axis=1)
    axes.plot(*steps.T, color=ACCENT, linewidth=1.4, zorder=2, label="no other method is better in both")
    if sweep:
        axes.plot(*curve.T, color=SECOND, linewidth=1, linestyle=":", marker=".", markersize=3, zorder=2, label=_SWEEP)
    for colour, which, order in ((PALE, ~on, 1), (FAINT, on, 1.5)):
        bars = {"xerr": stds[which, 0], "yerr": stds[which, 1]}
        axes.errorbar(*means[which].T, **bars, fmt="none", ecolor=colour, elinewidth=1, zorder=order)
    axes.scatter(*means[~on].T, s=16, color=GREY, zorder=3, linewidths=0)
    axes.scatter(*means[on].T, s=24, color=ACCENT, zorder=3, linewidths=0)
    seeds = len(result["seeds"])
    over = f", mean ± std over {seeds} seeds" if seeds > 1 else ""
    axes.set_title(f"What each method trades: {result['n']:,} {result['split']} pictures{over}")
    base = f"always the most frequent style: {100 * result['majority']:.1f} % top-1"
    axes.set(xlabel=f"top-1 accuracy, %  ({base})", ylabel="balanced accuracy, % (mean over styles)")
    around = np.concatenate([means - stds, means + stds, curve])
    if sweep or on.sum() > 1:
        figure.legend(loc="outside lower left", ncols=2)
    room = 0.08 * (around.max(axis=0) - around.min(axis=0)) + 0.5
    (left, bottom), (right, top) = around.min(axis=0) - room, around.max(axis=0) + room
    axes.set(xlim=(left, right), ylim=(bottom, top))

    named = np.unique(np.linspace(0, len(sweep) - 1, _SWEEP_NAMED).round().astype(int)) if sweep else []
    names = [(row["label"], INK if there else GREY) for row, there in zip(rows, on, strict=True)]
    names += [(f"τ {sweep[place]['tau']:g}", SECOND) for place in named]
    _name(axes, np.concatenate([means, curve[named]]) if sweep else means, names, [curve, steps], (means, stds))
    return figure


def _until_best(sweep: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sweep from its smallest τ to the one of the best balanced accuracy."""
    ordered = sorted(sweep, key=lambda line: line["tau"])
    return ordered[: 1 + int(np.argmax([line["balanced"] for line in ordered]))] if ordered else []


def _name(
    axes: "Axes",
    points: np.ndarray,
    names: list[tuple[str, str]],
    lines: list[np.ndarray],
    whiskers: tuple[np.ndarray, np.ndarray],
) -> None:
    """Write (name, colour) beside each of `points`, off the ink where that can be; `whiskers` are (means, stds)."""
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    halo = [withStroke(linewidth=1.6, foreground="white")]
    texts = [
        axes.text(0, 0, name, color=colour, fontsize=SMALL, in_layout=False, zorder=4, path_effects=halo)
        for name, colour in names
    ]
    figure.draw_without_rendering()  # fixes the layout, so that places in pixels mean something
    figure.set_layout_engine("none")
    sizes = np.array([text.get_window_extent().size for text in texts])
    show, back = axes.transData.transform, axes.transData.inverted().transform
    means, stds = whiskers
    along = np.linspace(-1, 1, 9)[None, :, None]
    arms = [(means[:, None] + along * stds[:, None] * arm).reshape(-1, 2) for arm in ((1, 0), (0, 1))]
    discs = [show(means) + offset for offset in ((4, 0), (-4, 0), (0, 4), (0, -4))]
    ink = np.concatenate([show(arm) for arm in arms] + discs + [_dense(show(line)) for line in lines if len(line)])
    frame = axes.get_window_extent().padded(-4).extents
    corners = place_labels(show(points), sizes, ink, tuple(frame))
    for text, point, corner, size in zip(texts, show(points), corners, sizes, strict=True):
        # The box of a text starts below its baseline.
        text.set_verticalalignment("bottom")
        text.set_position(back(corner))
        end = nearest_edge(point, corner, size)
        if np.linalg.norm(end - point) > 12:
            ends = back(np.array([point, end]))
            axes.plot(*ends.T, color=text.get_color(), linewidth=0.6, zorder=2.5, in_layout=False)


def _dense(line: np.ndarray, every: float = 6.0) -> np.ndarray:
    """A line through (P, 2) places, as places `every` pixels."""
    parts = [line[:1]]
    for start, end in itertools.pairwise(line):
        number = max(1, int(np.linalg.norm(end - start) / every))
        parts.append(start + np.linspace(0, 1, number + 1)[1:, None] * (end - start))
    return np.concatenate(parts)
