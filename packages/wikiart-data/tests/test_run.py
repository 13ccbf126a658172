"""A run's folder: what it is called, what is written there, and how a run is stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.results.metrics_log import drop_metrics
from wikiart_data.training.run import Part, Run, read_run_record

from .conftest import Config, net

PART = Part("classify", "A classifier", "wikiart-classify", ("wikiart-classify predict PICTURE --model RUN",))
pytestmark = pytest.mark.usefixtures("git")


@pytest.fixture
def catalog(folder: Callable[..., Path]) -> Catalog:
    return scan(folder(real=False))


# -- a fresh folder --------------------------------------------------------------------------------------------------


def test_run_json_says_what_was_asked(catalog: Catalog, tmp_path: Path):
    config = Config(tmp_path / "runs", "first")
    run = Run.start(PART, config, catalog, parameters=123)
    assert run.folder == tmp_path / "runs" / "classify" / "first"
    record = json.loads((run.folder / "run.json").read_text())
    assert record == run.record
    assert (record["part"], record["title"], record["program"]) == ("classify", "A classifier", "wikiart-classify")
    assert record["next_commands"] == ["wikiart-classify predict PICTURE --model RUN"]
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
        "source": str(catalog.root),
        "notes": [],
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
    assert record["command"] == ["wikiart-classify", "--runs", str(tmp_path / "runs"), "--name", "first"]
    assert {"python", "started"} <= record.keys()
    assert read_run_record(run.folder) == record


def test_an_existing_run_is_not_overwritten(start: Callable):
    run = start(name="first")
    (run.folder / "model.safetensors").write_text("precious")
    with pytest.raises(InputError) as error:
        start(name="first")
    assert error.value.field == "--name"
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
    with pytest.raises(InputError) as error:
        start(name=name, overwrite=True)
    assert error.value.field == "--name"
    assert list((tmp_path / "runs" / "classify").iterdir()) == []


@pytest.mark.parametrize("name", ["a", "lr=0.1", "size-96+mix_2.b", "été"])
def test_good_names_are_taken(name: str, start: Callable):
    assert start(name=name).folder.name == name


def test_a_place_that_cannot_be_written(start: Callable, tmp_path: Path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError) as error:
        start()
    assert error.value.field == "--runs"


def test_a_file_in_the_place_of_a_run(start: Callable, tmp_path: Path):
    start(name="first")
    (tmp_path / "runs/classify/second").write_text("a file")
    with pytest.raises(InputError, match="second") as error:
        start(name="second", overwrite=True)
    assert error.value.field == "--runs"


def test_resuming_what_is_no_run(start: Callable, tmp_path: Path):
    start(name="first")
    for name in ("runs/classify/nowhere", "no/such/place"):
        with pytest.raises(InputError) as error:
            Run.reopen(tmp_path / name)
        assert error.value.field == str(tmp_path / name)


def test_a_run_of_another_part_is_refused(start: Callable):
    run = start()
    with pytest.raises(InputError, match="classify") as error:
        Run.reopen(run.folder, Part("lora", "An adapter", "wikiart-lora"))
    assert error.value.field == "--resume"
    assert Run.reopen(run.folder, PART).record == run.record


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"config": {}}', b"\xff\xfe\x00"])
def test_a_damaged_run_json(content: bytes, start: Callable):
    run = start()
    (run.folder / "run.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        Run.reopen(run.folder)
    assert error.value.field == str(run.folder / "run.json")


# -- what is written -------------------------------------------------------------------------------------------------


def test_metrics(start: Callable, capsys: pytest.CaptureFixture):
    run = start()
    run.write_log(0, "first [b]epoch[/b]", loss=2.0, top1=0.5)
    run.write_log(1, "second", loss=1.0, top1=None)
    lines = run.metrics()
    assert [(line["epoch"], line["loss"]) for line in lines] == [(0, 2.0), (1, 1.0)]
    assert all(line["clock"] >= 0 for line in lines)
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert "first [b]epoch[/b]" in capsys.readouterr().out


def test_metrics_that_cannot_be_written(start: Callable):
    run = start()
    (run.folder / "metrics.jsonl").mkdir()
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        run.write_log(0, "first", loss=2.0)


@pytest.mark.parametrize("torn", [b'{"epoch": 3, "lo', b'{"epoch": 3, "loss": "\xc3'])
def test_metrics_cut_short_by_a_kill(torn: bytes, start: Callable):
    run = start()
    for epoch in range(3):
        run.write_log(epoch, "", loss=float(epoch))
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert [line["epoch"] for line in run.metrics()] == [0, 1, 2]
    drop_metrics(run.folder / "metrics.jsonl", from_epoch=3)
    reopened = Run.reopen(run.folder)
    reopened.write_log(3, "", loss=3.0)
    assert [line["epoch"] for line in reopened.metrics()] == [0, 1, 2, 3]


def test_epochs_that_will_be_run_again_are_dropped(start: Callable):
    run = start()
    for epoch in range(3):
        run.write_log(epoch, "", loss=float(epoch))
    drop_metrics(run.folder / "metrics.jsonl", from_epoch=1)
    assert [line["epoch"] for line in run.metrics()] == [0]


def test_finish(start: Callable):
    from matplotlib.figure import Figure
    from PIL import Image

    run = start()
    run.finish({"test": {"top1": 0.5}}, [], {"curve": Figure(figsize=(1, 1))})
    assert json.loads((run.folder / "result.json").read_text())["test"] == {"top1": 0.5}
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
    run.write_log(5, "", loss=1.0)
    before = snapshot(run.folder)
    other = Run.reopen(run.folder, accelerator=Second())
    other.save_model(net())
    other.write_log(6, "", loss=1.0)
    other.write_json("x.json", {})
    other.write_arrays("x.npz", x=np.zeros(1))
    other.finish({}, [], {})
    assert snapshot(run.folder) == before
