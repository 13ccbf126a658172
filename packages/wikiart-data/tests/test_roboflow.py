import io
import stat
import zipfile
import zlib

import pytest
from filelock import FileLock
from PIL import Image

from wikiart_data.acquire import roboflow
from wikiart_data.acquire.roboflow import ImportOptions, import_zip
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.names import artwork_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path_factory.mktemp("cache")))


def jpeg(colour="red"):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "JPEG")
    return out.getvalue()


GOOD = {
    "README.dataset.txt": b"# wiki-art",
    "README.roboflow.txt": b"exported",
    "train/Cubism/a_violin_jpg.rf.0a1b.jpg": jpeg("red"),
    "train/Cubism/a_violin_jpg.rf.2c3d.jpg": jpeg("blue"),
    "train/Art_Nouveau/b_poster_jpg.rf.4e5f.jpg": jpeg("green"),
    "valid/Cubism/c_table_jpg.rf.6a7b.jpg": jpeg("white"),
    "test/Art_Nouveau/d_vase_jpg.rf.8c9d.jpg": jpeg("black"),
}


def make(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, content)
    return path


def refused(zip_path, to, *names, field=None):
    """The import is refused about `field` (default: the archive), names these entries, and leaves nothing behind."""
    before = set(to.parent.iterdir())
    with pytest.raises(InputError) as error:
        import_zip(ImportOptions(zip_path, to))
    assert set(to.parent.iterdir()) == before
    assert error.value.field == str(field or zip_path)
    for name in names:
        assert name in str(error.value)


