"""What the map shows: layout, similar pictures, doubtful labels, columns, thumbnails, tables for VIKUS."""

import base64
import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.map.columns import (
    artist_name,
    artwork_title,
    group_column,
    read_metadata,
    text_column,
    years_of_files,
)
from wikiart_autoencode.map.layout import doubtful_labels, grid_cells, similar_pictures
from wikiart_autoencode.map.page import MapContent
from wikiart_autoencode.map.thumbnails import encode_thumbnails, make_overview
from wikiart_autoencode.map.vikus import write_vikus
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.names import artist_of


@given(st.integers(1, 300), st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_each_point_gets_a_cell_of_its_own(number, seed):
    points = np.random.default_rng(seed).normal(size=(number, 2)) * (3, 1)
    cells = grid_cells(points)
    columns, rows = cells.max(axis=0) + 1
    assert len({tuple(cell) for cell in cells.tolist()}) == number
    assert cells.min() == 0
    assert columns * rows - number < max(columns, rows)


def test_neighbours_on_the_map_are_neighbours_in_the_grid():
    points = np.random.default_rng(0).normal(size=(900, 2))
    cells = grid_cells(points)
    assert np.corrcoef(points[:, 0], cells[:, 0])[0, 1] > 0.9
    assert np.corrcoef(points[:, 1], cells[:, 1])[0, 1] > 0.9
    nearest = np.linalg.norm(points[:, None] - points[None], axis=-1).argsort(axis=1)[:, 1]
    shuffled = np.random.default_rng(1).permutation(900)
    apart, by_chance = (np.abs(cells - cells[rows]).max(axis=1).mean() for rows in (nearest, shuffled))
    assert apart < 0.2 * by_chance


def test_similar_pictures_are_the_nearest_by_cosine_without_itself():
    codes = np.random.default_rng(0).normal(size=(40, 5))
    codes[7] = codes[6]  # equal codes: either may come first in the search
    nearest = similar_pictures(codes, 4)
    unit = codes - codes.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    np.testing.assert_allclose(np.take_along_axis(cosine, nearest, axis=1), -np.sort(-cosine, axis=1)[:, :4], atol=1e-5)
    assert (nearest[6][0], nearest[7][0]) == (7, 6)
    assert similar_pictures(codes[:3], 12).shape == (3, 2)


def test_swapped_labels_are_doubted_and_frequent_styles_alone_are_no_reason():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [120, 40, 40])
    codes = np.eye(3)[labels] * 8 + random.normal(size=(200, 3))
    nearest = similar_pictures(codes, 20)
    assert doubtful_labels(nearest, labels) == []
    wrong = labels.copy()
    wrong[[5, 130, 170]] = (1, 2, 0)
    doubts = doubtful_labels(nearest, wrong)
    assert {(doubt.row, doubt.style) for doubt in doubts} == {(5, 0), (130, 1), (170, 2)}
    assert all(doubt.other > doubt.own and doubt.voters == 20 for doubt in doubts)
    # Without structure the frequent label has most votes nearly everywhere; few of the rare ones are doubted for it.
    noise = doubtful_labels(similar_pictures(random.normal(size=(200, 3)), 20), labels, most=200)
    assert sum(doubt.style == 0 for doubt in noise) < 0.75 * (labels != 0).sum()


def test_a_column_of_text_colours_the_frequent_values():
    texts = ["Louvre"] * 40 + ["Prado"] * 30 + [f"rare {number}" for number in range(40)] + [""] * 5
    column = text_column("museum", np.zeros((len(texts), 2)), texts)
    names = [group["name"] for group in column.groups]
    assert names[:2] == ["Louvre", "Prado"]
    assert names[-2:] == ["10 others", "unknown"]
    assert len(names) == 34
    assert [names[group] for group in column.group[[0, 41, -1]]] == ["Louvre", "Prado", "unknown"]
    assert sum(group["n"] for group in column.groups) == len(texts)
    assert len({(group["colour"], group["marker"]) for group in column.groups[:32]}) == 32


def test_numbers_are_a_ramp_and_unique_texts_have_no_colours():
    points = np.zeros((20, 2))
    years = text_column("year", points, [f"c. {1800 + row}" for row in range(19)] + ["unknown"])
    np.testing.assert_array_equal(years.numbers, [*range(1800, 1819), np.nan])
    assert text_column("height", points, [str(row / 2) for row in range(20)]).numbers[3] == 1.5
    assert text_column("rating", points, [str(row % 3) for row in range(20)]).groups[0]["name"] == "0"
    unique = text_column("link", np.zeros((100, 2)), [f"https://example.org/{row}" for row in range(100)])
    assert unique.groups is None
    assert unique.numbers is None


def test_noise_is_grey_and_has_no_place():
    column = group_column("cluster", np.ones((4, 2)), np.array([0, 1, -1, 0]), ["cluster 0", "cluster 1"])
    assert column.texts == ["cluster 0", "cluster 1", "noise", "cluster 0"]
    assert column.groups[-1]["centre"] is None


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_metadata_is_matched_by_path_name_or_spelling(tmp_path, separator):
    files = [
        "train/Baroque/rembrandt_the-mill.jpg",
        "test/Cubism/juan-gris_Violin.jpg",
        "a/b/c.jpg",
        "a/b/unlisted.jpg",
    ]
    rows = [
        ("file", "year", "note"),
        (files[0], "1648", "x"),
        ("Cubism/Juan Gris - violin.png", "1916", "é"),
        ("c.jpg", "7", ""),
    ]
    path = tmp_path / "metadata.csv"
    path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    assert read_metadata(path, files) == {"year": ["1648", "1916", "7", ""], "note": ["x", "é", "", ""]}


