"""Fixtures: a cache of its own and one thread for every test; a small data folder, a run trained on it, and a judge."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_stylegen.cli import main

STYLES = ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")
SMALL = ["--size", "32", "--width", "0.125", "--blocks", "1", "--channels", "4", "--embedding-dim", "8"]
SMALL += ["--batch-size", "16", "--ema", "0.9", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _narrow(narrow_auxiliary_networks: dict[str, dict[str, object]]) -> None:
    """The networks that supervise the generator would take most of the time."""


@pytest.fixture(scope="session")
def paintings(made_once: Callable[..., Path]) -> Path:
    """Images of four styles, each with its own colour and width of stripes; their content is a bright square."""
    return made_once("stylegen-paintings", write_paintings)


def write_paintings(root: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("valid", 10), ("test", 12)):
        for label, style in enumerate(STYLES):
            folder = root / split / style
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(striped_image(label, random)).save(folder / f"{split}-{number}.jpg", quality=95)


def striped_image(label: int, random: np.random.Generator) -> np.ndarray:
    """(40, 40, 3) uint8 of one of four styles."""
    colours = np.array([[150, 60, 60], [60, 130, 60], [70, 70, 160], [150, 140, 60]])
    x = np.linspace(0, 1, 40)
    pixels = colours[label] + 25 * np.sin(25 * (1 + label) * x)[None, :, None] * np.ones((40, 1, 1))
    left, top = random.integers(4, 26, 2)
    pixels[top : top + 10, left : left + 10] += 70
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def trained(paintings: Path, made_once: Callable[..., Path]) -> Path:
    """The folder of a finished run of a small network."""

    def train(folder: Path) -> None:
        options = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache")]
        assert main([*SMALL, *options, "--epochs", "5", "--warmup-epochs", "2", "--lr", "0.04", "--name", "one"]) == 0

    return made_once("stylegen-run", train) / "stylegen" / "one"


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge's folder, as `wikiart-classify export` writes it."""
    import torch

    from .nearest_colour import NearestColour

    folder = tmp_path_factory.mktemp("judge")
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(NearestColour().eval(), (torch.rand(2, 3, 32, 32),), dynamic_shapes=batch)
    torch.export.save(program, folder / "model.pt2")
    about = {"styles": STYLES, "size": 32, "crc32": zlib.crc32((folder / "model.pt2").read_bytes()), "seed": 7}
    (folder / "judge.json").write_text(json.dumps({**about, "split": "test", "top1": 1.0, "top3": 1.0}))
    return folder
