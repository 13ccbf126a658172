"""Every wrong layout of a data folder is refused by a sentence of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan

Folder = Callable[..., Path]


@pytest.mark.parametrize(
    ("content", "below", "sentence"),
    [
        ({}, "nowhere", "There is no folder {root}/nowhere; expected <folder>/{{train,valid,test}}/<Style>/*.jpg."),
        ({"train": {"Baroque": 1}}, "train/Baroque/000.jpg", "000.jpg is a file, not a folder; expected"),
        ({}, "", "{root} has no folder 'train'; expected"),
        ({"train": {"Baroque": 1}}, "train", "{root}/train is one split: point to the folder above it, --data {root}."),
        ({"deeper/train": {"Baroque": 1}}, "", "{root} has no folder 'train', but {root}/deeper has: use --data"),
        ({"train/Baroque": {"1600": 1}}, "", "{root}/train/Baroque holds folders instead of pictures: the styles lie"),
        ({"Baroque": {"": 1}, "ukiyo-e": {"": 1}}, "", "{root} holds style folders but no split: move them into"),
        ({"train": {"": 2}}, "", "{root}/train holds pictures but no style folders; expected"),
        ({"train": {"": []}}, "", "{root}/train holds no style folders; expected"),
        ({"train": {"Baroque": [], "Cubism": []}}, "", "{root} holds no pictures; expected"),
        ({"train": {"Baroque": 1, "Cubism": []}}, "", "{root}/train/Cubism holds no pictures. Add some, or remove"),
        ({"train": {"Baroque": 1}, "test": {"": 2}}, "", "{root}/test holds pictures but no style folders; expected"),
        ({"train": {"Baroque": 1}, "valid/Baroque": {"x": 2}}, "", "{root}/valid/Baroque holds folders instead of"),
        ({"test": {"Baroque": 1}}, "", "{root} has no folder 'train'; expected"),
        ({}, "n" * 300, "cannot be read: File name too long."),
    ],
)
def test_each_wrong_layout_has_its_sentence(content: dict, below: str, sentence: str, folder: Folder, tmp_path: Path):
    (tmp_path / "data").mkdir()
    root = folder(content, real=False)
    with pytest.raises(InputError) as caught:
        scan(root / below)
    assert sentence.format(root=root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_zip_file_is_pointed_to_import(tmp_path: Path):
    (tmp_path / "export.ZIP").write_bytes(b"PK")
    with pytest.raises(InputError, match="Unpack it first: wikiart-data import"):
        scan(tmp_path / "export.ZIP")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_an_unknown_style_is_named_with_the_nearest(split: str, folder: Folder):
    root = folder({"train": {"Baroque": 1, "Cubism": 1}, split: {"Cubizm": 1}}, real=False)
    with pytest.raises(
        InputError, match=rf"{split}/Cubizm is a style that train does not have\. Did you mean Cubism\?"
    ):
        scan(root)
    root = folder({"train": {"Baroque": 1}, split: {"Qqqq": 1}}, name="other", real=False)
    with pytest.raises(InputError, match=r"Qqqq is a style that train does not have\. Rename or remove the folder"):
        scan(root)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_a_valid_split_of_another_name_is_not_silently_ignored(folder: Folder, name: str):
    root = folder(real=False)
    (root / "valid").rename(root / name)
    with pytest.raises(InputError, match="rename it to 'valid'"):
        scan(root)


def test_hostile_names_are_escaped_in_sentences(folder: Folder):
    root = folder({"train": {"Baroque": 1, "a\n\x1b[2J\udcff": []}}, real=False)
    with pytest.raises(InputError) as caught:
        scan(root)
    assert "a\\n\\x1b[2J\\udcff holds no pictures" in str(caught.value)
