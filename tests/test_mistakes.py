"""A student's mistake, made with every program, ends in one sentence and status 2: never in a traceback."""

import importlib
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROGRAMS = {
    "classify": "wikiart_classify.cli",
    "autoencode": "wikiart_autoencode.cli",
    "cluster": "wikiart_autoencode.clustering.cli",
    "stylegen": "wikiart_stylegen.cli",
    "lora": "wikiart_lora.cli",
}
TRAINED = [part for part in PROGRAMS if part != "cluster"]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def pictures(*folders: str, number: int = 8) -> None:
    random = np.random.default_rng(0)
    for folder in folders:
        Path(folder).mkdir(parents=True)
        for count in range(number):
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(f"{folder}/{count}.jpg")


def refused(capsys: pytest.CaptureFixture, part: str, *arguments: str) -> str:
    """The sentence with which a program refuses."""
    assert importlib.import_module(PROGRAMS[part]).main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"wikiart-{part}: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("part", PROGRAMS)
def test_folders_that_cannot_be_used(part: str, capsys):
    pictures("deep/train/all/Baroque", "odd/train/Baroque", "odd/train/Cubism", "odd/test/Kubism")
    Path("file").write_text("x")
    assert "move them up into" in refused(capsys, part, "--data", "deep")
    assert "Did you mean Cubism? Rename or remove" in refused(capsys, part, "--data", "odd")
    assert "is a file, not a folder" in refused(capsys, part, "--data", "file")
    assert "There is no folder" in refused(capsys, part, "--data", "nowhere")
    assert "--data is empty" in refused(capsys, part, "--data", "")


@pytest.mark.parametrize("part", TRAINED)
def test_resuming_another_parts_run(part: str, capsys):
    Path("run").mkdir()
    Path("run/run.json").write_text(json.dumps({"part": "cooking", "config": {"salt": 1}, "styles": []}))
    assert f"this is a run of cooking, not of {part}" in refused(capsys, part, "--resume", "run")


@pytest.mark.parametrize("part", ["classify", "stylegen"])
def test_one_style_alone_teaches_nothing(part: str, capsys):
    pictures("one/train/Baroque", "one/valid/Baroque")
    assert "one" in refused(capsys, part, "--data", "one", "--batch-size", "4")


@pytest.mark.parametrize(
    ("part", "arguments", "sentence"),
    [
        ("classify", "compare imbalance --epochs 0", "--epochs 0 is not in 1..100000."),
        ("classify", "--seed -1", "--seed -1 is not in 0..4294967296."),
        ("cluster", "compare --clusters 1", "at least 2 clusters"),
        ("stylegen", "evaluate --max-images 0", "--max-images 0 is not at least 1."),
        ("stylegen", "walk a.jpg --first Baroque --last Cubism --side 0", "--side 0 is not in 16..8192."),
        ("lora", "generate", "--prompt"),
    ],
)
def test_values_that_cannot_be_meant(part: str, arguments: str, sentence: str, capsys):
    assert sentence in refused(capsys, part, *arguments.split())


def test_a_missing_judge_is_noticed_before_training(capsys):
    pictures("art/train/Baroque", "art/train/Cubism")
    assert "--judge nowhere holds no judge" in refused(capsys, "lora", "--data", "art", "--judge", "nowhere")


def test_codes_that_are_not_there_say_what_makes_them(capsys):
    assert "wikiart-autoencode encode RUN writes one" in refused(capsys, "cluster", "--codes", "nowhere.npz")


def test_a_base_from_the_hub_without_network_is_refused_at_once(monkeypatch, capsys):
    asked = []

    def nobody(host: str, *_: object) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    pictures("art/train/Baroque", "art/train/Cubism")
    assert "`--base tiny` needs no network" in refused(capsys, "lora", "--data", "art", "--base", "sd15")
    assert len(asked) < 4  # not once more for every retry
