"""Where the names of points go in a crowded scatter plot, the same way every time."""

import numpy as np

_STEPS = (7, 12, 20, 32, 48, 68, 92, 120)
_DIRECTIONS = np.array([(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False)])
_SWEEPS = 6
_ROOM = 2.0


def place_labels(points: np.ndarray, sizes: np.ndarray, ink: np.ndarray, frame: tuple[float, ...]) -> np.ndarray:
    """A place for each label: near its point, inside the frame, over no other label and as little ink as can be.

    Every label tries the same places around its point, nearest first, and takes the cheapest given where the others
    are; after a few rounds of that nothing moves. There is no chance in it.

    Args:
        points: (L, 2) float, what is to be named.
        sizes: (L, 2) float, width and height of the labels.
        ink: (M, 2) float, places better not covered: other points, and lines as a row of points.
        frame: left, bottom, right, top.
        All in one unit, such as pixels at 100 dots an inch.

    Returns:
        (L, 2) float: the lower left corner of each label.
    """
    number = len(points)
    low, high = np.array(frame[:2]), np.array(frame[2:])
    corners = np.full((number, 2), np.inf)
    leaders = np.full((number, 8, 2), np.inf)
    steps = np.repeat(np.array(_STEPS, dtype=float), len(_DIRECTIONS))
    directions = np.tile(_DIRECTIONS, (len(_STEPS), 1))
    for _ in range(_SWEEPS):
        before = corners.copy()
        for i in range(number):
            others = np.arange(number) != i
            # A label to the right is held at the middle of its left edge, one above at the middle of its lower edge.
            tried = points[i] + steps[:, None] * directions - sizes[i] * (1 - directions) / 2
            lines = _leaders(points[i], tried, sizes[i])
            overlap = _shared(tried, sizes[i], corners[others], sizes[others]).sum(axis=1)
            outside = np.maximum(low - tried, 0).sum(axis=1) + np.maximum(tried + sizes[i] - high, 0).sum(axis=1)
            covered = _inside(ink, tried, sizes[i]).sum(axis=1)
            run_over = _inside(leaders[others].reshape(-1, 2), tried, sizes[i]).sum(axis=1)
            crossing = np.array([_inside(line, corners[others], sizes[others]).sum() for line in lines])
            apart = np.linalg.norm(lines[:, :, None] - points[others], axis=-1).min(axis=(1, 2), initial=np.inf)
            edges = nearest_edge(points[others], tried[:, None], sizes[i])
            doubtful = np.linalg.norm(edges - points[others], axis=-1).min(axis=1, initial=np.inf) < steps
            cost = steps + 400 * (overlap > 0) + overlap + 500 * outside + 9 * covered
            cost += 60 * (run_over + crossing) + 40 * (apart < 5) + 20 * doubtful
            best = int(np.argmin(cost))
            corners[i], leaders[i] = tried[best], lines[best]
        if np.array_equal(before, corners):
            break
    return corners


def nearest_edge(point: np.ndarray, corner: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(..., 2): the place on a label's box that is nearest to `point`, where a line between the two ends."""
    return np.clip(point, corner, corner + size)


def _leaders(point: np.ndarray, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(C, 8, 2): places along the line from a point to each box."""
    ends = nearest_edge(point, corners, size)
    return point + np.linspace(0.3, 1, 8)[None, :, None] * (ends - point)[:, None]


def _shared(corners: np.ndarray, size: np.ndarray, others: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(C, L): the area that each box shares with each other one."""
    low = np.maximum(corners[:, None] - _ROOM, others)
    high = np.minimum(corners[:, None] + size + _ROOM, others + sizes)
    return np.prod(np.maximum(high - low, 0), axis=-1)


def _inside(places: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(C, M): which places lie in which box."""
    low, high = corners[:, None] - _ROOM, (corners + sizes)[:, None] + _ROOM
    return ((places >= low) & (places <= high)).all(axis=-1)
