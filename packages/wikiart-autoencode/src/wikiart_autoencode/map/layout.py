"""Where pictures are on the map and in its grid, which are similar, and whose label their neighbours contradict."""

from dataclasses import dataclass

import numpy as np

from wikiart_autoencode.evaluation.probes import neighbours

SIMILAR = 12
"""Similar pictures shown for each."""
VOTERS = 20
"""Nearest neighbours that a label is compared with."""
MOST_DOUBTFUL = 100


@dataclass(frozen=True)
class DoubtfulLabel:
    """A picture whose nearest neighbours in code space have another style."""

    row: int
    style: int
    """The style that its neighbours suggest."""
    own: int
    """Neighbours with the picture's own label, of `voters`."""
    other: int
    """Neighbours with the suggested one."""
    voters: int


def normalized_positions(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) moved and scaled, with one scale for both axes, so that the longer side of the map is [0, 1]."""
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max()) or 1.0
    return (points - low) / extent


def typical_spacing(points: np.ndarray) -> float:
    """The median distance from a point (n, 2) to its nearest neighbour; equal points are counted once."""
    from sklearn.neighbors import NearestNeighbors

    distinct = np.unique(points, axis=0)
    if len(distinct) < 2:
        return 1.0
    return float(np.median(NearestNeighbors(n_neighbors=2).fit(distinct).kneighbors(distinct)[0][:, 1]))


def grid_cells(points: np.ndarray) -> np.ndarray:
    """Give each point a cell of a grid of its own, so that neighbours on the map stay neighbours.

    The grid and the points are halved together, across the longer side, until one cell is left: O(n log² n), where the
    optimal assignment takes O(n³).

    Args:
        points: (n, 2) float.

    Returns:
        (n, 2) int64: column and row, each pair once; row 0 is at the smallest y. The grid is as wide as the map, and
        all its cells but those of less than one row are taken.
    """
    number = len(points)
    width, height = np.maximum(points.max(axis=0) - points.min(axis=0), 1e-9)
    aspect = float(np.clip(width / height, 0.5, 2))
    columns = max(1, round(np.sqrt(number * aspect)))
    rows = -(-number // columns)
    cells = np.zeros((number, 2), dtype=np.int64)

    def fill(members: np.ndarray, left: int, low: int, columns: int, rows: int) -> None:
        if columns * rows == 1 or len(members) == 0:
            cells[members] = left, low
            return
        axis = 0 if columns >= rows else 1
        members = members[np.argsort(points[members, axis], kind="stable")]
        first = (columns if axis == 0 else rows) // 2
        share = min((columns if axis else rows) * first, len(members))  # full, so that free cells gather in one corner
        if axis == 0:
            fill(members[:share], left, low, first, rows)
            fill(members[share:], left + first, low, columns - first, rows)
        else:
            fill(members[:share], left, low, columns, first)
            fill(members[share:], left, low + first, columns, rows - first)

    fill(np.arange(number), 0, 0, columns, rows)
    return cells


def similar_pictures(codes: np.ndarray, number: int = SIMILAR) -> np.ndarray:
    """(n, k) int: the nearest other codes by cosine about the mean, nearest first; k = min(number, n − 1).

    Cosine, because a few codes may be very long: by Euclidean distance those are nobody's neighbours.

    Args:
        codes: (n, D) float.
        number: how many.
    """
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    unit = (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    number = min(number, len(codes) - 1)
    nearest = neighbours(unit, unit, number + 1)
    own = np.arange(len(codes))[:, None]
    # A code is its own nearest neighbour, except among equal ones, where any of them may come first.
    others = np.argsort(nearest == own, axis=1, kind="stable")[:, :number]
    return np.take_along_axis(nearest, others, axis=1)


def doubtful_labels(nearest: np.ndarray, labels: np.ndarray, most: int = MOST_DOUBTFUL) -> list[DoubtfulLabel]:
    """Labels that are probably wrong, by confident learning (Northcutt et al. 2021) on votes of nearest neighbours.

    The vote for a style is its fraction of a picture's neighbours. A label is doubtful if another style gets the most
    votes, and at least as many as a picture of that style usually gets for it: so a frequent style, which is among
    everybody's neighbours, needs more of them.

    Args:
        nearest: (n, k) int, the neighbours of each picture without itself.
        labels: (n,) int.
        most: how many to return.

    Returns:
        The largest difference between both votes first.
    """
    voters = nearest.shape[1]
    if voters == 0:
        return []
    rows = np.arange(len(labels))
    votes = np.zeros((len(labels), int(labels.max()) + 1))
    np.add.at(votes, (rows[:, None], labels[nearest]), 1)
    own = votes[rows, labels]
    sizes = np.maximum(np.bincount(labels, minlength=votes.shape[1]), 1)
    usual = np.bincount(labels, weights=own, minlength=votes.shape[1]) / sizes
    confident = np.where((votes >= usual) & (votes > 0), votes, -1.0)
    confident[rows, labels] = -1.0
    style = confident.argmax(axis=1)
    margin = confident[rows, style] - own
    doubtful = np.flatnonzero(margin > 0)
    doubtful = doubtful[np.argsort(-margin[doubtful], kind="stable")][:most]
    return [
        DoubtfulLabel(int(row), int(style[row]), int(own[row]), int(votes[row, style[row]]), voters) for row in doubtful
    ]
