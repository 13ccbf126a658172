"""The short form of faults: real kills, real limits, flipped bits and hostile bytes, and nothing lost."""

import importlib
import os
import random
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from faults import bytes as faults_bytes
from faults import disk as faults_disk
from faults import flips as faults_flips
from faults import kill as faults_kill
from faults import names as faults_names
from faults.stage import Command, Stage
from faults.tally import Tally
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.images.decode import BadPictureError, decode

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="children are forked, and looked at in /proc"),
    # The children use no torch, so that its threads are not missed in them.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def commands(stage: Stage) -> list[Command]:
    """pack, download and import."""
    pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("wikiart_data.acquire.download")
        return stage.without_torch()


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def nothing_lost(tally: Tally) -> Tally:
    assert tally.losses == []
    assert tally.seen
    return tally


@pytest.mark.parametrize("place", range(3), ids=["pack", "download", "import"])
def test_killed_at_changes_to_files_the_same_command_ends_as_if_unbroken(place, stage, commands):
    tally, command = Tally(), commands[place]
    faults_kill.kill(stage.own(f"kill-{place}"), command, 4, random.Random(place), tally)
    assert nothing_lost(tally).seen[f"kill -9: {command.name}"].total() == 4


@pytest.mark.parametrize("place", range(3), ids=["pack", "download", "import"])
def test_a_limit_on_the_size_of_files_and_then_none(place, stage, commands, monkeypatch):
    monkeypatch.setattr(faults_disk, "can_mount", lambda _: False)
    tally = Tally()
    faults_disk.full(stage.own(f"full-{place}"), commands[place], 2, random.Random(1), tally)
    nothing_lost(tally)


@pytest.mark.parametrize("place", range(3), ids=["pack", "download", "import"])
def test_two_at_once(place, stage, commands):
    tally = Tally()
    faults_disk.two_at_once(stage.own(f"two-{place}"), commands[place], tally)
    nothing_lost(tally)


def test_mutated_pictures_are_pictures_or_bad_pictures():
    modes = []
    for content in faults_bytes.mutations(700, seed=1):
        with suppress(BadPictureError):
            modes.append(decode(content, at_least=32).mode)
    assert set(modes) == {"RGB"}
    assert 100 < len(modes) < 600


def test_what_kills_the_process_hangs_or_takes_all_memory_is_seen(tmp_path, monkeypatch):
    def trial(number: int) -> tuple[str, bytes]:
        return "a picture", bytes([number])

    def decode_badly(content: bytes, at_least: int | None) -> Image.Image:
        if content == b"\1":
            os.abort()
        while content == b"\2":
            pass
        if content == b"\3":
            np.ones(2 * faults_bytes.MEMORY, dtype=np.uint8)
        return Image.new("L" if content == b"\4" else "RGB", (2, 2))

    monkeypatch.setattr(faults_bytes, "decode", decode_badly)
    monkeypatch.setattr(faults_bytes, "SECONDS", 3.0)
    tally = Tally()
    faults_bytes.decoded_all(trial, 6, tmp_path, tally)
    assert tally.seen["a picture"] == {"no effect": 2, "lost": 4}
    for word, loss in zip(("-6", "hangs", "Memory", "mode L"), tally.losses, strict=True):
        assert word in loss


def test_hostile_archives_and_data_sets_write_nothing_outside(tmp_path):
    pytest.importorskip("datasets")
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults_names.hostile(0, tmp_path, tally, flips=40, bombs=False)
    nothing_lost(tally)
    assert tally.seen["import: names that lead out"] == {"refused": len(faults_names.OUT)}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["pictures", "index", "manifest"])
def test_flipped_bits_in_packs_are_mended(place, stage):
    tally = Tally()
    kept = faults_flips.packs(stage.own(f"flips-{place}"))[place]
    for what, ending, why in faults_flips.damaged(kept, 20, seed=2):
        tally.lose(what, why) if ending == "lost" else tally.add(what, ending)
    nothing_lost(tally)


def test_a_flip_that_nothing_notices_is_a_loss(tmp_path):
    file = tmp_path / "numbers.bin"
    file.write_bytes(bytes(range(200)))

    def read() -> bytes:
        if len(content := file.read_bytes()) < 200:
            raise InputError("it is too short")
        return content

    found = faults_flips.damaged(faults_flips.Kept("numbers", file, read), 10, seed=0)
    assert {ending for what, ending, _ in found if "flipped" in what} == {"lost"}
    assert {ending for what, ending, _ in found if "cut" in what} == {"refused"}
    assert file.read_bytes() == bytes(range(200))


QUICK = ["--size", "32", "--batch-size", "15", "--device", "cpu", "--epochs", "2", "--name", "wild"]
SMALL = ["--width", "0.125", "--blocks", "1"]


@pytest.mark.parametrize(
    ("part", "more", "loss"),
    [
        ("autoencode", SMALL, "reconstruction_loss"),
        ("stylegen", [*SMALL, "--lessons", "1"], "teach_namer"),
        ("stylegen", [*SMALL, "--lessons", "1"], "statistics_distance"),
        ("stylegen", [*SMALL, "--lessons", "1"], "hinge_critic"),
    ],
)
def test_a_loss_that_becomes_nan_stops_in_that_step_and_what_was_saved_is_good(
    part, more, loss, stage, monkeypatch, capsys
):
    """Of classify and lora the same is tested there."""
    import torch

    from wikiart_data.training.legacy_run import Run

    torch.set_num_threads(1)
    module = "teaching" if loss == "hinge_critic" else "train"
    training = importlib.import_module(f"wikiart_{part}.{module}")
    main = importlib.import_module(f"wikiart_{part}.cli").main
    real, check, steps, told = getattr(training, loss), Run.check, [], []
    first = (0, 1) if loss == "teach_namer" else (1, 1)

    def spoilt(*arguments: object) -> object:
        value = real(*arguments)
        return value * float("nan") if len(steps) == 3 * first[0] + first[1] else value

    def checked(run: Run, value: float, epoch: int, step: int) -> None:
        steps.append((epoch, step))
        check(run, value, epoch, step)

    monkeypatch.setattr(training, loss, spoilt)
    monkeypatch.setattr(Run, "check", checked)
    told.append(main([*QUICK, *more, "--data", str(stage.data)]))
    assert told == [2]
    assert f"The loss is nan in epoch {first[0] + 1}, step {first[1] + 1}." in capsys.readouterr().err
    assert Path(f"runs/{part}/wild/last.safetensors").exists() == (first[0] == 1)
    monkeypatch.setattr(training, loss, real)
    assert main(["--resume", f"runs/{part}/wild"]) == 0
