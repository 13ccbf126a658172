"""A run's folder: what it is called, what is written there, and how a run is stopped."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.training.run import Run, read_run_record

from .conftest import Config, net, optimizer_of, resumed, saved

torch.set_num_threads(2)
pytestmark = pytest.mark.usefixtures("git")


@pytest.fixture
def catalog(folder: Callable[..., Path]) -> Catalog:
    return scan(folder(real=False))


# -- a fresh folder --------------------------------------------------------------------------------------------------


def test_run_json_says_what_was_asked(catalog: Catalog, tmp_path: Path):
    config = Config(tmp_path / "runs", "first")
    run = Run.start("classify", config, catalog, parameters=123)
    assert run.folder == tmp_path / "runs" / "classify" / "first"
    record = json.loads((run.folder / "run.json").read_text())
    assert record == run.record
    assert record["part"] == "classify"
    assert record["config"] == {
        "runs": str(tmp_path / "runs"),
        "name": "first",
        "overwrite": False,
        "seed": 7,
        "lr": 0.1,
        "sizes": [3, 4],
        "paths": ["a"],
    }
    assert record["styles"] == ["Baroque", "Cubism", "Rococo", "Ukiyo_e"]
    assert record["data"] == {
        "root": str(catalog.root),
        "fingerprint": catalog.fingerprint,
        "train": 25,
        "valid": 5,
        "test": 6,
        "valid_was_cut": False,
    }
    assert (record["seed"], record["processes"], record["parameters"]) == (7, 1, 123)
    assert torch.__version__.startswith(record["versions"]["torch"])  # which may lack "+cpu"
    assert record["device"].startswith("cpu (")
    assert record["git_commit"] == "0123abc+"
    assert {"python", "command", "started"} <= record.keys()
    assert read_run_record(run.folder) == record


def test_an_existing_run_is_not_overwritten(start: Callable):
    run = start(name="first")
    (run.folder / "model.safetensors").write_text("precious")
    with pytest.raises(InputError, match=r"first exists\. Choose another --name, go on with --resume .*--overwrite"):
        start(name="first")
    assert (run.folder / "model.safetensors").read_text() == "precious"
    start(name="first", overwrite=True)
    assert sorted(path.name for path in run.folder.iterdir()) == ["run.json"]


def test_runs_without_a_name_are_numbered(start: Callable):
    assert [start().folder.name for _ in range(2)] == ["001", "002"]
    start(name="017")
    start(name="tuned")
    shutil.rmtree(start().folder.with_name("001"))
    assert start().folder.name == "019"  # a number is not used twice


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "/etc", ".hidden", "a\nb", "a b", "-rf", "a\x00", "a\n"]
)
def test_bad_names_are_refused(name: str, start: Callable, tmp_path: Path):
    with pytest.raises(InputError, match="cannot be a folder name"):
        start(name=name, overwrite=True)
    assert list((tmp_path / "runs" / "classify").iterdir()) == []


@pytest.mark.parametrize("name", ["a", "lr=0.1", "size-96+mix_2.b", "été"])
def test_good_names_are_taken(name: str, start: Callable):
    assert start(name=name).folder.name == name


def test_a_place_that_cannot_be_written(start: Callable, tmp_path: Path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="choose another place with --runs DIR"):
        start()


def test_a_file_in_the_place_of_a_run(start: Callable, tmp_path: Path):
    start(name="first")
    (tmp_path / "runs/classify/second").write_text("a file")
    with pytest.raises(InputError, match="second"):
        start(name="second", overwrite=True)


def test_resuming_what_is_no_run(start: Callable, tmp_path: Path):
    start(name="first")
    with pytest.raises(InputError, match=r"nowhere is no run: it has no run\.json\. Runs beside it: first\."):
        Run.resume(tmp_path / "runs/classify/nowhere")
    with pytest.raises(InputError, match=r"is no run: it has no run\.json\.$"):
        Run.resume(tmp_path / "no/such/place")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"config": {}}', b"\xff\xfe\x00"])
def test_a_damaged_run_json(content: bytes, start: Callable):
    run = start()
    (run.folder / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        Run.resume(run.folder)


# -- what is written -------------------------------------------------------------------------------------------------


def test_metrics(start: Callable, capsys: pytest.CaptureFixture):
    run = start()
    run.log(0, "first [b]epoch[/b]", loss=2.0, top1=0.5)
    run.log(1, "second", loss=1.0, top1=None)
    lines = run.metrics()
    assert [(line["epoch"], line["loss"]) for line in lines] == [(0, 2.0), (1, 1.0)]
    assert all(line["clock"] >= 0 for line in lines)
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert "first [b]epoch[/b]" in capsys.readouterr().out


def test_metrics_that_cannot_be_written(start: Callable):
    run = start()
    (run.folder / "metrics.jsonl").mkdir()
    with pytest.raises(InputError, match=r"metrics\.jsonl cannot be written"):
        run.log(0, "first", loss=2.0)


@pytest.mark.parametrize("torn", [b'{"epoch": 3, "lo', b'{"epoch": 3, "loss": "\xc3'])
def test_metrics_cut_short_by_a_kill(torn: bytes, start: Callable):
    run = start()
    for epoch in range(3):
        run.log(epoch, "", loss=float(epoch))
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert [line["epoch"] for line in run.metrics()] == [0, 1, 2]
    saved(run, epoch=3)
    going_on = Run.resume(run.folder)
    model = net()
    going_on.resumed({"network": model}, optimizer_of(model))
    going_on.log(3, "", loss=3.0)
    assert [line["epoch"] for line in going_on.metrics()] == [0, 1, 2, 3]


def test_epochs_that_will_be_run_again_are_dropped(start: Callable):
    run = start()
    saved(run, epoch=1)
    for epoch in range(3):  # logged, then killed before the save that follows
        run.log(epoch, "", loss=float(epoch))
    resumed(run)
    assert [line["epoch"] for line in run.metrics()] == [0]


def test_finish(start: Callable):
    from matplotlib.figure import Figure
    from PIL import Image

    run = start()
    run.finish({"test": {"top1": 0.5}}, {"curve": Figure(figsize=(1, 1))})
    assert json.loads((run.folder / "result.json").read_text()) == {"test": {"top1": 0.5}}
    with Image.open(run.folder / "figures" / "curve.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (100, 100))
    assert [path.name for path in (run.folder / "figures").iterdir()] == ["curve.png"]


class Second:
    """An accelerator, as the second of two processes sees it."""

    is_main_process = False
    num_processes = 2
    device = torch.device("cpu")


def test_only_the_main_process_writes(start: Callable, snapshot: Callable):
    run = start()
    saved(run)
    run.log(5, "", loss=1.0)
    before = snapshot(run.folder)
    other = Run.resume(run.folder, accelerator=Second())
    model = net()
    assert other.resumed({"network": model}, optimizer_of(model)) == {"epoch": 3}
    other.save({"network": model}, optimizer_of(model), epoch=9)
    other.keep(model)
    other.log(6, "", loss=1.0)
    other.write_json("x.json", {})
    other.finish({}, {})
    assert snapshot(run.folder) == before


# -- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_stops_at_once(loss: float, start: Callable):
    run = start()
    with pytest.raises(InputError, match=rf"The loss is {loss} in epoch 3, step 8\. .* kept in .*runs"):
        run.check(loss, epoch=2, step=7)
    run.check(12.5, epoch=2, step=7)


@pytest.fixture
def dispositions() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("dispositions")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop(number: signal.Signals, start: Callable):
    run = start()
    run.listen()
    assert not run.should_stop()
    os.kill(os.getpid(), number)
    assert run.should_stop()
    # A second one is meant: it ends the process as if nobody had listened.
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL or number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler or number == signal.SIGTERM


def test_stop_says_how_to_go_on(start: Callable, capsys: pytest.CaptureFixture):
    run = start(name="first")
    assert run.stop("wikiart-classify").code == 143
    assert f"wikiart-classify --resume {run.folder}" in capsys.readouterr().out


# -- two at once -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("dispositions")
def test_a_run_that_another_process_works_on_is_left_alone(start: Callable):
    run = start()
    saved(run)
    with FileLock(run.folder / ".lock"):  # its own file descriptor: to the system it is somebody else
        with pytest.raises(InputError, match="Another process is working on"):
            resumed(run)
        with pytest.raises(InputError, match="Another process is working on"):
            run.listen()
    run.listen()
    assert resumed(run)[2] == {"epoch": 3}  # the same process may
