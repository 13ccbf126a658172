"""The command as a user runs it: training, going on after a break, mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify.cli import main
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import pack
from wikiart_data.training.legacy_run import Run

QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--device", "cpu", "--ema", "0.9"]


def train(*more: str) -> int:
    return main([*QUICK, *more])


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def test_it_learns_and_leaves_a_whole_run(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "6", "--name", "easy") == 0
    run = Path("runs/classify/easy")
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["top1"] > 0.8
    assert result["test"]["majority"] == pytest.approx(20 / 42)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 6
    for figure in ("learning", "confusion", "recall"):
        assert (run / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((run / "run.json").read_text())
    assert record["styles"] == ["Baroque", "Cubism", "Minimalism", "Ukiyo_e"]
    assert record["config"]["epochs"] == 6
    said = capsys.readouterr().out
    assert "always the most frequent style" in said
    assert "\x1b" not in said  # no control characters away from a terminal
    assert max(map(len, said.splitlines())) <= 120


def test_broken_in_mid_epoch_it_ends_where_the_unbroken_run_ends(paintings, monkeypatch):
    assert train("--data", str(paintings), "--epochs", "3", "--name", "whole") == 0

    seen = []

    def breaks(run: Run, loss: float, epoch: int, step: int) -> None:
        seen.append((epoch, step))
        if (epoch, step) == (1, 2):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", breaks)
        assert train("--data", str(paintings), "--epochs", "3", "--name", "broken") == 130
    assert seen[-1] == (1, 2)
    assert main(["--resume", "runs/classify/broken"]) == 0
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/broken"))
    epochs = [json.loads(line)["epoch"] for line in Path("runs/classify/broken/metrics.jsonl").read_text().splitlines()]
    assert epochs == [0, 1, 2]


def test_asked_to_stop_it_saves_in_mid_epoch_and_goes_on_from_there(paintings, monkeypatch, capsys):
    assert train("--data", str(paintings), "--epochs", "2", "--name", "whole") == 0
    steps = iter([False] * 6 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(Run, "should_stop", lambda run: next(steps))
        assert train("--data", str(paintings), "--epochs", "2", "--name", "stopped") == 128 + signal.SIGTERM
    assert "--resume runs/classify/stopped" in capsys.readouterr().out
    done: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", lambda run, loss, epoch, step: done.append((epoch, step)))
        assert main(["--resume", "runs/classify/stopped"]) == 0
    # Both tasks' losses are looked at, so every step comes twice.
    assert list(dict.fromkeys(done)) == [(1, step) for step in range(2, 5)]  # 84 pictures make 5 steps; 5 + 2 were done
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/stopped"))


def test_killed_for_real_it_resumes_to_the_same_weights(paintings):
    common = [*QUICK, "--data", str(paintings), "--epochs", "12"]
    command = [sys.executable, "-c", "from wikiart_classify.cli import main; raise SystemExit(main())", *common]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: sums of other shares differ in a bit
    process = subprocess.Popen([*command, "--name", "killed"], stdout=subprocess.DEVNULL, env=environment)
    lines = Path("runs/classify/killed/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not (lines.exists() and lines.read_text().count("\n") >= 2):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run never began"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path("runs/classify/killed/result.json").exists()
    assert main(["--resume", "runs/classify/killed"]) == 0
    assert train("--data", str(paintings), "--epochs", "12", "--name", "whole") == 0
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/killed"))


def test_two_processes_see_the_batches_of_one_and_one_of_them_writes(paintings, in_two_processes):
    """One launch: train through the command, then write down what each process was given in an epoch."""
    Path("two.py").write_text(_TWO)
    arguments = [*QUICK, "--data", str(paintings), "--epochs", "6", "--name", "two"]
    done = in_two_processes("two.py", str(paintings), *arguments)
    assert done.stdout.count("epoch   1/6") == 1
    assert "2 processes" in done.stdout
    assert json.loads(Path("runs/classify/two/result.json").read_text())["test"]["top1"] > 0.8
    assert [p.name for p in Path("runs/classify").iterdir()] == ["two"]

    shares = [json.loads(Path(f"share-{rank}.json").read_text()) for rank in (0, 1)]
    packed = pack(scan(paintings), 37)
    whole = Batches(packed, packed.rows("train"), 16, augment=Augment())
    for step, (images, labels) in enumerate(whole.epoch(0, 32)):
        for rank in (0, 1):
            assert shares[rank][step]["labels"] == labels[rank::2].tolist()
            assert shares[rank][step]["sums"] == pytest.approx(images[rank::2].sum(dim=(1, 2, 3)).tolist(), rel=1e-5)
    assert step == 4


_TWO = """
import json, sys
from pathlib import Path
from wikiart_classify.cli import main
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.training.device import create_accelerator
from wikiart_data.images.packed import pack