@pytest.mark.parametrize("top", ["", "wiki-art-2/"])
def test_a_good_export(tmp_path, capsys, top):
    archive = make(tmp_path / "x.zip", {top + name: content for name, content in GOOD.items()})
    assert import_zip(ImportOptions(archive, tmp_path / "made" / "data")) == 0
    catalog = scan(tmp_path / "made" / "data")
    assert catalog.styles == ("Art_Nouveau_Modern", "Cubism")
    assert catalog.files == (
        "train/Art_Nouveau_Modern/b_poster_jpg.rf.4e5f.jpg",
        "train/Cubism/a_violin_jpg.rf.0a1b.jpg",
        "train/Cubism/a_violin_jpg.rf.2c3d.jpg",
        "valid/Cubism/c_table_jpg.rf.6a7b.jpg",
        "test/Art_Nouveau_Modern/d_vase_jpg.rf.8c9d.jpg",
    )
    assert (catalog.root / catalog.files[1]).read_bytes() == GOOD["train/Cubism/a_violin_jpg.rf.0a1b.jpg"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["data"]
    out = capsys.readouterr().out
    assert "2 files left out that are no pictures" in out
    assert "5 pictures in 2 styles (train 3, valid 1, test 1)" in out
    assert "wikiart-data doctor --data" in out


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "train/Cubism/../../../evil.jpg",
        "/etc/evil.jpg",
        "C:/evil.jpg",
        "C:evil.jpg",
        "..\\..\\evil.jpg",
        "\\\\server\\share\\evil.jpg",
        "train/Cubism/..\\..\\..\\evil.txt",
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path, name):
    info = zipfile.ZipInfo("x")
    info.filename = name  # past what ZipInfo makes of a name
    refused(make(tmp_path / "x.zip", [*GOOD.items(), (info, jpeg())]), tmp_path / "data", "evil")
    assert not [*tmp_path.rglob("evil*"), *tmp_path.parent.glob("evil*")]


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("train/Cubism/link.jpg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(make(tmp_path / "x.zip", [*GOOD.items(), (link, "/etc/passwd")]), tmp_path / "data", "link.jpg")


def test_backslashes_as_separators_and_hostile_names_are_tamed(tmp_path, capsys):
    odd = {
        "train\\Cubism\\windows.jpg": jpeg(),
        "train/Cubism/con.jpg": jpeg(),
        "train/Cubism/a<b>\n?.jpg": jpeg(),
        f"train/Cubism/{'é' * 300}.jpg": jpeg(),
        "train/Cubism/.hidden.jpg": jpeg(),
        "train/Cubism/run.exe": b"MZ",
        "__MACOSX/train/Cubism/._a.jpg": b"x",
        "train/loose.jpg": jpeg(),
    }
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in odd.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            opened.writestr(info, content)
    assert import_zip(ImportOptions(archive, tmp_path / "data")) == 0
    names = sorted(path.name for path in (tmp_path / "data" / "train" / "Cubism").iterdir())
    assert names == ["_con.jpg", "a_b___.jpg", "windows.jpg", "é" * 98 + ".jpg"]
    out = capsys.readouterr().out
    assert "3 files left out that are no pictures" in out
    assert "1 pictures left out that are not in <split>/<Style>/" in out
    assert "3 pictures renamed" in out


def test_names_that_clash_are_kept_apart(tmp_path):
    archive = make(
        tmp_path / "x.zip",
        {
            "train/Cubism/A_jpg.rf.1a.jpg": jpeg("red"),
            "train/cubism/a_jpg.rf.1A.jpg": jpeg("green"),
            "train/CUBISM/a_jpg.rf.1a.jpg": jpeg("blue"),
        },
    )
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("train/Cubism/A_jpg.rf.1a.jpg", jpeg("white"))
    assert import_zip(ImportOptions(archive, tmp_path / "data")) == 0
    files = sorted((tmp_path / "data" / "train" / "Cubism").iterdir())
    assert len({path.name.casefold() for path in files}) == 4
    assert {path.read_bytes() for path in files} == {jpeg(c) for c in ("red", "green", "blue", "white")}
    assert {artwork_of(path.name) for path in files} == {"a"}  # still variants of one artwork


def test_a_directory_that_a_bit_was_flipped_in_does_not_lose_a_picture(tmp_path):
    whole = make(tmp_path / "x.zip", GOOD).read_bytes()
    start = whole.index(b"PK\1\2")
    at = whole.index(b"train/Cubism/a_violin_jpg.rf.0a1b.jpg", start)
    for place in (
        at + 36,  # its name's ending: no picture any more
        at,  # its split
        len(whole) - 12,  # how many entries there are
    ):
        damaged = bytearray(whole)
        damaged[place] ^= 64
        (tmp_path / "y.zip").write_bytes(damaged)
        refused(tmp_path / "y.zip", tmp_path / "data")


def test_bombs_are_stopped_by_what_comes_out(tmp_path, monkeypatch):
    monkeypatch.setattr(roboflow, "_ROOM", 1 << 20)
    archive = make(
        tmp_path / "x.zip",
        GOOD | {"train/Cubism/bomb.bmp": b"\0" * (30 << 20)},
        compression=zipfile.ZIP_DEFLATED,
    )
    refused(archive, tmp_path / "data", field="bomb.bmp")
    # A header that lies about the size does not help: what is read is counted.
    lying = bytearray(archive.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = lying.rfind(signature, 0, lying.rfind(b"bomb.bmp") if at == 24 else lying.find(b"bomb.bmp"))
        lying[start + at : start + at + 4] = (1000).to_bytes(4, "little")
    (tmp_path / "lying.zip").write_bytes(lying)
    refused(tmp_path / "lying.zip", tmp_path / "data", "bomb.bmp")
    monkeypatch.setattr(roboflow, "MOST_FILES", 3)
    refused(archive, tmp_path / "data")


def test_one_picture_may_not_be_endless(tmp_path, monkeypatch):
    monkeypatch.setattr(roboflow, "MOST_FILE_BYTES", 1000)
    refused(make(tmp_path / "x.zip", GOOD | {"train/Cubism/z.jpg": b"x" * 1001}), tmp_path / "data", field="z.jpg")


def test_encrypted(tmp_path):
    archive = make(tmp_path / "x.zip", {"train/Cubism/a.jpg": jpeg()})
    content = bytearray(archive.read_bytes())
    content[content.find(b"PK\x03\x04") + 6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, tmp_path / "data")


def test_damaged(tmp_path):
    archive = make(tmp_path / "x.zip", GOOD)
    content = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    refused(tmp_path / "cut.zip", tmp_path / "data")
    picture = GOOD["test/Art_Nouveau/d_vase_jpg.rf.8c9d.jpg"]
    assert zlib.crc32(picture) != zlib.crc32(picture[::-1])
    (tmp_path / "bad.zip").write_bytes(content.replace(picture, picture[::-1]))
    refused(tmp_path / "bad.zip", tmp_path / "data", "d_vase")
    refused(tmp_path / "none.zip", tmp_path / "data", "No such file")


def test_another_layout(tmp_path):
    detection = {"train/a.jpg": jpeg(), "train/_annotations.coco.json": b"{}"}
    refused(make(tmp_path / "x.zip", detection), tmp_path / "data", "train/a.jpg")
    refused(make(tmp_path / "y.zip", {"README.txt": b""}), tmp_path / "data")


@pytest.mark.parametrize("top", ["", "wiki-art-3/"])
def test_a_multi_class_export(top, tmp_path):
    entries = {
        "train/a_jpg.rf.1.jpg": jpeg("red"),
        "train/b_jpg.rf.2.jpg": jpeg("blue"),
        "train/_classes.csv": "filename, Cubism, Rococo\na_jpg.rf.1.jpg, 1, 0\nb_jpg.rf.2.jpg, 0, 1\n",
        "val/c_jpg.rf.3.jpg": jpeg("white"),
        "val/_classes.csv": "filename, Cubism, Rococo\nc_jpg.rf.3.jpg, 0, 1\n",
    }
    archive = make(tmp_path / "x.zip", {top + name: content for name, content in entries.items()})
    assert import_zip(ImportOptions(archive, tmp_path / "data")) == 0
    catalog = scan(tmp_path / "data")
    assert catalog.files == ("train/a_jpg.rf.1.jpg", "train/b_jpg.rf.2.jpg", "valid/c_jpg.rf.3.jpg")
    assert [catalog.styles[label] for label in catalog.labels] == ["Cubism", "Rococo", "Rococo"]


def test_targets_in_the_way(tmp_path):
    archive = make(tmp_path / "x.zip", GOOD)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    refused(archive, tmp_path / "full", field=tmp_path / "full")
    (tmp_path / "file").touch()
    refused(archive, tmp_path / "file", field=tmp_path / "file")
    with pytest.raises(InputError) as error:
        import_zip(ImportOptions(archive, tmp_path / "file" / "below"))
    assert error.value.field == str(tmp_path / "file" / "below")
    (tmp_path / "empty").mkdir()
    assert import_zip(ImportOptions(archive, tmp_path / "empty")) == 0
    assert len(scan(tmp_path / "empty")) == 5


def test_what_a_killed_import_left_is_cleared_and_a_second_one_is_told(tmp_path):
    archive = make(tmp_path / "x.zip", GOOD)
    (tmp_path / ".data.import" / "train" / "Rococo").mkdir(parents=True)
    (tmp_path / ".data.import" / "train" / "Rococo" / "half.jpg").touch()
    with FileLock(tmp_path / ".data.import.lock"), pytest.raises(InputError) as error:
        import_zip(ImportOptions(archive, tmp_path / "data"))
    assert error.value.field == str(tmp_path / "data")
    assert import_zip(ImportOptions(archive, tmp_path / "data")) == 0
    assert scan(tmp_path / "data").styles == ("Art_Nouveau_Modern", "Cubism")
    assert not (tmp_path / ".data.import").exists()


def test_a_disk_too_small_is_told_before_and_during(tmp_path, monkeypatch):
    archive = make(tmp_path / "x.zip", GOOD)
    usage = roboflow.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(roboflow.shutil, "disk_usage", lambda path: usage._replace(free=100))
    refused(archive, tmp_path / "data", field="--to")
    monkeypatch.undo()

    def full(chunks, path, budget):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(roboflow, "_write", full)
    refused(archive, tmp_path / "data", "No space left on device", field=tmp_path / "data")


def test_an_outcome_that_no_run_accepts_is_said(tmp_path, capsys):
    archive = make(tmp_path / "x.zip", GOOD | {"test/Rococo/x.jpg": jpeg()})
    assert import_zip(ImportOptions(archive, tmp_path / "data")) == 1
    assert "test/Rococo" in capsys.readouterr().out
