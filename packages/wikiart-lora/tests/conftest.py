"""Small data folders, small pipelines of every family with random weights, and no network."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# pytest-xdist's controller reads this file too, and runs no test: what takes long to import is imported where it is
# used.

COUNTS = {"Baroque": 12, "Cubism": 8, "Ukiyo_e": 6}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection fails at once: no test may reach for the hub."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("the tests have no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture(autouse=True)
def _without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the steps between two figures: only tests with `figures` do it."""
    from matplotlib.figure import Figure

    if "figures" not in request.fixturenames:
        for function in ("before_and_after", "learning_curve"):
            monkeypatch.setattr(f"wikiart_lora.training.{function}", lambda *_: Figure(figsize=(1, 1)))


@pytest.fixture
def figures() -> None:
    """Draw the figures of training in this test."""


@pytest.fixture(scope="session")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three styles, each a colour with noise; titles in the file names, and not all images are square."""
    root = tmp_path_factory.mktemp("paintings")
    random = np.random.default_rng(0)
    for split, share in (("train", 1.0), ("valid", 0.5), ("test", 0.5)):
        for place, (style, count) in enumerate(COUNTS.items()):
            folder = root / split / style
            folder.mkdir(parents=True)
            for number in range(int(count * share)):
                colour = np.array([[220, 60, 60], [60, 200, 60], [60, 60, 220]])[place]
                shape = (24, 40, 3) if number % 3 == 2 else (24, 24, 3)
                pixels = (colour + random.normal(0, 25, shape)).clip(0, 255).astype(np.uint8)
                name = f"painter-{number % 3}_a-red-lake-{split}-{number}.jpg"
                Image.fromarray(pixels).save(folder / name, quality=90)
    return root


@pytest.fixture(scope="session")
def sd(made_once: Callable[..., Path]) -> Path:
    from .pipelines import save_sd

    return made_once("sd", lambda folder: save_sd(folder, "epsilon"))


@pytest.fixture(scope="session")
def sd_v(made_once: Callable[..., Path]) -> Path:
    from .pipelines import save_sd

    return made_once("sd-v", lambda folder: save_sd(folder, "v_prediction"))


@pytest.fixture(scope="session")
def sdxl(made_once: Callable[..., Path]) -> Path:
    from .pipelines import save_sdxl

    return made_once("sdxl", save_sdxl)


@pytest.fixture(scope="session")
def flux2(made_once: Callable[..., Path]) -> Path:
    from .pipelines import save_flux2

    return made_once("flux2", save_flux2)


@pytest.fixture
def options(paintings: Path, sd: Path) -> list[str]:
    """Options of a run that takes seconds."""
    return [
        "--base", str(sd), "--data", str(paintings), "--batch-size", "4", "--steps", "4", "--rank", "2", "--size", "16",
        "--device", "cpu", "--precision", "fp32", "--ema", "0.5", "--lr", "0.01", "--num-inference-steps", "1",
        "--save-every", "4",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(sd, paintings, tmp_path_factory) -> Path:
    """The folder of a finished run with adapters in UNet and text encoder, strong enough to be visible."""
    from matplotlib.figure import Figure

    from wikiart_lora.cli import main

    folder = tmp_path_factory.mktemp("runs")
    options = (
        f"--base {sd} --data {paintings} --runs {folder} --cache-dir {folder}/cache --name one --steps 3 "
        "--batch-size 4 --size 16 --device cpu --rank 3 --alpha 6 --rslora --targets all --text-encoder attention "
        "--lr 0.05 --ema 0 --num-inference-steps 1"
    )
    with pytest.MonkeyPatch.context() as patch:
        for function in ("before_and_after", "learning_curve"):
            patch.setattr(f"wikiart_lora.training.{function}", lambda *_: Figure(figsize=(1, 1)))
        assert main(options.split()) == 0
    return folder / "lora" / "one"


@pytest.fixture
def trained_on_one_style(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run's folder which says that it was trained on Ukiyo_e only."""
    from wikiart_data.training.checkpoints import read_model, write_model

    folder = tmp_path / "one-style"
    folder.mkdir()
    record = json.loads((trained / "run.json").read_text())
    record["config"]["style"] = "ukiyo-e"
    (folder / "run.json").write_text(json.dumps(record))
    tensors, metadata = read_model(trained / "model.safetensors")
    del metadata["crc32"]
    write_model(folder / "model.safetensors", tensors, metadata | {"config": json.dumps(record["config"])})
    return folder
