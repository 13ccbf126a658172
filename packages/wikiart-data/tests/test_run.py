import dataclasses
import errno
import io
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from wikiart_data import provenance as provenance_module
from wikiart_data import run as run_module
from wikiart_data.catalog import Catalog, scan
from wikiart_data.errors import InputError
from wikiart_data.run import Run, read_record
from wikiart_data.weights import load_weights, read_model, write_bytes, write_model

torch.set_num_threads(2)


@dataclasses.dataclass(frozen=True)
class Config:
    runs: Path
    name: str | None = None
    overwrite: bool = False
    seed: int = 7
    lr: float = 0.1
    sizes: tuple[int, ...] = (3, 4)
    paths: tuple[Path, ...] = (Path("a"),)


@pytest.fixture
def catalog(folder: Callable[..., Path]) -> Catalog:
    return scan(folder(real=False))


@pytest.fixture(autouse=True)
def git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking git takes longer than all else that a test does here."""
    monkeypatch.setattr(provenance_module, "git_commit", lambda: "0123abc+")


@pytest.fixture
def start(catalog: Catalog, tmp_path: Path) -> Callable[..., Run]:
    def start(**options: Any) -> Run:
        return Run.start("classify", Config(tmp_path / "runs", **options), catalog)

    return start


def net(seed: int = 0, width: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 4))


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    model.train()
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randn(8, 3, generator=generator), torch.randint(0, 4, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def saved(run: Run, seed: int = 0, steps: int = 3, **progress: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Train a little and save."""
    model = net(seed)
    optimizer = optimizer_of(model)
    train(model, optimizer, range(steps))
    run.save({"network": model}, optimizer, **{"epoch": steps, **progress})
    return model, optimizer


def resumed(run: Run) -> tuple[nn.Module, torch.optim.Optimizer, dict[str, Any] | None]:
    """Go on from the folder, in another process for all it knows."""
    model = net(99)
    optimizer = optimizer_of(model)
    progress = Run.resume(run.folder).resumed({"network": model}, optimizer)
    return model, optimizer, progress


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# -- a fresh folder ------------------------------------------------------------------------------------------------


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
    assert read_record(run.folder) == record


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


# -- going on ------------------------------------------------------------------------------------------------------


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


def test_types_of_tensors_survive(tmp_path: Path):
    tensors = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "number": torch.tensor(3, dtype=torch.int64),
        "none": torch.zeros(0, 4),
        "yes": torch.tensor([True, False]),
        "turned": torch.arange(6.0).view(2, 3).T,
    }
    write_model(tmp_path / "m.safetensors", tensors, {"config": "{}", "styles": "[]"})
    read, about = read_model(tmp_path / "m.safetensors")
    assert about.keys() == {"config", "styles", "crc32"}
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)


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


def test_a_model_in_the_place_of_a_checkpoint(start: Callable):
    run = start()
    saved(run)
    write_model(
        run.folder / "last.safetensors",
        {f"network/{name}": value for name, value in net().state_dict().items()},
        {"config": "{}", "styles": json.dumps(run.record["styles"])},
    )
    with pytest.raises(InputError, match="does not belong to"):
        resumed(run)


def test_other_styles_are_refused(start: Callable):
    run = start()
    saved(run)
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"styles": ["Baroque", "Cubism", "Rococo", "Pop_Art"]}))
    with pytest.raises(InputError, match=r"last\.safetensors was trained on other styles than run\.json names"):
        resumed(run)


def test_another_model_is_refused_by_name(start: Callable):
    run = start()
    saved(run)
    other = net(width=6)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(
        InputError, match=r"holds another model: 7 of its tensors .* such as '0\.bias' with shape \(5,\)"
    ):
        Run.resume(run.folder).resumed({"network": other}, optimizer_of(other))
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    with pytest.raises(InputError, match=r"'3\.bias' with shape missing where \(2,\) is expected"):
        load_weights(nn.Sequential(*net(), nn.Linear(4, 2)), net().state_dict(), Path("x"))


