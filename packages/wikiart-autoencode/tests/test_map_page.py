"""The map page in Chromium: hover, legend, search, lasso, zoom; hostile names are shown as text."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_autoencode.map.page import artist_name, artwork_title, encode_thumbnails, write_map
from wikiart_data.errors import InputError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

STYLES = ("<b onmouseover=window.hacked=1>Odd</b>", "Baroque", "Cubism", "Ukiyo_e")
SIDE = 10
"""Points form a square of 10 × 10; styles and clusters are interleaved."""
N = SIDE * SIDE
POINTS = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
LABELS = np.arange(N) * 7 % 11 % len(STYLES)
CLUSTERS = np.arange(N) % 5 - 1
EVIL = "<img src=x onerror=window.hacked=1>_</script><script>window.hacked=1</script>.jpg"
ODD = "train/Cubism/paul-c\u00e9zanne_\udce9 & <!--<script>-{{ data }}.jpg"
FILES = [f"train/x/claude-monet_water-lilies-{row}.jpg" for row in range(N)]
FILES[:4] = [EVIL, ODD, 'train/x/"quoted"_${window.hacked=1}-@{x}.jpg', "train/x/plain.jpg"]
ARTISTS = ["claude-monet"] * N
ARTISTS[:4] = ["<img src=x onerror=window.hacked=1>", "paul-c\u00e9zanne", '"quoted"', ""]
COLOURS = np.stack([np.arange(N) * 2 + 30, 230 - np.arange(N) * 2, np.arange(N) * 53 % 200], axis=1).astype(np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.html"
    thumbnails = np.broadcast_to(COLOURS[:, None, None], (N, 40, 40, 3))
    write_map(path, POINTS, LABELS, STYLES, CLUSTERS, FILES, ARTISTS, thumbnails, "Codes & <i>styles</i>")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, written: Path) -> Iterator[Any]:
    """The page, opened; after the test: nothing was requested, logged or run."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page, requests, complaints = context.new_page(), [], []

    def meet(route: Any) -> None:
        if route.request.url == written.as_uri():
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    context.route(re.compile("^(?!data:)"), meet)
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(written.as_uri())
    page.wait_for_selector("body[data-ready]")
    yield page
    assert page.evaluate("window.hacked") is None
    assert page.locator("main b b, main i, main [onerror], main [onmouseover], main script").count() == 0
    assert requests == []
    assert complaints == []
    context.close()


def shown(page: Any, layer: str = "shown") -> dict[str, list]:
    """What bokeh draws: x, y and colours of a layer."""
    script = """layer => {
        const { x, y, colour } = Bokeh.documents[0].get_model_by_name(layer).data;
        return { x: [...x], y: [...y], colour: [...colour] };
    }"""
    return page.evaluate(script, layer)


