"""The forms in which collections of paintings are passed around: each becomes the right catalog."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.images import formats, manifest
from wikiart_data.images.catalog import scan
from wikiart_data.images.names import artwork_of

from .conftest import labels_of, printed, touch

Folder = Callable[..., Path]


# -- split folders by other names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("valid", ["val", "Validation", "VALID", "dev"])
def test_split_folders_of_other_names(valid: str, folder: Folder):
    root = folder({"Train": {"Baroque": 3}, valid: {"Baroque": 2}, "TEST": {"Baroque": 1}}, real=False)
    catalog = scan(root)
    assert [len(catalog.rows(split)) for split in ("train", "valid", "test")] == [3, 2, 1]
    assert not catalog.valid_was_cut
    assert catalog.files[0] == "Train/Baroque/000.jpg"
    assert catalog.notes == ()


def test_folders_that_are_not_used_are_named(folder: Folder, capsys: pytest.CaptureFixture):
    content = {"train": {"Baroque": 3}, "valid": {"Baroque": 1}, "test": {"Baroque": 1}, "extra": {"Baroque": 2}}
    root = folder(content, real=False)
    (root / "empty").mkdir()
    (root / ".cache" / "x").mkdir(parents=True)
    catalog = scan(root)
    assert len(catalog) == 5
    assert "extra/" in printed(catalog)
    assert "empty" not in printed(catalog)
    assert capsys.readouterr().out.count("extra/") == 1
    scan(root)
    assert capsys.readouterr().out == "", "a note is printed once per process"


def test_train_alone_says_that_there_is_no_test(folder: Folder):
    catalog = scan(folder({"train": {"Baroque": 10}}, real=False))
    assert catalog.valid_was_cut
    assert "no test split" in printed(catalog)


def test_pictures_outside_of_style_folders_are_named(folder: Folder):
    root = folder({"train": {"Baroque": 3, "": ["loose.jpg"]}, "test": {"Baroque": 1}}, real=False)
    touch(root, ["cover.png", "train/Baroque/details/eye.jpg", "train/Baroque/.thumbs/a.jpg", "train/README.txt"])
    catalog = scan(root)
    assert len(catalog) == 4
    notes = printed(catalog)
    for words in ("2 pictures are in no style folder", "cover.png", "train/loose.jpg", "train/Baroque/details/"):
        assert words in notes
    assert ".thumbs" not in notes
    assert scan(root, cache_dir=root.parent / "other").notes == catalog.notes == scan(root).notes


def test_what_a_network_disk_leaves_behind_is_no_style(folder: Folder):
    content = {"train": {"Baroque": 3, "@eaDir": 2, "__MACOSX": 1}, "test": {"Baroque": 1}}
    assert scan(folder(content, real=False)).styles == ("Baroque",)


# -- spellings -----------------------------------------------------------------------------------------------------


def test_unicode_forms_across_splits_are_one_style(folder: Folder):
    composed, decomposed = (unicodedata.normalize(form, "Naïve Kunst") for form in ("NFC", "NFD"))
    assert composed != decomposed
    catalog = scan(folder({"train": {decomposed: 3, "Baroque": 1}, "test": {composed: 2}}, real=False))
    assert catalog.styles == ("Baroque", composed)
    assert catalog.counts("test").tolist() == [0, 2]


@pytest.mark.parametrize(
    "spelling", ["art-brut", "ART_BRUT", "Art Brut ", "\u200bArt Brut", "Art\u00a0Brut", "art brut\ufeff"]
)
def test_spellings_of_an_own_style_are_one_style(spelling: str, folder: Folder):
    catalog = scan(folder({"train": {"Art Brut": 3, "Baroque": 1}, "test": {spelling: 2}}, real=False))
    assert catalog.styles == ("Art Brut", "Baroque")
    assert catalog.counts("test").tolist() == [2, 0]


def test_the_spelling_of_most_training_pictures_is_kept(folder: Folder):
    catalog = scan(folder({"train": {"art brut": 1, "Art-Brut": 4}, "test": {"ART BRUT": 9}}, real=False))
    assert catalog.styles == ("Art-Brut",)
    assert len(catalog.rows("train")) + len(catalog.rows("valid")) == 5


# -- style folders without splits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("styles", [("landscape", "portrait"), ("a", "b", "c", "d", "e"), ("only",)])
def test_a_flat_folder_is_cut_by_artwork(styles: tuple[str, ...], folder: Folder):
    variants = [f"monet_lilies-{i}_jpg.rf.{v}a.jpg" for i in range(40) for v in range(2)]
    root = folder({style: {"": variants} for style in styles}, real=False)
    catalog = scan(root)
    assert catalog.styles == styles
    for split, artworks in (("train", 32), ("valid", 4), ("test", 4)):
        assert catalog.counts(split).tolist() == [2 * artworks] * len(styles)
    splits_of: dict[tuple[int, str], set[str]] = {}
    for file, label, split in zip(catalog.files, catalog.labels.tolist(), catalog.splits.tolist(), strict=True):
        splits_of.setdefault((label, artwork_of(file)), set()).add(split)
    assert {len(splits) for splits in splits_of.values()} == {1}, "variants of one artwork were separated"
    assert "no splits" in printed(catalog)
    assert labels_of(scan(root)) == labels_of(catalog)
    assert labels_of(scan(root, seed=1)) != labels_of(catalog)


def test_style_folders_one_folder_further_in(folder: Folder):
    root = folder({"wikiart/Baroque": {"": 10}, "wikiart/Cubism": {"": 2}}, real=False)
    (root / "notes").mkdir()
    (root / "notes" / "read.txt").write_text("hello")
    catalog = scan(root)
    assert catalog.styles == ("Baroque", "Cubism")
    assert [catalog.counts(split).tolist() for split in ("train", "valid", "test")] == [[8, 2], [1, 0], [1, 0]]
    assert "notes/" in printed(catalog)


def test_best_artworks_of_kaggle(tmp_path: Path):
    files = [f"images/images/{artist}/{artist}_{n}.jpg" for artist in ("Titian", "Paul_Klee") for n in range(4)]
    files += [f"resized/resized/{artist}_{n}.jpg" for artist in ("Titian", "Paul_Klee") for n in range(4)]
    root = touch(tmp_path / "data", files)
    (root / "artists.csv").write_text("id,name,years,genre\n0,Titian,1488 - 1576,High Renaissance\n")
    catalog = scan(root)
    assert catalog.styles == ("Paul_Klee", "Titian")
    assert len(catalog) == 8
    assert "resized/" in printed(catalog)


def test_three_hundred_styles(folder: Folder):
    catalog = scan(folder({"train": {f"style {n:03d}": 2 for n in range(300)}}, real=False))
    assert len(catalog.styles) == 300
    assert catalog.counts("train").tolist() == [2] * 300


# -- forms from public reports ------------------------------------------------------------------------------------


def test_delaunay_lies_two_folders_deep(tmp_path: Path):
    # camillegontier/DELAUNAY_dataset: images/DELAUNAY/<Artist>/11.jpg
    files = [f"images/DELAUNAY/{artist}/{n}.jpg" for artist in ("Ad Reinhardt", "Yves Klein") for n in range(10)]
    catalog = scan(touch(tmp_path / "data", files))
    assert catalog.styles == ("Ad Reinhardt", "Yves Klein")
    assert catalog.counts("train").tolist() == [8, 8]


def test_what_jupyter_and_macos_leave_behind(folder: Folder):
    # pytorch/vision issues 109 and 2831: .DS_Store and .ipynb_checkpoints were taken for classes.
    root = folder({"train": {"Baroque": 2, ".ipynb_checkpoints": 2}, "test": {"Baroque": 1}}, real=False)
    (root / "train" / ".DS_Store").touch()
    (root / "train" / "Baroque" / "._000.jpg").touch()
    assert labels_of(scan(root)).keys() == {"train/Baroque/000.jpg", "train/Baroque/001.jpg", "test/Baroque/000.jpg"}


# -- formats -------------------------------------------------------------------------------------------------------


def test_pictures_are_recognised_by_content_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(
        tmp_path / "data",
        ["train/Baroque/a.jpg", "train/Baroque/b.JFIF", "train/Baroque/c.avif", "train/Baroque/d.jp2"],
    )
    style = root / "train/Baroque"
    for name in ("no-ending", "e.jpg?size=large", "f.jpg!Large.jpg", "g.weird"):
        Image.new("RGB", (4, 4)).save(style / name, "JPEG")
    for name in ("h.jpg.part", "i.jpg~", "j.jpg_original", "k.jpg.crdownload"):
        Image.new("RGB", (4, 4)).save(style / name, "JPEG")
    (style / "l.heic").write_bytes(b"x")
    (style / "m").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)
    (style / "n.jxl").write_bytes(b"\xff\x0a")
    (style / "o.NEF").write_bytes(b"II*\0" + b"\0" * 60)
    (style / "p.svg").write_text("<svg></svg>")
    (style / "notes").write_text("BMs are fine, P6 too")
    catalog = scan(root)
    read = {file.rpartition("/")[2] for file in catalog.files}
    assert read == {"a.jpg", "b.JFIF", "c.avif", "d.jp2", "no-ending", "e.jpg?size=large", "f.jpg!Large.jpg", "g.weird"}
    (note,) = (note for note in catalog.notes if "not read" in note)
    for words in (
        "5 pictures",
        "2 HEIC",
        "1 JPEG XL",
        "1 camera raw",
        "1 SVG",
        "train/Baroque/l.heic",
        "--extra formats",
    ):
        assert words in note


def test_links_to_files_that_are_gone_are_counted(folder: Folder, tmp_path: Path):
    root = folder({"train": {"Baroque": 3}}, real=False)
    (root / "train/Baroque/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "train/Baroque/there.jpg").symlink_to(root / "train/Baroque/000.jpg")
    catalog = scan(root)
    assert len(catalog) == 4
    (note,) = (note for note in catalog.notes if "not read" in note)
    assert "1 broken link (train/Baroque/gone.jpg)" in note


def test_a_style_of_heic_alone_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(tmp_path / "data", ["train/Baroque/a.jpg", "train/Cubism/b.heic"])
    with pytest.raises(InputError) as error:
        scan(root)
    assert error.value.field == str(root / "train/Cubism")
    assert "--extra formats" in str(error.value)


def test_with_the_plugin_the_folder_is_walked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backdate: Callable
):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(tmp_path / "data", ["train/Baroque/a.jpg", "train/Baroque/b.heic"])
    backdate(root)
    assert len(scan(root)) == 1
    monkeypatch.setattr(formats, "has_plugin", lambda kind: True)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: True)
    assert len(scan(root)) == 2
