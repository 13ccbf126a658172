"""The training loop as a user runs it: it learns, resumes exactly, and rejects bad input."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file

import wikiart_stylegen.training as training
from wikiart_data.errors import InputError
from wikiart_stylegen.cli import main
from wikiart_stylegen.config import TrainConfig, TrainOptions, resolve_config
from wikiart_stylegen.training import LOSSES, draw_conditioning, load_packed

from .conftest import SMALL

SHORT = ["--warmup-epochs", "1"]
INTERRUPTED = ["--epochs", "2", *SHORT, "--noise"]


@pytest.fixture(autouse=True)
def _without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing figures takes longer than training these networks; only the test of a whole run draws them."""
    if "trained" not in request.fixturenames:
        for name in ("validation_grid", "learning_curve"):
            monkeypatch.setattr(training, name, lambda *_: Figure(figsize=(1, 1)))


def run_training(paintings: Path, *arguments: str) -> int:
    return main([*SMALL, "--data", str(paintings), *arguments])


def same_weights(a: str, b: str) -> bool:
    first, second = (load_file(Path(f"runs/stylegen/{name}/model.safetensors")) for name in (a, b))
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def read_metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_and_writes_the_run_folder(trained):
    lines = read_metrics(trained)
    assert len(lines) == 5
    warmup, generator = lines[:2], lines[2:]
    for name in ("reconstruction", "psnr"):  # only the style classifier is trained
        assert {line[name] for line in warmup} == {None}
    assert warmup[-1]["style_classifier"] < warmup[0]["style_classifier"]
    assert warmup[-1]["style_accuracy"] > 0.9
    assert generator[-1]["psnr"] > generator[0]["psnr"] + 0.5
    assert generator[-1]["reconstruction"] < generator[0]["reconstruction"]
    assert generator[-1]["statistics"] < generator[0]["statistics"]
    assert json.loads((trained / "result.json").read_text())["psnr"] == lines[-1]["psnr"]
    for figure in ("learning", "grid"):
        assert (trained / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_the_seed_decides_the_weights(paintings):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run_training(paintings, "--epochs", "2", *SHORT, "--name", name, "--seed", seed) == 0
    assert same_weights("a", "b")
    assert not same_weights("a", "c")


@pytest.fixture(scope="module")
def whole(paintings, tmp_path_factory) -> Path:
    """The folder RUNS of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    places = ["--runs", str(folder), "--cache-dir", str(folder / "cache"), "--name", "whole"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("validation_grid", "learning_curve"):
            patch.setattr(training, name, lambda *_: Figure(figsize=(1, 1)))
        assert run_training(paintings, *INTERRUPTED, *places) == 0
    return folder


# Of 12 steps: in the warm-up epoch, in an epoch of the generator, and after the last step, where none is left to do.
@pytest.mark.parametrize(("step", "number"), [(3, signal.SIGINT), (8, signal.SIGTERM), (12, signal.SIGTERM)])
def test_an_interrupted_run_ends_where_the_uninterrupted_one_does(paintings, whole, monkeypatch, step, number):
    shutil.copytree(whole, "runs", ignore=shutil.ignore_patterns("cache"))
    arguments = INTERRUPTED
    classifier_step, calls = training.style_classifier_step, []

    def interrupted(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == step:
            os.kill(os.getpid(), number)
        return classifier_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "style_classifier_step", interrupted)
        assert run_training(paintings, *arguments, "--name", "interrupted") == 128 + signal.SIGTERM
    assert main(["--resume", "runs/stylegen/interrupted"]) == 0
    assert same_weights("whole", "interrupted")
    whole_run, interrupted_run = (read_metrics(Path("runs/stylegen") / name) for name in ("whole", "interrupted"))
    assert [line["reconstruction"] for line in whole_run] == [line["reconstruction"] for line in interrupted_run]


def test_a_run_that_died_in_an_epoch_repeats_it(paintings, whole, monkeypatch):
    shutil.copytree(whole, "runs", ignore=shutil.ignore_patterns("cache"))
    arguments = INTERRUPTED
    discriminator_step, calls = training.discriminator_step, []

    def dies(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:  # of 6 in the second epoch, the only one that has a generator
            raise KeyboardInterrupt
        return discriminator_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "discriminator_step", dies)
        assert run_training(paintings, *arguments, "--name", "dead") == 130
    assert main(["--resume", "runs/stylegen/dead"]) == 0
    assert same_weights("whole", "dead")


def test_a_run_is_not_resumed_with_other_splits(whole):
    shutil.copytree(whole, "runs", ignore=shutil.ignore_patterns("cache"))
    record = Path("runs/stylegen/whole/run.json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"split": "as they were before artists.csv was changed"}))
    with pytest.raises(InputError) as error:
        training.train(TrainOptions(resume=record.parent))
    assert error.value.field == "split"


def test_the_concat_baseline_is_trained_on_reconstruction_alone(paintings):
    assert run_training(paintings, "--epochs", "1", "--name", "concat", "--conditioning", "concat") == 0
    (line,) = read_metrics(Path("runs/stylegen/concat"))
    assert line["reconstruction"] > 0
    assert line["psnr"] > 0
    others = ["style_accuracy", "style_classifier", *(name for name in LOSSES if name != "reconstruction")]
    assert {line[name] for name in others} == {None}  # no other network is trained


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--size", "36"], "--size"),
        (["--power", "2"], "--power"),
        (["--edge-weight", "-1"], "--edge-weight"),
        (["--epochs", "3", "--warmup-epochs", "3"], "--warmup-epochs"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_are_rejected_and_named(paintings, arguments, field, capsys):
    assert main([*arguments, "--data", str(paintings)]) == 2
    error = capsys.readouterr().err
    assert field in error
    assert "Traceback" not in error


def test_input_errors_carry_their_option():
    for values, field in (({"size": 36}, "--size"), ({"confusion_weight": -1.0}, "--confusion-weight")):
        with pytest.raises(InputError) as error:
            TrainOptions(**values)
        assert error.value.field == field
    with pytest.raises(InputError) as error:
        TrainConfig(epochs=2, warmup_epochs=2)
    assert error.value.field == "--warmup-epochs"


def test_resolving_fills_in_defaults_and_keeps_what_is_complete(tmp_path):
    config = resolve_config(TrainOptions(data="paintings"), tmp_path)
    assert (config.epochs, config.batch_size) == (40, 32)
    (tmp_path / ".wikiart-sample").touch()
    assert resolve_config(TrainOptions(), tmp_path).epochs == 10
    complete = TrainConfig(epochs=7, batch_size=8)
    assert resolve_config(complete, tmp_path) == complete
    assert replace(resolve_config(complete, tmp_path), data="x") == replace(complete, data="x")


def test_one_style_alone_is_rejected(paintings, tmp_path, capsys):
    for split in ("train", "valid"):
        (tmp_path / "one" / split).mkdir(parents=True)
        (tmp_path / "one" / split / "Cubism").symlink_to(paintings / split / "Cubism")
    assert run_training(tmp_path / "one") == 2
    assert str(tmp_path / "one") in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_style_without_images_by_the_chosen_half_of_the_artists_is_refused(paintings, tmp_path):
    artists = {"Baroque": ("anna", "bert", "cora", "dora"), "Cubism": ("emil",)}
    for split in ("train", "valid"):
        for style, names in artists.items():
            (tmp_path / "halves" / split / style).mkdir(parents=True)
            for number, file in enumerate(sorted((paintings / split / style).iterdir())[:8]):
                name = f"{names[number % len(names)]}_{number}.jpg"
                (tmp_path / "halves" / split / style / name).symlink_to(file)
    refused, loaded = [], []
    for half in ("first", "second"):
        config = TrainConfig(data=str(tmp_path / "halves"), artist_half=half, size=32)
        try:
            loaded.append(load_packed(config).catalog.counts("train").tolist())
        except InputError as error:
            refused.append(error.field)
    assert refused == ["--artist-half"]  # one half has no Cubism
    assert loaded[0][1] == 8


def test_target_styles_are_uniform_over_the_other_styles():
    config = TrainConfig(batch_size=1000)
    offsets, null_masks = draw_conditioning(config, 0, range(12), 4, slice(None), torch.device("cpu"))
    counts = np.bincount(offsets.flatten().numpy(), minlength=4)
    assert counts[0] == 0  # never the own style
    assert abs(counts[1:] / 12_000 - 1 / 3).max() < 0.02
    assert null_masks.float().mean().item() == pytest.approx(training.NULL_PROBABILITY, abs=0.01)


def test_target_styles_depend_neither_on_the_number_of_processes_nor_on_the_first_step():
    config, device = TrainConfig(batch_size=12), torch.device("cpu")
    whole = draw_conditioning(config, 2, range(5), 4, slice(None), device)
    for rank in range(3):
        part = draw_conditioning(config, 2, range(3, 5), 4, slice(rank, None, 3), device)
        for drawn, of_process in zip(whole, part, strict=True):
            assert of_process.equal(drawn[3:, rank::3])


_TWO = """
import sys
from functools import partial
from wikiart_stylegen import discriminators
from wikiart_stylegen.cli import main

for name, width in NARROW.items():
    setattr(discriminators, name, partial(getattr(discriminators, name), **width))
raise SystemExit(main(sys.argv[1:]))
"""


def test_two_processes_train_as_one(paintings, in_two_processes, narrow_auxiliary_networks):
    Path("two.py").write_text(_TWO.replace("NARROW", str(narrow_auxiliary_networks)))
    options = [*SMALL, "--data", str(paintings), "--epochs", "2", "--precision", "fp32", *SHORT]
    assert main([*options, "--name", "alone"]) == 0
    printed = in_two_processes("two.py", *options, "--name", "two")
    assert printed.count("epoch   2/2") == 1
    runs = Path("runs/stylegen")
    assert json.loads((runs / "two/run.json").read_text())["processes"] == 2
    assert sorted(folder.name for folder in runs.iterdir()) == ["alone", "two"]
    alone, two = (read_metrics(runs / name) for name in ("alone", "two"))
    assert len(two) == 2
    for name in LOSSES:  # the same batches and target styles; gradients are summed in another order
        assert two[1][name] == pytest.approx(alone[1][name], rel=0.02), name
    first, second = (load_file(runs / name / "model.safetensors") for name in ("alone", "two"))
    distance = sum((first[key] - second[key]).square().sum() for key in first).sqrt()
    assert distance < 0.005 * sum(value.square().sum() for value in first.values()).sqrt()
