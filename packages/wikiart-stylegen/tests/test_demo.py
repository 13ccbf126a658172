"""`demo`: the page that repaints a dropped picture, in-process and in Chromium; skipped without gradio."""

import gc
import io
import shutil
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_data.demo import import_gradio, launch
from wikiart_data.errors import InputError
from wikiart_stylegen import StyleTransfer
from wikiart_stylegen.cli import main
from wikiart_stylegen.demo import make_page, repaint_file

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIDE = 64
# The server's threads run under pytest's filters, and an error in one of them is no failure of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def gradio() -> Iterator[ModuleType]:
    pytest.importorskip("gradio")
    yield import_gradio()
    gc.collect()  # gradio leaves event loops and sockets open: their warnings must not come in another test


@pytest.fixture(scope="module")
def transfer(trained) -> StyleTransfer:
    return StyleTransfer.load(trained, device="cpu")


@pytest.fixture
def photo() -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((90, 60), Image.Resampling.BICUBIC).save("photo.png")
    return Path("photo.png").absolute()


def test_the_page_repaints_as_the_object_does(gradio, transfer, photo):
    page = make_page(gradio, transfer, SIDE)
    (function,) = (event.fn for event in page.fns.values() if event.api_name == "repaint")
    assert function(None, "Cubism", "", 1.0) is None
    assert function(str(photo), "Cubism", "", 0.5) == transfer.repaint(photo, "Cubism", 0.5, side=SIDE)
    assert function(str(photo), "Cubism", "Baroque", 1.0) == transfer.repaint(
        photo, "Cubism", blend="Baroque", side=SIDE
    )
    assert repaint_file(transfer, photo, "Cubism", None, 1.0, 90).size == (90, 60)
    Path("broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError) as error:
        repaint_file(transfer, Path("broken.jpg"), "Cubism", None, 1.0, SIDE)
    assert error.value.field == "broken.jpg"
    with pytest.raises(gradio.Error):
        function("broken.jpg", "Cubism", "", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as other_program, pytest.raises(InputError) as error:
        launch(gradio, page, other_program.getsockname()[1])
    assert error.value.field == "--port"


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
def test_a_picture_is_repainted_in_the_browser(gradio, trained, transfer, photo, monkeypatch):
    from playwright.sync_api import sync_playwright

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address, requests = f"http://127.0.0.1:{port}/", []

    def visit(page: Any) -> None:
        """What happens while the command waits for Ctrl+C."""
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM)
            sheet = browser.new_page(viewport={"width": 400, "height": 800})
            sheet.set_default_timeout(60_000)
            sheet.on("request", lambda request: requests.append(request.url))
            sheet.goto(address)
            sheet.locator("input[type=file]").set_input_files(photo)
            repaint = sheet.locator("img[src$='.png']").nth(1)  # the first one is the picture
            repaint.wait_for()
            first = repaint.get_attribute("src")
            assert pixels_at(first) == transfer.repaint(photo, transfer.styles[0], side=SIDE)
            sheet.get_by_label("Style", exact=True).click()
            sheet.get_by_role("option", name="Ukiyo-e").click()
            sheet.locator(f"img[src$='.png']:not([src='{first}'])").nth(1).wait_for()
            assert pixels_at(repaint.get_attribute("src")) == transfer.repaint(photo, "Ukiyo_e", side=SIDE)
            assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")
            browser.close()
        page.close(verbose=False)

    monkeypatch.setattr(gradio.Blocks, "block_thread", visit)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # on many clusters there is one; it cannot reach this page
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert main(["demo", str(trained), "--port", str(port), "--side", str(SIDE), "--device", "cpu"]) == 0
    assert requests
    assert all(url.startswith((address, "data:", "blob:")) for url in requests)


def pixels_at(url: str | None) -> Image.Image:
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        return Image.open(io.BytesIO(answer.read())).convert("RGB")


def test_without_gradio_the_command_says_what_to_install(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError) as error:
        import_gradio()
    assert error.value.field == "demo"
    assert main(["demo", str(trained)]) == 2
    assert "gradio" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--port", "0"), ("--side", "3")])
def test_wrong_options_are_named(trained, option, value, capsys):
    assert main(["demo", str(trained), option, value]) == 2
    assert option in capsys.readouterr().err
