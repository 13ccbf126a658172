"""Positions of labels in a crowded scatter plot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wikiart_data.results.figures import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEPS = (7, 12, 20, 32, 48, 68, 92, 120)
_DIRECTIONS = np.array([(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False)])
_SWEEPS = 6
_PADDING = 2.0


def label_points(
    axes: "Axes",
    points: np.ndarray,
    labels: Sequence[tuple[str, str]],
    markers: np.ndarray,
    ink: np.ndarray | None = None,
    size: float = SMALL,
) -> None:
    """Write a label near each point, with a line to it where it had to move away. Fixes the figure's layout.

    Args:
        axes: with final limits.
        points: (L, 2) float, what is labelled.
        labels: text and colour of each.
        markers: (K, 2) float, the centres of all markers, which labels should not cover.
        ink: (M, 2) float, points on whatever else they should not cover.
        size: of the type, in points.
    """
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    if not len(labels):
        return
    halo = [withStroke(linewidth=1.6, foreground="white")]
    texts = [
        axes.text(0, 0, label, color=colour, fontsize=size, in_layout=False, zorder=4, path_effects=halo)
        for label, colour in labels
    ]
    for _ in range(2):  # the second pass moves axes whose aspect is fixed
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # so that positions in pixels are final
    sizes = np.array([text.get_window_extent().size for text in texts])
    to_pixels, to_data = axes.transData.transform, axes.transData.inverted().transform
    covered = [to_pixels(markers) + offset for offset in ((4, 0), (-4, 0), (0, 4), (0, -4))]
    if ink is not None and len(ink):
        covered.append(to_pixels(ink))
    frame = axes.get_window_extent().padded(-4).extents
    corners = place_labels(to_pixels(points), sizes, np.concatenate(covered), tuple(frame))
    for text, point, corner, extent in zip(texts, to_pixels(points), corners, sizes, strict=True):
        # The box of a text starts below its baseline.
        text.set_verticalalignment("bottom")
        x, y = to_data(corner)
        text.set_position((float(x), float(y)))
        end = nearest_edge(point, corner, extent)
        if np.linalg.norm(end - point) > 12:
            ends = to_data(np.array([point, end]))
            axes.plot(*ends.T, color=text.get_color(), linewidth=0.6, zorder=2.5, in_layout=False)


def place_labels(points: np.ndarray, sizes: np.ndarray, ink: np.ndarray, frame: tuple[float, ...]) -> np.ndarray:
    """Place a label near each point: inside the frame, over no other label, and over as little else as possible.

    Every label tries the same candidate positions around its point, nearest first, and takes the cheapest given where
    the other labels are; this is repeated until nothing moves. It is deterministic.

    Args:
        points: (L, 2) float, the points to label.
        sizes: (L, 2) float, width and height of the labels.
        ink: (M, 2) float, what should not be covered: other points, and lines as a row of points.
        frame: left, bottom, right, top. All arguments have the same unit, such as pixels.

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
            # A label to the right of its point is anchored at the middle of its left edge, one above at that of its
            # lower edge.
            candidates = points[i] + steps[:, None] * directions - sizes[i] * (1 - directions) / 2
            lines = _leaders(points[i], candidates, sizes[i])
            overlap = _overlap(candidates, sizes[i], corners[others], sizes[others]).sum(axis=1)
            outside = np.maximum(low - candidates, 0) + np.maximum(candidates + sizes[i] - high, 0)
            hidden = _inside(ink, candidates, sizes[i]).sum(axis=1)
            crossed = _inside(leaders[others].reshape(-1, 2), candidates, sizes[i]).sum(axis=1)
            crossing = np.array([_inside(line, corners[others], sizes[others]).sum() for line in lines])
            distance = np.linalg.norm(lines[:, :, None] - points[others], axis=-1).min(axis=(1, 2), initial=np.inf)
            edges = nearest_edge(points[others], candidates[:, None], sizes[i])
            ambiguous = np.linalg.norm(edges - points[others], axis=-1).min(axis=1, initial=np.inf) < steps
            cost = steps + 400 * (overlap > 0) + overlap + 500 * outside.sum(axis=1) + 9 * hidden
            cost += 60 * (crossed + crossing) + 40 * (distance < 5) + 20 * ambiguous
            best = int(np.argmin(cost))
            corners[i], leaders[i] = candidates[best], lines[best]
        if np.array_equal(before, corners):
            break
    return corners


def nearest_edge(point: np.ndarray, corner: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The point of a label's box that is nearest to `point`, where its leader line ends.

    Args:
        point: (..., 2) float.
        corner: (..., 2) float, the box's lower left corner.
        size: (..., 2) float, its width and height.

    Returns:
        (..., 2) float.
    """
    return np.clip(point, corner, corner + size)


def _leaders(point: np.ndarray, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(C, 8, 2): points along the leader line from a point to each box."""
    ends = nearest_edge(point, corners, size)
    return point + np.linspace(0.3, 1, 8)[None, :, None] * (ends - point)[:, None]


def _overlap(corners: np.ndarray, size: np.ndarray, others: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(C, L): the area that each candidate box shares with each other box."""
    low = np.maximum(corners[:, None] - _PADDING, others)
    high = np.minimum(corners[:, None] + size + _PADDING, others + sizes)
    return np.prod(np.maximum(high - low, 0), axis=-1)


def _inside(points: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(C, M) bool: which points lie in which box."""
    low, high = corners[:, None] - _PADDING, (corners + sizes)[:, None] + _PADDING
    return np.all((points >= low) & (points <= high), axis=-1)
