"""Training: the command, the public function, interruption and resuming, mistakes."""

import json
import math
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import wikiart_classify
from wikiart_classify import TrainConfig, TrainOptions, training
from wikiart_classify.cli import main
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import pack

QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--device", "cpu", "--ema", "0.9"]
STEPS = 5
"""Steps per epoch: batches of 16 of 84 images."""


def train(*more: str) -> int:
    return main([*QUICK, *more])


def options(paintings: Path, **more: object) -> TrainOptions:
    quick = {"model": "tiny", "size": 32, "batch_size": 16, "epochs": 1, "device": "cpu", "ema": 0.9}
    return TrainOptions(**{"data": str(paintings), **quick, **more})


def field_of_error(options: TrainOptions) -> str | None:
    with pytest.raises(InputError) as error:
        wikiart_classify.train(options)
    return error.value.field


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def at_each_step(monkeypatch: pytest.MonkeyPatch, action) -> None:
    """Call `action(step)` at the end of every step, counted from the start of the run."""
    update_ema = training.update_ema

    def update(ema: torch.nn.Module, model: torch.nn.Module, decay: float, step: int) -> None:
        action(step)
        update_ema(ema, model, decay, step)

    monkeypatch.setattr(training, "update_ema", update)


def test_training_learns_and_writes_a_complete_run(paintings, figures, capsys):
    assert train("--data", str(paintings), "--epochs", "6", "--name", "easy") == 0
    run = Path("runs/classify/easy")
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["top1"] > 0.8
    assert result["test"]["majority"] == pytest.approx(20 / 42)
    assert [table["title"] for table in result["tables"]]
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 6
    for figure in ("learning", "confusion", "recall"):
        assert (run / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((run / "run.json").read_text())
    assert record["styles"] == ["Baroque", "Cubism", "Minimalism", "Ukiyo_e"]
    assert record["config"]["epochs"] == 6
    output = capsys.readouterr().out
    assert "always the most frequent style" in output
    assert "\x1b" not in output  # no control characters outside a terminal
    assert max(map(len, output.splitlines())) <= 120


def test_train_in_python_equals_the_command(paintings):
    result = wikiart_classify.train(options(paintings, name="python"))
    assert result.folder == Path("runs/classify/python")
    assert "folder" not in json.loads((result.folder / "result.json").read_text())
    assert train("--data", str(paintings), "--epochs", "1", "--name", "command") == 0
    assert same_weights(Path("runs/classify/python"), Path("runs/classify/command"))
    assert result is not None
    assert json.loads(Path("runs/classify/command/result.json").read_text())["test"]["top1"] == result.test.top1
    record = json.loads(Path("runs/classify/python/run.json").read_text())["config"]
    unset = {name for name, value in record.items() if value is None}
    assert unset <= {"config", "labels", "resume", "export", "cache_dir", "extra", "teacher"}
    config = TrainConfig(**{**record, "runs": Path("runs"), "name": "config"})
    wikiart_classify.train(config)
    assert same_weights(Path("runs/classify/python"), Path("runs/classify/config"))


def test_a_run_broken_within_an_epoch_resumes_to_the_same_weights(paintings, monkeypatch):
    assert train("--data", str(paintings), "--epochs", "3", "--name", "whole") == 0
    broken_at = STEPS + 2

    def break_off(step: int) -> None:
        if step == broken_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_each_step(patch, break_off)
        assert train("--data", str(paintings), "--epochs", "3", "--name", "broken") == 130
    assert main(["--resume", "runs/classify/broken"]) == 0
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/broken"))
    epochs = [json.loads(line)["epoch"] for line in Path("runs/classify/broken/metrics.jsonl").read_text().splitlines()]
    assert epochs == [0, 1, 2]


@pytest.mark.parametrize("balance", ["none", "balanced-mixup"])
def test_a_stopped_run_saves_within_the_epoch_and_resumes_from_there(paintings, monkeypatch, balance):
    more = ["--data", str(paintings), "--epochs", "2", "--balance", balance]
    assert train(*more, "--name", "whole") == 0

    def stop(step: int) -> None:
        if step == STEPS + 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        at_each_step(patch, stop)
        assert train(*more, "--name", "stopped") == 128 + signal.SIGTERM
    steps: list[int] = []
    with monkeypatch.context() as patch:
        at_each_step(patch, steps.append)
        assert main(["--resume", "runs/classify/stopped"]) == 0
    assert steps == list(range(STEPS + 2, 2 * STEPS))
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/stopped"))


def test_a_killed_run_resumes_to_the_same_weights(paintings, warm_python):
    common = [*QUICK, "--data", str(paintings), "--epochs", "8"]
    Path("killed.py").write_text(_KILLED)
    command = [warm_python, "killed.py", *common, "--name", "killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    lines = Path("runs/classify/killed/metrics.jsonl")
    deadline = time.monotonic() + 600
    while not (lines.exists() and lines.read_text().count("\n") >= 2):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.01)
    os.kill(int(Path("pid").read_text()), signal.SIGKILL)
    assert process.wait(600) == -signal.SIGKILL
    assert not Path("runs/classify/killed/result.json").exists()
    assert main(["--resume", "runs/classify/killed"]) == 0
    assert train("--data", str(paintings), "--epochs", "8", "--name", "whole") == 0
    assert same_weights(Path("runs/classify/whole"), Path("runs/classify/killed"))


_KILLED = """
import os, sys
from pathlib import Path
from wikiart_classify.cli import main

Path("pid").write_text(str(os.getpid()))
raise SystemExit(main(sys.argv[1:]))
"""


def test_two_processes_share_the_batches_of_one_and_one_of_them_writes(paintings, in_two_processes):
    """One launch: train with the command, then record the batches of each process in an epoch."""
    Path("two.py").write_text(_TWO)
    arguments = [*QUICK, "--data", str(paintings), "--epochs", "6", "--name", "two"]
    printed = in_two_processes("two.py", str(paintings), *arguments)
    assert printed.count("epoch   1/6") == 1
    assert "2 processes" in printed
    assert json.loads(Path("runs/classify/two/result.json").read_text())["test"]["top1"] > 0.8
    assert [p.name for p in Path("runs/classify").iterdir()] == ["two"]

    shards = [json.loads(Path(f"shard-{rank}.json").read_text()) for rank in (0, 1)]
    packed = pack(scan(paintings), 37)
    whole = Batches(packed, packed.rows("train"), 16, augment=Augment())
    for step, (images, labels) in enumerate(whole.epoch(0, 32)):
        for rank in (0, 1):
            assert shards[rank][step]["labels"] == labels[rank::2].tolist()
            assert shards[rank][step]["sums"] == pytest.approx(images[rank::2].sum(dim=(1, 2, 3)).tolist(), rel=1e-5)
    assert step == 4


_TWO = """
import json, sys
from pathlib import Path
from matplotlib.figure import Figure
from wikiart_classify import training
from wikiart_classify.cli import main
from wikiart_data.results import folder
from wikiart_data.results.figures import png
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.training.device import create_accelerator
from wikiart_data.images.packed import pack

training.write_examples = lambda *_: None
folder.png = lambda _: png(Figure(figsize=(0.01, 0.01)))
assert main(sys.argv[2:]) == 0
accelerator = create_accelerator("cpu")
packed = pack(scan(sys.argv[1]), 37)
rank, world = accelerator.process_index, accelerator.num_processes
loader = Batches(packed, packed.rows("train"), 16, augment=Augment(), rank=rank, world=world)
batches = [{"labels": y.tolist(), "sums": x.sum(dim=(1, 2, 3)).tolist()} for x, y in loader.epoch(0, 32)]
Path(f"shard-{rank}.json").write_text(json.dumps(batches))
"""


def test_an_existing_run_is_safe(paintings):
    wikiart_classify.train(options(paintings, name="mine"))
    before = Path("runs/classify/mine/result.json").stat().st_mtime_ns
    assert field_of_error(options(paintings, name="mine")) == "--name"
    assert Path("runs/classify/mine/result.json").stat().st_mtime_ns == before
    wikiart_classify.train(options(paintings, name="mine", overwrite=True))
    assert Path("runs/classify/mine/result.json").stat().st_mtime_ns != before


def test_a_loss_that_is_not_finite_stops_the_run(paintings, capsys):
    assert train("--data", str(paintings), "--epochs", "3", "--lr", "1e30", "--name", "wild") == 2
    error = capsys.readouterr().err
    assert "--lr" in error
    assert "Traceback" not in error


def test_an_artist_loss_that_is_not_finite_names_its_step(paintings, monkeypatch, capsys):
    losses = iter([1.0, 1.0, math.nan, 1.0, 1.0])
    monkeypatch.setattr(training, "partial_cross_entropy", lambda *_: torch.tensor(next(losses), requires_grad=True))
    assert train("--data", str(paintings), "--epochs", "1", "--name", "wild") == 2
    assert "epoch 1, step 3" in capsys.readouterr().err


def test_predictions_that_are_not_finite_stop_the_run(paintings):
    """After one step of a huge size the loss was finite and the weights are, but the activations overflow."""
    huge = {"model": "inclass", "batch_size": 84, "lr": 1e30, "ema": 0.0}
    assert field_of_error(options(paintings, name="wild", **huge)) == "--lr"
    assert not Path("runs/classify/wild/result.json").exists()
    assert not Path("runs/classify/wild/metrics.jsonl").exists()


def test_weights_that_are_not_finite_after_the_last_step_are_not_saved(paintings, monkeypatch):
    models: list[torch.nn.Module] = []
    create_network = training.create_network
    monkeypatch.setattr(training, "create_network", lambda *args: models.append(create_network(*args)) or models[0])

    def poison(step: int) -> None:
        if step == STEPS - 1:  # its loss was finite
            models[0].head.bias.data.fill_(math.nan)

    at_each_step(monkeypatch, poison)
    assert field_of_error(options(paintings, epochs=2, name="wild")) == "--lr"
    assert not Path("runs/classify/wild/model.safetensors").exists()
    assert not Path("runs/classify/wild/last.safetensors").exists()


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


def test_resuming_on_changed_data_is_refused(paintings, tmp_path):
    data = tmp_path / "copy"
    shutil.copytree(paintings, data)
    wikiart_classify.train(options(data, name="first"))
    shutil.copy(next((data / "train" / "Cubism").iterdir()), data / "train" / "Baroque" / "painter_new.jpg")
    assert field_of_error(TrainOptions(resume=Path("runs/classify/first"))) == "--data"


def test_resuming_with_other_artists_is_refused(paintings, tmp_path):
    data = tmp_path / "copy"
    shutil.copytree(paintings, data)
    wikiart_classify.train(options(data, name="first"))
    resume = TrainOptions(resume=Path("runs/classify/first"))
    file = next((data / "train/Cubism").glob("painter-0_*.jpg")).relative_to(data).as_posix()
    (data / "artists.csv").write_text(f"file,artist\n{file},painter-0\n")
    assert wikiart_classify.train(resume) is not None  # the same artists in another way
    (data / "artists.csv").write_text(f"file,artist\n{file},painter-1\n")
    assert field_of_error(resume) == "artist_list"
    record = Path("runs/classify/first/run.json")
    content = json.loads(record.read_text())
    del content["artist_list"]  # as an earlier version wrote it
    record.write_text(json.dumps(content))
    assert wikiart_classify.train(resume) is not None


def test_the_run_json_of_an_earlier_run_is_a_config_file(paintings):
    assert train("--data", str(paintings), "--epochs", "1", "--name", "first", "--overwrite") == 0
    assert main(["--config", "runs/classify/first/run.json"]) == 0
    first, again = (
        json.loads(Path(f"runs/classify/{name}/run.json").read_text())["config"] for name in ("first", "001")
    )
    assert (again["name"], again["overwrite"]) == (None, False)
    assert again["size"] == first["size"] == 32
    assert same_weights(Path("runs/classify/first"), Path("runs/classify/001"))


def test_a_batch_larger_than_the_data_is_refused_and_the_old_run_kept(paintings):
    wikiart_classify.train(options(paintings, name="best"))
    assert field_of_error(options(paintings, name="best", overwrite=True, batch_size=85)) == "--batch-size"
    assert Path("runs/classify/best/result.json").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("power", 2), ("seed", -1), ("batch_size", 0), ("size", 0), ("epochs", 0), ("mix_prob", 1.5), ("lr", -1)],
)
def test_values_out_of_range_are_refused(option, value):
    for make in (TrainOptions, lambda **values: TrainConfig(data="", **values)):
        with pytest.raises(InputError) as error:
            make(**{option: value})
        assert error.value.field == f"--{option.replace('_', '-')}"


