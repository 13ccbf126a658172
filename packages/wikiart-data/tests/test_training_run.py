"""TrainingRun: an interrupted run ends where the uninterrupted one does, and what stops a run."""

import copy
import errno
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.errors import InputError
from wikiart_data.files import not_written
from wikiart_data.training import trackers as trackers_module
from wikiart_data.training.checkpoints import Snapshot, load_checkpoint, read_model
from wikiart_data.training.schedule import warmup_cosine
from wikiart_data.training.training_run import LOG_INTERVAL

from .conftest import equal, net
from .training_loop import STEPS, TrainOptions, fit, interrupt_at, loss_on_batch

pytestmark = pytest.mark.usefixtures("git", "dispositions")


@pytest.mark.parametrize(
    ("epoch", "step", "number"),
    [
        (0, 0, signal.SIGTERM),
        (0, LOG_INTERVAL - 1, signal.SIGTERM),
        (1, LOG_INTERVAL, signal.SIGUSR1),
        (1, STEPS - 1, signal.SIGTERM),
    ],
)
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(epoch, step, number, options: TrainOptions):
    whole, model, ema = fit(replace(options, name="whole"))
    with pytest.raises(SystemExit) as stopped:
        fit(replace(options, name="interrupted"), interrupt_at(epoch, step, number))
    assert stopped.value.code == 128 + number
    folder = options.runs / "classify" / "interrupted"
    run, resumed_model, resumed_ema = fit(TrainOptions(resume=folder))
    assert equal(model, resumed_model)
    assert equal(ema, resumed_ema)
    assert [line["loss"] for line in run.metrics()] == [line["loss"] for line in whole.metrics()]


def test_a_second_signal_ends_the_process_at_once(options: TrainOptions):
    with pytest.raises(KeyboardInterrupt):
        fit(options, lambda epoch, step, model: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])


def test_after_a_run_signals_do_what_they_did_before(options: TrainOptions):
    def handler(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, handler)
    fit(options)
    assert signal.getsignal(signal.SIGTERM) is handler
    with pytest.raises(SystemExit):
        fit(replace(options, name="interrupted"), interrupt_at(0, 3))
    assert signal.getsignal(signal.SIGTERM) is handler


