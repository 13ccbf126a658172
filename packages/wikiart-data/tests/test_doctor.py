import io
import json
import subprocess
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from wikiart_data.console import echo_to_stderr
from wikiart_data.doctor.doctor import DoctorOptions, doctor
from wikiart_data.doctor.duplicates import artwork_key, perceptual_hash, similar_pairs
from wikiart_data.doctor.duplicates import groups as groups_of_rows
from wikiart_data.doctor.findings import KNOWN_BAD

EXIF_ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path_factory.mktemp("cache")))


def painting(seed, size=(160, 120)):
    """Large shapes and finer ones, different for every seed."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (3 * n, 4 * n, 3), dtype=np.uint8) for n in (2, 6, 12)]
    coarse, middle, fine = (Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC) for layer in layers)
    return Image.blend(Image.blend(coarse, middle, 0.4), fine, 0.3)


def save(picture, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


@pytest.fixture
def data(tmp_path):
    """Two styles in three splits, eight different paintings, nothing wrong."""
    seed = 0
    for split, count in (("train", 2), ("valid", 1), ("test", 1)):
        for style in ("Baroque", "Cubism"):
            for _ in range(count):
                save(painting(seed), tmp_path / "data" / split / style / f"artist-{seed}_work.jpg", quality=95)
                seed += 1
    return tmp_path / "data"


def run(data, capsys, **options):
    with echo_to_stderr():  # as the command line does for --json
        status = doctor(DoctorOptions(data=str(data), json=True, **options))
    out = capsys.readouterr().out
    report = json.loads(out)
    assert report["status"] == status
    return status, {finding["kind"]: finding for finding in report["findings"]}, report


def groups(finding):
    return sorted(sorted(example["files"]) for example in finding["examples"])


def test_a_sound_folder_is_status_0_and_counted(data, capsys):
    before = sorted(data.rglob("*"))
    status, found, report = run(data, capsys)
    assert status == 0
    assert {finding["level"] for finding in found.values()} == {"note"}
    assert report["pictures"] == 8
    assert report["counts"] == {
        "train": {"Baroque": 2, "Cubism": 2},
        "valid": {"Baroque": 1, "Cubism": 1},
        "test": {"Baroque": 1, "Cubism": 1},
    }
    assert report["machine"]["disk"]["files_per_s"] > 0
    assert report["machine"]["cache"]["needed"] == 8 * 147 * 147 * 3
    assert sorted(data.rglob("*")) == before  # nothing was written


def test_unreadable_files_are_named_with_their_reason(data, capsys):
    whole = io.BytesIO()
    painting(100).save(whole, "JPEG")
    folder = data / "train" / "Cubism"
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<html>404</html>")
    huge = io.BytesIO()
    Image.new("RGB", (1, 1)).save(huge, "PNG")
    header = bytearray(huge.getvalue())
    header[16:24] = (13_000).to_bytes(4, "big") * 2  # 169 million pixels, says the header and nothing else
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(header)
    (data / "train" / "Baroque" / f"{KNOWN_BAD[1][1]}.jpg").write_bytes(b"\xff\xd8\xff")
    status, found, _ = run(data, capsys)
    why = {example["files"][0]: example["why"] for example in found["unreadable"]["examples"]}
    assert status == 2
    assert found["unreadable"]["level"] == "stop"
    assert why["train/Cubism/empty.jpg"] == "empty file"
    assert "truncated" in why["train/Cubism/cut.jpg"]
    assert "not a picture" in why["train/Cubism/page.jpg"]
    assert "150,000,000" in why["train/Cubism/bomb.png"]
    assert why[f"train/Baroque/{KNOWN_BAD[1][1]}.jpg"].endswith("(known to be damaged in WikiArt itself)")
    assert len(why) == 5


def test_few_unreadable_files_are_survived(data, capsys):
    for number in range(200):
        save(painting(number + 1000, (64, 64)), data / "train" / "Cubism" / f"{number}.jpg")
    (data / "train" / "Cubism" / "empty.jpg").touch()
    status, found, _ = run(data, capsys, no_near=True)
    assert (status, found["unreadable"]["level"]) == (1, "warn")
    assert [e["files"] for e in found["unreadable"]["examples"]] == [["train/Cubism/empty.jpg"]]


def test_odd_kinds_are_notes(data, capsys):
    folder = data / "train" / "Cubism"
    turned = Image.Exif()
    turned[EXIF_ORIENTATION] = 6
    save(painting(20).convert("CMYK"), folder / "cmyk.jpg")
    save(painting(21).convert("L"), folder / "grey.jpg")
    save(painting(22).convert("P"), folder / "palette.png")
    save(painting(23).convert("RGBA"), folder / "alpha.png")
    deep = np.asarray(painting(24).convert("L")).astype(np.uint16) * 257
    save(Image.fromarray(deep), folder / "deep.png")
    save(painting(25), folder / "turned.jpg", exif=turned)
    save(painting(26), folder / "webp.jpg", format="WEBP")
    save(painting(27), folder / "two.mpo", format="MPO", save_all=True, append_images=[painting(28)])
    save(painting(29), folder / "plain.png")
    dark = np.asarray(painting(30).convert("L")).astype(np.uint16) * 16
    save(Image.fromarray(dark), folder / "dark.png")
    save(painting(31), folder / "broken.jpg", icc_profile=b"no profile at all, " * 10)
    save(painting(32), folder / "no-ending", format="JPEG")
    status, found, _ = run(data, capsys)
    why = {example["files"][0].rpartition("/")[2]: example["why"] for example in found["odd"]["examples"]}
    assert status == 0
    assert why == {
        "cmyk.jpg": "CMYK",
        "grey.jpg": "grey",
        "palette.png": "palette",
        "alpha.png": "transparent",
        "deep.png": "16 bits or more a channel",
        "turned.jpg": "EXIF-rotated",
        "webp.jpg": "WEBP named .jpg",
        "two.mpo": "MPO, several frames",
        "dark.png": "12 bits in 16",
        "broken.jpg": "broken colour profile",
        "no-ending": "JPEG without an ending",
    }


def test_the_same_bytes_and_pixels_and_look(data, capsys):
    train, test = data / "train", data / "test"
    original = save(painting(50), train / "Baroque" / "a.png")
    (test / "Baroque" / "b.png").write_bytes(original.read_bytes())
    one = save(painting(51), train / "Cubism" / "c.png")
    save(Image.open(one), train / "Baroque" / "d.png", compress_level=1)
    save(painting(52, (300, 225)), train / "Cubism" / "e.jpg", quality=95)
    save(painting(52, (300, 225)).resize((110, 110)), train / "Cubism" / "f.jpg", quality=50)
    status, found, _ = run(data, capsys)
    assert status == 1
    assert groups(found["two_splits"]) == [["test/Baroque/b.png", "train/Baroque/a.png"]]
    assert found["two_splits"]["examples"][0]["why"] == "same bytes: train, test"
    assert groups(found["two_styles"]) == [["train/Baroque/d.png", "train/Cubism/c.png"]]
    assert found["two_styles"]["examples"][0]["why"] == "same pixels"
    assert groups(found["duplicates"]) == [["train/Cubism/e.jpg", "train/Cubism/f.jpg"]]
    assert found["duplicates"]["examples"][0]["why"] == "look alike"
    status, found, _ = run(data, capsys, strict=True)
    assert (status, found["two_splits"]["level"]) == (2, "stop")
    _, found, _ = run(data, capsys, no_near=True)
    assert "duplicates" not in found


def test_variants_of_one_artwork_by_name(data, capsys):
    for split, seed, mark in (("train", 60, "aa11"), ("train", 61, "bb22"), ("test", 62, "cc33")):
        save(painting(seed), data / split / "Cubism" / f"georges-braque_violin_jpg.rf.{mark}.jpg")
    status, found, _ = run(data, capsys, strict=True)
    assert status == 1  # a name alone does not make --strict refuse
    assert found["two_splits"]["what"] == "1 artwork in two splits: 1 same name"
    assert len(found["two_splits"]["examples"][0]["files"]) == 3
    assert "duplicates" not in found


def test_flat_pictures_are_not_all_one(data, capsys):
    for number in range(4):
        save(Image.new("RGB", (100, 100), (250 - number, 40, 40)), data / "train" / "Cubism" / f"flat-{number}.png")
    status, found, _ = run(data, capsys)
    assert status == 0
    assert "duplicates" not in found


def test_tiny_and_strips(data, capsys):
    save(painting(70, (63, 200)), data / "train" / "Cubism" / "tiny.jpg")
    save(painting(71, (501, 100)), data / "train" / "Cubism" / "strip.jpg")
    save(painting(72, (500, 100)), data / "train" / "Cubism" / "wide.jpg")
    status, found, _ = run(data, capsys)
    assert status == 1
    assert found["tiny"]["examples"] == [{"files": ["train/Cubism/tiny.jpg"], "why": "63 × 200"}]
    assert found["strip"]["examples"] == [{"files": ["train/Cubism/strip.jpg"], "why": "501 × 100"}]


def test_folders_and_stray_files(data, capsys):
    save(painting(80), data / "train" / "Impresionism" / "a.jpg")
    save(painting(81), data / "train" / "Doodles" / "a.jpg")
    save(painting(82), data / "train" / "cubism" / "other.jpg")
    save(painting(83), data / "train" / "Cubism" / "deeper" / "x.jpg")
    (data / "train" / "Cubism" / ".DS_Store").touch()
    (data / "train" / "Cubism" / "notes.txt").touch()
    status, found, _ = run(data, capsys)
    assert status == 1
    assert found["spelling"]["examples"] == [{"files": ["train/Impresionism"], "why": "like Impressionism"}]
    assert found["foreign_style"]["examples"][0]["files"] == ["train/Doodles"]
    assert groups(found["two_spellings"]) == [["train/Cubism", "train/cubism"]]
    assert groups(found["nested"]) == [["train/Cubism/deeper/x.jpg"]]
    assert groups(found["hidden"]) == [["train/Cubism/.DS_Store"]]
    assert groups(found["other_files"]) == [["train/Cubism/notes.txt"]]


def test_a_collection_unpacked_twice_with_a_broken_name(data, capsys):
    # Kaggle's "Best Artworks of All Time": UTF-8 in decomposed form, read once and twice as another code page.
    once, twice = "Albrecht_Du╠Иrer", "Albrecht_DuтХа├кrer"
    for seed in range(3):
        for name in (once, twice):
            save(painting(200 + seed), data / "train" / name / f"{seed}.png")
    status, found, report = run(data, capsys)
    assert status == 1
    (example,) = found["same_folder"]["examples"]
    assert set(example["files"]) == {f"train/{once}", f"train/{twice}"}
    assert example["why"].startswith("3 pictures in both")
    assert example["why"].count("is mis-encoded: Albrecht_Dürer") == 2
    assert {e["files"][0]: e["why"] for e in found["broken_name"]["examples"]} == dict.fromkeys(
        (f"train/{once}", f"train/{twice}"), "was Albrecht_Dürer"
    )
    run_commands(report)
    assert sorted(path.name for path in (data / "train").iterdir()) == ["Albrecht_Dürer", "Baroque", "Cubism"]
    assert "same_folder" not in run(data, capsys)[1]


def test_of_two_equal_folders_the_sound_name_is_kept(data, capsys):
    for seed in range(3):
        for name in ("Albrecht_DuтХа├кrer", "Albrecht_Dürer"):
            save(painting(200 + seed), data / "train" / name / f"{seed}.png")
    run_commands(run(data, capsys)[2])
    assert sorted(path.name for path in (data / "train").iterdir()) == ["Albrecht_Dürer", "Baroque", "Cubism"]


def run_commands(report):
    """Run the commands that --fix prints."""
    for command in report["commands"]:
        if not command.startswith(("#", "pip")):
            subprocess.run(["bash", "-euc", command], check=True)


def test_fix_prints_commands_that_correct_the_folder(data, capsys):
    (data / "train/Cubism/empty one.jpg").touch()
    (data / "train/Cubism/it's\n.jpg").touch()
    save(painting(80), data / "train/Impresionism/a.jpg")
    save(painting(81), data / "train/cubism/other.jpg")
    save(painting(82), data / "train/Cubism/deeper/x.jpg")
    original = save(painting(83), data / "train/Baroque/copy.png")
    (data / "test/Baroque/copy.png").write_bytes(original.read_bytes())
    before = sorted(data.rglob("*"))
    status, found, report = run(data, capsys, fix=True)
    assert status == 2
    assert sorted(data.rglob("*")) == before, "doctor moves nothing"
    run_commands(report)
    status, found, report = run(data, capsys, strict=True)
    assert status == 0
    assert not {"unreadable", "spelling", "two_spellings", "nested", "two_splits"} & found.keys()
    assert (data / "test/Baroque/copy.png").exists(), "of two copies the one in test is kept"
    assert report["pictures"] == 12
    assert doctor(DoctorOptions(data=str(data), fix=True)) == 0
    assert "nothing that a command corrects" in capsys.readouterr().out


def test_formats_that_are_not_read_are_named(data, capsys, monkeypatch):
    monkeypatch.setattr("wikiart_data.images.formats.has_plugin", lambda kind: False)
    for name in ("a.heic", "b.jxl", "c.svg"):
        (data / "train/Cubism" / name).write_bytes(b"x")
    status, found, report = run(data, capsys)
    assert status == 1
    assert found["unread"]["level"] == "warn"
    assert {e["files"][0].rpartition("/")[2]: e["why"] for e in found["unread"]["examples"]} == {
        "a.heic": "HEIC", "b.jxl": "JPEG XL", "c.svg": "SVG",
    }  # fmt: skip
    assert report["commands"][0].startswith("# to read HEIC: ")
    assert any("--extra formats" in note for note in report["notes"])


def test_groups_join_pairs_kind_after_kind():
    assert list(groups_of_rows(6, [[(0, 3)], [(3, 5), (1, 2)], []])) == [
        [[0, 3]], [[0, 3, 5], [1, 2]], [[0, 3, 5], [1, 2]],
    ]  # fmt: skip
    assert list(groups_of_rows(0, [[]])) == [[]]


@pytest.mark.parametrize("level", ["above", "one split", "nowhere"])
def test_a_refused_layout_comes_first_and_the_rest_is_still_inspected(data, capsys, level):
    (data / "train" / "Cubism" / "empty.jpg").touch()
    where = {"above": data.parent, "one split": data / "train", "nowhere": data / "missing"}[level]
    status, _, report = run(where, capsys)
    kinds = [finding["kind"] for finding in report["findings"]]
    assert status == 2
    assert kinds[0] == "layout"
    assert ("unreadable" in kinds) == (level != "nowhere")
    assert report["pictures"] == {"above": 9, "one split": 5, "nowhere": 0}[level]


def test_an_unknown_style_in_test(data, capsys):
    save(painting(90), data / "test" / "Rococo" / "a.jpg")
    status, found, report = run(data, capsys)
    assert status == 2
    assert "test/Rococo" in found["layout"]["what"]
    assert report["counts"]["test"]["Rococo"] == 1


def test_the_screen_fits_80_columns_and_hostile_names_stay_text(data, capsys, monkeypatch):
    from wikiart_data.console import console

    monkeypatch.setattr(console, "_width", 80)
    (data / "train" / "Cubism" / "[bold]x[_bold]\n\x1b[31m.jpg").touch()
    assert doctor(DoctorOptions(data=str(data))) == 2
    out = capsys.readouterr().out
    assert "[bold]x[_bold]\\n\\x1b[31m.jpg" in out
    assert "\x1b" not in out
    table = out.split("found", 1)[1].split("\n\n", 1)[0]
    assert max(map(len, table.splitlines())) <= 80
    assert out.rstrip().endswith("A run would stop here.")


def test_what_the_hash_is_robust_to():
    original = painting(1, (400, 300))
    small = io.BytesIO()
    original.resize((150, 150)).convert("L").save(small, "JPEG", quality=40)
    pictures = [original, Image.open(small), painting(2, (400, 300))]
    hashes, thumbnails = (np.array(part) for part in zip(*map(perceptual_hash, pictures), strict=True))
    assert list(similar_pairs(hashes, thumbnails)) == [(0, 1)]
    assert perceptual_hash(Image.new("RGB", (80, 80), "red")) is None


def test_pairs_are_found_over_block_borders_and_quickly(monkeypatch):
    monkeypatch.setattr("wikiart_data.doctor.duplicates._BLOCK", 512)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (3000, 32), dtype=np.uint8)
    thumbnails = rng.integers(0, 256, (3000, 256), dtype=np.uint8)
    for one, other, flipped in ((3, 2999, 0), (511, 512, 1), (100, 2000, 3)):
        hashes[other], thumbnails[other] = hashes[one], thumbnails[one]
        hashes[other, :flipped] ^= 0xFF  # 0, 8, 24 bits apart
    hashes[7] = hashes[8]  # same hash, unrelated thumbnails: no pair
    start = time.monotonic()
    assert sorted(tuple(sorted(pair)) for pair in similar_pairs(hashes, thumbnails)) == [
        (3, 2999),
        (100, 2000),
        (511, 512),
    ]
    assert time.monotonic() - start < 5
    hashes[:], thumbnails[:] = hashes[0], thumbnails[0]
    assert sum(1 for _ in similar_pairs(hashes, thumbnails)) == 2999  # each with the first, not millions of pairs


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("train/Cubism/georges-braque_violin-1912_jpg.rf.a1b2.jpg", "georges-braque_violin-1912"),
        ("train/Cubism/georges-braque_violin-1912.jpg", "georges-braque_violin-1912"),
        ("train/Cubism/IMG_0001.jpg", None),
        ("train/Cubism/someone_untitled.jpg", None),
        ("train/Cubism/7.jpg", None),
    ],
)
def test_artwork_key(file, key):
    assert artwork_key(file) == key
