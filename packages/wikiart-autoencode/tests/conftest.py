"""Fixtures: a private cache and one thread per test, a small data folder, and a run trained on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_autoencode.cli import main


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _without_figures(request: pytest.FixtureRequest) -> None:
    """Only tests with `figures` render them."""
    if "figures" not in request.fixturenames:
        request.getfixturevalue("no_figures")


@pytest.fixture
def figures() -> None:
    """Render figures in this test."""


@pytest.fixture(scope="session")
def paintings(made_once: Callable[..., Path]) -> Path:
    """Pictures of four styles: coloured gradients under stripes, so that a code has something to keep."""
    return made_once("autoencode-paintings", write_paintings)


def write_paintings(root: Path) -> None:
    random = np.random.default_rng(0)
    counts = {"Baroque": 40, "Cubism": 24, "Minimalism": 16, "Ukiyo_e": 16}
    for split, share in (("train", 1.0), ("valid", 0.5), ("test", 0.5)):
        for style_index, (style, count) in enumerate(counts.items()):
            folder = root / split / style
            folder.mkdir(parents=True)
            for number in range(int(count * share)):
                name = f"painter-{number % 3}_{split}-{number}.jpg"
                Image.fromarray(picture(style_index, random)).save(folder / name, quality=95)


def picture(style_index: int, random: np.random.Generator) -> np.ndarray:
    """(48, 48, 3) uint8: a gradient between two colours, under stripes of one of four widths."""
    x = np.linspace(0, 1, 48)
    ends = random.uniform(40, 215, (2, 3))
    gradient = ends[0] + (ends[1] - ends[0]) * x[:, None, None]
    stripes = 40 * np.sin(40 * x * (0.3 + 0.5 * style_index) + random.uniform(0, 6))[None, :, None]
    return (gradient + stripes).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def trained(paintings: Path, made_once: Callable[..., Path], without_figures: Callable) -> Path:
    """The folder of a finished run of a small spatial autoencoder."""

    def train(folder: Path) -> None:
        quick = ["--size", "32", "--width", "0.25", "--blocks", "1", "--batch-size", "16", "--epochs", "4"]
        quick += ["--device", "cpu", "--ema", "0.9", "--name", "one"]
        places = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache")]
        with without_figures():
            assert main([*quick, *places]) == 0

    return made_once("autoencode-run", train) / "autoencode" / "one"