def test_a_value_out_of_range_is_refused_on_the_command_line(capsys):
    assert main(["--size", "0"]) == 2
    assert "--size 0" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_options_next_to_resume_are_not_silently_ignored(paintings):
    wikiart_classify.train(options(paintings, name="one"))
    assert field_of_error(TrainOptions(resume=Path("runs/classify/one"), epochs=5)) == "--epochs"


def test_data_without_a_valid_split_to_take_is_refused(tmp_path):
    for style in ("Baroque", "Cubism"):
        (tmp_path / "few" / "train" / style).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (80 * number, 10, 10)).save(tmp_path / "few/train" / style / f"{number}.png")
    assert field_of_error(TrainOptions(data=str(tmp_path / "few"), batch_size=2)) == str(tmp_path / "few")
    assert not Path("runs").exists()


def test_data_of_one_style_is_refused(paintings, tmp_path):
    shutil.copytree(paintings / "train" / "Cubism", tmp_path / "one" / "train" / "Cubism")
    assert field_of_error(TrainOptions(data=str(tmp_path / "one"))) == str(tmp_path / "one")


def test_a_run_on_data_from_the_environment_is_evaluated_on_that_data(paintings, monkeypatch, capsys):
    monkeypatch.setenv("WIKIART_DATA", str(paintings))
    assert train("--epochs", "1", "--name", "here") == 0
    monkeypatch.delenv("WIKIART_DATA")
    capsys.readouterr()
    assert main(["evaluate", "runs/classify/here"]) == 0
    assert "42 images" in capsys.readouterr().out
