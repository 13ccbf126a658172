"""What a space of codes knows of style, without clusters: neighbours, a linear probe, silhouettes of the styles.

All three see train to learn from and are read on test; what is chosen is chosen on valid.
"""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.measures import PERMUTATIONS, mean_and_std, silhouette, silhouette_permuted
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS
from wikiart_data.results.statistics import wilson

NEIGHBOURS = 20
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""C of the linear probe: small is a strong penalty."""
PROBE_STEPS = 100
"""Most steps of L-BFGS at each C."""
PROBE_PERMUTATIONS = 3
"""A probe is trained anew for each, so there are fewer; chance differs little between them."""
BOOTSTRAPS = 2_000

_CHUNK = 1_000


def space_measures(codes: Codes, permutations: int = PERMUTATIONS, seed: int = 0) -> dict[str, Any]:
    """How well style can be read from codes, as plain numbers for JSON.

    - `knn`: the style that most of the NEIGHBOURS nearest training codes have, by Euclidean distance or by the angle at
      train's mean (cosine), whichever names more of valid right: codes of which a few are very long are neighbours of
      nobody by distance.
    - `probe`: multinomial logistic regression, its penalty chosen on valid.
    - `silhouette`: of the styles themselves in code space, as if each were a cluster; train only.

    Beside each stands what permuted training labels give: [mean, standard deviation], over `permutations` for
    neighbours and silhouettes, over PROBE_PERMUTATIONS for the probe. Intervals are 95 %: Wilson's for top-1, and for
    balanced accuracy a bootstrap within each style.

    Returns:
        `n` test codes, `styles_scored` in test; `majority`, the top-1 of always naming train's largest style, and
        `chance`, the balanced accuracy of doing so; `knn_top1`, `knn_balanced`, `probe_top1`, `probe_balanced` as
        shares in 0..1, each with `_interval` and `_permuted`; `knn_metric`; `probe_c`; `silhouette` and
        `silhouette_permuted`.

    Raises:
        InputError: a split has no codes, or train has only one style.
    """
    (train, y_train), (valid, y_valid), (test, y_test) = (_of(codes, split) for split in SPLITS)
    if len(np.unique(y_train)) < 2:
        raise InputError("The codes' train split holds one style only, so there is nothing to tell apart.")
    train, valid, test = _standardised(train, valid, test)
    majority = np.full(len(y_test), np.bincount(y_train).argmax())
    styles = np.unique(y_test)
    result: dict[str, Any] = {
        "n": len(y_test),
        "styles_scored": len(styles),
        "majority": float((majority == y_test).mean()),
        "chance": float(_recall(majority, y_test).mean()),
    }
    random = np.random.default_rng(seed)

    spaces = {"euclidean": (train, valid, test), "cosine": tuple(_on_sphere(codes) for codes in (train, valid, test))}
    hits = {name: (vote(y_train[neighbours(a, b)]) == y_valid).sum() for name, (a, b, _) in spaces.items()}
    metric = max(hits, key=hits.__getitem__)  # of equally good ones the first, the plain distance
    near = neighbours(spaces[metric][0], spaces[metric][2])
    result |= {"knn_metric": metric, **_scored("knn", vote(y_train[near]), y_test, seed)}
    dealt = [vote(random.permutation(y_train)[near]) for _ in range(permutations)]
    result |= _by_chance("knn", dealt, y_test)

    c, named = probe(train, y_train, valid, y_valid, test)
    result |= {"probe_c": c, **_scored("probe", named, y_test, seed)}
    dealt = [_fitted(train, random.permutation(y_train), [c])[0].predict(test) for _ in range(PROBE_PERMUTATIONS)]
    result |= _by_chance("probe", dealt, y_test)

    result["silhouette"] = silhouette(train, y_train, seed)
    values = silhouette_permuted(train, y_train, permutations, seed)
    result["silhouette_permuted"] = mean_and_std(values) if values else None
    return result


def neighbours(train: np.ndarray, test: np.ndarray, number: int = NEIGHBOURS) -> np.ndarray:
    """(m, number) int: the rows of train nearest to each code of test, nearest first.

    Args:
        train: (n, D) float.
        test: (m, D) float, standardised like train.
        number: how many, at most n.
    """
    number = min(number, len(train))
    squares = (train**2).sum(axis=1)
    found = []
    for start in range(0, len(test), _CHUNK):
        # A code's own square is the same for all its neighbours, so the order can do without it.
        far = squares - 2 * test[start : start + _CHUNK] @ train.T
        rows = np.argpartition(far, number - 1, axis=1)[:, :number]
        order = np.argsort(np.take_along_axis(far, rows, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(rows, order, axis=1))
    return np.concatenate(found)


def vote(labels: np.ndarray) -> np.ndarray:
    """(m,) int: the most frequent label of each row of (m, k); of equally frequent ones, that of the nearest."""
    votes = np.zeros((len(labels), int(labels.max()) + 1), dtype=int)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), 1)
    most = np.take_along_axis(votes, labels, axis=1).argmax(axis=1)  # the first of the largest, so the nearest
    return labels[np.arange(len(labels)), most]


def probe(
    train: np.ndarray, y_train: np.ndarray, valid: np.ndarray, y_valid: np.ndarray, test: np.ndarray
) -> tuple[float, np.ndarray]:
    """Train a linear probe on train, with the C that names most of valid right (of equals the smallest).

    Returns:
        C, and (m,) int, the styles it names on test.
    """
    probes = _fitted(train, y_train, PENALTIES)
    hits = [int((probe.predict(valid) == y_valid).sum()) for probe in probes]
    best = int(np.argmax(hits))
    return PENALTIES[best], probes[best].predict(test)


def _fitted(train: np.ndarray, labels: np.ndarray, penalties: Sequence[float]) -> list[Any]:
    """A logistic regression for each C, from the strongest penalty on; each starts where the last one ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(max_iter=PROBE_STEPS, tol=1e-3, warm_start=True)
    fitted = []
    for c in penalties:
        probe.set_params(C=c)
        with warnings.catch_warnings():
            # At the weakest penalties the last steps are cut off: that too is a penalty, and valid judges the result.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(train, labels)
        fitted.append(copy.deepcopy(probe))
    return fitted


