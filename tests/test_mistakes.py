"""A mistake on the command line ends in one sentence and exit status 2 in every program, never in a traceback."""

import importlib
import json
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError

PROGRAMS = {
    "classify": "wikiart_classify.cli",
    "autoencode": "wikiart_autoencode.cli",
    "cluster": "wikiart_autoencode.clustering.cli",
    "stylegen": "wikiart_stylegen.cli",
    "lora": "wikiart_lora.cli",
}
TRAINED = [part for part in PROGRAMS if part != "cluster"]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def pictures(*folders: str, number: int = 8) -> None:
    random = np.random.default_rng(0)
    for folder in folders:
        Path(folder).mkdir(parents=True)
        for count in range(number):
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(f"{folder}/{count}.jpg")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., InputError]:
    """A function that runs a program, which must refuse with one sentence and status 2; returns the error behind it."""
    raised: list[InputError] = []
    initialise = InputError.__init__

    def recording(self: InputError, *arguments: object, **options: object) -> None:
        initialise(self, *arguments, **options)
        raised.append(self)

    monkeypatch.setattr(InputError, "__init__", recording)

    def run(part: str, *arguments: str) -> InputError:
        raised.clear()
        assert importlib.import_module(PROGRAMS[part]).main(list(arguments)) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        return next(error for error in raised if printed == f"wikiart-{part}: {error}\n")

    return run


@pytest.mark.parametrize("part", PROGRAMS)
def test_folders_that_cannot_be_used(part: str, refused):
    pictures("odd/train/Baroque", "odd/train/Cubism", "odd/test/Kubism")
    Path("file").write_text("x")
    error = refused(part, "--data", "odd")
    assert "Kubism" in error.field
    assert "Cubism" in str(error)  # the style that was probably meant
    for folder in ("file", "nowhere"):
        assert folder in refused(part, "--data", folder).field
    assert refused(part, "--data", "").field == "--data"


@pytest.mark.parametrize("part", TRAINED)
def test_resuming_a_run_of_another_part(part: str, refused):
    Path("run").mkdir()
    Path("run/run.json").write_text(json.dumps({"part": "cooking", "config": {"salt": 1}, "styles": []}))
    error = refused(part, "--resume", "run")
    assert error.field in ("run", "--resume")
    assert "cooking" in str(error)


@pytest.mark.parametrize("part", ["classify", "stylegen"])
def test_a_single_style_cannot_be_trained_on(part: str, refused):
    pictures("one/train/Baroque", "one/valid/Baroque")
    assert refused(part, "--data", "one", "--batch-size", "4").field.endswith("one")


@pytest.mark.parametrize(
    ("part", "arguments", "option"),
    [
        ("classify", "compare imbalance --epochs 0", "--epochs"),
        ("classify", "--seed -1", "--seed"),
        ("cluster", "compare --clusters 1", "--clusters"),
        ("stylegen", "evaluate --max-images 0", "--max-images"),
        ("stylegen", "walk a.jpg --first Baroque --last Cubism --side 0", "--side"),
        ("lora", "generate", "--prompt"),
    ],
)
def test_values_that_make_no_sense(part: str, arguments: str, option: str, refused):
    assert refused(part, *arguments.split()).field == option


def test_a_missing_judge_is_noticed_before_training(refused):
    pictures("art/train/Baroque", "art/train/Cubism")
    assert refused("lora", "--data", "art", "--judge", "nowhere").field in ("nowhere", "--judge")


def test_missing_codes_name_the_command_that_makes_them(refused):
    error = refused("cluster", "--codes", "nowhere.npz")
    assert error.field == "nowhere.npz"
    assert "wikiart-autoencode encode" in str(error)


def test_a_base_model_from_the_hub_without_network_is_refused_at_once(monkeypatch, refused):
    lookups = []

    def no_network(host: str, *_: object) -> None:
        lookups.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    pictures("art/train/Baroque", "art/train/Cubism")
    error = refused("lora", "--data", "art", "--base", "sd15")
    assert error.field == "--base"
    assert "--base tiny" in str(error)
    assert len(lookups) < 4  # not once more for every retry
