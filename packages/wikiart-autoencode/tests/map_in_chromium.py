"""The map page that test_map_page.py opens, and what a reader sees and does there."""

import base64
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_autoencode.map.page import MapContent

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
YEARS = 1800 + np.arange(N)
MUSEUMS = [("Louvre", "<script>window.hacked=1</script>", "")[row % 3] for row in range(N)]
CODES = np.random.default_rng(0).normal(size=(N, 6))
CONTENT = MapContent(
    POINTS,
    CODES,
    LABELS,
    STYLES,
    FILES,
    ARTISTS,
    np.broadcast_to(COLOURS[:, None, None], (N, 40, 40, 3)),
    CLUSTERS,
    {"year": list(map(str, YEARS)), "museum <i>": MUSEUMS},
)


def open_page(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str], list[str]]:
    """The page, and lists that fill with the addresses it requests and with its complaints."""
    context = browser.new_context(reduced_motion="reduce", **options)
    page, requests, complaints = context.new_page(), [], []

    def meet(route: Any) -> None:
        requests.append(route.request.url)
        route.continue_()

    context.route(re.compile("^(?!data:|blob:)"), meet)
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    return page, requests, complaints


def rows_of(page: Any, layer: str = "rows") -> list[int]:
    """Rows of the pictures shown, or of the `others` that are faded."""
    return sorted(page.evaluate(f"paintingMap.shown.{layer}"))


def listed(page: Any) -> list[int]:
    return page.locator("#list button").evaluate_all("all => all.map(entry => Number(entry.dataset.row))")


def place(page: Any, row: int) -> tuple[float, float]:
    """Where on the screen a picture is."""
    box = page.locator("#canvas").bounding_box()
    x, y = page.evaluate("row => paintingMap.screenPosition(row)", row)
    return box["x"] + x, box["y"] + y


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait for it; the page's policy forbids the `eval` that playwright's own waiting would use."""
    for _ in range(600):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("waited for 30 s")


def colour_at(page: Any, row: int) -> list[int]:
    """(red, green, blue) that the canvas has at a picture's centre, once everything is drawn."""
    until(page, lambda: page.evaluate("paintingMap.isStill()"))
    script = """row => {
        const [x, y] = paintingMap.screenPosition(row);
        const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        probe.fillStyle = "white";
        probe.fillRect(0, 0, 1, 1);
        probe.drawImage(document.getElementById("canvas"), x, y, 1, 1, 0, 0, 1, 1);
        return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    }"""
    return page.evaluate(script, row)


def zoom_to(page: Any, row: int) -> None:
    x, y = POINTS[row] / (SIDE - 1)
    page.evaluate("([x, y]) => paintingMap.look(x, y, 900)", [x, y])


def resize(page: Any, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.locator("#fit").click()
    size = (
        "(({ width, height, clientWidth, clientHeight }) => width === clientWidth && height === clientHeight)(canvas)"
    )
    until(page, lambda: page.evaluate(size) and page.evaluate("paintingMap.isStill()"))


def colour_of(code: str) -> np.ndarray:
    """(3,) of a code such as #0072b2."""
    return np.array([int(code[start : start + 2], 16) for start in (1, 3, 5)])


def is_picture(source: str | None, row: int) -> bool:
    """Whether a data: URL is a picture in the row's colour."""
    kind, _, content = (source or "").partition(",")
    if kind != "data:image/jpeg;base64":
        return False
    colour = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).mean(axis=(0, 1))
    return bool(np.abs(colour - COLOURS[row]).max() < 4)
