"""Shards: the pictures of the pack, streamed; resumed exactly, balanced exactly, whatever the number of processes."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.cli.main import main
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.images.shards import ShardBatches, write_chunks, write_shards

pytest.importorskip("litdata")
SIZE = 12
Folder = Callable[..., Path]


@pytest.fixture
def packed(folder: Folder) -> PackedImages:
    return pack(scan(folder()), SIZE)


@pytest.fixture
def shards(packed: PackedImages, tmp_path: Path) -> Path:
    write_shards(packed, tmp_path / "shards", chunk=4)  # several chunks per style
    return tmp_path / "shards"


def epoch(source: Batches, number: int = 0, **more: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(source.epoch(number, **more))


def same(ours: list, theirs: list) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(images, other_images) and torch.equal(labels, other_labels)
        for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True)
    )


def shown(steps: list[tuple[torch.Tensor, torch.Tensor]]) -> Counter[tuple[bytes, int]]:
    """How often each picture was shown, by its bytes and its label."""
    return Counter(
        ((image * 255).round().byte().permute(1, 2, 0).numpy().tobytes(), label)
        for images, labels in steps
        for image, label in zip(images, labels.tolist(), strict=True)
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_epoch_is_every_picture_of_the_pack_once(split: str, packed: PackedImages, shards: Path):
    rows = packed.rows(split)
    expected = Counter((packed.images[row].tobytes(), int(packed.catalog.labels[row])) for row in rows.tolist())
    source = ShardBatches(shards, batch_size=1, split=split)
    assert shown(epoch(source)) == expected
    assert source.styles == packed.catalog.styles
    assert len(source) == len(rows)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_styles_are_drawn_as_often_as_from_the_pack_and_pictures_evenly(power: float, packed, shards: Path):
    ours = ShardBatches(shards, batch_size=1, power=power, seed=3)
    theirs = Batches(packed, packed.rows("train"), 1, power=power, seed=3)
    for number in range(3):
        drawn = shown(epoch(ours, number))
        styles: Counter[int] = Counter()
        for (_, label), times in drawn.items():
            styles[label] += times
        assert styles == Counter(int(labels) for _, labels in epoch(theirs, number))
        for style in styles:
            times = [drawn[key] for key in drawn if key[1] == style]
            times += [0] * (int(ours.counts[style]) - len(times))
            assert max(times) - min(times) <= 1


@pytest.mark.parametrize("start", [1, 4, 11])
def test_an_epoch_begins_at_any_step(start: int, shards: Path):
    options = {"batch_size": 2, "power": 1.0, "augment": Augment(), "seed": 3}
    whole = epoch(ShardBatches(shards, **options), 2)
    assert len(whole) == 12
    assert same(epoch(ShardBatches(shards, **options), 2, start=start), whole[start:])


def test_the_same_by_seed_and_epoch_and_different_between(shards: Path):
    options = {"batch_size": 8, "augment": Augment()}
    source = ShardBatches(shards, **options)
    assert same(epoch(source, 1), epoch(ShardBatches(shards, **options), 1))
    assert not same(epoch(source, 0), epoch(source, 1))
    assert not same(epoch(source, 0), epoch(ShardBatches(shards, seed=1, **options), 0))
    source.set_epoch(1)
    assert same(list(source), epoch(source, 1))
    first, second = epoch(source, 0), epoch(source, 0, stream=1)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert not same(first, second)


def test_several_processes_share_the_batches_of_one(shards: Path, monkeypatch: pytest.MonkeyPatch):
    whole = epoch(ShardBatches(shards, batch_size=8))
    # litdata deals chunks to processes if it finds that there are several.
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda *_, rank=rank: rank)
        ours = epoch(ShardBatches(shards, batch_size=8, rank=rank, world=2))
        assert same(ours, [(images[rank::2], labels[rank::2]) for images, labels in whole])


def test_a_million_pictures(tmp_path: Path):
    """One chunk of 2,048 pictures under 489 names."""
    folder = tmp_path / "million" / "train"
    (folder / "0").mkdir(parents=True)
    write_chunks((np.full((2, 2, 3), row % 256, dtype=np.uint8) for row in range(2048)), folder / "0")
    index = json.loads((folder / "0" / "index.json").read_text())
    (chunk,) = index["chunks"]
    names = [f"chunk-0-{number}.bin" for number in range(489)]
    for name in names[1:]:
        os.link(folder / "0" / chunk["filename"], folder / "0" / name)
    index["chunks"] = [{**chunk, "filename": name} for name in names]
    (folder / "0" / "index.json").write_text(json.dumps(index))
    (folder / "shards.json").write_text(json.dumps({"size": 2, "styles": ["Cubism"], "counts": [489 * 2048]}))
    source = ShardBatches(tmp_path / "million", batch_size=128)
    assert len(source) == 7824
    images, _ = next(source.epoch(0, start=7000))
    assert len(images.unique()) > 20


# -- the command, and what can go wrong --------------------------------------------------------------------------------


def test_the_command_writes_what_the_function_writes(folder: Folder, shards: Path, tmp_path: Path, capsys):
    arguments = ["pack", "--data", str(folder()), "--size", str(SIZE), "--shards", str(tmp_path / "by-command")]
    (tmp_path / "by-command" / "train.part" / "0").mkdir(parents=True)  # of a killed process
    assert main(arguments) == 0
    assert {path.name for path in (tmp_path / "by-command").iterdir()} == {path.name for path in shards.iterdir()}
    ours, theirs = (shown(epoch(ShardBatches(path, batch_size=1))) for path in (tmp_path / "by-command", shards))
    assert ours == theirs
    capsys.readouterr()
    assert main(arguments) == 2
    assert str(tmp_path / "by-command") in capsys.readouterr().err


def test_what_cannot_be_read_is_named(shards: Path, packed: PackedImages, tmp_path: Path, monkeypatch):
    with pytest.raises(InputError) as error:
        ShardBatches(tmp_path / "nothing")
    assert error.value.field == str(tmp_path / "nothing" / "train")
    (shards / "train" / "shards.json").write_text('{"size": 12')
    with pytest.raises(InputError) as error:
        ShardBatches(shards)
    assert error.value.field == str(shards / "train")
    with pytest.raises(ValueError, match="cannot be shared"):
        ShardBatches(shards, batch_size=3, split="test", world=2)
    monkeypatch.setitem(sys.modules, "litdata", None)
    for attempt in (lambda: ShardBatches(shards, split="test"), lambda: write_shards(packed, tmp_path / "new")):
        with pytest.raises(InputError) as error:
            attempt()
        assert error.value.field == "--shards"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", ["a flipped bit", "a missing chunk"])
def test_damage_is_found_and_named(damage: str, shards: Path):
    chunk = max((shards / "train").glob("*/*.bin"), key=lambda path: path.stat().st_size)
    content = bytearray(chunk.read_bytes())
    content[-40] ^= 1
    chunk.unlink()
    if damage == "a flipped bit":
        chunk.write_bytes(content)
    with pytest.raises(InputError) as error:
        epoch(ShardBatches(shards, batch_size=1))
    assert error.value.field == str(chunk.parent)


def test_unreadable_pictures_are_left_out(packed: PackedImages, tmp_path: Path):
    row = int(packed.rows("train")[0])
    damaged = PackedImages(packed.catalog, packed.images, {row: "truncated"}, packed.folder)
    write_shards(damaged, tmp_path / "without")
    assert len(ShardBatches(tmp_path / "without", batch_size=1)) == len(packed.rows("train")) - 1
