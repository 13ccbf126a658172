"""Metrics of a classifier: accuracy is never reported alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from wikiart_data.results import serialization
from wikiart_data.results.serialization import from_plain
from wikiart_data.results.statistics import wilson

MANY, MEDIUM = 200, 50
"""A style has many training images from MANY on, medium from MEDIUM on, else few (Liu et al. 2019, scaled)."""
BOOTSTRAPS = 2000
MIN_MEDIAN = 5
"""A group of styles whose median number of scored images is lower gets no interval."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class StyleScores:
    """Metrics of one style, as fractions; None where they are undefined."""

    style: str
    train: int
    """Training images of the style."""
    n: int
    """Scored images of the style."""
    recall: float | None
    precision: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """Metrics of a classifier on one split, as fractions in [0, 1], with 95 % intervals.

    Intervals of fractions of images are Wilson's; those of means over styles come from a bootstrap that resamples the
    images of each style. The single image of a style is the same in every resample, so styles with very few images
    add hardly any width: such intervals are too narrow, and a group of styles gets none if most of its styles have
    fewer than MIN_MEDIAN images.
    """

    n: int
    """Number of scored images."""
    top1: float
    top1_interval: Interval
    top3: float
    top3_interval: Interval
    majority: float
    """Accuracy of always predicting the style with the most training images."""
    balanced: float
    """Balanced accuracy: mean recall over the styles that have scored images."""
    balanced_interval: Interval
    macro_f1: float
    """Mean F1 over the styles that have scored images."""
    macro_f1_interval: Interval
    ece: float
    """Expected calibration error."""
    styles_scored: int
    """Number of styles that have scored images."""
    many: float | None
    """Mean recall over the styles with at least MANY training images; None if there are none."""
    many_interval: Interval | None
    many_styles: int
    medium: float | None
    """Mean recall over the styles with MEDIUM to MANY − 1 training images."""
    medium_interval: Interval | None
    medium_styles: int
    few: float | None
    """Mean recall over the styles with fewer than MEDIUM training images."""
    few_interval: Interval | None
    few_styles: int
    per_style: tuple[StyleScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    """(styles, styles) counts: rows are the true styles, columns the predicted ones."""
    nll: float | None = None
    """Mean negative log-likelihood of the true style, in nats; None in results of earlier versions."""
    frequent: float | None = None
    """Mean recall over the styles with at least MEDIUM training images; None if there are none."""
    frequent_interval: Interval | None = None
    frequent_styles: int = 0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """Scores from a result.json.

        Raises:
            InputError: a metric is missing or of the wrong type.
        """
        return from_plain(cls, content)

    def __repr__(self) -> str:
        return f"Scores({self.n:,} images, top-1 {100 * self.top1:.1f} %, balanced {100 * self.balanced:.1f} %)"


@dataclass(frozen=True)
class TrainResult:
    """Metrics and cost of a finished training run, as result.json holds them."""

    valid: Scores
    test: Scores | None
    """None where the data has no test split."""
    train_seconds: float
    parameters: int
    epochs: int
    seconds_to_40_percent: float | None = None
    """Seconds of training until top-1 accuracy on valid reached 40 %; None if it never did."""
    tau: float | None = None
    """Strength that a post-hoc method against imbalance chose on valid."""
    head_epochs: int | None = None
    """Epochs in which cRT trained the last layer."""
    temperature: float | None = None
    """What the logits were divided by to calibrate them on valid; None if they were not."""
    folder: Path | None = field(default=None, compare=False, metadata={"json": False})
    """The run's folder; None in a result that was read from its result.json."""

    @property
    def final(self) -> tuple[Literal["valid", "test"], Scores]:
        """The split to report, and its metrics: test, or valid where there is no test split."""
        return ("valid", self.valid) if self.test is None else ("test", self.test)


def read_result(folder: Path) -> TrainResult:
    """The result of a finished run.

    Raises:
        InputError: the run has no result.json yet, or it cannot be read.
    """
    return serialization.read_result(folder, TrainResult)


@dataclass(frozen=True)
class Confusion:
    """How often one style was classified as another."""

    true: str
    predicted: str
    count: int
    n: int
    """Scored images of the true style."""


def score(probabilities: np.ndarray, labels: np.ndarray, styles: Sequence[str], train_counts: np.ndarray) -> Scores:
    """All metrics of a classifier.

    Args:
        probabilities: (N, C) float, rows sum to 1.
        labels: (N,) int in 0..C-1.
        styles: C names.
        train_counts: (C,) training images per style.

    Raises:
        ValueError: there are no images to score.
    """
    if len(labels) == 0:
        raise ValueError("no images to score")
    number, classes = probabilities.shape
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    predicted = ranked[:, 0]
    # Not top_k_accuracy_score: it refuses data of two styles, and warns where k is not below the number of styles.
    correct1 = int((predicted == labels).sum())
    correct3 = int((ranked[:, :3] == labels[:, None]).any(axis=1).sum())
    confusion = confusion_matrix(labels, predicted, labels=np.arange(classes))
    per_style = precision_recall_fscore_support(
        labels,
        predicted,
        labels=np.arange(classes),
        zero_division=0.0,  # pyright: ignore[reportArgumentType]  (its type is taken from its default, "warn")
    )
    precision, recall, f1, support = map(np.asarray, per_style)
    present = support > 0
    recalls, f1s = _resampled(confusion, seed=0)

    def group(members: np.ndarray) -> tuple[float | None, Interval | None, int]:
        """Mean recall over a group of styles, its interval, and the number of styles."""
        if not members.any():
            return None, None, 0
        enough = np.median(support[members]) >= MIN_MEDIAN
        interval = _percentiles(recalls[:, members].mean(axis=1)) if enough else None
        return float(recall[members].mean()), interval, int(members.sum())

    many, many_interval, many_styles = group(present & (train_counts >= MANY))
    medium, medium_interval, medium_styles = group(present & (train_counts >= MEDIUM) & (train_counts < MANY))
    few, few_interval, few_styles = group(present & (train_counts < MEDIUM))
    frequent, frequent_interval, frequent_styles = group(present & (train_counts >= MEDIUM))
    return Scores(
        n=number,
        top1=correct1 / number,
        top1_interval=_wilson(correct1, number),
        top3=correct3 / number,
        top3_interval=_wilson(correct3, number),
        majority=int((labels == int(np.argmax(train_counts))).sum()) / number,
        balanced=float(recall[present].mean()),
        balanced_interval=_percentiles(recalls[:, present].mean(axis=1)),
        macro_f1=float(f1[present].mean()),
        macro_f1_interval=_percentiles(f1s[:, present].mean(axis=1)),
        ece=calibration_error(probabilities, labels),
        styles_scored=int(present.sum()),
        many=many,
        many_interval=many_interval,
        many_styles=many_styles,
        medium=medium,
        medium_interval=medium_interval,
        medium_styles=medium_styles,
        few=few,
        few_interval=few_interval,
        few_styles=few_styles,
        per_style=tuple(
            StyleScores(
                style=style,
                train=int(train_counts[label]),
                n=int(support[label]),
                recall=float(recall[label]) if present[label] else None,
                precision=float(precision[label]) if confusion[:, label].any() else None,
                f1=float(f1[label]) if present[label] else None,
            )
            for label, style in enumerate(styles)
        ),
        confusion=tuple(map(tuple, confusion.tolist())),
        nll=negative_log_likelihood(probabilities, labels),
        frequent=frequent,
        frequent_interval=frequent_interval,
        frequent_styles=frequent_styles,
    )


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of −log p(true style), in nats; a probability of 0 counts as the smallest normal float32.

    Args:
        probabilities: (N, C) float.
        labels: (N,) int.
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): mean gap between confidence and accuracy over images.

    Args:
        probabilities: (N, C) float; the confidence of an image is its largest probability.
        labels: (N,) int.
        bins: number of bins of equal width over confidences in [0, 1].
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # a bin includes its upper edge
    gaps = np.bincount(index, weights=correct - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def most_frequent_confusions(scores: Scores, number: int = 5) -> list[Confusion]:
    """The pairs of a true and a predicted style with the most errors, in descending order; fewer if there are fewer."""
    errors = np.array(scores.confusion)
    totals = errors.sum(axis=1)
    np.fill_diagonal(errors, 0)
    names = [row.style for row in scores.per_style]
    pairs = [divmod(int(cell), len(names)) for cell in np.argsort(-errors, axis=None, kind="stable")[:number]]
    return [Confusion(names[i], names[j], int(errors[i, j]), int(totals[i])) for i, j in pairs if errors[i, j] > 0]


def _wilson(correct: int, number: int) -> Interval:
    low, high = wilson(correct, number)
    return low, high


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _resampled(confusion: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall and F1 of every style, (BOOTSTRAPS, C) each, for as many images per style, resampled with replacement.

    Resampling the n images of a style and counting their predictions is a multinomial draw from the style's row of
    the confusion matrix. The resampled matrices are not kept: for 300 styles they would take 1.4 GB.
    """
    random = np.random.default_rng(seed)
    totals = confusion.sum(axis=1)
    correct, predicted = np.zeros((2, BOOTSTRAPS, len(confusion)), dtype=np.int64)
    for style in np.flatnonzero(totals):
        counts = random.multinomial(totals[style], confusion[style] / totals[style], size=BOOTSTRAPS)
        correct[:, style] = counts[:, style]
        predicted += counts
    return correct / np.maximum(totals, 1), 2 * correct / np.maximum(totals + predicted, 1)
