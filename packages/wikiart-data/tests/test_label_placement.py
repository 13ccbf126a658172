"""Labels of crowded points do not overlap, stay inside the frame, and are near their points."""

import numpy as np

from wikiart_data.results.label_placement import place_labels


def test_labels_of_crowded_points_do_not_overlap_and_stay_inside():
    random = np.random.default_rng(0)
    points = random.normal((500, 300), 25, (14, 2))
    sizes = np.stack([random.uniform(60, 180, 14), np.full(14, 14.0)], axis=1)
    frame = (0.0, 0.0, 1000.0, 600.0)
    corners = place_labels(points, sizes, points, frame)
    assert are_disjoint(corners, sizes)
    assert (corners >= 0).all()
    assert (corners + sizes <= (1000, 600)).all()
    assert (corners == place_labels(points, sizes, points, frame)).all()


def test_a_single_label_is_next_to_its_point():
    point, size = np.array([[300.0, 200.0]]), np.array([[80.0, 14.0]])
    corner = place_labels(point, size, point, (0.0, 0.0, 600.0, 400.0))
    gap = np.linalg.norm(np.clip(point, corner, corner + size) - point)
    assert 3 < gap < 10


def are_disjoint(corners: np.ndarray, sizes: np.ndarray) -> bool:
    low = np.maximum(corners[:, None], corners)
    high = np.minimum((corners + sizes)[:, None], corners + sizes)
    overlapping = (high > low).all(axis=-1)
    return bool((overlapping == np.eye(len(corners), dtype=bool)).all())