# -- damage --------------------------------------------------------------------------------------------------------


def damages(content: bytes, flips: int, header: int = 0) -> Iterator[bytes]:
    """Cuts, and single flipped bits: `flips` anywhere, and up to 200 more in the first `header` bytes."""
    dice = random.Random(0)
    yield from (b"", content[:7], content[:8], content[: len(content) // 2], content[:-1], content + b"\0")
    places = dice.sample(range(len(content)), flips)
    for place in [*places, *dice.sample(range(header), min(200, header))]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << dice.randrange(8)
        yield bytes(flipped)


def refused(attempt: Callable[[], object]) -> bool:
    """True if it was refused with a sentence; any other exception passes through and fails the test."""
    try:
        attempt()
    except InputError:
        return True
    return False


def test_damage_to_the_weights_is_noticed(start: Callable):
    run = start()
    model = net(1)
    run.keep(model)
    path = run.folder / "model.safetensors"
    whole = path.read_bytes()
    truth, about = read_model(path)
    assert json.loads(about["styles"]) == run.record["styles"]
    assert json.loads(about["config"]) == run.record["config"]
    header = 8 + int.from_bytes(whole[:8], "little")
    noticed = 0
    for damaged in damages(whole, 150, header):
        path.write_bytes(damaged)
        if refused(lambda: read_model(path)):
            noticed += 1
        else:  # then it must be all the same
            tensors, facts = read_model(path)
            assert facts == about
            assert tensors.keys() == truth.keys()
            assert all(torch.equal(tensors[name], truth[name]) for name in truth)
            assert all(tensors[name].dtype == truth[name].dtype for name in truth)
    assert noticed >= 150 + 200 - 20, "hardly any damage is harmless"


def test_weights_read_as_another_type_are_noticed(start: Callable):
    run = start()
    run.keep(net(1))
    path = run.folder / "model.safetensors"
    content = path.read_bytes()
    assert content.count(b'"dtype":"F32"') > 1
    path.write_bytes(content.replace(b'"dtype":"F32"', b'"dtype":"I32"'))
    with pytest.raises(InputError, match="is damaged: its content does not match its checksum"):
        read_model(path)


def test_other_peoples_weights_are_refused(tmp_path: Path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="was not written by this toolkit"):
        read_model(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="There is no file"):
        read_model(tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        read_model(tmp_path)


@pytest.mark.parametrize("name", ["last.safetensors", "state.pt"])
def test_damage_to_a_checkpoint_is_noticed(name: str, start: Callable):
    run = start()
    truth, _ = saved(run)
    path = run.folder / name
    whole = path.read_bytes()
    for damaged in damages(whole, 60, 60):
        path.write_bytes(damaged)
        if not refused(lambda: resumed(run)):
            model, _, progress = resumed(run)
            assert progress == {"epoch": 3}
            assert equal(model, truth)
    path.write_bytes(whole)
    assert equal(resumed(run)[0], truth)


def test_a_checkpoint_cannot_run_code(start: Callable, tmp_path: Path):
    import pickle
    import zlib

    class Mischief:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "mischief"),))

    run = start()
    saved(run)
    content = io.BytesIO()
    torch.save({"optimizer": Mischief(), "progress": {}}, content)
    (run.folder / "state.pt").write_bytes(content.getvalue())
    tensors, about = read_model(run.folder / "last.safetensors")
    write_model(run.folder / "last.safetensors", tensors, {**about, "state_crc32": str(zlib.crc32(content.getvalue()))})
    with pytest.raises((InputError, pickle.UnpicklingError)):
        resumed(run)
    assert not (tmp_path / "mischief").exists()


# -- what is written -----------------------------------------------------------------------------------------------


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


# -- stopping ------------------------------------------------------------------------------------------------------


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
