"""Weights and checkpoints come back as they were written; damaged or foreign ones are refused by a sentence."""

import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import load_checkpoint, load_weights, read_model, write_model

from .conftest import equal, net, optimizer_of, resumed, saved


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


# -- another run's, another model's, other people's ------------------------------------------------------------------


def test_a_model_in_the_place_of_a_checkpoint(start: Callable):
    run = start()
    saved(run)
    write_model(
        run.folder / "last.safetensors",
        {f"network/{name}": value for name, value in net().state_dict().items()},
        {"config": "{}", "styles": json.dumps(run.record["styles"])},
    )
    with pytest.raises(InputError) as error:
        resumed(run)
    assert error.value.field == str(run.folder / "state.pt")


def test_other_styles_are_refused(start: Callable):
    run = start()
    saved(run)
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"styles": ["Baroque", "Cubism", "Rococo", "Pop_Art"]}))
    with pytest.raises(InputError) as error:
        resumed(run)
    assert error.value.field == str(run.folder / "last.safetensors")


def test_another_model_is_refused_by_name(start: Callable):
    run = start()
    saved(run)
    other = net(width=6)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(InputError, match=r"'0\.bias'.*\(5,\)"):
        load_checkpoint(run.folder, run.record, {"network": other}, {"optimizer": optimizer_of(other)})
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    with pytest.raises(InputError, match=r"'3\.bias'.*\(2,\)"):
        load_weights(nn.Sequential(*net(), nn.Linear(4, 2)), net().state_dict(), Path("x"))


def test_other_peoples_weights_are_refused(tmp_path: Path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for path in (tmp_path / "other.safetensors", tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(InputError) as error:
            read_model(path)
        assert error.value.field == str(path)


# -- damage ----------------------------------------------------------------------------------------------------------


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
    run.save_model(model)
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
    run.save_model(net(1))
    path = run.folder / "model.safetensors"
    content = path.read_bytes()
    assert content.count(b'"dtype":"F32"') > 1
    path.write_bytes(content.replace(b'"dtype":"F32"', b'"dtype":"I32"'))
    with pytest.raises(InputError) as error:
        read_model(path)
    assert error.value.field == str(path)


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
    torch.save({"states": {"optimizer": Mischief()}, "progress": {}}, content)
    (run.folder / "state.pt").write_bytes(content.getvalue())
    tensors, about = read_model(run.folder / "last.safetensors")
    write_model(run.folder / "last.safetensors", tensors, {**about, "state_crc32": str(zlib.crc32(content.getvalue()))})
    with pytest.raises((InputError, pickle.UnpicklingError)):
        resumed(run)
    assert not (tmp_path / "mischief").exists()


def test_options_that_were_changed_since_are_noticed(start: Callable):
    run = start()
    saved(run)
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"config": record["config"] | {"lr": 0.3}}))
    with pytest.raises(InputError, match=r"\(lr\)") as error:
        resumed(run)
    assert error.value.field == str(run.folder / "run.json")


def test_an_option_of_no_value_that_lost_its_name_is_noticed(start: Callable):
    run = start(name=None)
    saved(run)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["config"].pop("name") is None
    (run.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"\(name\)") as error:
        resumed(run)
    assert error.value.field == str(run.folder / "run.json")