def _of(codes: Codes, split: str) -> tuple[np.ndarray, np.ndarray]:
    rows = codes.rows(split)
    if len(rows) == 0:
        raise InputError(f"There are no codes of the {split} split; wikiart-autoencode encode writes all three.")
    return codes.codes[rows], codes.labels[rows]


def _standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """All by train's mean and one scale: distances keep their proportions, and C means the same for every encoder.

    Not each number by its own scale: that would make as much of a direction without variance as of the largest.
    """
    mean = train.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(((train - mean) ** 2).mean())) or 1.0
    return [((codes - mean) / scale).astype(np.float32) for codes in (train, *others)]


def _on_sphere(codes: np.ndarray) -> np.ndarray:
    """(n, D), each of length 1: the nearest of these by distance are the nearest by cosine."""
    return codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)


def _scored(name: str, named: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    hits = int((named == labels).sum())
    totals = np.unique(labels, return_counts=True)[1]
    recall = _recall(named, labels)
    # Drawing n pictures of a style anew and counting the right ones is a binomial draw.
    drawn = np.random.default_rng(seed).binomial(totals, recall, size=(BOOTSTRAPS, len(totals))) / totals
    return {
        f"{name}_top1": hits / len(labels),
        f"{name}_top1_interval": wilson(hits, len(labels)),
        f"{name}_balanced": float(recall.mean()),
        f"{name}_balanced_interval": [float(value) for value in np.percentile(drawn.mean(axis=1), [2.5, 97.5])],
    }


def _by_chance(name: str, dealt: Sequence[np.ndarray], labels: np.ndarray) -> dict[str, list[float]]:
    return {
        f"{name}_top1_permuted": mean_and_std([float((named == labels).mean()) for named in dealt]),
        f"{name}_balanced_permuted": mean_and_std([float(_recall(named, labels).mean()) for named in dealt]),
    }


def _recall(named: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share named right of each style that is there."""
    _, style, totals = np.unique(labels, return_inverse=True, return_counts=True)
    return np.bincount(style, weights=named == labels) / totals
