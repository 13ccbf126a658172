"""A run's pictures: the learning curve, the confusion matrix, recall beside the number of training pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np

from wikiart_data.figures import ACCENT, INK, PALE, SECOND, canvas, styled
from wikiart_data.styles import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def learning_curve(metrics: list[dict[str, Any]], majority: float) -> "Figure":
    """Loss on training batches, and top-1, top-3 and balanced accuracy on valid, an epoch at a time."""
    figure, ((left, right),) = canvas(2.6, columns=2)
    epochs = [line["epoch"] + 1 for line in metrics]
    left.plot(epochs, [line["loss"] for line in metrics], color=INK)
    left.set(title="Loss on mixed training batches", xlabel="epoch", ylim=(0, None))
    for key, colour, label in (("top3", PALE, "top-3"), ("top1", ACCENT, "top-1"), ("balanced", SECOND, "balanced")):
        right.plot(epochs, [100 * line[key] for line in metrics], color=colour, label=label)
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
    names = [readable(row["style"]) for row in result["per_style"]]
    figure, ((axes,),) = canvas(6.9)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), [f"{name} ({int(n)})" for name, n in zip(names, totals, strict=True)])
    axes.set(xlabel="named", ylabel="true style (pictures)")
    axes.set_title(f"Of 100 pictures of a style, how many were named what ({result['n']:,} pictures)")
    for i, j in zip(*np.nonzero(shares >= 5), strict=True):
        ink = "white" if shares[i, j] > 55 else INK
        axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", color=ink, fontsize=6)
    return figure


@styled
def recall_figure(result: dict[str, Any]) -> "Figure":
    """Recall of each style, from the style with most training pictures to the one with fewest."""
    rows = sorted((row for row in result["per_style"] if row["n"]), key=lambda row: -row["train"])
    places = np.arange(len(rows))
    figure, ((axes,),) = canvas(3.4)
    axes.bar(places, [100 * row["recall"] for row in rows], color=ACCENT, width=0.7)
    for place, row in zip(places, rows, strict=True):
        axes.text(place, 100 * row["recall"] + 1.5, f"{row['n']}", ha="center", fontsize=6, color=INK)
    axes.axhline(100 * result["balanced"], color=SECOND, linewidth=1, label=f"mean {100 * result['balanced']:.1f} %")
    axes.set_xticks(places, [f"{readable(row['style'])} · {row['train']}" for row in rows], rotation=90)
    axes.set(ylabel="recall, %", ylim=(0, 105), xlim=(-0.6, len(rows) - 0.4))
    axes.set_title("Recall by style, most training pictures first (above the bars: pictures scored)")
    axes.legend(loc="upper right")
    return figure
