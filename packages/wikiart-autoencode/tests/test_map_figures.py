"""Figures of the map: what is in colour, labels do not overlap, files are reproducible."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from wikiart_autoencode.map.figures import (
    cluster_style_heatmap,
    distinct_colours,
    map_figure,
    small_groups_last,
    small_multiples,
    trimmed_centre,
    write_figures,
)
from wikiart_data.errors import InputError
from wikiart_data.styles import STYLES, display_name


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in 27 blobs of very different sizes, their styles, and clusters with some noise."""
    random = np.random.default_rng(seed)
    shares = 0.8 ** np.arange(27)
    labels = np.concatenate([np.arange(27), random.choice(27, n - 27, p=random.permutation(shares / shares.sum()))])
    middles = random.normal(0, 20, (27, 2))
    points = middles[labels] + random.normal(0, 6, (n, 2))
    return points, labels, np.where(random.random(n) < 0.1, -1, labels // 2)


def test_the_trimmed_centre_of_two_clumps_lies_in_the_larger():
    random = np.random.default_rng(1)
    points = np.concatenate([random.normal(0, 1, (300, 2)), random.normal(50, 1, (200, 2))])
    assert np.linalg.norm(trimmed_centre(points)) < 1
    assert trimmed_centre(points[:1]) == pytest.approx(points[0])
    assert trimmed_centre(np.ones((5, 2))) == pytest.approx([1, 1])


def test_small_groups_are_drawn_last_and_noise_first():
    labels = np.array([2, 0, 0, 0, -1, 1, 1])
    assert labels[small_groups_last(labels)].tolist() == [-1, 0, 0, 0, 1, 1, 2]


def test_the_map_has_the_largest_styles_in_colour_and_numbered_clusters():
    points, labels, clusters = blobs(600)
    figure = map_figure(points, labels, STYLES, clusters, "Codes")
    by_style, by_cluster = figure.axes
    assert by_style.get_title(loc="left") == "Codes, by style"
    assert [text.get_text() for text in by_cluster.texts] == [str(cluster) for cluster in range(14)]
    assert f"{np.mean(clusters < 0):.0%} noise" in by_cluster.get_title(loc="left")
    counts = np.bincount(labels, minlength=27)
    largest = np.argsort(-counts, kind="stable")[:7]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *(f"{display_name(STYLES[style])} · {counts[style]:,}" for style in largest),
        f"20 other styles · {600 - counts[largest].sum()}",
    ]
    # The others first, in grey, then the large styles; each in the colour that the legend shows.
    drawn = {to_hex(group.get_facecolor()[0]): len(group.get_offsets()) for group in by_style.collections}
    assert list(drawn.values()) == [600 - counts[largest].sum(), *counts[largest]]
    assert [to_hex(mark.get_color()) for mark in legend.get_lines()] == [*list(drawn)[1:], next(iter(drawn))]
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == pytest.approx(7.2)
    frame = legend.get_window_extent()
    assert frame.x0 >= 0
    assert frame.x1 <= figure.bbox.x1
    boxes = [text.get_window_extent() for text in by_cluster.texts]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert by_cluster.bbox.x0 <= box.x0
        assert box.x1 <= by_cluster.bbox.x1


def test_clusters_of_one_colour_are_far_apart():
    centres = {number: np.array([number % 7, number // 7], dtype=float) for number in range(21)}
    colours = distinct_colours(centres)
    assert len(set(colours.values())) == 7
    distances = [
        np.linalg.norm(centres[a] - centres[b]) for a in centres for b in centres if a < b and colours[a] == colours[b]
    ]
    assert min(distances) >= 2  # numbered in order they would touch, 1 apart


def test_small_multiples_have_one_panel_per_style_the_largest_first():
    points, labels, _ = blobs(600)
    figure = small_multiples(points, labels, STYLES)
    panels = [axes for axes in figure.axes if axes.axison]
    counts = np.bincount(labels, minlength=27)
    order = np.argsort(-counts, kind="stable")
    names = [display_name(style) for style in STYLES]
    assert [axes.get_title(loc="left") for axes in panels] == [names[style] for style in order]
    assert [axes.texts[0].get_text() for axes in panels] == [f"{n:,}" for n in counts[order]]
    assert [len(axes.collections[0].get_offsets()) for axes in panels] == counts[order].tolist()
    figure.draw_without_rendering()
    for axes in panels:  # a long name is cut, it does not run into its neighbour
        assert axes._left_title.get_window_extent().width < axes.get_window_extent().width * 1.03


def test_the_heat_map_begins_with_all_pictures_orders_clusters_by_style_and_ends_with_noise():
    labels = np.array([2, 2, 2, 0, 0, 1, 1, 1, 0, 1])
    clusters = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, -1])
    figure = cluster_style_heatmap(clusters, labels, ("A", "B_b", "$C"))
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["all pictures (10)", "cluster 1 (2)", "cluster 2 (4)", "cluster 0 (3)", "noise (1)"]
    shares = np.asarray(axes.images[0].get_array())
    assert shares == pytest.approx(np.array([[30, 40, 30], [100, 0, 0], [25, 75, 0], [0, 0, 100], [0, 100, 0]]))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["A", "B b", "$C"]


def test_of_very_many_clusters_the_largest_are_drawn():
    clusters = np.repeat(np.arange(100), np.arange(1, 101))
    figure = cluster_style_heatmap(clusters, np.zeros(len(clusters), dtype=int), ("A", "B"))
    assert len(figure.axes[0].get_yticklabels()) == 61
    assert "the 60 largest of 100" in figure.axes[0].get_title(loc="left")


def test_files_are_small_and_reproducible(tmp_path):
    points, labels, clusters = blobs(2100)
    figures = {"map": map_figure(points, labels, STYLES, clusters, "$Codes <&>")}
    write_figures(tmp_path / "figures", figures)
    first = (tmp_path / "figures" / "map.svg").read_bytes()
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["map.png", "map.svg"]
    assert (tmp_path / "figures" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert first.count(b"<image") == 2  # the points of each map are one raster image
    assert len(first) < 2_000_000
    write_figures(tmp_path / "figures", figures)
    assert (tmp_path / "figures" / "map.svg").read_bytes() == first


def test_few_points_are_shapes_in_the_svg(tmp_path):
    points, labels, _ = blobs(60)
    write_figures(tmp_path, {"map": map_figure(points, labels, STYLES, None, "Codes")})
    assert b"<image" not in (tmp_path / "map.svg").read_bytes()


def test_one_point_and_equal_points_can_be_drawn():
    points, labels = np.ones((3, 2)), np.zeros(3, dtype=int)
    for number in (1, 3):
        map_figure(points[:number], labels[:number], ("Only",), np.full(number, -1), "x").draw_without_rendering()
        small_multiples(points[:number], labels[:number], ("Only",)).draw_without_rendering()


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        write_figures(tmp_path / "file" / "figures", {})
    assert error.value.field == str(tmp_path / "file" / "figures")
