"""A folder becomes a catalog: styles and splits by name, a cut where valid is missing, artists, a fingerprint."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.names import artist_of, artwork_of
from wikiart_data.styles import STYLES

Folder = Callable[..., Path]


def files_of(catalog: Catalog, split: str) -> list[str]:
    return [catalog.files[row] for row in catalog.rows(split)]


# -- what a folder becomes -------------------------------------------------------------------------------------------


def test_a_catalog(folder: Folder):
    root = folder(real=False)
    catalog = scan(root)
    assert catalog.root == root
    assert catalog.styles == ("Baroque", "Cubism", "Rococo", "Ukiyo_e")
    assert len(catalog) == 36
    assert not catalog.valid_was_cut
    assert catalog.counts("train").tolist() == [12, 6, 4, 3]
    assert catalog.counts("valid").tolist() == [2, 1, 1, 1]
    assert catalog.counts("test").tolist() == [3, 2, 0, 1]
    for file, label, split, size, when in zip(
        catalog.files, catalog.labels, catalog.splits, catalog.sizes, catalog.times, strict=True
    ):
        assert file.split("/")[:2] == [split, catalog.styles[label]]
        assert ((root / file).stat().st_size, (root / file).stat().st_mtime_ns) == (size, when)
    assert files_of(catalog, "test") == [
        *(f"test/Baroque/00{i}.jpg" for i in range(3)),
        *(f"test/Cubism/00{i}.jpg" for i in range(2)),
        "test/Ukiyo_e/000.jpg",
    ]
    assert sorted(np.concatenate([catalog.rows(split) for split in ("train", "valid", "test")])) == list(range(36))


def test_repr_is_one_line_and_equality_compares_arrays(folder: Folder):
    root = folder(real=False)
    catalog, again = scan(root), scan(root)
    assert repr(catalog) == f"Catalog('{root}': 36 pictures in 4 styles; train 25, valid 5, test 6)"
    assert catalog == again
    assert hash(catalog) == hash(again)
    labels = catalog.labels.copy()
    labels[0] += 1
    assert catalog != replace(catalog, labels=labels)
    assert catalog != root


@pytest.mark.parametrize("split", ["val", "Train", "all"])
def test_a_split_that_does_not_exist_is_refused(split: str, folder: Folder):
    catalog = scan(folder(real=False))
    for method in (catalog.rows, catalog.counts):
        with pytest.raises(InputError) as error:
            method(split)
        assert error.value.field == "split"


def test_a_test_split_of_26_styles_maps_by_name(folder: Folder):
    lacking = "Analytical_Cubism"  # an early one: mapping by position would shift all that follow
    root = folder(
        {
            "train": dict.fromkeys(reversed(STYLES), 1),
            "test": {style: 1 for style in STYLES if style != lacking},
        },
        real=False,
    )
    catalog = scan(root)
    assert catalog.styles == STYLES
    assert catalog.counts("test").tolist() == [int(style != lacking) for style in STYLES]
    for row in catalog.rows("test"):
        assert catalog.files[row] == f"test/{STYLES[catalog.labels[row]]}/000.jpg"


def test_spellings_of_one_style_are_joined(folder: Folder):
    root = folder(
        {"train": {"Art_Nouveau": 2, "Art_Nouveau_Modern": 1, "baroque": 1}, "test": {"art nouveau": 3}}, real=False
    )
    catalog = scan(root)
    assert catalog.styles == ("Art_Nouveau_Modern", "Baroque")
    assert catalog.counts("train").tolist() == [3, 1]
    assert catalog.counts("test").tolist() == [3, 0]


def test_own_styles(folder: Folder):
    catalog = scan(folder({"train": {"zebras": 1, "Apes": 2, "Café": 1}, "test": {"Café": 1}}, real=False))
    assert catalog.styles == ("Apes", "Café", "zebras")
    assert catalog.counts("test").tolist() == [0, 1, 0]


def test_what_is_no_picture_is_ignored(folder: Folder):
    root = folder({"train": {"Baroque": ["a.jpg", "b.JPEG", "c.Png", "d.webp", "e.tif"], ".git": 2}}, real=False)
    for name in (".hidden.jpg", "Thumbs.db", "notes.txt", "picture.jpg.part"):
        (root / "train" / "Baroque" / name).write_text("x")
    (root / "train" / "Baroque" / "folder.jpg").mkdir()
    (root / "train" / "README.jpg").write_text("x")  # beside the style folders
    (root / ".cache" / "train" / "Cubism").mkdir(parents=True)
    catalog = scan(root)
    assert catalog.styles == ("Baroque",)
    found = {Path(file).name for file in catalog.files}
    assert found == {"a.jpg", "b.JPEG", "c.Png", "d.webp", "e.tif"}


def test_linked_folders_are_followed(folder: Folder, tmp_path: Path):
    there = folder(name="there", real=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train").symlink_to(there / "train")
    assert scan(tmp_path / "here").styles == ("Baroque", "Cubism", "Rococo", "Ukiyo_e")


def test_the_order_does_not_depend_on_the_hash_seed(folder: Folder):
    root = folder({"train": dict.fromkeys(STYLES, 1), "test": {"Rococo": 1, "art nouveau": 1}}, real=False)
    program = "import sys; from wikiart_data import scan; c = scan(sys.argv[1]); print(c.styles, c.files, c.labels)"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, str(root)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "271828")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith(str(STYLES))


def test_fingerprint(folder: Folder, tmp_path: Path):
    root = folder(real=False)
    original = scan(root).fingerprint
    shutil.copytree(root, tmp_path / "copy")
    assert scan(tmp_path / "copy").fingerprint == original
    assert len(original) == 16
    assert int(original, 16) >= 0
    (tmp_path / "copy/test/Baroque/000.jpg").write_bytes(b"of another size than before, surely")
    changed = scan(tmp_path / "copy").fingerprint
    (tmp_path / "copy/train/Cubism/000.jpg").rename(tmp_path / "copy/train/Cubism/900.jpg")
    renamed = scan(tmp_path / "copy").fingerprint
    assert len({original, changed, renamed}) == 3


# -- the cut of a valid split ----------------------------------------------------------------------------------------


def cut_folder(folder: Folder, name: str = "data") -> Path:
    variants = [f"monet_lilies-{i}_jpg.rf.{v:04x}a.jpg" for i in range(40) for v in range(1 + i % 3)]
    return folder(
        {
            "train": {
                "Baroque": variants,
                "Cubism": [f"{i:03d}.jpg" for i in range(25)],
                "Rococo": 4,
                "Ukiyo_e": 3,
                "Pop_Art": ["x_jpg.rf.1.jpg", "x_jpg.rf.2.jpg", "x_jpg.rf.3.jpg", "x_JPG.rf.4.jpg", "y.jpg"],
            },
            "test": {"Baroque": 2},
        },
        name,
        real=False,
    )


def test_without_valid_a_tenth_of_the_artworks_is_taken(folder: Folder):
    catalog = scan(cut_folder(folder))
    assert catalog.valid_was_cut
    artworks = {
        split: {(catalog.labels[row], artwork_of(catalog.files[row])) for row in catalog.rows(split)}
        for split in ("train", "valid")
    }
    assert not artworks["train"] & artworks["valid"], "variants of one artwork were separated"
    taken = np.bincount([label for label, _ in artworks["valid"]], minlength=5)
    # Baroque, Cubism, Pop_Art, Rococo, Ukiyo_e: a tenth of 40 and of 25, none of 2 and of 3, at least one of 4
    assert taken.tolist() == [4, 2, 0, 1, 0]
    assert catalog.counts("train").min() >= 3
    assert len(catalog.rows("test")) == 2
    assert all(catalog.files[row].startswith("train/") for row in catalog.rows("valid"))


def test_the_cut_is_seeded(folder: Folder):
    root = cut_folder(folder)
    assert files_of(scan(root), "valid") == files_of(scan(root), "valid")
    cuts = {tuple(files_of(scan(root, seed=seed), "valid")) for seed in range(4)}
    assert len(cuts) > 1


def test_the_cut_is_the_same_for_a_copy(folder: Folder):
    assert files_of(scan(cut_folder(folder)), "valid") == files_of(scan(cut_folder(folder, "copy")), "valid")


def test_styles_with_equally_numbered_files_are_cut_separately(folder: Folder):
    root = folder({"train": {"Baroque": 40, "Cubism": 3, "Rococo": 20}}, real=False)
    for seed in range(8):
        assert scan(root, seed=seed).counts("valid").tolist() == [4, 0, 2]


def test_an_artwork_in_two_styles_goes_to_the_same_split(folder: Folder):
    names = [f"picasso_work-{i}.jpg" for i in range(50)]
    catalog = scan(folder({"train": {"Cubism": names, "Analytical_Cubism": names}}, real=False))
    one, other = ({Path(file).name for file in files_of(catalog, "valid") if f"/{s}/" in file} for s in catalog.styles)
    assert one == other
    assert len(one) == 5


def test_an_empty_valid_folder_counts_as_missing(folder: Folder):
    root = folder({"train": {"Baroque": 10}, "valid": {"Baroque": []}}, real=False)
    assert scan(root).valid_was_cut


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "artist", "artwork"),
    [
        ("train/Impressionism/claude-monet_water-lilies.jpg", "claude-monet", "claude-monet_water-lilies"),
        ("claude-monet_lilies_jpg.rf.0a1b2c.jpg", "claude-monet", "claude-monet_lilies"),
        ("Claude-Monet_Lilies_JPG.rf.0a1B2c.jpg", "Claude-Monet", "claude-monet_lilies"),
        ("lilies_jpg.rf.0a1b2c.jpg", "", "lilies"),
        ("lilies_png.rf.0a1b2c.jpg", "", "lilies"),
        ("lilies.jpg", "", "lilies"),
        ("st.peter.v2.jpg", "", "st.peter.v2"),
        ("IMG_0001.jpg", "", "img_0001"),
        ("train/Cubism/dsc_0042.jpg", "", "dsc_0042"),
        ("train/Cubism/Cubism_003.jpg", "", "cubism_003"),
        ("art-nouveau_003.jpg", "", "art-nouveau_003"),
        ("Art_Nouveau_Modern_003.jpg", "", "art_nouveau_modern_003"),
        ("Titian/Titian_003.jpg", "Titian", "titian_003"),  # artists as classes
        ("imgard-meier_realism_1.jpg", "imgard-meier", "imgard-meier_realism_1"),
    ],
)
def test_artist_and_artwork_from_a_name(file: str, artist: str, artwork: str):
    assert artist_of(file) == artist
    assert artwork_of(file) == artwork


def test_artists_from_a_list_and_from_names(folder: Folder):
    root = folder({"train": {"Baroque": ["a.jpg", "rubens_b.jpg", "rubens_c.jpg"]}}, real=False)
    assert scan(root).artists == ("", "rubens", "rubens")
    (root / "artists.csv").write_text(
        'file,artist\ntrain/Baroque/a.jpg,"Gentileschi, Artemisia"\ntrain/Baroque/rubens_b.jpg,Peter Paul Rubens\n'
    )
    assert scan(root).artists == ("Gentileschi, Artemisia", "Peter Paul Rubens", "rubens")


@pytest.mark.parametrize(
    "content", [b"", b"name,painter\nx,y\n", b"\xff\xfe\x00", b"file,artist\ntrain/Baroque/a.jpg\n"]
)
def test_a_damaged_list_of_artists_is_ignored(content: bytes, folder: Folder):
    root = folder({"train": {"Baroque": ["a.jpg", "rubens_b.jpg"]}}, real=False)
    (root / "artists.csv").write_bytes(content)
    assert scan(root).artists == ("", "rubens")


@pytest.mark.parametrize(
    "content",
    [
        "file;artist;year\ntrain/Baroque/a.jpg;Dürer;1500\n".encode("cp1252"),
        "File,Artist\r\ntrain/Baroque/a.jpg,Dürer\r\n".encode("utf-16"),
        "artist\tfile\nDürer\ttrain/Baroque/a.jpg\n".encode("utf-8-sig"),
    ],
)
def test_a_list_of_artists_from_any_spreadsheet(folder: Folder, content: bytes):
    root = folder({"train": {"Baroque": ["a.jpg"]}}, real=False)
    (root / "artists.csv").write_bytes(content)
    assert scan(root).artists == ("Dürer",)


@pytest.mark.parametrize("content", ["id,name\n1,Titian\n", ""])
def test_a_list_of_artists_without_the_columns_is_named(folder: Folder, content: str):
    root = folder({"train": {"Baroque": ["rubens_a.jpg"]}, "test": {"Baroque": 1}}, real=False)
    (root / "artists.csv").write_text(content)
    catalog = scan(root)
    assert catalog.artists[0] == "rubens"
    assert any("artists.csv" in note for note in catalog.notes)
