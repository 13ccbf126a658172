"""Style in codes, without clusters: nearest neighbours, a linear probe, retrieval, silhouettes of styles.

All are fitted on train and scored on test; whatever is selected is selected on valid.
"""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from wikiart_autoencode.clustering.scores import PERMUTATIONS, mean_and_std, silhouette, silhouette_permuted
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation.retrieval import Retrieval, normalize, retrieval_of_test
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS
from wikiart_data.results.statistics import wilson

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NEIGHBOURS = 20
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of scikit-learn's C tried for the linear probe; a small C is a strong penalty."""
PROBE_ITERATIONS = 100
"""Most iterations of L-BFGS for each C."""
PROBE_PERMUTATIONS = 3
"""Each permutation of the labels trains the probe again, so there are fewer of them; chance varies little."""
BOOTSTRAP_SAMPLES = 2_000

Metric = Literal["euclidean", "cosine"]

_CHUNK = 1_000


@dataclass(frozen=True)
class CodeMetrics:
    """How well style can be read from codes, on test.

    Fields ending in `_interval` are 95 % intervals: Wilson's for top-1, a bootstrap within each style for balanced
    accuracy. Fields ending in `_permuted` are (mean, standard deviation) over permutations of the training labels.
    """

    n: int
    """Test codes."""
    styles_scored: int
    """Styles that test has."""
    majority: float
    """Top-1 accuracy of always predicting the largest style of train."""
    chance: float
    """Balanced accuracy of doing so."""
    knn_metric: Metric
    """Distance of the nearest neighbours, selected on valid."""
    knn_top1: float
    """Accuracy of the majority vote among the 20 nearest training codes, in [0, 1]."""
    knn_top1_interval: tuple[float, float]
    knn_balanced: float
    """Balanced accuracy of the same."""
    knn_balanced_interval: tuple[float, float]
    knn_top1_permuted: tuple[float, float]
    knn_balanced_permuted: tuple[float, float]
    probe_c: float
    """C of the linear probe, selected on valid."""
    probe_top1: float
    """Accuracy of multinomial logistic regression."""
    probe_top1_interval: tuple[float, float]
    probe_balanced: float
    probe_balanced_interval: tuple[float, float]
    probe_top1_permuted: tuple[float, float]
    probe_balanced_permuted: tuple[float, float]
    silhouette: float | None
    """Of the styles in code space, as if each were a cluster (train only); None where it is not defined."""
    silhouette_permuted: tuple[float, float] | None
    retrieval: dict[str, Retrieval] = field(default_factory=dict)
    """By `style, cosine`, `style, CSLS`, `artist, cosine` and `artist, CSLS`: each image of test is a query among the
    others. Artists are those that file names give; images without one are left out, and the key if there are none."""

    def __repr__(self) -> str:
        return (
            f"CodeMetrics(20-NN {self.knn_top1:.1%}, linear probe {self.probe_top1:.1%}, majority {self.majority:.1%}, "
            f"n={self.n})"
        )


def code_metrics(codes: Codes, permutations: int = PERMUTATIONS, seed: int = 0) -> CodeMetrics:
    """Fit nearest neighbours and a linear probe on train's codes and score them on test.

    Neighbours are found by Euclidean distance, or by cosine about the mean of train, whichever classifies more of valid
    correctly: a few codes may be very long, and by Euclidean distance those are nobody's neighbours.

    Args:
        codes: of all three splits.
        permutations: of the labels, for neighbours and silhouettes; PROBE_PERMUTATIONS for the probe.
        seed: of permutations, bootstraps and the silhouette's sample.

    Raises:
        InputError: a split has no codes, or train has only one style.
    """
    (train, y_train), (valid, y_valid), (test, y_test) = (_split(codes, split) for split in SPLITS)
    if len(np.unique(y_train)) < 2:
        raise InputError("The codes' train split has only one style, so there is nothing to classify.", field="train")
    train, valid, test = _standardize(train, valid, test)
    majority = np.full(len(y_test), np.bincount(y_train).argmax())
    random = np.random.default_rng(seed)

    metric, nearest = _neighbours_by_best_metric(train, y_train, valid, y_valid, test)
    knn = _accuracies(vote(y_train[nearest]), y_test, seed)
    knn_permuted = _permuted([vote(random.permutation(y_train)[nearest]) for _ in range(permutations)], y_test)

    c, predicted = probe(train, y_train, valid, y_valid, test)
    linear = _accuracies(predicted, y_test, seed)
    predictions = [_predict(_fit(train, random.permutation(y_train), [c])[0], test) for _ in range(PROBE_PERMUTATIONS)]
    linear_permuted = _permuted(predictions, y_test)

    silhouettes = silhouette_permuted(train, y_train, permutations, seed)
    return CodeMetrics(
        n=len(y_test),
        styles_scored=len(np.unique(y_test)),
        majority=float((majority == y_test).mean()),
        chance=float(_recall(majority, y_test).mean()),
        knn_metric=metric,
        knn_top1=knn.top1,
        knn_top1_interval=knn.top1_interval,
        knn_balanced=knn.balanced,
        knn_balanced_interval=knn.balanced_interval,
        knn_top1_permuted=knn_permuted[0],
        knn_balanced_permuted=knn_permuted[1],
        probe_c=c,
        probe_top1=linear.top1,
        probe_top1_interval=linear.top1_interval,
        probe_balanced=linear.balanced,
        probe_balanced_interval=linear.balanced_interval,
        probe_top1_permuted=linear_permuted[0],
        probe_balanced_permuted=linear_permuted[1],
        silhouette=silhouette(train, y_train, seed),
        silhouette_permuted=mean_and_std(silhouettes) if silhouettes else None,
        retrieval=retrieval_of_test(codes, permutations, seed),
    )


