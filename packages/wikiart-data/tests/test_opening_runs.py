"""TrainingRun.open: batch sizes, which run is resumed, and what may differ from the run that is resumed."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from torch import nn

from wikiart_data.cli.options import ShowOptions
from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.opening import options_for_resume, resolve_data
from wikiart_data.training.run import config_to_json
from wikiart_data.training.training_run import TrainingRun

from .conftest import equal, net
from .training_loop import PART, TrainOptions, fit, interrupt_at, load_packed, resolve_config

pytestmark = pytest.mark.usefixtures("git", "dispositions")


def test_a_default_batch_size_shrinks_to_the_training_split(options: TrainOptions):
    run = TrainingRun.open(PART, options, resolve_config, load_packed)
    assert run.config.batch_size == len(run.packed.rows("train"))
    assert run.record["config"]["batch_size"] == run.config.batch_size


def test_a_run_of_a_notebook_records_the_command_that_does_the_same(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["/usr/lib/ipykernel_launcher.py", "-f", "kernel.json"])
    run = TrainingRun.open(PART, replace(options, seed=3), resolve_config, load_packed)
    places = ["--data", options.data, "--runs", str(options.runs)]
    assert run.record["command"] == ["wikiart-classify", *places, "--seed", "3"]


def test_a_given_batch_size_that_is_too_large_is_refused_before_a_folder_is_made(options: TrainOptions):
    with pytest.raises(InputError) as error:
        TrainingRun.open(PART, replace(options, batch_size=10_000), resolve_config, load_packed)
    assert error.value.field == "--batch-size"
    assert not options.runs.exists()


def test_only_places_and_the_device_may_differ_on_resume(options: TrainOptions):
    with pytest.raises(SystemExit):
        fit(replace(options, name="first"), interrupt_at(0, 3))
    folder = options.runs / "classify" / "first"
    with pytest.raises(InputError) as error:
        fit(TrainOptions(resume=folder, lr=0.2))
    assert error.value.field == "--lr"
    record = json.loads((folder / "run.json").read_text())
    resumed = options_for_resume(TrainOptions(resume=folder, device="cpu"), record)
    assert (resumed.epochs, resumed.name, resumed.data) == (2, "first", options.data)


def test_auto_resumes_what_is_unfinished_and_starts_where_nothing_is(options: TrainOptions):
    auto = replace(options, name="job", resume=Path("auto"), epochs=2)
    with pytest.raises(SystemExit):
        fit(auto, interrupt_at(0, 3))  # nothing there yet: started
    run, _, _ = fit(auto)  # the same command again
    assert run.folder == options.runs / "classify" / "job"
    assert [line["epoch"] for line in run.metrics()] == [0, 1]
    fit(replace(options, name="whole"))
    assert equal(net_of(run.folder), net_of(options.runs / "classify" / "whole"))


def test_auto_without_a_name_takes_the_newest_unfinished_run(options: TrainOptions):
    for name in ("first", "second", "third"):
        with pytest.raises(SystemExit):
            fit(replace(options, name=name), interrupt_at(0, 3))
        os.utime(options.runs / "classify" / name / "run.json", (1, {"first": 1, "second": 3, "third": 2}[name]))
    (options.runs / "classify" / "second" / "result.json").write_text("{}")
    run = TrainingRun.open(PART, replace(options, resume=Path("auto")), resolve_config, load_packed)
    assert run.folder.name == "third"


def test_auto_refuses_other_options_than_the_run_was_started_with(options: TrainOptions):
    auto = replace(options, name="job", resume=Path("auto"))
    with pytest.raises(SystemExit):
        fit(auto, interrupt_at(0, 3))
    with pytest.raises(InputError) as error:
        fit(replace(auto, lr=0.2))
    assert error.value.field == "--lr"


def net_of(folder: Path) -> nn.Module:
    model = net()
    model.load_state_dict(read_model(folder / "model.safetensors")[0])
    return model


def test_facts_that_changed_since_are_refused(options: TrainOptions):
    def opened(options: TrainOptions, base: str) -> TrainingRun:
        return TrainingRun.open(PART, options, resolve_config, load_packed, facts=lambda packed: {"base": base})

    folder = opened(options, "one").folder
    with pytest.raises(InputError) as error:
        opened(TrainOptions(resume=folder), "another")
    assert error.value.field == "base"
    assert opened(TrainOptions(resume=folder), "one").folder == folder


def test_data_that_changed_since_is_refused(options: TrainOptions):
    with pytest.raises(SystemExit):
        fit(replace(options, name="first"), interrupt_at(0, 3))
    assert options.data is not None
    next(Path(options.data).glob("train/*/*")).unlink()
    with pytest.raises(InputError) as error:
        fit(TrainOptions(resume=options.runs / "classify" / "first"))
    assert error.value.field == "--data"


def test_a_run_that_another_process_works_on_is_left_alone(options: TrainOptions):
    with pytest.raises(SystemExit):
        fit(replace(options, name="first"), interrupt_at(0, 3))
    folder = options.runs / "classify" / "first"
    with FileLock(folder / ".lock"):  # a file descriptor of its own: to the system it is another process
        with pytest.raises(InputError) as error:
            fit(TrainOptions(resume=folder))
        assert error.value.field == "--resume"


def test_a_relative_data_folder_is_recorded_as_an_absolute_one(options: TrainOptions, monkeypatch: pytest.MonkeyPatch):
    assert options.data is not None
    monkeypatch.chdir(Path(options.data).parent)
    run = TrainingRun.open(PART, replace(options, data=Path(options.data).name), resolve_config, load_packed)
    assert run.record["config"]["data"] == options.data
    root, resolved = resolve_data(ShowOptions(data=f"{Path(options.data).name}:artist"))
    assert (str(root), resolved.data) == (f"{options.data}:artist", f"{options.data}:artist")
    assert resolved.label_column == "artist"


def test_auto_takes_a_relative_path_for_the_absolute_one_of_the_run(options: TrainOptions):
    record = {"config": {**config_to_json(options), "runs": str(options.runs.absolute())}}
    relative = replace(options, runs=Path(os.path.relpath(options.runs)), resume=Path("auto"))
    resumed = options_for_resume(relative, record, same_options_allowed=True)
    assert resumed.runs == relative.runs
    with pytest.raises(InputError) as error:
        options_for_resume(replace(relative, runs=Path("elsewhere")), record, same_options_allowed=True)
    assert error.value.field == "--runs"


def test_facts_that_a_run_of_an_earlier_version_lacks_are_not_compared(options: TrainOptions):
    folder = TrainingRun.open(PART, options, resolve_config, load_packed).folder
    resume = TrainOptions(resume=folder)
    assert TrainingRun.open(PART, resume, resolve_config, load_packed, facts=lambda _: {"base": 1}).folder == folder
