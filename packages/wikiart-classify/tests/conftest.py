"""A small folder of images that are easy to classify, and a cache of its own for every test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_classify.cli import main

COUNTS = {"Baroque": 40, "Cubism": 24, "Minimalism": 12, "Ukiyo_e": 8}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def paintings(made_once: Callable[..., Path]) -> Path:
    """Four styles that differ in hue and texture, easy to classify."""
    return made_once("classify-paintings", write_paintings)


def write_paintings(root: Path) -> None:
    random = np.random.default_rng(0)
    for split, fraction in (("train", 1.0), ("valid", 0.5), ("test", 0.5)):
        for index, (style, count) in enumerate(COUNTS.items()):
            folder = root / split / style
            folder.mkdir(parents=True)
            for number in range(max(2, int(count * fraction))):
                file = folder / f"painter-{number % 3}_{split}-{number}.jpg"
                Image.fromarray(striped_image(index, random)).save(file)


def striped_image(style: int, random: np.random.Generator) -> np.ndarray:
    """(40, 40, 3) uint8: stripes of one of four widths in one of four colours, with noise."""
    x = np.arange(40)
    stripes = (np.sin(x[:, None] * (0.2 + 0.4 * style) + random.uniform(0, 6)) > 0) * 90.0
    colour = np.array([[220, 60, 60], [60, 200, 60], [60, 60, 220], [200, 200, 60]])[style]
    noisy = colour + stripes[..., None] - 45 + random.normal(0, 12, (40, 40, 3))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def _without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering the figures takes twice as long as training these networks: only tests with `figures` do it."""
    if "figures" not in request.fixturenames:
        leave_out_figures(monkeypatch)


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    from wikiart_data.results import folder
    from wikiart_data.results.figures import png

    patch.setattr(folder, "png", lambda _: png(Figure(figsize=(0.01, 0.01))))
    for module in ("training", "imbalance.rebalance"):
        patch.setattr(f"wikiart_classify.{module}.write_examples", lambda *_: None)


@pytest.fixture
def figures() -> None:
    """Render figures in this test."""


@pytest.fixture(scope="session")
def trained(paintings: Path, made_once: Callable[..., Path]) -> Path:
    """The folder of a finished run of the smallest network."""

    def train(folder: Path) -> None:
        quick = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--epochs", "6"]
        quick += ["--device", "cpu", "--ema", "0.9", "--name", "one"]
        places = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache")]
        with pytest.MonkeyPatch.context() as patch:
            leave_out_figures(patch)
            assert main([*quick, *places]) == 0

    return made_once("classify-run", train) / "classify" / "one"