def _neighbours_by_best_metric(
    train: np.ndarray, y_train: np.ndarray, valid: np.ndarray, y_valid: np.ndarray, test: np.ndarray
) -> tuple[Metric, np.ndarray]:
    """The metric that classifies more of valid correctly, and the neighbours of test by it."""
    on_sphere = (normalize(train), normalize(valid), normalize(test))
    euclidean, cosine = (
        int((vote(y_train[neighbours(a, b)]) == y_valid).sum()) for a, b in ((train, valid), on_sphere[:2])
    )
    if cosine > euclidean:
        return "cosine", neighbours(on_sphere[0], on_sphere[2])
    return "euclidean", neighbours(train, test)


def neighbours(train: np.ndarray, test: np.ndarray, number: int = NEIGHBOURS) -> np.ndarray:
    """(m, number) int: rows of the training codes nearest to each test code, nearest first.

    Args:
        train: (n, D) float.
        test: (m, D) float, standardised like train.
        number: of neighbours, at most n.
    """
    number = min(number, len(train))
    squares = (train**2).sum(axis=1)
    nearest = []
    for start in range(0, len(test), _CHUNK):
        # The square of a test code is the same for all its neighbours: their order does not need it.
        distances = squares - 2 * test[start : start + _CHUNK] @ train.T
        rows = np.argpartition(distances, number - 1, axis=1)[:, :number]
        order = np.argsort(np.take_along_axis(distances, rows, axis=1), axis=1, kind="stable")
        nearest.append(np.take_along_axis(rows, order, axis=1))
    return np.concatenate(nearest)


def vote(labels: np.ndarray) -> np.ndarray:
    """(m,) int: the most frequent label in each row of (m, k); among equally frequent ones that of the nearest."""
    votes = np.zeros((len(labels), int(labels.max()) + 1), dtype=int)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), 1)
    column = np.take_along_axis(votes, labels, axis=1).argmax(axis=1)  # the first of the largest, so the nearest
    return labels[np.arange(len(labels)), column]


def probe(
    train: np.ndarray, y_train: np.ndarray, valid: np.ndarray, y_valid: np.ndarray, test: np.ndarray
) -> tuple[float, np.ndarray]:
    """Train a linear probe on train, with the C that classifies most of valid correctly (the smallest such C).

    Returns:
        C, and the styles predicted for test, (m,) int.
    """
    probes = _fit(train, y_train, PENALTIES)
    correct = [int((_predict(probe, valid) == y_valid).sum()) for probe in probes]
    best = int(np.argmax(correct))
    return PENALTIES[best], _predict(probes[best], test)


def _predict(probe: "LogisticRegression", codes: np.ndarray) -> np.ndarray:
    return np.asarray(probe.predict(codes))


def _fit(train: np.ndarray, labels: np.ndarray, penalties: Sequence[float]) -> "list[LogisticRegression]":
    """A logistic regression for each C, from the strongest penalty on; each starts where the last one ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(max_iter=PROBE_ITERATIONS, tol=1e-3, warm_start=True)
    fitted = []
    for c in penalties:
        probe.set_params(C=c)
        with warnings.catch_warnings():
            # At the weakest penalties the iterations are cut short, which regularises too; valid selects among them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(train, labels)
        fitted.append(copy.deepcopy(probe))
    return fitted


def _split(codes: Codes, split: str) -> tuple[np.ndarray, np.ndarray]:
    rows = codes.rows(split)
    if len(rows) == 0:
        raise InputError(
            f"There are no codes of the {split} split; wikiart-autoencode encode writes all three.", field=split
        )
    return codes.codes[rows], codes.labels[rows]


def _standardize(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Subtract train's mean and divide by one scale: distances keep their ratios, and C means the same for every code.

    Dimensions are not scaled separately: that would weigh one without variance as much as the largest.
    """
    mean = train.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(((train - mean) ** 2).mean())) or 1.0
    return [((codes - mean) / scale).astype(np.float32) for codes in (train, *others)]


@dataclass(frozen=True)
class _Accuracies:
    top1: float
    top1_interval: tuple[float, float]
    balanced: float
    balanced_interval: tuple[float, float]


def _accuracies(predicted: np.ndarray, labels: np.ndarray, seed: int) -> _Accuracies:
    correct = int((predicted == labels).sum())
    totals = np.unique(labels, return_counts=True)[1]
    recall = _recall(predicted, labels)
    # Resampling the n images of a style and counting the correct ones is a binomial draw.
    shape = (BOOTSTRAP_SAMPLES, len(totals))
    resampled = np.random.default_rng(seed).binomial(totals, recall, size=shape) / totals
    low, high = np.percentile(resampled.mean(axis=1), [2.5, 97.5])
    wilson_low, wilson_high = wilson(correct, len(labels))
    return _Accuracies(
        correct / len(labels), (wilson_low, wilson_high), float(recall.mean()), (float(low), float(high))
    )


def _permuted(predictions: Sequence[np.ndarray], labels: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """(Mean, standard deviation) of top-1 and of balanced accuracy over several predictions."""
    top1 = mean_and_std([float((predicted == labels).mean()) for predicted in predictions])
    return top1, mean_and_std([float(_recall(predicted, labels).mean()) for predicted in predictions])


def _recall(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recall of each style that is present."""
    _, style, totals = np.unique(labels, return_inverse=True, return_counts=True)
    return np.bincount(style, weights=predicted == labels) / totals