def test_how_to_continue_is_printed(options: TrainOptions, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        fit(replace(options, name="first"), interrupt_at(0, 3))
    assert f"wikiart-classify --resume {options.runs / 'classify' / 'first'}" in capsys.readouterr().out


def test_the_logged_loss_is_the_mean_over_the_steps(options: TrainOptions):
    run, _, _ = fit(options)
    losses: list[float] = []
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = LambdaLR(optimizer, warmup_cosine(2 * STEPS))
    model.train()
    for seed in range(STEPS):
        loss = loss_on_batch(model, seed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    assert run.metrics()[0]["loss"] == pytest.approx(sum(losses) / STEPS, rel=1e-6)


# -- options that are off by default ---------------------------------------------------------------------------------


def test_compiled_weights_keep_their_names(options: TrainOptions, monkeypatch: pytest.MonkeyPatch):
    compiled, compile_module = [], nn.Module.compile

    def compile_eagerly(module: nn.Module) -> None:  # traced, but without the minutes of a C++ compiler
        compiled.append(module)
        compile_module(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", compile_eagerly)
    with pytest.raises(SystemExit):
        fit(replace(options, name="compiled", compile=True), interrupt_at(1, 3))
    run, model, ema = fit(TrainOptions(resume=options.runs / "classify" / "compiled"))
    assert compiled[-1] is model
    _, plain_model, plain_ema = fit(replace(options, name="plain"))
    assert len(compiled) == 2, "only where it was requested"
    assert read_model(run.folder / "last.safetensors")[0].keys() == {
        f"{name}/{key}" for name in ("model", "ema") for key in plain_model.state_dict()
    }
    for ours, theirs in ((model, plain_model), (ema, plain_ema)):
        for key, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-4, atol=1e-5)


def test_losses_and_metrics_are_read_back_from_tensorboard(options: TrainOptions):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(SystemExit):
        fit(replace(options, name="first", report_to="tensorboard"), interrupt_at(1, 3))
    run, _, _ = fit(TrainOptions(resume=options.runs / "classify" / "first"))
    events = accumulator.EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    logged = events.Scalars("epoch/loss")
    assert [event.step for event in logged] == [STEPS, 2 * STEPS]
    assert [event.value for event in logged] == pytest.approx([line["loss"] for line in run.metrics()], rel=1e-6)
    steps = [event.step for event in events.Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert {LOG_INTERVAL, STEPS, STEPS + 4, 2 * STEPS} <= set(steps)


def test_a_tracker_that_is_not_installed_is_refused_before_a_folder_is_made(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trackers_module, "find_spec", lambda name: None)
    with pytest.raises(InputError) as error:
        fit(replace(options, report_to="mlflow"))
    assert error.value.field == "--report-to"
    assert not options.runs.exists()


# -- what stops a run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, LOG_INTERVAL + 2, STEPS - 1])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(step: int, options: TrainOptions):
    def poison(epoch: int, s: int, model: nn.Module) -> None:
        if (epoch, s) == (1, step - 1) or (step == 0 and (epoch, s) == (0, STEPS - 1)):
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))

    if step == 0:  # found in the weights, at the end of the epoch before
        with pytest.raises(InputError, match="epoch 1") as error:
            fit(options, poison)
        assert not list(options.runs.glob("classify/*/last.safetensors"))
    else:
        with pytest.raises(InputError, match=rf"epoch 2, step {step + 1}\b") as error:
            fit(options, poison)
        folder = next(options.runs.glob("classify/*"))
        run, _, _ = fit(TrainOptions(resume=folder))  # the last good checkpoint is kept
        assert len(run.metrics()) == 2
    assert error.value.field == "--lr"


def test_weights_that_are_not_finite_are_not_saved(options: TrainOptions):
    def poison(epoch: int, step: int, model: nn.Module) -> None:
        if (epoch, step) == (1, STEPS - 1):
            with torch.no_grad():
                next(model.parameters()).fill_(float("inf"))

    with pytest.raises(InputError) as error:
        fit(replace(options, name="first"), poison)
    assert error.value.field == "--lr"
    folder = options.runs / "classify" / "first"
    assert json.loads((folder / "run.json").read_text())["config"]["epochs"] == 2
    _, model, _ = fit(TrainOptions(resume=folder))
    _, uninterrupted, _ = fit(replace(options, name="second"))
    assert equal(model, uninterrupted)


def test_the_checkpoint_of_an_epoch_is_of_its_end_however_late_it_is_written(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
):
    trained_on, at_the_end = threading.Event(), []
    write = Snapshot.write

    def late(snapshot: Snapshot, folder: Path, identity: dict[str, str]) -> None:
        if snapshot.progress["epoch"] == 1 and snapshot.progress["step"] == 0:
            assert trained_on.wait(60), "training waits for the writer"
        write(snapshot, folder, identity)

    def at_step(epoch: int, step: int, model: nn.Module) -> None:
        if (epoch, step) == (0, STEPS - 1):
            at_the_end.append(copy.deepcopy(model))
        if (epoch, step) == (1, 3):
            assert not (options.runs / "classify" / "first" / "last.safetensors").exists()
            trained_on.set()
        if (epoch, step) == (1, 5):
            raise MemoryError  # it ends as a run does that ran out of memory: what is being written will be complete

    monkeypatch.setattr(Snapshot, "write", late)
    with pytest.raises(MemoryError):
        fit(replace(options, name="first"), at_step)
    resumed = net(99)
    folder = options.runs / "classify" / "first"
    progress = load_checkpoint(
        folder, json.loads((folder / "run.json").read_text()), {"model": resumed, "ema": net()}, {}
    )
    assert progress is not None
    assert (progress["epoch"], progress["step"]) == (1, 0)
    assert equal(resumed, at_the_end[0])


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_checkpoint_that_cannot_be_written_stops_the_run(
    epoch: int, options: TrainOptions, monkeypatch: pytest.MonkeyPatch
):
    write = Snapshot.write

    def full(snapshot: Snapshot, folder: Path, identity: dict[str, str]) -> None:
        if snapshot.progress["epoch"] == epoch + 1:
            raise not_written(folder / "last.safetensors", OSError(errno.ENOSPC, "No space left on device"))
        write(snapshot, folder, identity)

    with monkeypatch.context() as patch:
        patch.setattr(Snapshot, "write", full)
        steps: list[int] = []
        with pytest.raises(InputError) as error:
            fit(replace(options, name="first"), lambda e, s, model: steps.append(s) if e > epoch else None)
    assert error.value.field == str(options.runs / "classify" / "first" / "last.safetensors")
    assert len(steps) <= LOG_INTERVAL, "it is noticed within one interval"
    _, model, _ = fit(TrainOptions(resume=options.runs / "classify" / "first"))
    _, uninterrupted, _ = fit(replace(options, name="second"))
    assert equal(model, uninterrupted)
