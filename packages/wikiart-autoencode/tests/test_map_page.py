"""The map page in Chromium, at 1200 and at 400 px: one page is loaded once; after each test nothing hostile has run."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_autoencode.map.columns import artist_name, artwork_title
from wikiart_autoencode.map.layout import similar_pictures
from wikiart_autoencode.map.page import SCRIPTS, write_map
from wikiart_data.errors import InputError
from wikiart_data.styles import display_name

from .map_in_chromium import (
    ARTISTS,
    CHROMIUM,
    CLUSTERS,
    CODES,
    COLOURS,
    CONTENT,
    EVIL,
    FILES,
    LABELS,
    MUSEUMS,
    POINTS,
    STYLES,
    YEARS,
    N,
    colour_at,
    colour_of,
    in_chromium,
    is_picture,
    listed,
    open_page,
    place,
    resize,
    rows_of,
    until,
    zoom_to,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.html"
    write_map(path, CONTENT, "Codes & <i>styles</i>")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser: Any, written: Path) -> tuple[Any, list[str], list[str]]:
    return open_page(browser, written, viewport={"width": 1200, "height": 768})


@pytest.fixture
def page(opened: tuple[Any, list[str], list[str]], written: Path) -> Iterator[Any]:
    """The page as it starts; after the test: nothing else was requested, nothing complained or ran."""
    page, requests, complaints = opened
    page.set_viewport_size({"width": 1200, "height": 768})
    page.mouse.move(5, 5)
    page.evaluate("() => { history.replaceState(null, '', '#'); dispatchEvent(new PopStateEvent('popstate')); }")
    page.locator("[data-tool=move]").click()
    yield page
    assert page.evaluate("window.hacked") is None
    assert page.locator("main b b, main i i, main [onerror], main [onmouseover], main script").count() == 0
    assert requests == [written.as_uri()]
    assert complaints == []


@in_chromium
def test_hover_shows_the_picture_and_its_metadata(page):
    for row in (0, 3, 99):
        page.mouse.move(*place(page, row))
        card = page.locator("#card")
        card.wait_for(state="visible")
        assert card.get_attribute("data-row") == str(row)
        image = card.locator("img")
        until(page, lambda image=image, row=row: image.get_attribute("data-row") == str(row))
        until(page, lambda image=image, row=row: is_picture(image.get_attribute("src"), row))
        assert image.evaluate("img => img.decode().then(() => img.naturalWidth)") == 40
        assert card.locator(".title").text_content() == artwork_title(FILES[row])
        lines = {line.get_attribute("data-column"): line.text_content() for line in card.locator("span").all()}
        cluster = CLUSTERS[row]
        assert lines["style"] == STYLES[LABELS[row]].replace("_", " ")
        assert lines["cluster"] == ("noise" if cluster < 0 else f"cluster {cluster}")
        assert lines.get("artist", "") == artist_name(ARTISTS[row])
        assert lines["year"] == f"year: {YEARS[row]}"
        assert lines.get("museum <i>", "") == (f"museum <i>: {MUSEUMS[row]}" if MUSEUMS[row] else "")
    page.mouse.move(5, 5)
    assert not page.locator("#card").is_visible()


@in_chromium
def test_a_legend_entry_isolates_its_style_and_a_second_click_undoes_it(page):
    entry = page.locator("#legend button", has_text="Cubism")
    entry.click()
    expected = np.flatnonzero(LABELS == 2).tolist()
    assert rows_of(page) == sorted(listed(page)) == expected
    assert len(rows_of(page, "others")) == N - len(expected)
    assert entry.get_attribute("aria-pressed") == "true"
    page.mouse.move(*place(page, int(np.flatnonzero(LABELS != 2)[20])))
    assert not page.locator("#card").is_visible()
    entry.click()
    assert len(rows_of(page)) == N


@in_chromium
def test_search_ignores_accents_and_finds_metadata(page):
    page.keyboard.press("/")
    page.keyboard.type("CEZANNE")
    until(page, lambda: page.locator("#count").text_content() == f"1 of {N} paintings match")
    assert rows_of(page) == listed(page) == [1]
    page.locator("#search").fill("louvre lilies 4")
    expected = [row for row in range(4, N) if row % 3 == 0 and ("4" in str(row) or "4" in str(YEARS[row]))]
    until(page, lambda: page.locator("#count").text_content() == f"{len(expected)} of {N} paintings match")
    assert rows_of(page) == expected
    page.keyboard.press("Escape")
    assert page.locator("#search").input_value() == ""
    assert len(rows_of(page)) == N


@in_chromium
def test_colours_follow_style_cluster_and_year(page):
    resize(page, 1200, 170)  # small enough for points
    page.locator("#search").fill("18")  # all match, and names of groups do not cover any
    until(page, lambda: page.locator("#count").text_content() == f"{N} of {N} paintings match")
    for name, groups in (("style", LABELS), ("cluster", CLUSTERS)):
        page.select_option("#colour-by", name)
        legend = [colour_of(mark.get_attribute("fill")) for mark in page.locator("#legend path").all()]
        hues = np.array([(255 - colour) / np.linalg.norm(255 - colour) for colour in legend])
        for row in range(1, N, 4):  # points are small and translucent: their hue is the legend's; noise is the last
            assert np.argmax(hues @ (255 - np.array(colour_at(page, row)))) == groups[row] % len(legend)
    names = page.locator("#legend span").all_text_contents()
    assert names == ["cluster 0", "cluster 1", "cluster 2", "cluster 3", "noise"]
    page.select_option("#colour-by", "year")
    green = [colour_at(page, row)[1] for row in (0, 30, 60, 99)]
    assert green == sorted(green)
    assert green[-1] > green[0] + 50


@in_chromium
def test_a_brush_or_two_numbers_limit_the_years(page):
    page.select_option("#colour-by", "year")
    box = page.locator("#bars").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    rows = rows_of(page)
    assert rows == list(range(rows[0], rows[-1] + 1))
    assert abs(rows[0] - 25) <= 1
    assert abs(rows[-1] - 50) <= 1
    page.locator("#from").fill("1890")
    page.locator("#from").press("Enter")
    page.locator("#to").fill("1895")
    page.locator("#to").press("Enter")
    assert rows_of(page) == sorted(listed(page)) == list(range(90, 96))


@in_chromium
def test_a_lasso_selects_and_the_selection_is_exported(page, tmp_path):
    page.locator("[data-tool=lasso]").click()
    (left, low), (right, top) = place(page, 0), place(page, 22)
    corners = [(left - 9, low + 9), (right + 9, low + 9), (right + 9, top - 9), (left - 9, top - 9)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=3)
    page.mouse.up()
    rows = [row for row in range(N) if POINTS[row].max() <= 2]
    assert page.locator("#list-title").text_content() == "Selected"
    assert page.locator("#summary").text_content().startswith("9 paintings: ")
    assert sorted(listed(page)) == rows

    with page.expect_download() as download:
        page.locator("#export-table").click()
    download.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["file"] for row in table} >= {EVIL, FILES[20]}
    assert [(row["style"], row["year"], row["museum <i>"]) for row in table] == [
        (display_name(STYLES[LABELS[row]]), str(YEARS[row]), MUSEUMS[row]) for row in listed(page)
    ]

    with page.expect_download() as download:
        page.locator("#export-sheet").click()
    download.value.save_as(tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3).astype(int)
    for row in rows:
        assert (np.abs(sheet - COLOURS[row]).max(axis=1) < 4).sum() > 9_000
    page.locator("#clear").click()
    assert page.locator("#list-title").text_content() == "Typical paintings"


@in_chromium
def test_a_click_lists_the_nearest_codes_and_one_can_walk_on_and_back(page):
    nearest = similar_pictures(CODES, 12)
    page.mouse.click(*place(page, 42))
    assert page.locator("#list-title").text_content() == "Similar pictures"
    assert listed(page) == [42, *nearest[42]]
    page.locator("#list button").nth(1).click()
    second = int(nearest[42][0])
    assert listed(page) == [second, *nearest[second]]
    page.go_back()
    until(page, lambda: listed(page)[0] == 42)
    assert f"picture={42}" in page.url


@in_chromium
def test_doubtful_labels_are_listed_with_the_reason(page):
    page.locator("#doubtful").click()
    rows = listed(page)
    assert rows
    assert page.locator("#doubtful").text_content() == f"Labels in doubt ({len(rows)})"
    row, text = rows[0], page.locator("#list em").first.text_content()
    neighbours = LABELS[similar_pictures(CODES, 20)[row]]
    other, own = re.match(r"(\d+) of its 20 nearest are .*, (\d+) ", text).groups()
    assert int(own) == (neighbours == LABELS[row]).sum()
    assert int(other) == np.bincount(np.delete(neighbours, np.flatnonzero(neighbours == LABELS[row]))).max()


@in_chromium
def test_zoomed_in_the_pictures_are_drawn_and_a_grid_keeps_them_apart(page):
    resize(page, 1200, 170)
    assert page.evaluate("paintingMap.pictureSide()") == 0
    resize(page, 1200, 768)
    zoom_to(page, 55)
    assert page.evaluate("paintingMap.pictureSide()") > 40
    assert np.abs(np.array(colour_at(page, 55)) - COLOURS[55]).max() < 6
    page.locator("#fit").click()
    page.mouse.move(*place(page, 55))
    before = page.evaluate("paintingMap.zoomLevel()")
    page.mouse.wheel(0, -400)
    until(page, lambda: page.evaluate("paintingMap.zoomLevel()") > 1.2 * before)
    page.locator("#map").click()
    page.keyboard.press("g")
    until(page, lambda: page.evaluate("paintingMap.isStill()"))
    side = page.evaluate("paintingMap.pictureSide()")
    places = np.array([page.evaluate("row => paintingMap.screenPosition(row)", row) for row in range(0, N, 9)])
    apart = np.abs(places[:, None] - places[None]).max(axis=-1) + 1e9 * np.eye(len(places))
    assert side > 20
    assert apart.min() >= side
    assert np.abs(np.array(colour_at(page, 55)) - COLOURS[55]).max() < 6


@in_chromium
def test_the_address_shows_the_same_view_again(page, written):
    page.select_option("#colour-by", "cluster")
    page.locator("#legend button", has_text="cluster 2").click()
    page.locator("#search").fill("lilies")
    until(page, lambda: "search=lilies" in page.url)
    zoom_to(page, 30)
    zoom = page.evaluate("paintingMap.zoomLevel()")
    until(page, lambda: f"{zoom:.3f}" in page.url)
    address, rows = page.url, rows_of(page)
    page.keyboard.press("Escape")
    page.locator("#fit").click()
    assert rows_of(page) != rows
    page.goto(written.as_uri() + "#layout=grid&by=nothing&only=%3Cscript%3E&picture=-1&at=NaN,x")  # nonsense is ignored
    assert len(rows_of(page)) == N
    page.goto(address)
    until(page, lambda: rows_of(page) == rows)
    assert page.evaluate("paintingMap.zoomLevel()") == pytest.approx(zoom, rel=1e-3)
    assert page.locator("#colour-by").input_value() == "cluster"


@in_chromium
def test_arrow_keys_walk_and_focus_is_visible(page):
    page.mouse.click(*place(page, 44))
    page.mouse.move(5, 5)
    for key, row in (("ArrowRight", 45), ("ArrowUp", 55), ("ArrowLeft", 54), ("ArrowDown", 44)):
        page.keyboard.press(key)
        assert page.locator("#card").get_attribute("data-row") == str(row)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert listed(page)[0] == 45
    assert artwork_title(FILES[45]) in page.locator("#spoken").text_content()
    for selector in ("#canvas", "#fit", "#search", "#legend button"):
        page.locator(selector).first.focus()
        page.keyboard.press("Shift")  # focus is shown once the keyboard is used
        assert page.locator(selector).first.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"


@in_chromium
def test_hostile_names_are_shown_as_text(page):
    page.mouse.move(*place(page, 0))
    assert page.locator("#card .artist").text_content() == "<img src=x onerror=window.hacked=1>"
    assert page.locator("h1").text_content() == "Codes & <i>styles</i>"
    page.locator("#search").fill("onerror")
    until(page, lambda: listed(page) == [0])
    assert page.locator("#list button").get_attribute("title") == EVIL
    page.locator("#search").fill("{{ data")
    until(page, lambda: listed(page) == [1])
    assert "{{ data }}" in page.locator("#list button").get_attribute("title")
    assert "\\udce9" in page.locator("#list button").get_attribute("title")
    page.select_option("#colour-by", "museum <i>")
    assert "<script>window.hacked=1</script>" in page.locator("#legend span").all_text_contents()


@in_chromium
def test_on_a_phone_the_panel_is_below_and_pictures_come_from_a_folder(browser, tmp_path):
    path = tmp_path / "map.html"
    write_map(path, CONTENT, "Codes", folder=True)
    size = {"width": 400, "height": 800}
    page, requests, complaints = open_page(browser, path, viewport=size, has_touch=True, color_scheme="dark")
    plot, panel = page.locator("#map").bounding_box(), page.locator("aside").bounding_box()
    assert plot["width"] == panel["width"] == 400
    assert plot["height"] >= 300
    assert panel["y"] >= plot["y"] + plot["height"] - 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 25, 29)"
    page.touchscreen.tap(*place(page, 55))
    assert listed(page)[0] == 55
    image = page.locator("#list img").first
    until(page, lambda: is_picture(image.get_attribute("src"), 55))
    assert requests == [path.as_uri(), (tmp_path / "map-pictures" / "0.js").as_uri()]
    with page.expect_download():
        page.locator("#export-sheet").click()
    assert complaints == []
    page.context.close()


def test_nothing_in_a_name_can_close_a_script(written):
    text = written.read_bytes().decode()
    assert text.count("<script") == text.count("</script>") == 3
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert data["files"][0] == EVIL
    assert "http-equiv" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text.split("<body>")[0])


def test_every_script_is_in_the_page():
    folder = Path(__file__).parent.parent / "src/wikiart_autoencode/map/scripts"
    assert sorted(SCRIPTS) == sorted(path.name for path in folder.iterdir())


def test_an_unwritable_folder_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        write_map(tmp_path / "no" / "map.html", CONTENT, "x")
    assert error.value.field == str(tmp_path / "no" / "map.html")
