"""`wikiart-data organise`: the standard layout from any form, by links or copies."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wikiart_data.acquire.organise import organise
from wikiart_data.cli.main import main
from wikiart_data.cli.options import OrganiseOptions
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan

Folder = Callable[..., Path]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Style folders, and a table with subsets and artists that the file names do not tell."""
    root = tmp_path / "kaggle"
    rows = [("Baroque/1.jpg", "Rubens", "train"), ("Baroque/2.jpg", "Titian", "test"), ("Cubism/1.jpg", "", "train")]
    for number, (file, _, _) in enumerate(rows):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x" * (number + 1))
    (root / "classes.csv").write_text("\n".join(["filename,artist,subset", *map(",".join, rows)]))
    return root


@pytest.mark.parametrize("copy", [False, True])
def test_a_table_becomes_folders(copy: bool, kaggle: Path, tmp_path: Path, snapshot: Callable):
    before = snapshot(kaggle)
    organise(OrganiseOptions(str(kaggle), tmp_path / "made" / "paintings", copy=copy))
    made = tmp_path / "made" / "paintings"
    assert tree(made) == {
        "train/Baroque/1.jpg": b"x",
        "test/Baroque/2.jpg": b"xx",
        "train/Cubism/1.jpg": b"xxx",
        "artists.csv": b"file,artist\ntrain/Baroque/1.jpg,Rubens\ntest/Baroque/2.jpg,Titian\n",
    }
    assert (made / "train/Baroque/1.jpg").is_symlink() is not copy
    assert snapshot(kaggle) == before
    catalog = scan(made)
    assert catalog.styles == scan(kaggle).styles
    assert catalog.artists == scan(kaggle).artists == ("Rubens", "", "Titian")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["paintings"], "nothing temporary is left"


def test_the_splits_are_those_that_a_run_would_use(folder: Folder, tmp_path: Path):
    root = folder({"portrait": {"": 40}, "landscape": {"": 20}}, real=False)
    organise(OrganiseOptions(str(root), tmp_path / "made"))
    source, made = scan(root), scan(tmp_path / "made")
    assert not made.valid_was_cut
    for split in ("train", "valid", "test"):
        assert made.counts(split).tolist() == source.counts(split).tolist()
        names = {file.rpartition("/")[2] for file in (source.files[row] for row in source.rows(split))}
        assert {made.files[row].rpartition("/")[2] for row in made.rows(split)} == names


def test_names_are_made_safe_and_kept_apart(folder: Folder, tmp_path: Path):
    root = folder({"train": {"art brut": ["A.jpg"], "Art-Brut": ["a.jpg", "b?.jpg", os.fsdecode(b"\xff.jpg")]}})
    organise(OrganiseOptions(str(root), tmp_path / "made", copy=True))
    files = sorted(tree(tmp_path / "made" / "train"))
    assert [Path(file).parent.as_posix() for file in files] == ["Art-Brut"] * 4
    assert len({file.casefold() for file in files}) == 4
    assert "Art-Brut/b_.jpg" in files


def test_by_artist(kaggle: Path, tmp_path: Path):
    arguments = ["organise", str(kaggle), "--to", str(tmp_path / "made"), "--label-column", "artist"]
    assert main(arguments) == 0
    assert scan(tmp_path / "made").styles == ("Rubens",), "nobody can learn an artist whom only test has"


@pytest.mark.parametrize("place", ["full", "inside", "file", "source"])
def test_targets_in_the_way(place: str, kaggle: Path, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    target = {"full": tmp_path / "full", "inside": kaggle / "new", "file": tmp_path / "file", "source": kaggle}[place]
    with pytest.raises(InputError) as error:
        organise(OrganiseOptions(str(kaggle), target))
    assert error.value.field in ("--to", str(target))
    assert (tmp_path / "full" / "mine.txt").exists()
    assert not (kaggle / "new").exists()


def test_a_full_disk_leaves_nothing(kaggle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copy2", full)
    (tmp_path / "disk").mkdir()
    with pytest.raises(InputError) as error:
        organise(OrganiseOptions(str(kaggle), tmp_path / "disk" / "made", copy=True))
    assert error.value.field == str(tmp_path / "disk" / "made")
    assert list((tmp_path / "disk").iterdir()) == []