def place(page: Any, row: int) -> tuple[float, float]:
    """Where on the screen a point is."""
    script = """([x, y]) => {
        const { x_range: h, y_range: v } = Bokeh.documents[0].get_model_by_name("map");
        const box = document.getElementById("map").getBoundingClientRect();
        return [box.left + (x - h.start) / (h.end - h.start) * box.width,
                box.bottom - (y - v.start) / (v.end - v.start) * box.height];
    }"""
    return tuple(page.evaluate(script, POINTS[row].tolist()))


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait for it; the page's policy forbids the `eval` that playwright's own waiting would use."""
    for _ in range(600):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("waited for 30 s")


def drag(page: Any, corners: list[tuple[float, float]]) -> None:
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.wait_for_timeout(500)  # a slow start must not turn the drag into a press
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()


def colour_of(source: str) -> np.ndarray:
    """(3,) mean colour of a data: URL."""
    kind, _, content = source.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).mean(axis=(0, 1))


@in_chromium
def test_hover_shows_the_picture_and_its_metadata(page):
    for row in (0, 3, 42, 99):
        page.mouse.move(*place(page, row))
        card = page.locator("#card")
        card.wait_for(state="visible")
        assert card.get_attribute("data-row") == str(row)
        assert np.abs(colour_of(card.locator("img").get_attribute("src")) - COLOURS[row]).max() < 4
        assert card.locator("img").evaluate("img => img.decode().then(() => img.naturalWidth)") == 40
        assert card.locator(".title").text_content() == artwork_title(FILES[row])
        assert card.locator(".artist").text_content() == (artist_name(ARTISTS[row]) or "artist unknown")
        assert card.locator(".style").text_content() == STYLES[LABELS[row]].replace("_", " ")
        cluster = CLUSTERS[row]
        assert card.locator(".cluster").text_content() == ("noise" if cluster < 0 else f"cluster {cluster}")
    page.mouse.move(5, 5)
    assert not page.locator("#card").is_visible()


@in_chromium
def test_a_legend_entry_isolates_its_style_and_a_second_click_undoes_it(page):
    entry = page.locator("#legend button", has_text="Cubism")
    entry.click()
    expected = sorted(map(tuple, POINTS[LABELS == 2].tolist()))
    assert sorted(zip(*(shown(page)[axis] for axis in "xy"), strict=True)) == expected
    assert len(shown(page, "faded")["x"]) == N - len(expected)
    assert entry.get_attribute("aria-pressed") == "true"
    assert page.locator("#list button").count() == len(expected)
    page.mouse.move(*place(page, int(np.flatnonzero(LABELS != 2)[20])))
    assert not page.locator("#card").is_visible()
    entry.click()
    assert len(shown(page)["x"]) == N
    assert shown(page, "faded")["x"] == []


@in_chromium
def test_search_ignores_accents_and_counts_matches(page):
    page.keyboard.press("/")
    page.keyboard.type("CEZANNE")
    until(page, lambda: page.locator("#count").text_content() == f"1 of {N} paintings match")
    assert shown(page)["x"] == [POINTS[1][0]]
    assert page.locator("#list b").all_text_contents() == [artwork_title(FILES[1])]
    page.locator("#search").fill("lilies monet 4")
    expected = sum("4" in str(row) for row in range(4, N))
    until(page, lambda: page.locator("#count").text_content() == f"{expected} of {N} paintings match")
    page.keyboard.press("Escape")
    assert page.locator("#search").input_value() == ""
    assert len(shown(page)["x"]) == N


@in_chromium
def test_colours_follow_the_style_or_the_cluster(page):
    def colours() -> dict[tuple[float, float], str]:
        drawn = shown(page)
        return dict(zip(zip(drawn["x"], drawn["y"], strict=True), drawn["colour"], strict=True))

    by_style = colours()
    page.locator("#colouring button", has_text="cluster").click()
    by_cluster = colours()
    for groups, drawn in ((LABELS, by_style), (CLUSTERS, by_cluster)):
        pairs = {(int(group), drawn[tuple(point)]) for group, point in zip(groups, POINTS.tolist(), strict=True)}
        assert len(pairs) == len({colour for _, colour in pairs}) == len(set(groups.tolist()))
    assert page.locator("#legend-title").text_content() == "Clusters"
    names = page.locator("#legend span").all_text_contents()
    assert names == ["cluster 0", "cluster 1", "cluster 2", "cluster 3", "noise"]
    page.locator("#legend button", has_text="noise").click()
    assert len(shown(page)["x"]) == (CLUSTERS < 0).sum()


@in_chromium
@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_a_selection_is_listed(page, tool):
    page.locator("#colouring button", has_text="cluster").click()  # what is drawn anew can be selected, too
    page.locator("#legend button").first.click()
    page.locator("#legend button").first.click()
    page.locator(f"[data-tool={tool}]").click()
    (left, low), (right, top) = place(page, 0), place(page, 22)
    left, low, right, top = left - 9, low + 9, right + 9, top - 9
    around = [(left, low), (right, low), (right, top), (left, top), (left, low)]
    drag(page, around[::2][:2] if tool == "box" else around)
    until(page, lambda: page.locator("#list-title").text_content() == "Selected")
    rows = [row for row in range(N) if POINTS[row].max() <= 2]
    listed = page.locator("#list button")
    assert sorted(int(one) for one in listed.evaluate_all("all => all.map(one => one.dataset.row)")) == rows
    assert len(rows) == 9
    for entry in listed.all():
        row = int(entry.get_attribute("data-row"))
        assert entry.locator("b").text_content() == artwork_title(FILES[row])
        assert STYLES[LABELS[row]].replace("_", " ") in entry.locator("span").text_content()
        assert np.abs(colour_of(entry.locator("img").get_attribute("src")) - COLOURS[row]).max() < 4
    assert page.locator("#summary").text_content().startswith("9 paintings: ")
    page.locator("#clear").click()
    assert page.locator("#list-title").text_content() == "Typical paintings"


@in_chromium
def test_wheel_zooms_and_the_button_shows_the_whole_map_again(page):
    width = "(r => r.end - r.start)(Bokeh.documents[0].get_model_by_name('map').x_range)"
    whole = page.evaluate(width)
    page.mouse.move(*place(page, 55))
    page.mouse.wheel(0, -400)
    until(page, lambda: page.evaluate(width) < 0.95 * whole)
    page.locator("#fit").click()
    assert page.evaluate(width) == pytest.approx(whole)


@in_chromium
def test_in_a_narrow_window_the_panel_is_below_the_map(page):
    page.set_viewport_size({"width": 400, "height": 800})
    plot, panel = page.locator("#map").bounding_box(), page.locator("aside").bounding_box()
    assert plot["width"] == panel["width"] == 400
    assert plot["height"] >= 300
    assert panel["y"] >= plot["y"] + plot["height"] - 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.locator("#fit").click()
    page.mouse.move(*place(page, 55))
    page.locator("#card").wait_for(state="visible")
    assert page.locator("#card").get_attribute("data-row") == "55"


@in_chromium
def test_hostile_names_are_shown_as_text(page):
    page.mouse.move(*place(page, 0))
    assert page.locator("#card .artist").text_content() == "<img src=x onerror=window.hacked=1>"
    assert page.locator("h1").text_content() == "Codes & <i>styles</i>"
    page.locator("#search").fill("onerror")
    until(page, lambda: page.locator("#list button").count() == 1)
    assert page.locator("#list button").get_attribute("title") == EVIL
    page.locator("#search").fill("{{ data")
    until(page, lambda: "{{ data }}" in page.locator("#list button").first.get_attribute("title"))
    assert "\\udce9" in page.locator("#list button").get_attribute("title")


def test_nothing_in_a_name_can_close_a_script(written):
    text = written.read_bytes().decode()
    assert text.count("<script") == text.count("</script>") == 5
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert data["files"][0] == EVIL
    assert "http-equiv" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text.split("<body>")[0])


def test_thumbnails_share_a_header_and_fit_the_budget(monkeypatch):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (6, 96, 64, 3), dtype=np.uint8)
    side, head, rests = encode_thumbnails(pictures)
    assert side == 96
    assert len(head) % 4 == 0
    assert "=" not in head
    for picture, rest in zip(pictures, rests, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(head + rest)))
        assert image.size == (64, 96)
        assert np.abs(np.asarray(image).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 4
    monkeypatch.setattr("wikiart_autoencode.map.page.THUMBNAIL_BYTES", sum(map(len, rests)) // 3)
    assert encode_thumbnails(pictures)[0] < 96


@pytest.mark.parametrize(
    ("name", "artist", "title"),
    [
        ("train/Realism/vincent-van-gogh_the-sower-1888.jpg", "Vincent van Gogh", "The sower 1888"),
        ("a/b/leonardo-da-vinci_mona-lisa_jpg.rf.0a1b2c.jpg", "Leonardo da Vinci", "Mona lisa"),
        ("a/b/seascape.jpg", "", "Seascape"),
        ("a/b/x_.jpg", "X", "X"),
    ],
)
def test_artists_and_titles_from_file_names(name, artist, title):
    from wikiart_data.images.names import artist_of

    assert artist_name(artist_of(name)) == artist
    assert artwork_title(name) == title


def test_an_unwritable_folder_is_named(tmp_path):
    thumbnails = np.zeros((N, 8, 8, 3), dtype=np.uint8)
    with pytest.raises(InputError) as error:
        write_map(tmp_path / "no" / "map.html", POINTS, LABELS, STYLES, None, FILES, ARTISTS, thumbnails, "x")
    assert error.value.field == str(tmp_path / "no" / "map.html")
