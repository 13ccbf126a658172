"""The manifest of a folder: a second scan does not walk, and every change or damage is noticed."""

import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wikiart_data.images import catalog as catalog_module
from wikiart_data.images.catalog import scan

Folder = Callable[..., Path]


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were walked, in order."""
    walked, walk = [], catalog_module.walk_folder

    def counted(root: Path, folders: Sequence[str], cache_dir: Path | None) -> object:
        walked.append(root)
        return walk(root, folders, cache_dir)

    monkeypatch.setattr(catalog_module, "walk_folder", counted)
    return walked


def test_a_second_scan_does_not_walk(folder: Folder, backdate: Callable, walks: list):
    root = folder(real=False)
    backdate(root)
    first = scan(root)
    second = scan(root)
    assert len(walks) == 1
    assert first == second


def test_the_manifest_is_kept_outside_the_data_folder(folder: Folder, snapshot: Callable, cache: Path):
    root = folder(real=False)
    before = snapshot(root)
    scan(root)
    assert snapshot(root) == before
    assert len(list(cache.glob("manifests/*.npz"))) == 1
    assert len(list(cache.rglob("*.part"))) == 0


# -- changes ---------------------------------------------------------------------------------------------------------


def add(root: Path) -> None:
    (root / "train/Baroque/new.jpg").write_bytes(b"new")


def remove(root: Path) -> None:
    (root / "train/Baroque/000.jpg").unlink()


def rename(root: Path) -> None:
    (root / "train/Baroque/000.jpg").rename(root / "train/Baroque/zzz.jpg")


def rewrite_in_place(root: Path) -> None:
    (root / "test/Baroque/002.jpg").write_bytes(b"another size altogether, longer than before")


def rewrite_same_size(root: Path) -> None:
    path = root / "test/Baroque/002.jpg"
    path.write_bytes(b"y" * path.stat().st_size)


def add_split(root: Path) -> None:
    shutil.rmtree(root / "valid")  # what follows is a folder that never had it
    scan(root)
    shutil.copytree(root / "test", root / "valid")


def remove_split(root: Path) -> None:
    shutil.rmtree(root / "valid")


def remove_style(root: Path) -> None:
    for split in ("train", "valid"):
        shutil.rmtree(root / split / "Rococo")


def add_style(root: Path) -> None:
    (root / "train/Fauvism").mkdir()
    (root / "train/Fauvism/000.jpg").write_bytes(b"x")


def rename_split(root: Path) -> None:
    (root / "test").rename(root / "not-test")


@pytest.mark.parametrize(
    "change",
    [
        add,
        remove,
        rename,
        rewrite_in_place,
        rewrite_same_size,
        add_split,
        remove_split,
        rename_split,
        remove_style,
        add_style,
    ],
)
def test_every_change_is_noticed(change: Callable, folder: Folder, backdate: Callable, cache: Path, walks: list):
    root = folder(real=False)
    backdate(root)
    before = scan(root)
    change(root)
    after = scan(root)
    assert before != after
    assert after == scan(root, cache_dir=cache / "another"), "not what a fresh walk finds"


def test_a_folder_that_has_just_changed_is_not_trusted(folder: Folder, backdate: Callable, walks: list):
    # Its time has the resolution of a clock tick (2 s on some disks): another change may not move it.
    root = folder(real=False)
    backdate(root)
    recent = time.time_ns() - 1_000_000_000
    os.utime(root / "train/Cubism", ns=(recent, recent))
    scan(root)
    (root / "train/Cubism/late.jpg").write_bytes(b"x")
    os.utime(root / "train/Cubism", ns=(recent, recent))
    assert "train/Cubism/late.jpg" in scan(root).files
    assert len(walks) == 2


def test_a_change_by_a_program_that_keeps_times_is_noticed(folder: Folder, backdate: Callable):
    # rsync and tar set a folder's time to what it was where they took it from.
    root = folder(real=False)
    backdate(root)
    scan(root)
    add(root)
    os.utime(root / "train/Baroque", ns=(1, 1))
    assert "train/Baroque/new.jpg" in scan(root).files


def test_another_folder_has_another_manifest(folder: Folder, backdate: Callable, walks: list):
    one, other = folder(name="one", real=False), folder({"train": {"Baroque": 1}}, name="other", real=False)
    backdate(one)
    backdate(other)
    assert len(scan(one)) == 36
    assert len(scan(other)) == 1
    assert len(scan(one)) == 36
    assert walks == [one, other]


# -- damage, and hostile names ---------------------------------------------------------------------------------------


def test_damaged_manifests_are_ignored(folder: Folder, backdate: Callable, cache: Path):
    root = folder({"train": {"Baroque": 3, "Cubism": 2}, "test": {"Cubism": 1}}, real=False)
    backdate(root)
    expected = scan(root)
    (manifest,) = cache.glob("manifests/*.npz")
    content, dice = manifest.read_bytes(), random.Random(0)
    damages = [
        b"",
        b"PK",
        b"\x93NUMPY",
        b"no listing",
        content[:100],
        content[:-1],
        content[: len(content) // 2],
        content[1:],
    ]
    for place in dice.sample(range(len(content)), 250):
        flipped = bytearray(content)
        flipped[place] ^= 1 << dice.randrange(8)
        damages.append(bytes(flipped))
    for damaged in damages:
        manifest.write_bytes(damaged)
        assert scan(root) == expected


def test_a_truncated_manifest_is_not_trusted(folder: Folder, backdate: Callable, cache: Path):
    # A bit of a member's shape: it then ends early, before its checksum is looked at.
    root = folder(real=False)
    backdate(root)
    expected = scan(root)
    (manifest,) = cache.glob("manifests/*.npz")
    with np.load(manifest) as saved:
        members = dict(saved)
    kept = "\0".join(expected.files[:30]).encode()
    np.savez(manifest, **(members | {"files": np.frombuffer(kept, dtype=np.uint8)}))
    assert scan(root) == expected


def test_a_cache_that_cannot_be_written_is_no_error(folder: Folder, cache: Path):
    root = folder(real=False)
    cache.write_text("a file where the cache folder should be")
    assert len(scan(root)) == len(scan(root)) == 36


HOSTILE = [
    "new\nline.jpg",
    os.fsdecode(b"\xff\xfe.jpg"),
    "<b>&amp;.jpg",
    "-rf.jpg",
    "$(reboot).jpg",
    " .jpg",
    "é\u202e.jpg",
]


def test_hostile_names_survive(folder: Folder, backdate: Callable, walks: list):
    styles = ["<script>", "-Cubism", "a\nb", os.fsdecode(b"\xff"), "[red]"]
    root = folder({"train": dict.fromkeys(styles, HOSTILE)}, real=False)
    backdate(root)
    first = scan(root)
    assert {Path(file).name for file in first.files} == set(HOSTILE)
    assert set(first.styles) == set(styles)
    assert scan(root) == first
    assert len(walks) == 1
    assert len(first.fingerprint) == 16
    assert all((root / file).exists() for file in first.files)
