"""Saving and going on: a run ends where the unbroken one does, whenever it was killed and however full the disk is."""

import errno
import os
from collections.abc import Callable

import pytest
import torch
from torch import nn

from wikiart_data.errors import InputError
from wikiart_data.training import checkpoints as checkpoints_module
from wikiart_data.training.checkpoints import load_checkpoint, save_checkpoint
from wikiart_data.training.run import Run

from .conftest import equal, net, optimizer_of, resumed, save, saved, train

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
    save_checkpoint(run.folder, run.identity(), {"network": one, "average": other}, {}, {"epoch": 1})
    mine, average = net(3), net(4)
    load_checkpoint(run.folder, run.record, {"network": mine, "average": average}, {})
    assert equal(mine, one)
    assert equal(average, other)


def test_a_run_that_stopped_before_its_first_checkpoint(start: Callable):
    model, _, progress = resumed(start())
    assert progress is None
    assert equal(model, net(99))


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
    load_checkpoint(run.folder, run.record, {"network": model}, {"optimizer": optimizer})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "write_model", killed)
        with pytest.raises(KeyboardInterrupt):
            save(run, model, optimizer, epoch=9)
    model, _, progress = resumed(run)
    assert progress == {"epoch": 2}
    assert equal(model, models[1])


def test_saving_goes_on_after_such_a_kill(versions: tuple):
    run, contents, _ = versions
    lay(run, contents[1]["last.safetensors"], contents[0]["state.pt"], contents[1]["state.pt"])
    model = net(99)
    optimizer = optimizer_of(model)
    load_checkpoint(run.folder, run.record, {"network": model}, {"optimizer": optimizer})
    for epoch in (8, 9):
        train(model, optimizer, range(2))
        save(run, model, optimizer, epoch=epoch)
        again, _, progress = resumed(run)
        assert progress == {"epoch": epoch}
        assert equal(again, model)


def test_a_pair_that_does_not_match_is_refused(versions: tuple):
    run, contents, _ = versions
    for state, upcoming in ((contents[0]["state.pt"], contents[1]["state.pt"]), (None, None)):
        lay(run, contents[2]["last.safetensors"], state, upcoming)
        with pytest.raises(InputError) as error:
            resumed(run)
        assert error.value.field == str(run.folder / "state.pt")


# -- a full disk -----------------------------------------------------------------------------------------------------


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
        with pytest.raises(InputError, match=r"state\.pt|last\.safetensors"):
            saved(run, steps=5)
    model, _, progress = resumed(run)
    assert progress == {"epoch": 3}
    assert equal(model, truth)
