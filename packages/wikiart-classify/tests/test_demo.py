"""`demo`: the page that classifies a dropped picture, in-process and in Chromium; skipped without gradio."""

import gc
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_classify import Classifier
from wikiart_classify.classifier import create_network
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig
from wikiart_classify.demo import classify_file, heatmap_over, make_page
from wikiart_data.demo import import_gradio
from wikiart_data.errors import InputError
from wikiart_data.styles import display_name

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# The server's threads run under pytest's filters, and an error in one of them is no failure of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def gradio() -> Iterator[ModuleType]:
    pytest.importorskip("gradio")
    yield import_gradio()
    gc.collect()  # gradio leaves event loops and sockets open: their warnings must not come in another test


@pytest.fixture(scope="module")
def classifier(trained) -> Classifier:
    return Classifier.load(trained, "cpu")


def picture_of(paintings: Path, style: str = "Ukiyo_e") -> Path:
    return sorted((paintings / "test" / style).iterdir())[0]


def test_the_page_says_what_predict_says(gradio, classifier, paintings):
    page, file = make_page(gradio, classifier), picture_of(paintings)
    (function,) = (event.fn for event in page.fns.values() if event.api_name == "classify")
    assert function(None) == (None, None)
    named, heatmap = function(str(file))
    expected = classifier.predict(file).top(5)[0]
    assert list(named) == [display_name(style) for style, _ in expected]
    assert list(named.values()) == pytest.approx([probability for _, probability in expected], abs=1e-5)
    assert (heatmap.size, heatmap.mode) == ((40, 40), "RGB")
    Path("broken.jpg").write_bytes(b"no picture")
    with pytest.raises(gradio.Error):
        function("broken.jpg")


def test_a_large_jpeg_is_classified_as_predict_does(classifier, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((1800, 1800)).save(tmp_path / "large.jpg")
    named, _ = classify_file(classifier, tmp_path / "large.jpg")
    expected = classifier.predict(tmp_path / "large.jpg").top(5)[0]
    assert list(named.values()) == [probability for _, probability in expected]


def test_a_file_that_is_no_picture_is_named(classifier):
    Path("broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError) as error:
        classify_file(classifier, Path("broken.jpg"))
    assert error.value.field == "broken.jpg"


def test_a_baseline_has_no_heatmap(paintings):
    config = TrainConfig(str(paintings), model="inclass", size=32, artists=0)
    classifier = Classifier(create_network(4, config), ("Baroque", "Cubism", "Minimalism", "Ukiyo_e"), config)
    named, heatmap = classify_file(classifier, picture_of(paintings))
    assert heatmap is None
    assert sum(named.values()) == pytest.approx(1, abs=1e-4)


def test_the_heatmap_is_bright_where_it_is_high():
    image = Image.new("RGB", (2000, 1000), (128, 128, 128))
    over = heatmap_over(image, np.array([[0.0, 1.0]]))
    assert over.size == (768, 384)
    grey = np.asarray(over.convert("L"), dtype=float)
    assert grey[:, :100].mean() + 50 < grey[:, -100:].mean()


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
def test_a_picture_is_classified_in_the_browser(gradio, trained, classifier, paintings, monkeypatch):
    from playwright.sync_api import sync_playwright

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address, file, requests = f"http://127.0.0.1:{port}/", picture_of(paintings), []

    def visit(page: Any) -> None:
        """What happens while the command waits for Ctrl+C."""
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM)
            sheet = browser.new_page(viewport={"width": 400, "height": 800})
            sheet.set_default_timeout(60_000)
            sheet.on("request", lambda request: requests.append(request.url))
            sheet.goto(address)
            sheet.locator("input[type=file]").set_input_files(file)
            for style, probability in classifier.predict(file).top(5)[0]:
                bar = sheet.locator("button", has_text=display_name(style)).filter(has_text=f"{100 * probability:.0f}%")
                bar.first.wait_for()
            heatmap = sheet.locator("img").nth(1)
            heatmap.wait_for()
            assert heatmap.evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
            assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")
            browser.close()
        page.close(verbose=False)

    monkeypatch.setattr(gradio.Blocks, "block_thread", visit)
    assert main(["demo", str(trained), "--port", str(port), "--device", "cpu"]) == 0
    assert requests
    assert all(url.startswith((address, "data:", "blob:")) for url in requests)


def test_without_gradio_the_command_says_what_to_install(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(trained)]) == 2
    assert "gradio" in capsys.readouterr().err
    assert main(["demo", str(trained), "--port", "70000"]) == 2
    assert "--port" in capsys.readouterr().err
