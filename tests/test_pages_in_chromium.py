"""The pages of runs and comparisons in a real Chromium: nothing is loaded, nothing sticks out, figures are drawn."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_data.results import Number, Table, write_results

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
HOSTILE = "<b onmouseover=window.hacked=1>Odd</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_is_complete_in_one_file(browser: Any, tmp_path: Path, width: int, scheme: str):
    folder = tmp_path / "classify" / "one"
    figures = sorted((ROOT / "report" / "figures").glob("classify-realart-*.png"))
    (folder / "figures").mkdir(parents=True)
    for figure in figures:
        shutil.copy(figure, folder / "figures")
    record = {
        "part": "classify",
        "title": HOSTILE,
        "program": "wikiart-classify",
        "next_commands": [],
        "config": {"name": HOSTILE, "long": "x" * 300},
        "styles": [HOSTILE, "Cubism"],
        "data": {"root": HOSTILE},
        "command": ["wikiart-classify", HOSTILE],
    }
    (folder / "run.json").write_text(json.dumps(record))
    lines = [json.dumps({"epoch": epoch, "loss": 3 - epoch / 9, "top1": epoch / 20}) for epoch in range(9)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    (folder / "map.html").write_text("<title>the map</title>")
    write_results(folder, {}, [wide_table(), Table("By style", ("", "x"), ((HOSTILE, HOSTILE),), folded=True)], {})
    alone = tmp_path / "alone.html"
    shutil.move(folder / "index.html", alone)  # without the other files only the links to them are lost

    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    sheet, requests, complaints = context.new_page(), [], []

    def intercept(route: Any) -> None:
        if route.request.url == alone.as_uri():
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    context.route(re.compile("^(?!data:)"), intercept)
    sheet.on("console", lambda message: complaints.append(message.text))
    sheet.on("pageerror", lambda error: complaints.append(str(error)))
    sheet.set_default_timeout(60_000)
    sheet.goto(alone.as_uri())
    sheet.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"
    widths = "Promise.all([...document.images].map(image => image.decode().then(() => image.naturalWidth)))"
    assert sheet.evaluate(widths) == [1080] * len(figures)
    assert sheet.locator("svg polyline").count() == 2
    assert sheet.locator("a", has_text="map.html").first.get_attribute("href") == "map.html"
    assert HOSTILE in sheet.locator("main").inner_text()
    brightness = (
        "(([r, g, b]) => (r + g + b) / 3)(getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number))"
    )
    assert (sheet.evaluate(brightness) > 200) == (scheme == "light")
    sheet.locator("summary").first.hover()
    assert sheet.evaluate("window.hacked") is None
    assert sheet.locator("b b, [onmouseover]").count() == 0
    assert requests == complaints == []
    context.close()


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wider_than_the_window_scrolls_and_shows_that_it_does(browser: Any, tmp_path: Path, scheme: str):
    (tmp_path / "one" / "figures").mkdir(parents=True)
    Image.new("RGB", (1080, 600), "white").save(tmp_path / "one" / "figures" / "rates.png")
    write_results(tmp_path / "one", {"title": "Comparison"}, [wide_table()], {})
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    sheet = context.new_page()
    sheet.goto((tmp_path / "one" / "index.html").as_uri())
    for box, line in ((sheet.locator(".wide").first, 1), (sheet.locator(".plate").first, 100)):
        assert box.evaluate("element => element.scrollWidth > element.clientWidth")
        at_the_start = edges(box.screenshot(), line)
        box.evaluate("element => element.scrollLeft = element.scrollWidth")
        at_the_end = edges(box.screenshot(), line)
        assert at_the_start[1] < at_the_start[0]  # a shadow on the right: there is more
        assert at_the_end[0] < at_the_end[1]
    context.close()


def wide_table() -> Table:
    """A table that no phone can show whole."""
    row = tuple(Number(0.5, "%", interval=(0.4, 0.6)) for _ in range(8))
    return Table("Methods compared", ("method", *(f"metric {place}" for place in range(8))), (("ours", *row),))


def edges(png: bytes, line: int) -> tuple[float, float]:
    """How bright the first and the last columns of pixels are, without a border, in five lines of pixels."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=float)[line : line + 5]
    return float(pixels[:, 1:3].mean()), float(pixels[:, -3:-1].mean())


@in_chromium
def test_figures_that_are_not_embedded_are_shown_too(browser: Any, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("wikiart_data.results.gallery.EMBEDDED_BYTES", 0)
    (tmp_path / "one" / "figures").mkdir(parents=True)
    shutil.copy(ROOT / "report" / "figures" / "rates-realart-rates.png", tmp_path / "one" / "figures" / "rates.png")
    write_results(tmp_path / "one", {"title": "Rates"}, [], {})
    sheet = browser.new_page()
    complaints: list[str] = []
    sheet.on("console", lambda message: complaints.append(message.text))
    sheet.goto((tmp_path / "one" / "index.html").as_uri())
    assert sheet.locator("img").get_attribute("src") == "figures/rates.png"
    assert sheet.evaluate("document.images[0].decode().then(() => document.images[0].naturalWidth)") == 1080
    assert complaints == []
    sheet.close()
