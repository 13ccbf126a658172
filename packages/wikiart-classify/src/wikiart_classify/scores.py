"""What a set of predictions is worth: never accuracy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from wikiart_data.results.statistics import wilson

MANY, MEDIUM = 200, 50
"""A style has many training pictures from MANY on, medium from MEDIUM on, else few (Liu et al. 2019, scaled)."""
BOOTSTRAPS = 2000
RARE = 5


def scores(probabilities: np.ndarray, labels: np.ndarray, styles: Sequence[str], train_counts: np.ndarray) -> dict:
    """Every figure that the toolkit reports for a classifier, as plain numbers for JSON.

    Styles without a picture in `labels` are left out of the means; `styles_scored` says how many were averaged.
    Intervals are 95 %: Wilson's for shares of pictures, and for means over styles a bootstrap that draws pictures
    anew within each style. Redrawing the one picture of a style gives the same picture, so styles with very few add
    hardly any width: intervals of means over styles are too narrow then, and a group in which most styles have fewer
    than RARE pictures gets none.

    Args:
        probabilities: (N, C) float, rows sum to 1.
        labels: (N,) int in 0..C-1.
        styles: C names.
        train_counts: (C,) training pictures of each style; its largest is the majority baseline's answer.

    Returns:
        top1, top3, majority, balanced, macro_f1, many, medium, few as shares in 0..1, each `*_interval` a [low, high];
        `ece` the expected calibration error, a share;
        `per_style` a row a style; `confusion` (C × C) counts, rows the true style.

    Raises:
        ValueError: there is nothing to score.
    """
    if len(labels) == 0:
        raise ValueError("no pictures to score")
    number, classes = probabilities.shape
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    hits1 = int((ranked[:, 0] == labels).sum())
    hits3 = int((ranked[:, :3] == labels[:, None]).any(axis=1).sum())
    confusion = confusion_matrix(labels, ranked[:, 0], labels=np.arange(classes))
    present = confusion.sum(axis=1) > 0
    groups = {
        "many": present & (train_counts >= MANY),
        "medium": present & (train_counts >= MEDIUM) & (train_counts < MANY),
        "few": present & (train_counts < MEDIUM),
    }
    drawn = _resampled(confusion, seed=0)
    recall, recalls = _recall(confusion), _recall(drawn)
    f1, f1s = _f1(confusion), _f1(drawn)
    majority = int((labels == int(np.argmax(train_counts))).sum())

    result: dict[str, Any] = {
        "n": number,
        "top1": hits1 / number,
        "top1_interval": wilson(hits1, number),
        "top3": hits3 / number,
        "top3_interval": wilson(hits3, number),
        "majority": majority / number,
        "balanced": float(recall[present].mean()),
        "balanced_interval": _percentiles(recalls[:, present].mean(axis=1)),
        "macro_f1": float(f1[present].mean()),
        "macro_f1_interval": _percentiles(f1s[:, present].mean(axis=1)),
        "ece": calibration_error(probabilities, labels),
        "styles_scored": int(present.sum()),
    }
    for name, group in groups.items():
        result[name] = float(recall[group].mean()) if group.any() else None
        told = group.any() and np.median(confusion[group].sum(axis=1)) >= RARE
        result[f"{name}_interval"] = _percentiles(recalls[:, group].mean(axis=1)) if told else None
        result[f"{name}_styles"] = int(group.sum())
    precision = confusion.diagonal() / np.maximum(confusion.sum(axis=0), 1)
    result["per_style"] = [
        {
            "style": style,
            "train": int(train_counts[place]),
            "n": int(confusion[place].sum()),
            "recall": float(recall[place]) if present[place] else None,
            "precision": float(precision[place]) if confusion[:, place].any() else None,
            "f1": float(f1[place]) if present[place] else None,
        }
        for place, style in enumerate(styles)
    ]
    result["confusion"] = confusion.tolist()
    return result


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): how far confidence is from accuracy, mean over pictures.

    Args:
        probabilities: (N, C) float; a picture's confidence is its largest.
        labels: (N,) int.
        bins: of equal width, over confidence 0..1.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # a bin holds its upper edge
    gaps = np.bincount(place, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def most_confused(result: dict, number: int = 5) -> list[tuple[str, str, int, int]]:
    """The pairs most often taken for one another: (true style, named style, times, pictures of the true style)."""
    confusion = np.array(result["confusion"])
    totals = confusion.sum(axis=1)
    np.fill_diagonal(confusion, 0)
    names = [row["style"] for row in result["per_style"]]
    order = np.argsort(-confusion, axis=None, kind="stable")[:number]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [(names[i], names[j], int(confusion[i, j]), int(totals[i])) for i, j in pairs if confusion[i, j] > 0]


def _percentiles(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def _resampled(confusion: np.ndarray, seed: int) -> np.ndarray:
    """(BOOTSTRAPS, C, C): confusion matrices of as many pictures of each style, drawn anew with replacement.

    Drawing n pictures of a style with replacement and counting what they were taken for is a multinomial draw from
    the style's row, so no picture needs to be touched.
    """
    random = np.random.default_rng(seed)
    totals = confusion.sum(axis=1)
    shares = confusion / np.maximum(totals, 1)[:, None]
    rows = [
        random.multinomial(total, share, size=BOOTSTRAPS) if total else np.zeros((BOOTSTRAPS, len(share)), dtype=int)
        for total, share in zip(totals, shares, strict=True)
    ]
    return np.stack(rows, axis=1)


def _recall(confusion: np.ndarray) -> np.ndarray:
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return right / np.maximum(confusion.sum(axis=-1), 1)


def _f1(confusion: np.ndarray) -> np.ndarray:
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return 2 * right / np.maximum(confusion.sum(axis=-1) + confusion.sum(axis=-2), 1)
