"""Saving and going on: a run ends where the unbroken one does, whenever it was killed and however full the disk is."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.training import run as run_module
from wikiart_data.training.run import Run

from .conftest import equal, net, optimizer_of, resumed, saved, train

torch.set_num_threads(2)


# -- going on --------------------------------------------------------------------------------------------------------


def test_a_resumed_run_ends_where_the_unbroken_one_does(start: Callable):
    unbroken = net()
    train(unbroken, optimizer_of(unbroken), range(10))
    run = start()
    first, first_optimizer = saved(run, steps=6, epoch=2, step=5, best=0.1 + 0.2, names=["a"], when=torch.arange(3))
    model, optimizer, progress = resumed(run)
    assert progress is not None
    assert torch.equal(progress.pop("when"), torch.arange(3))
    assert progress == {"epoch": 2, "step": 5, "best": 0.1 + 0.2, "names": ["a"]}
    assert equal(model, first)
    for name, buffer in first_optimizer.state_dict()["state"].items():
        assert torch.equal(optimizer.state_dict()["state"][name]["momentum_buffer"], buffer["momentum_buffer"])
    train(model, optimizer, range(6, 10))
    assert equal(model, unbroken)


def test_several_models_keep_apart(start: Callable):
    run = start()
    one, other = net(1), net(2)
    run.save({"network": one, "average": other}, optimizer_of(one), epoch=1)
    mine, average = net(3), net(4)
    Run.resume(run.folder).resumed({"network": mine, "average": average}, optimizer_of(mine))
    assert equal(mine, one)
    assert equal(average, other)


def test_broken_off_before_the_first_save(start: Callable):
    run = start()
    run.log(0, "of an epoch that will be run again", loss=1.0)
    model, _, progress = resumed(run)
    assert progress is None
    assert equal(model, net(99))
    assert run.metrics() == []


def test_numbers_of_numpy_can_be_progress(start: Callable):
    import numpy as np

    run = start()
    saved(run, best=np.float64(0.5), count=np.int64(3))
    _, _, progress = resumed(run)
    assert progress == {"epoch": 3, "best": 0.5, "count": 3}


# -- killed during a save --------------------------------------------------------------------------------------------


FILES = ("last.safetensors", "state.pt", "state.pt.next")


@pytest.fixture
def versions(start: Callable) -> tuple[Run, list[dict[str, bytes]], list[nn.Module]]:
    """A run and what its files hold after each of three saves."""
    run, contents, models = start(), [], []
    for steps in (1, 2, 3):
        models.append(saved(run, steps=steps)[0])
        contents.append({name: (run.folder / name).read_bytes() for name in FILES[:2]})
    return run, contents, models


def lay(run: Run, last: bytes | None, state: bytes | None, waiting: bytes | None) -> None:
    for name, content in zip(FILES, (last, state, waiting), strict=True):
        (run.folder / name).unlink(missing_ok=True)
        if content is not None:
            (run.folder / name).write_bytes(content)


def test_after_a_save_nothing_is_left_over(versions: tuple):
    run, _, _ = versions
    assert {path.name for path in run.folder.iterdir()} == {"run.json", "last.safetensors", "state.pt"}


@pytest.mark.parametrize(
    ("last", "state", "waiting", "goes_on_with"),
    [
        (1, 1, None, 1),  # killed between saves
        (1, 1, 2, 1),  # killed before the save counted: the old pair
        (2, 1, 2, 2),  # killed between the two renames: the new pair
        (2, 2, None, 2),  # killed after them
        (2, 2, 1, 2),  # an old leftover
        (None, None, 1, None),  # killed during the very first save, before it counted
        (1, None, 1, 1),  # and after
    ],
)
def test_killed_at_any_moment_of_a_save(last, state, waiting, goes_on_with, versions: tuple):
    run, contents, models = versions
    lay(
        run,
        None if last is None else contents[last]["last.safetensors"],
        None if state is None else contents[state]["state.pt"],
        None if waiting is None else contents[waiting]["state.pt"],
    )
    model, _, progress = resumed(run)
    if goes_on_with is None:
        assert progress is None
    else:
        assert progress == {"epoch": goes_on_with + 1}
        assert equal(model, models[goes_on_with])


def test_killed_again_during_the_next_save(versions: tuple, monkeypatch: pytest.MonkeyPatch):
    # The state that was resumed from had its temporary name; the next save must not write over it before it counts.
    run, contents, models = versions
    lay(run, contents[1]["last.safetensors"], contents[0]["state.pt"], contents[1]["state.pt"])
    model = net(99)
    optimizer = optimizer_of(model)
    going_on = Run.resume(run.folder)
    going_on.resumed({"network": model}, optimizer)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_model", killed)
        with pytest.raises(KeyboardInterrupt):
            going_on.save({"network": model}, optimizer, epoch=9)
    model, _, progress = resumed(run)
    assert progress == {"epoch": 2}
    assert equal(model, models[1])


def test_saving_goes_on_after_such_a_kill(versions: tuple):
    run, contents, _ = versions
    lay(run, contents[1]["last.safetensors"], contents[0]["state.pt"], contents[1]["state.pt"])
    model = net(99)
    optimizer = optimizer_of(model)
    going_on = Run.resume(run.folder)
    going_on.resumed({"network": model}, optimizer)
    for epoch in (8, 9):
        train(model, optimizer, range(2))
        going_on.save({"network": model}, optimizer, epoch=epoch)
        again, _, progress = resumed(run)
        assert progress == {"epoch": epoch}
        assert equal(again, model)


def test_a_pair_that_does_not_match_is_refused(versions: tuple):
    run, contents, _ = versions
    lay(run, contents[2]["last.safetensors"], contents[0]["state.pt"], contents[1]["state.pt"])
    with pytest.raises(InputError, match=r"state\.pt does not belong to the last\.safetensors beside it"):
        resumed(run)
    lay(run, contents[2]["last.safetensors"], None, None)
    with pytest.raises(InputError, match="does not belong to"):
        resumed(run)


# -- a full disk -----------------------------------------------------------------------------------------------------


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "result.json"
    write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"result\.json cannot be written \(No space left on device\)"):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["result.json"]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("writes", [0, 1])
def test_a_full_disk_during_a_save_keeps_the_last_one(writes: int, start: Callable, monkeypatch: pytest.MonkeyPatch):
    run = start()
    truth, _ = saved(run)
    real, done = os.fsync, []

    def fsync(descriptor: int) -> None:
        done.append(descriptor)
        full() if len(done) > writes else real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match=r"cannot be written .*what was saved before is kept"):
            saved(run, steps=5)
    model, _, progress = resumed(run)
    assert progress == {"epoch": 3}
    assert equal(model, truth)