@pytest.mark.parametrize(
    "content", [None, b"", b"year\n1900\n", b"file,year\nother.jpg,1900\n", b"\xff\xfe\x00", b'file,a\n"x']
)
def test_unusable_metadata_is_named(tmp_path, content):
    path = tmp_path / "metadata.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_metadata(path, ["train/x/y.jpg"])
    assert error.value.field == str(path)


def test_years_come_from_the_ends_of_file_names():
    files = ["a/claude-monet_lilies-1916.jpg", "a/x_y-1888(2).jpg", "a/x_route-66.jpg"]
    assert years_of_files(files) == ["1916", "1888", ""]
    assert years_of_files(["a/x_y.jpg"] * 3 + files[:1]) is None


@pytest.mark.parametrize(
    ("name", "artist", "title"),
    [
        ("train/Realism/vincent-van-gogh_the-sower-1888.jpg", "Vincent van Gogh", "The sower 1888"),
        ("a/b/leonardo-da-vinci_mona-lisa_jpg.rf.0a1b2c.jpg", "Leonardo da Vinci", "Mona lisa"),
        ("a/b/seascape.jpg", "", "Seascape"),
        ("a/b/number-26-1949(2).jpg!PinterestSmall.jpg", "", "Number 26 1949"),
        ("a/b/unknown-artist_seascape.jpg", "", "Seascape"),
        ("a/b/x_.jpg", "X", "X"),
    ],
)
def test_artists_and_titles_from_file_names(name, artist, title):
    assert artist_name(artist_of(name)) == artist
    assert artwork_title(name) == title


def test_thumbnails_share_a_header_and_fit_the_budget():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (6, 96, 64, 3), dtype=np.uint8)
    thumbnails = encode_thumbnails(pictures)
    assert thumbnails.side == 96
    assert len(thumbnails.header) % 4 == 0
    assert "=" not in thumbnails.header
    for picture, body in zip(pictures, thumbnails.bodies, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(thumbnails.header + body)))
        assert image.size == (64, 96)
        assert np.abs(np.asarray(image).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 4
    assert encode_thumbnails(pictures, sum(map(len, thumbnails.bodies)) // 3).side < 96


def test_the_overview_holds_every_picture_in_its_cell():
    colours = np.random.default_rng(0).integers(0, 255, (7, 3), dtype=np.uint8)
    overview = make_overview(np.broadcast_to(colours[:, None, None], (7, 40, 30, 3)))
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(overview.jpeg)))).astype(int)
    for row, colour in enumerate(colours):
        middle = (row // overview.columns + 0.5, row % overview.columns + 0.5)
        assert np.abs(image[int(middle[0] * overview.side), int(middle[1] * overview.side)] - colour).max() < 12


def test_tables_for_vikus(tmp_path):
    files = ["train/A_b/claude-monet_lilies-1916.jpg", "test/A_b/claude-monet_lilies-1916.jpg"]
    content = MapContent(
        points=np.array([[-3.0, 2.0], [1.0, 4.0]]),
        codes=np.eye(2),
        labels=np.array([0, 1]),
        styles=("A_b", "C"),
        files=files,
        artists=["claude-monet", ""],
        thumbnails=np.zeros((2, 8, 8, 3), dtype=np.uint8),
        metadata={"museum, room": ["Louvre, 2", ""]},
    )
    write_vikus(tmp_path / "vikus", content)
    with (tmp_path / "vikus" / "data.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["id"], second["id"]) == ("claude-monet_lilies-1916", "claude-monet_lilies-1916-2")
    assert (first["keywords"], second["keywords"]) == ("A b,Claude Monet", "C")
    assert first["year"] == "1916"
    assert (first["_museum,_room"], first["_file"]) == ("Louvre, 2", files[0])
    with (tmp_path / "vikus" / "tsne.csv").open() as file:
        assert [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)] == [(0, 0), (1, 0.5)]


def test_the_map_of_codes_has_the_pictures_and_artists_of_their_files(paintings):
    catalog = scan(paintings)
    rows = catalog.rows("test")[::-1]
    codes = Codes(
        np.random.default_rng(0).normal(size=(len(rows), 3)),
        catalog.labels[rows],
        np.array(catalog.files)[rows],
        np.array(catalog.styles),
        np.full(len(rows), "test"),
    )
    content = MapContent.of_codes(codes, catalog, points=codes.codes[:, :2])
    assert list(content.files) == [catalog.files[row] for row in rows]
    assert list(content.artists) == [catalog.artists[row] for row in rows]
    for row in (0, len(rows) - 1):
        with Image.open(paintings / content.files[row]) as image:
            colour = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
        np.testing.assert_allclose(content.thumbnails[row].mean(axis=(0, 1)), colour, atol=3)
    with pytest.raises(ValueError, match="but clusters has 3 rows"):
        MapContent.of_codes(codes, catalog, codes.codes[:, :2], clusters=np.arange(3))
    elsewhere = replace(codes, files=np.char.add("elsewhere/", codes.files))
    with pytest.raises(InputError, match=f"lacks {len(rows)} of the {len(rows)} pictures"):
        MapContent.of_codes(elsewhere, catalog, points=codes.codes[:, :2])
