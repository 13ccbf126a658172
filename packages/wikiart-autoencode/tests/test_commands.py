"""The commands of wikiart-autoencode: training, resuming, encoding, evaluating, figures, errors."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from wikiart_autoencode.cli import main
from wikiart_autoencode.config import TrainConfig, TrainOptions
from wikiart_autoencode.figures import reconstruction_grid
from wikiart_autoencode.training import resolve_config
from wikiart_data.training.training_run import TrainingRun

QUICK = ["--size", "32", "--width", "0.25", "--blocks", "1", "--batch-size", "16", "--device", "cpu", "--ema", "0.9"]


def train(*more: str) -> int:
    return main([*QUICK, *more])


def same_weights(a: str, b: str) -> bool:
    first, second = (load_file(Path(f"runs/autoencode/{name}/model.safetensors")) for name in (a, b))
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def width_of(path: str) -> int:
    with Image.open(path) as picture:
        return picture.width


def test_training_learns_and_writes_a_complete_run(paintings, figures, capsys):
    assert train("--data", str(paintings), "--epochs", "10", "--name", "easy") == 0
    run = Path("runs/autoencode/easy")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    assert lines[-1]["psnr"] > lines[0]["psnr"] + 1
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["psnr_interval"][0] < result["test"]["psnr"] < result["test"]["psnr_interval"][1]
    assert result["numbers"] == 4 * 4 * 4
    assert [row[0] for row in result["tables"][0]["rows"]] == ["PSNR", "SSIM", "MSE"]
    for figure in ("learning", "epoch-005", "epoch-010"):
        assert (run / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((run / "run.json").read_text())["config"]
    assert [key for key, value in config.items() if value is None] == ["labels", "config", "resume", "cache_dir"]
    output = capsys.readouterr().out
    assert "48 times fewer" in output
    assert f"{result['test']['psnr']:.2f}" in output


@pytest.mark.parametrize("more", [[], ["--code", "8", "--objective", "vicreg+texture"], ["--objective", "texture"]])
def test_resuming_after_an_interruption_gives_the_same_weights(paintings, monkeypatch, more):
    arguments = ["--data", str(paintings), "--epochs", "3", *more]
    assert train(*arguments, "--name", "whole") == 0
    record = TrainingRun.record_losses

    def interrupted(run: TrainingRun, **losses: torch.Tensor) -> None:
        record(run, **losses)
        if (run.epoch, run._step) == (1, 2):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "record_losses", interrupted)
        assert train(*arguments, "--name", "broken") == 130
    assert main(["--resume", "runs/autoencode/broken"]) == 0
    assert same_weights("whole", "broken")


def test_a_stop_request_saves_within_an_epoch_and_resuming_gives_the_same_weights(paintings, monkeypatch):
    arguments = ["--data", str(paintings), "--epochs", "2", "--objective", "denoise"]
    assert train(*arguments, "--name", "whole") == 0
    steps = iter([False] * 6 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_should_stop", lambda run, interval_ends: next(steps))
        assert train(*arguments, "--name", "stopped") == 143
    assert main(["--resume", "runs/autoencode/stopped"]) == 0
    assert same_weights("whole", "stopped")


def test_a_resolved_config_resolves_to_itself(tmp_path):
    config = resolve_config(TrainOptions(objective="vicreg", size=64), tmp_path)
    assert isinstance(config, TrainConfig)
    assert (config.code, config.epochs, config.batch_size, config.data) == (0, 30, 128, str(tmp_path))
    assert resolve_config(config, tmp_path) == config


def test_codes_of_all_splits_are_saved(trained, paintings):
    assert main(["encode", str(trained), "--to", "codes.npz"]) == 0
    with np.load("codes.npz") as arrays:
        number = sum(1 for _ in paintings.rglob("*.jpg"))
        assert arrays["codes"].shape == (number, 4 * 4 * 4)
        assert arrays["codes"].dtype == np.float32
        assert np.isfinite(arrays["codes"]).all()
        assert set(arrays["split"]) == {"train", "valid", "test"}
        for file, label in zip(arrays["files"], arrays["labels"], strict=True):
            assert arrays["styles"][label] == file.split("/")[1]


def test_codes_do_not_depend_on_the_batch(trained, paintings):
    """Codes are normalised by statistics of training, not of the other pictures in the batch."""
    assert main(["encode", str(trained), "--to", "codes.npz"]) == 0
    with np.load("codes.npz") as arrays:
        codes = arrays["codes"]
    assert abs(codes.std() - 1) < 0.5
    assert len({tuple(row) for row in codes.round(4).tolist()}) > 0.9 * len(codes)


def test_reconstructions_are_drawn(trained, paintings, figures, capsys):
    picture = next(paintings.rglob("*.jpg"))
    assert main(["reconstruct", str(picture), "--model", str(trained), "--to", "grid.png"]) == 0
    assert width_of("grid.png") == 1080
    assert "dB, SSIM" in capsys.readouterr().out


def test_reconstructions_have_captions(trained, paintings, capsys):
    picture = next(paintings.rglob("*.jpg"))
    arguments = ["reconstruct", str(picture), "--model", str(trained), "--to", "grid.png", "--captions", "captions.csv"]
    Path("captions.csv").write_text(f"file,artist,title,year\n{picture.name},A. Painter,Stripes,1899\n")
    assert main(arguments) == 0
    Path("captions.csv").write_text("file,artist,title,year\n")
    assert main(arguments) == 2
    assert picture.name in capsys.readouterr().err
    (column,) = reconstruction_grid(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), ["Stripes"]).axes[:1]
    assert column.get_title() == "Stripes"


def test_interpolation_is_drawn(trained, paintings, figures):
    first, last = sorted(paintings.rglob("*.jpg"))[:2]
    assert main(["interpolate", str(first), str(last), "--model", str(trained), "--to", "strip.png"]) == 0
    assert width_of("strip.png") == 1080


def test_evaluation_compares_with_pca_jpeg_and_webp(trained, paintings, figures, capsys):
    assert main(["evaluate", str(trained), "--to", "rates", "--split", "test"]) == 0
    result = json.loads(Path("rates/result.json").read_text())
    (point,) = result["codes"]
    assert point["bytes"] == 64
    # Rounding to 8 bits loses almost nothing.
    assert point["exact"]["psnr"] - 0.5 < point["psnr"] <= point["exact"]["psnr"] + 0.1
    pca = result["curves"]["PCA"]
    assert [at["psnr"] for at in pca] == sorted(at["psnr"] for at in pca)
    assert result["curves"]["JPEG"][0]["bytes"] < result["curves"]["JPEG"][-1]["bytes"]
    assert Path("rates/figures/rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_is_not_finished_is_refused_before_its_data_are_read(trained, capsys):
    run = Path("runs/autoencode/unfinished")
    shutil.copytree(trained, run)
    (run / "result.json").unlink()
    shutil.rmtree(os.environ["WIKIART_CACHE"], ignore_errors=True)
    assert main(["evaluate", str(run)]) == 2
    assert str(run) in capsys.readouterr().err
    (run / "result.json").write_text("{}")
    assert main(["evaluate"]) == 2  # the newest run
    assert str(run / "result.json") in capsys.readouterr().err
    assert not Path(os.environ["WIKIART_CACHE"]).exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--size", "30"], "--size"),
        (["--code", "8", "--size", "40"], "--size"),
        (["--epochs", "0"], "--epochs"),
        (["--data", "nowhere"], "nowhere"),
        (["encode", "nowhere"], "nowhere"),
        (["reconstruct", "nowhere.jpg", "--model", "RUN"], "nowhere.jpg"),
        (["interpolate", "a.jpg", "b.jpg", "--steps", "1"], "--steps"),
    ],
)
def test_errors_name_the_option_or_the_file(trained, capsys, arguments, named):
    assert main([str(trained) if argument == "RUN" else argument for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error


def test_a_damaged_picture_and_a_wrong_suffix_are_named(trained, paintings, capsys):
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(200))
    assert main(["reconstruct", "broken.jpg", "--model", str(trained)]) == 2
    assert "broken.jpg" in capsys.readouterr().err
    picture = next(paintings.rglob("*.jpg"))
    assert main(["reconstruct", str(picture), "--model", str(trained), "--to", "grid.txt"]) == 2
    assert "grid.txt" in capsys.readouterr().err


def launch(python: Path, *arguments: str) -> str:
    """Run `-m package …` in two processes as the documentation says; returns what they printed."""
    # Without `--multi_gpu` accelerate starts one process; --device cpu keeps them off the GPUs.
    # Port 0 is any free one: another test may be doing the same.
    options = "--multi_gpu --num_processes 2 --main_process_port 0 --num_machines 1 --mixed_precision no"
    done = subprocess.run(
        [python, "-m", "accelerate.commands.launch", *options.split(), "--dynamo_backend", "no", *arguments],
        env={**os.environ, "PYTHON_EXEC": str(python)},  # what torchrun starts
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_two_processes_train_like_one_and_only_one_writes(paintings, warm_python):
    options = [*QUICK, "--data", str(paintings), "--epochs", "2", "--precision", "fp32"]
    assert main([*options, "--name", "alone"]) == 0
    printed = launch(warm_python, "-m", "wikiart_autoencode", *options, "--name", "two")
    assert printed.count("epoch   2/2") == 1
    runs = Path("runs/autoencode")
    assert json.loads((runs / "two/run.json").read_text())["processes"] == 2
    assert sorted(folder.name for folder in runs.iterdir()) == ["alone", "two"]
    lines = ((runs / name / "metrics.jsonl").read_text().splitlines() for name in ("alone", "two"))
    alone, two = ([json.loads(line) for line in run] for run in lines)
    assert len(two) == 2
    assert two[1]["loss"] == pytest.approx(alone[1]["loss"], rel=0.02)
    assert two[1]["psnr"] == pytest.approx(alone[1]["psnr"], abs=0.05)
    first, second = (load_file(runs / name / "model.safetensors") for name in ("alone", "two"))
    apart = sum((first[key] - second[key]).square().sum() for key in first).sqrt()
    # 0.006 % apart; 0.7 % if codes were standardised over a process's own pictures.
    assert apart < 0.001 * sum(value.square().sum() for value in first.values()).sqrt()
