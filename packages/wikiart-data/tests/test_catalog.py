import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wikiart_data import catalog as catalog_module
from wikiart_data.catalog import Catalog, artist_of, artwork_of, scan
from wikiart_data.errors import InputError
from wikiart_data.styles import STYLES

Folder = Callable[..., Path]


def files_of(catalog: Catalog, split: str) -> list[str]:
    return [catalog.files[row] for row in catalog.rows(split)]


# -- what a folder becomes -----------------------------------------------------------------------------------------


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


def test_spellings_of_one_style_meet(folder: Folder):
    root = folder(
        {"train": {"Art_Nouveau": 2, "Art_Nouveau_Modern": 1, "baroque": 1}, "test": {"art nouveau": 3}}, real=False
    )
    catalog = scan(root)
    assert catalog.styles == ("Art_Nouveau_Modern", "Baroque")
    assert catalog.counts("train").tolist() == [3, 1]
    assert catalog.counts("test").tolist() == [3, 0]


def test_styles_of_ones_own(folder: Folder):
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


# -- wrong layouts -------------------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match=r"Qqqq is a style that train does not have\.$"):
        scan(root)


# -- the cut of a valid split --------------------------------------------------------------------------------------


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
    assert not artworks["train"] & artworks["valid"], "variants of one artwork were parted"
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


def test_styles_that_number_their_files_alike_are_cut_one_by_one(folder: Folder):
    root = folder({"train": {"Baroque": 40, "Cubism": 3, "Rococo": 20}}, real=False)
    for seed in range(8):
        assert scan(root, seed=seed).counts("valid").tolist() == [4, 0, 2]


def test_an_artwork_that_lies_in_two_styles_goes_the_same_way(folder: Folder):
    names = [f"picasso_work-{i}.jpg" for i in range(50)]
    catalog = scan(folder({"train": {"Cubism": names, "Analytical_Cubism": names}}, real=False))
    one, other = ({Path(file).name for file in files_of(catalog, "valid") if f"/{s}/" in file} for s in catalog.styles)
    assert one == other
    assert len(one) == 5


def test_an_empty_valid_folder_is_as_good_as_none(folder: Folder):
    root = folder({"train": {"Baroque": 10}, "valid": {"Baroque": []}}, real=False)
    assert scan(root).valid_was_cut


# -- the remembered listing ----------------------------------------------------------------------------------------


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were walked, in order."""
    walked, walk = [], catalog_module.walk

    def counted(root: Path, cache_dir: Path | None) -> object:
        walked.append(root)
        return walk(root, cache_dir)

    monkeypatch.setattr(catalog_module, "walk", counted)
    return walked


def same(one: Catalog, other: Catalog) -> bool:
    arrays = ("labels", "splits", "sizes", "times")
    return (one.files, one.styles) == (other.files, other.styles) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def test_a_second_scan_does_not_walk(folder: Folder, backdate: Callable, walks: list):
    root = folder(real=False)
    backdate(root)
    first = scan(root)
    second = scan(root)
    assert len(walks) == 1
    assert same(first, second)


def test_the_listing_is_kept_outside_the_data_folder(folder: Folder, snapshot: Callable, cache: Path):
    root = folder(real=False)
    before = snapshot(root)
    scan(root)
    assert snapshot(root) == before
    assert len(list(cache.glob("manifests/*.npz"))) == 1
    assert len(list(cache.rglob("*.part"))) == 0


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
    seen = scan(root)
    assert not same(before, seen)
    assert same(seen, scan(root, cache_dir=cache / "another")), "not what a fresh walk finds"


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


def test_another_folder_has_another_listing(folder: Folder, backdate: Callable, walks: list):
    one, other = folder(name="one", real=False), folder({"train": {"Baroque": 1}}, name="other", real=False)
    backdate(one)
    backdate(other)
    assert len(scan(one)) == 36
    assert len(scan(other)) == 1
    assert len(scan(one)) == 36
    assert walks == [one, other]


def test_damaged_listings_are_ignored(folder: Folder, backdate: Callable, cache: Path):
    root = folder({"train": {"Baroque": 3, "Cubism": 2}, "test": {"Cubism": 1}}, real=False)
    backdate(root)
    truth = scan(root)
    (manifest,) = cache.glob("manifests/*.npz")
    whole, dice = manifest.read_bytes(), random.Random(0)
    damages = [b"", b"PK", b"\x93NUMPY", b"no listing", whole[:100], whole[:-1], whole[: len(whole) // 2], whole[1:]]
    for place in dice.sample(range(len(whole)), 250):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << dice.randrange(8)
        damages.append(bytes(flipped))
    for damaged in damages:
        manifest.write_bytes(damaged)
        assert same(scan(root), truth)


def test_a_listing_cut_short_is_not_believed(folder: Folder, backdate: Callable, cache: Path):
    # A bit of a member's shape: it then ends early, before its checksum is looked at.
    root = folder(real=False)
    backdate(root)
    truth = scan(root)
    (manifest,) = cache.glob("manifests/*.npz")
    with np.load(manifest) as saved:
        members = dict(saved)
    kept = "\0".join(truth.files[:30]).encode()
    np.savez(manifest, **(members | {"files": np.frombuffer(kept, dtype=np.uint8)}))
    assert same(scan(root), truth)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(folder: Folder, cache: Path):
    root = folder(real=False)
    cache.write_text("a file where the cache folder should be")
    assert len(scan(root)) == len(scan(root)) == 36


# -- names ---------------------------------------------------------------------------------------------------------

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
    assert same(scan(root), first)
    assert len(walks) == 1
    assert len(first.fingerprint) == 16
    assert all((root / file).exists() for file in first.files)


def test_hostile_names_are_escaped_in_sentences(folder: Folder):
    root = folder({"train": {"Baroque": 1, "a\n\x1b[2J\udcff": []}}, real=False)
    with pytest.raises(InputError) as caught:
        scan(root)
    assert "a\\n\\x1b[2J\\udcff holds no pictures" in str(caught.value)


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
    ],
)
def test_what_a_name_tells(file: str, artist: str, artwork: str):
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
def test_a_damaged_list_of_artists_is_no_disaster(content: bytes, folder: Folder):
    root = folder({"train": {"Baroque": ["a.jpg", "rubens_b.jpg"]}}, real=False)
    (root / "artists.csv").write_bytes(content)
    assert scan(root).artists == ("", "rubens")


def test_the_order_does_not_depend_on_the_hash_seed(folder: Folder):
    root = folder({"train": dict.fromkeys(STYLES, 1), "test": {"Rococo": 1, "art nouveau": 1}}, real=False)
    program = (
        "import sys; from wikiart_data.catalog import scan; c = scan(sys.argv[1]); print(c.styles, c.files, c.labels)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program, str(root)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "271828")
    ]
    assert told[0] == told[1]
    assert told[0].startswith(str(STYLES))


@pytest.mark.parametrize("name", ["val", "validation"])
def test_a_valid_split_of_another_name_is_not_silently_ignored(folder: Folder, name: str):
    root = folder(real=False)
    (root / "valid").rename(root / name)
    with pytest.raises(InputError, match="rename it to 'valid'"):
        scan(root)
