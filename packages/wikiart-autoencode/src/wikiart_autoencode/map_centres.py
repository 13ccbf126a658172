"""Where a group of points on a map has its middle, though half of it may lie scattered elsewhere."""

import numpy as np

_ROUNDS = 20


def centre(points: np.ndarray) -> np.ndarray:
    """(2,) float: the mean of the half of the points that lie nearest to it.

    The plain mean of a style in two clumps lies between them, where none of its pictures is. Begun at the median,
    "take the nearest half, go to its mean" settles in the denser clump (the C-step of Rousseeuw & Van Driessen 1999).

    Args:
        points: (n, 2) float, n ≥ 1.
    """
    half = (len(points) + 1) // 2
    middle = np.median(points, axis=0)
    for _ in range(_ROUNDS):
        away = np.linalg.norm(points - middle, axis=1)
        new = points[np.argpartition(away, half - 1)[:half]].mean(axis=0)
        if np.array_equal(new, middle):
            break
        middle = new
    return middle


def small_last(labels: np.ndarray) -> np.ndarray:
    """(n,) int64: an order to draw points in, large groups first, so that a style of 18 pictures is not buried.

    Args:
        labels: (n,) int, the group of each point; -1 (noise) comes before all.
    """
    groups, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    counts[groups < 0] = len(labels) + 1
    return np.argsort(-counts[members], kind="stable")
