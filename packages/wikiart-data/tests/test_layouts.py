"""Layouts that are refused, each with a sentence about the folder that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan

Folder = Callable[..., Path]


@pytest.mark.parametrize(
    ("content", "below", "field"),
    [
        ({}, "nowhere", "nowhere"),
        ({"train": {"Baroque": 1}}, "train/Baroque/000.jpg", "train/Baroque/000.jpg"),
        ({}, "", ""),
        ({"train": {"Baroque": 1}}, "train", "train"),
        ({"deeper/train": {"Baroque": 1}}, "", "deeper"),
        ({"train/Baroque": {"1600": 1}}, "", "train/Baroque"),
        ({"train": {"": 2}}, "", "train"),
        ({"train": {"": []}}, "", "train"),
        ({"train": {"Baroque": [], "Cubism": []}}, "", ""),
        ({"train": {"Baroque": 1, "Cubism": []}}, "", "train/Cubism"),
        ({"train": {"Baroque": 1}, "test": {"": 2}}, "", "test"),
        ({"train": {"Baroque": 1}, "valid/Baroque": {"x": 2}}, "", "valid/Baroque"),
        ({"test": {"Baroque": 1}}, "", "train"),
        ({"train": {"Baroque": 1}, "val": {"Baroque": 1}, "Valid": {"Baroque": 1}}, "", "val"),
        ({"": {"": 3}}, "", ""),
        ({"one": {"Baroque": 1, "Cubism": 1}, "two": {"Baroque": 1, "Cubism": 1}}, "", ""),
    ],
)
def test_each_wrong_layout_names_the_folder(content: dict, below: str, field: str, folder: Folder, tmp_path: Path):
    (tmp_path / "data").mkdir()
    root = folder(content, real=False)
    with pytest.raises(InputError) as error:
        scan(root / below)
    assert error.value.field == str(root / field)
    assert error.value.field in str(error.value) or str(root) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("below", "use"), [("train", ""), ("..", "")])
def test_a_folder_above_or_below_the_right_one_is_told_the_right_one(below: str, use: str, folder: Folder):
    root = folder({"train": {"Baroque": 1}}, real=False)
    with pytest.raises(InputError) as error:
        scan((root / below).resolve())
    assert f"--data {root}" in str(error.value)


def test_a_name_that_no_disk_can_hold(tmp_path: Path):
    with pytest.raises(InputError) as error:
        scan(tmp_path / ("n" * 300))
    assert error.value.field == str(tmp_path / ("n" * 300))


def test_a_zip_file_is_pointed_to_import(tmp_path: Path):
    (tmp_path / "export.ZIP").write_bytes(b"PK")
    with pytest.raises(InputError) as error:
        scan(tmp_path / "export.ZIP")
    assert error.value.field == str(tmp_path / "export.ZIP")
    assert "wikiart-data import" in str(error.value)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_an_unknown_style_is_named_with_the_nearest(split: str, folder: Folder):
    root = folder({"train": {"Baroque": 1, "Cubism": 1}, split: {"Cubizm": 1}}, real=False)
    with pytest.raises(InputError) as error:
        scan(root)
    assert error.value.field == str(root / split / "Cubizm")
    assert "Cubism?" in str(error.value)
    root = folder({"train": {"Baroque": 1}, split: {"Qqqq": 1}}, name="other", real=False)
    with pytest.raises(InputError) as error:
        scan(root)
    assert error.value.field == str(root / split / "Qqqq")
    assert "?" not in str(error.value)


def test_hostile_names_are_escaped_in_sentences(folder: Folder):
    root = folder({"train": {"Baroque": 1, "a\n\x1b[2J\udcff": []}}, real=False)
    with pytest.raises(InputError) as error:
        scan(root)
    assert "a\\n\\x1b[2J\\udcff" in str(error.value)
    assert error.value.field == str(root / "train" / "a\n\x1b[2J\udcff")
