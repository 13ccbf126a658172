"""The pages of runs and comparisons in a real Chromium: nothing is asked for or sticks out, pictures are drawn."""

import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wikiart_data.results.guessed_tables import guessed_tables
from wikiart_data.results.page import page, write_page
from wikiart_data.results.serialization import json_text

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
KEPT = sorted((ROOT / "report").glob("*.json"))
ODD = "<b onmouseover=window.hacked=1>Odd</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


def kept(folder: Path, source: Path) -> dict[str, Any]:
    """A folder with a committed result and its figures, as a run leaves them; the result."""
    result = json.loads(source.read_text(encoding="utf-8"))
    result = result[0] if isinstance(result, list) else result
    (folder / "figures").mkdir(parents=True)
    (folder / "result.json").write_text(json_text({**result, "tables": guessed_tables(result)}))
    for figure in (ROOT / "report" / "figures").glob(f"{source.stem}-*.png"):
        shutil.copy(figure, folder / "figures" / figure.name.removeprefix(f"{source.stem}-"))
    return result


@pytest.mark.parametrize("source", KEPT, ids=lambda path: path.stem)
def test_every_kept_result_makes_tables(source: Path, tmp_path: Path):
    result = kept(tmp_path / "one", source)
    found = guessed_tables(result)
    assert len(found) >= 1
    assert all(len(row) == len(table.columns) for table in found for row in table.rows)
    assert found[0].rows[0][0] in html.unescape(page(tmp_path / "one"))


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_stands_on_its_own(browser: Any, tmp_path: Path, width: int, scheme: str):
    folder = tmp_path / "classify" / "one"
    kept(folder, ROOT / "report" / "classify-realart.json")
    record = {"part": "classify", "config": {"name": ODD, "long": "x" * 300}, "styles": [ODD, "Cubism"]}
    (folder / "run.json").write_text(json.dumps(record | {"command": ["wikiart-classify", ODD], "data": {"root": ODD}}))
    lines = [json.dumps({"epoch": epoch, "loss": 3 - epoch / 9, "top1": epoch / 20}) for epoch in range(9)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    (folder / "map.html").write_text("<title>the map</title>")
    written = write_page(folder)
    moved = tmp_path / "alone.html"
    shutil.move(written, moved)  # without the files beside it nothing is lost but the links to them

    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    sheet, requests, complaints = context.new_page(), [], []

    def meet(route: Any) -> None:
        if route.request.url == moved.as_uri():
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    context.route(re.compile("^(?!data:)"), meet)
    sheet.on("console", lambda said: complaints.append(said.text))
    sheet.on("pageerror", lambda error: complaints.append(str(error)))
    sheet.set_default_timeout(60_000)
    sheet.goto(moved.as_uri())
    sheet.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"
    drawn = "Promise.all([...document.images].map(one => one.decode().then(() => one.naturalWidth)))"
    assert sheet.evaluate(drawn) == [1080, 1080, 1080]
    assert sheet.locator("svg polyline").count() == 2
    assert sheet.get_by_role("link", name="Open the map").get_attribute("href") == "map.html"
    assert ODD in sheet.locator("main").inner_text()
    light = (
        "(([r, g, b]) => (r + g + b) / 3)(getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number))"
    )
    assert (sheet.evaluate(light) > 200) == (scheme == "light")
    sheet.locator("summary").first.hover()
    assert sheet.evaluate("window.hacked") is None
    assert sheet.locator("b b, [onmouseover]").count() == 0
    assert requests == complaints == []
    context.close()


@in_chromium
def test_figures_beside_the_page_are_drawn_too(browser: Any, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("wikiart_data.results.gallery.EMBEDDED_BYTES", 0)
    kept(tmp_path / "one", ROOT / "report" / "rates-realart.json")
    sheet = browser.new_page()
    complaints: list[str] = []
    sheet.on("console", lambda said: complaints.append(said.text))
    sheet.goto(write_page(tmp_path / "one").as_uri())
    assert sheet.locator("img").get_attribute("src") == "figures/rates.png"
    assert sheet.evaluate("document.images[0].decode().then(() => document.images[0].naturalWidth)") == 1080
    assert complaints == []
    sheet.close()
