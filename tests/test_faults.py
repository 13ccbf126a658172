"""A short form of `python -m faults`: real kills, real limits, flipped bits and hostile bytes; nothing may be lost."""

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
    pytest.mark.skipif(sys.platform != "linux", reason="children are forked and observed in /proc"),
    # The children do not use torch, whose threads would be missing in them.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
each_command = pytest.mark.parametrize("index", range(3), ids=["pack", "download", "import"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def commands(stage: Stage) -> list[Command]:
    """The commands pack, download and import."""
    pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("wikiart_data.acquire.download")
        return stage.data_commands()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def assert_nothing_lost(tally: Tally) -> None:
    assert tally.losses == []
    assert tally.outcomes


@each_command
def test_a_command_killed_at_changes_to_files_ends_as_if_uninterrupted(index, stage, commands):
    tally, command = Tally(), commands[index]
    faults_kill.kill(stage.with_home(f"kill-{index}"), command, 4, random.Random(index), tally)
    assert_nothing_lost(tally)
    assert tally.outcomes[f"kill -9: {command.name}"].total() == 4


@each_command
def test_a_file_size_limit_that_is_lifted_later(index, stage, commands, monkeypatch):
    monkeypatch.setattr(faults_disk, "can_mount", lambda _: False)
    tally = Tally()
    faults_disk.full_disk(stage.with_home(f"full-{index}"), commands[index], 2, random.Random(1), tally)
    assert_nothing_lost(tally)


@each_command
def test_two_processes_at_once(index, stage, commands):
    tally = Tally()
    faults_disk.two_at_once(stage.with_home(f"two-{index}"), commands[index], tally)
    assert_nothing_lost(tally)


def test_mutated_files_decode_to_rgb_or_raise_bad_picture_error():
    modes = []
    for content in faults_bytes.mutations(700, seed=1):
        with suppress(BadPictureError):
            modes.append(decode(content, at_least=32).mode)
    assert set(modes) == {"RGB"}
    assert 100 < len(modes) < 600


def test_a_decoder_that_crashes_hangs_or_takes_all_memory_is_reported(tmp_path, monkeypatch):
    def trial(number: int) -> tuple[str, bytes]:
        return "an image", bytes([number])

    def faulty_decode(content: bytes, at_least: int | None) -> Image.Image:
        if content == b"\1":
            os.abort()
        while content == b"\2":
            pass
        if content == b"\3":
            np.ones(2 * faults_bytes.MEMORY, dtype=np.uint8)
        return Image.new("L" if content == b"\4" else "RGB", (2, 2))

    monkeypatch.setattr(faults_bytes, "decode", faulty_decode)
    monkeypatch.setattr(faults_bytes, "SECONDS", 3.0)
    tally = Tally()
    faults_bytes.decode_trials(trial, 6, tmp_path, tally)
    assert tally.outcomes["an image"] == {"no effect": 2, "lost": 4}
    assert len(tally.losses) == 4


def test_hostile_archives_and_data_sets_write_nothing_outside_the_target(tmp_path):
    pytest.importorskip("datasets")
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults_names.hostile_names(0, tmp_path, tally, flips=40, bombs=False)
    assert_nothing_lost(tally)
    refused = tally.outcomes["import: names that leave the folder"]
    assert refused == {"refused": len(faults_names.ESCAPING_NAMES)}


@pytest.mark.parametrize("index", range(3), ids=["images", "index", "manifest"])
def test_flipped_bits_in_packs_are_repaired(index, stage):
    tally = Tally()
    artefact = faults_flips.pack_artefacts(stage.with_home(f"flips-{index}"))[index]
    for fault, outcome, reason in faults_flips.damage(artefact, 20, seed=2):
        tally.lose(fault, reason) if outcome == "lost" else tally.add(fault, outcome)
    assert_nothing_lost(tally)


def test_a_flip_that_no_reader_notices_is_a_loss(tmp_path):
    file = tmp_path / "numbers.bin"
    file.write_bytes(bytes(range(200)))

    def read() -> bytes:
        if len(content := file.read_bytes()) < 200:
            raise InputError("It is too short.", field=file)
        return content

    trials = faults_flips.damage(faults_flips.Artefact("numbers", file, read), 10, seed=0)
    assert {outcome for fault, outcome, _ in trials if "flipped" in fault} == {"lost"}
    assert {outcome for fault, outcome, _ in trials if "truncated" in fault} == {"refused"}
    assert file.read_bytes() == bytes(range(200))


@pytest.mark.usefixtures("no_figures", "narrow_auxiliary_networks")
@pytest.mark.parametrize(
    ("part", "function"),
    [
        ("autoencode", "training:reconstruction_loss"),
        ("stylegen", "training:style_statistics_loss"),
        ("stylegen", "discriminators:hinge_discriminator_loss"),
    ],
)
def test_a_loss_that_becomes_nan_stops_the_run_names_the_step_and_keeps_the_checkpoint(
    part, function, stage, monkeypatch, capsys
):
    """classify and lora have such a test of their own."""
    from wikiart_data.training.training_run import TrainingRun

    module_name, _, name = function.partition(":")
    module = importlib.import_module(f"wikiart_{part}.{module_name}")
    main = importlib.import_module(f"wikiart_{part}.cli").main
    original, save, saves, calls = getattr(module, name), TrainingRun._save, [], []

    def counted_save(run: TrainingRun, **progress: int) -> None:
        saves.append(progress["epoch"])
        save(run, **progress)

    def nan_in_second_step(*arguments: object) -> object:
        value = original(*arguments)
        calls.extend(saves[1:2])  # after the second epoch, in which stylegen trains all of its networks
        return value * float("nan") if len(calls) == 2 else value

    monkeypatch.setattr(module, name, nan_in_second_step)
    monkeypatch.setattr(TrainingRun, "_save", counted_save)
    small = ["--size", "32", "--batch-size", "15", "--width", "0.125", "--blocks", "1", "--device", "cpu"]
    warmup = ["--warmup-epochs", "1"] if part == "stylegen" else []
    assert main([*small, *warmup, "--epochs", "3", "--name", "nan", "--data", str(stage.data)]) == 2
    assert "nan in epoch 3, step 2." in capsys.readouterr().err
    assert Path(f"runs/{part}/nan/last.safetensors").exists()
    monkeypatch.setattr(module, name, original)
    assert main(["--resume", f"runs/{part}/nan"]) == 0