assert main(sys.argv[2:]) == 0
engine = create_accelerator("cpu")
packed = pack(scan(sys.argv[1]), 37)
rank, world = engine.process_index, engine.num_processes
batches = Batches(packed, packed.rows("train"), 16, augment=Augment(), rank=rank, world=world)
seen = [{"labels": y.tolist(), "sums": x.sum(dim=(1, 2, 3)).tolist()} for x, y in batches.epoch(0, 32)]
Path(f"share-{rank}.json").write_text(json.dumps(seen))
"""


def test_an_existing_run_is_safe(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "1", "--name", "mine") == 0
    before = Path("runs/classify/mine/result.json").stat().st_mtime_ns
    assert train("--data", str(paintings), "--epochs", "1", "--name", "mine") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("runs/classify/mine/result.json").stat().st_mtime_ns == before
    assert train("--data", str(paintings), "--epochs", "1", "--name", "mine", "--overwrite") == 0


def test_a_loss_that_is_no_number_stops_the_run(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "3", "--lr", "1e30", "--name", "wild") == 2
    error = capsys.readouterr().err
    assert "The loss is" in error
    assert "step" in error
    assert "Traceback" not in error


def test_an_artists_loss_that_is_no_number_stops_the_run_in_that_step(paintings, monkeypatch, capsys):
    losses = iter([1.0, 1.0, float("nan")])
    monkeypatch.setattr("wikiart_classify.train.partial_cross_entropy", lambda *_: torch.tensor(next(losses)))
    assert train("--data", str(paintings), "--epochs", "1", "--name", "wild") == 2
    assert "The loss is nan in epoch 1, step 3." in capsys.readouterr().err


def test_the_courses_config_file(paintings):
    course = {
        "trainingdir": str(paintings / "train"),
        "testingdir": str(paintings / "test"),
        "modelfile": "wikiart.pth",
        "device": "cpu",
        "epochs": 1,
        "batch_size": 16,
    }
    Path("config.json").write_text(json.dumps(course))
    assert main(["--config", "config.json", "--size", "32", "--model", "tiny"]) == 0
    config = json.loads(Path("runs/classify/wikiart/run.json").read_text())["config"]
    assert (config["epochs"], config["batch_size"], config["size"]) == (1, 16, 32)


def test_resuming_on_changed_data_is_refused(paintings, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(paintings, copy)
    assert train("--data", str(copy), "--epochs", "1", "--name", "first") == 0
    shutil.copy(next((copy / "train" / "Cubism").iterdir()), copy / "train" / "Baroque" / "painter_new.jpg")
    assert main(["--resume", "runs/classify/first"]) == 2
    assert "has changed" in capsys.readouterr().err


def test_an_earlier_runs_options_make_a_new_run(paintings):
    assert train("--data", str(paintings), "--epochs", "1", "--name", "first", "--overwrite") == 0
    assert main(["--config", "runs/classify/first/run.json"]) == 0
    first, again = (
        json.loads(Path(f"runs/classify/{name}/run.json").read_text())["config"] for name in ("first", "001")
    )
    assert (again["name"], again["overwrite"]) == (None, False)
    assert again["size"] == first["size"] == 32
    assert same_weights(Path("runs/classify/first"), Path("runs/classify/001"))


def test_a_batch_larger_than_the_data_is_a_sentence(paintings, capsys):
    assert main(["--data", str(paintings), "--batch-size", "85", "--model", "tiny", "--size", "32"]) == 2
    assert "--batch-size 85 is more than the 84 training pictures" in capsys.readouterr().err


def test_weights_that_break_in_the_last_step_are_not_saved(paintings, monkeypatch, capsys):
    def breaks(average: torch.nn.Module, network: torch.nn.Module, decay: float, step: int) -> None:
        if step == 4:  # the last step of the first epoch: its loss was still a number
            network.head.bias.data.fill_(float("nan"))

    monkeypatch.setattr("wikiart_classify.train.follow", breaks)
    assert train("--data", str(paintings), "--epochs", "2", "--name", "wild") == 2
    assert "Weights are no numbers any more in epoch 1" in capsys.readouterr().err
    assert not Path("runs/classify/wild/model.safetensors").exists()
    assert not Path("runs/classify/wild/last.safetensors").exists()


def test_a_run_that_cannot_be_leaves_the_old_one_alone(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "1", "--name", "best") == 0
    assert train("--data", str(paintings), "--name", "best", "--overwrite", "--batch-size", "1000") == 2
    assert "--batch-size 1000" in capsys.readouterr().err
    assert Path("runs/classify/best/result.json").exists()


@pytest.mark.parametrize(
    "wrong", [("--power", "2"), ("--seed", "-1"), ("--batch-size", "0"), ("--size", "0"), ("--epochs", "0")]
)
def test_options_that_cannot_be_meant_are_sentences(wrong, capsys):
    assert main([*wrong]) == 2
    assert f"{wrong[0]} {wrong[1]} is not in" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_options_beside_resume_are_not_silently_ignored(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "1", "--name", "one") == 0
    assert main(["--resume", "runs/classify/one", "--epochs", "5"]) == 2
    assert "leave out --epochs" in capsys.readouterr().err


def test_without_a_valid_picture_nothing_is_started(tmp_path, capsys):
    from PIL import Image

    for style in ("Baroque", "Cubism"):
        (tmp_path / "few" / "train" / style).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (80 * number, 10, 10)).save(tmp_path / "few/train" / style / f"{number}.png")
    assert main(["--data", str(tmp_path / "few"), "--batch-size", "2"]) == 2
    assert "no readable picture in valid" in capsys.readouterr().err


def test_a_run_on_data_named_by_the_environment_is_tested_on_that_data(paintings, monkeypatch, capsys):
    monkeypatch.setenv("WIKIART_DATA", str(paintings))
    assert train("--epochs", "1", "--name", "here") == 0
    monkeypatch.delenv("WIKIART_DATA")
    capsys.readouterr()
    assert main(["test", "runs/classify/here"]) == 0
    assert "42 test pictures" in capsys.readouterr().out
