import errno
import io
import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from wikiart_data.acquire import download as module
from wikiart_data.acquire.download import PROGRESS, DownloadOptions, download, picture_name, reduced, split_of
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.names import artist_of

datasets = pytest.importorskip("datasets")

STYLES = ["Baroque", "Art_Nouveau", "Cubism", "Doodle"]  # the hub's order is its own, and so are some spellings
ARTISTS = ["Unknown Artist", "claude-monet", "../../Évil <b>"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path_factory.mktemp("cache")))


def jpeg(seed, size=(90, 60), form="JPEG"):
    out = io.BytesIO()
    colours = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size).save(out, form)
    return out.getvalue()


def parquet(folder, tables, style=None):
    """Write rows (image bytes, artist, style) as parquet files of huggan/wikiart's columns."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "artist": datasets.ClassLabel(names=ARTISTS),
            "genre": datasets.ClassLabel(names=["portrait", "landscape"]),
            "style": style or datasets.ClassLabel(names=STYLES),
        }
    )
    folder.mkdir()
    for number, rows in enumerate(tables):
        images, artists, styles = zip(*rows, strict=True)
        columns = {
            "image": [{"bytes": image, "path": None} if image else None for image in images],
            "artist": list(artists),
            "genre": [0] * len(rows),
            "style": list(styles),
        }
        made = datasets.Dataset.from_dict(columns, features=features)
        made.to_parquet(folder / f"train-{number:05}-of-{len(tables):05}.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quiet():
    datasets.disable_progress_bars()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three files of 100 rows, styles and artists in turn; row 7 of the first file is damaged."""
    tables = [[(jpeg(100 * f + n), n % 3, n % 3) for n in range(100)] for f in range(3)]
    tables[0][7] = (jpeg(7)[:200], 1, 1)
    return parquet(tmp_path_factory.mktemp("hub") / "wikiart", tables)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pictures(folder):
    return {name: content for name, content in tree(folder).items() if name != PROGRESS}


def test_a_download_from_start_to_end(tmp_path, source, capsys):
    options = DownloadOptions(tmp_path / "data", source=str(source), size=48)
    assert download(options) == 0
    catalog = scan(tmp_path / "data")
    assert catalog.styles == ("Art_Nouveau_Modern", "Baroque", "Cubism")
    assert len(catalog) == 299
    assert not catalog.valid_was_cut
    shares = [len(catalog.rows(split)) / 299 for split in ("train", "valid", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.07)
    named = {file.rpartition("/")[2]: file.split("/")[1] for file in catalog.files}
    assert named["unknown-000000.jpg"] == "Baroque"
    assert named["claude-monet_000001.jpg"] == "Art_Nouveau_Modern"
    assert named["evil-b_000002.jpg"] == "Cubism"
    assert named["unknown-000299.jpg"] == "Baroque"
    assert set(catalog.artists) == {"", "claude-monet", "evil-b"}
    for file in catalog.files[:5]:
        with Image.open(catalog.root / file) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (48, 32))
    out = capsys.readouterr().out
    assert "file 0, row 7, Art_Nouveau_Modern" in out
    assert "299 pictures in 3 styles" in out
    assert download(options) == 0
    assert "299 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("after", [3, 64, 150, 299])
def test_a_full_disk_and_then_room_again(tmp_path, source, monkeypatch, after, capsys):
    whole = DownloadOptions(tmp_path / "whole", source=str(source), size=48)
    download(whole)
    written, write = 0, module._write

    def nearly_full(path, content):
        nonlocal written
        written += path.suffix == ".jpg"
        if written > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    broken = DownloadOptions(tmp_path / "broken", source=str(source), size=48)
    monkeypatch.setattr(module, "_write", nearly_full)
    if after < 299:
        with pytest.raises(InputError) as error:
            download(broken)
        assert error.value.field == str(tmp_path / "broken")
        part = pictures(tmp_path / "broken")
        assert part.items() <= pictures(tmp_path / "whole").items()
        assert len(part) == after
    monkeypatch.setattr(module, "_write", write)
    assert download(broken) == 0
    assert pictures(tmp_path / "broken") == pictures(tmp_path / "whole")
    if after > 64:
        resumed = json.loads((tmp_path / "broken" / PROGRESS).read_text())
        assert resumed["damaged"] == 1


def test_killed_in_the_middle_of_a_write(tmp_path, source):
    code = f"""
import os, signal
from pathlib import Path
from wikiart_data.acquire import download as module
replace, count = Path.replace, 0
def dying(self, target):
    global count
    count += 1
    if count == 120:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = dying
module.download(module.DownloadOptions(Path({str(tmp_path / "data")!r}), source={str(source)!r}, size=48))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, env=os.environ | {"USE_TORCH": "0"}
    )
    assert done.returncode == -signal.SIGKILL
    left = [name for name in tree(tmp_path / "data") if name.endswith(".part")]
    assert len(left) == 1  # the half file, under a name that nothing reads
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.jpg")}
    assert download(DownloadOptions(tmp_path / "data", source=str(source), size=48)) == 0
    assert download(DownloadOptions(tmp_path / "whole", source=str(source), size=48)) == 0
    assert pictures(tmp_path / "data") == pictures(tmp_path / "whole")
    kept = sum(path.stat().st_mtime_ns == when for path, when in before.items())
    assert kept >= 99  # the first file's pictures were not made again


def test_limit_and_styles(tmp_path, source):
    options = DownloadOptions(tmp_path / "data", source=str(source), limit=5, styles=("art nouveau", "Cubism"))
    assert download(options) == 0
    catalog = scan(tmp_path / "data")
    assert catalog.styles == ("Art_Nouveau_Modern", "Cubism")
    assert np.bincount(catalog.labels).tolist() == [5, 5]
    progress = json.loads((tmp_path / "data" / PROGRESS).read_text())
    assert progress["number"] == 64  # a batch; the rest was not read
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "data", source=str(source), limit=6, styles=("art nouveau", "Cubism")))
    assert error.value.field == "--limit"


def test_other_styles_and_rows_without_a_picture(tmp_path, capsys):
    rows = [(jpeg(1), 0, 0), (jpeg(2), 0, 3), (jpeg(4, form="PNG"), 0, 0), *[(None, 0, 0)] * 6]
    folder = parquet(tmp_path / "hub", [rows])
    assert download(DownloadOptions(tmp_path / "data", source=str(folder / "*.parquet"))) == 1
    made = pictures(tmp_path / "data")
    assert sorted(name.rpartition("/")[2] for name in made) == ["unknown-000000.jpg", "unknown-000002.jpg"]
    assert all(content.startswith(b"\xff\xd8\xff") for content in made.values())
    assert made["train/Baroque/unknown-000000.jpg"] == jpeg(1)  # small enough: kept byte for byte
    out = capsys.readouterr().out
    assert "file 0, row 3, Baroque" in out
    progress = json.loads((tmp_path / "data" / PROGRESS).read_text())
    assert (progress["foreign"], progress["damaged"]) == (1, 6)


def test_styles_as_text(tmp_path):
    folder = parquet(tmp_path / "hub", [[(jpeg(1), 0, "cubism"), (jpeg(2), 0, "../x")]], datasets.Value("string"))
    download(DownloadOptions(tmp_path / "data", source=str(folder / "train-00000-of-00001.parquet")))
    assert list(pictures(tmp_path / "data")) == ["train/Cubism/unknown-000000.jpg"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"styles": ("Doodle",)}, "--styles"),
        ({"size": 8}, "--size"),
        ({"limit": -1}, "--limit"),
        ({"fractions": (0.0, 0.5, 0.5)}, "--fractions"),
        ({"source": "no/such/place"}, "--source"),
        ({"source": "missing.parquet"}, "--source"),
    ],
)
def test_invalid_options(tmp_path, options, field):
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "data", **options))
    assert error.value.field == field
    assert not (tmp_path / "data").exists()


def test_sources_of_another_kind(tmp_path):
    source = parquet(tmp_path / "numbers", [[(jpeg(1), 0, 0)]], datasets.Value("int64"))
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "a", source=str(source)))
    assert error.value.field == "--source"
    assert "'style'" in str(error.value)
    datasets.Dataset.from_dict({"text": ["x"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "b", source=str(tmp_path / "other.parquet")))
    assert error.value.field == "--source"
    assert "artist, image, style" in str(error.value)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "c", source=str(tmp_path / "bad.parquet")))
    assert error.value.field == "--source"
    assert "bad.parquet" in str(error.value)
    only_other = parquet(tmp_path / "none", [[(jpeg(1), 0, 3)]])
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "d", source=str(only_other)))
    assert error.value.field == "--source"
    assert not pictures(tmp_path / "d")


def test_a_source_that_breaks_off_and_comes_back(tmp_path, source):
    hub = tmp_path / "hub"
    hub.mkdir()
    for file in source.iterdir():
        (hub / file.name).write_bytes(file.read_bytes())
    second = sorted(hub.iterdir())[1]
    content = second.read_bytes()
    second.write_bytes(content[: len(content) // 2])
    options = DownloadOptions(tmp_path / "data", source=str(hub), size=48)
    with pytest.raises(InputError) as error:
        download(options)
    assert error.value.field == "--source"
    assert json.loads((tmp_path / "data" / PROGRESS).read_text())["file"] == 1
    second.write_bytes(content)
    assert download(options) == 0
    assert len(pictures(tmp_path / "data")) == 299


def test_progress_that_a_bit_was_flipped_in_is_noticed(tmp_path, source):
    options = DownloadOptions(tmp_path / "data", source=str(source), size=48, limit=5)
    assert download(options) == 0
    file = tmp_path / "data" / PROGRESS
    saved = json.loads(file.read_text())
    for name in ("file", "row", "number", "damaged", "done"):
        file.write_text(json.dumps({**saved, name: int(saved[name]) ^ 1}))
        with pytest.raises(InputError) as error:
            download(options)
        assert error.value.field == str(file)
    del saved["crc32"]  # as earlier versions wrote it
    file.write_text(json.dumps(saved))
    assert download(options) == 0


def test_targets_that_are_not_ours(tmp_path, source):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / PROGRESS).write_text('{"options": ')
    for target, field in (
        ("full", tmp_path / "full"),
        ("full/mine.txt/below", tmp_path / "full/mine.txt/below"),
        ("damaged", tmp_path / "damaged" / PROGRESS),
    ):
        with pytest.raises(InputError) as error:
            download(DownloadOptions(tmp_path / target, source=str(source)))
        assert error.value.field == str(field)
    assert list(tree(tmp_path / "full")) == ["mine.txt"]


def test_without_network_one_sentence_offers_what_there_is(tmp_path, monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "data"))
    assert error.value.field == "--source"
    for command in ("wikiart-data sample", "--source DIR"):
        assert command in str(error.value)
    assert not (tmp_path / "data").exists()


def test_without_the_library_it_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError) as error:
        download(DownloadOptions(tmp_path / "data"))
    assert error.value.field == "datasets"
    assert "uv sync --all-packages --extra hub" in str(error.value)


def test_splits_are_drawn_by_content_and_seed():
    drawn = [split_of(str(n).encode(), (0.8, 0.1, 0.1), 0) for n in range(2000)]
    assert drawn == [split_of(str(n).encode(), (0.8, 0.1, 0.1), 0) for n in range(2000)]
    assert drawn != [split_of(str(n).encode(), (0.8, 0.1, 0.1), 1) for n in range(2000)]
    assert [drawn.count(split) / 2000 for split in ("train", "valid", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.03
    )
    assert {split_of(str(n).encode(), (1.0, 0.0, 0.0), 0) for n in range(200)} == {"train"}


@pytest.mark.parametrize(
    ("artist", "name", "read"),
    [
        ("vincent-van-gogh", "vincent-van-gogh_000012.jpg", "vincent-van-gogh"),
        ("Unknown Artist", "unknown-000012.jpg", ""),
        ("", "unknown-000012.jpg", ""),
        ("日本", "unknown-000012.jpg", ""),
        ("../../etc/passwd", "etc-passwd_000012.jpg", "etc-passwd"),
        ("Egon Schiele\n", "egon-schiele_000012.jpg", "egon-schiele"),
        ("x" * 300, "x" * 80 + "_000012.jpg", "x" * 80),
    ],
)
def test_names(artist, name, read):
    assert picture_name(artist, 12) == name
    assert artist_of(name) == read


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((1000, 500), 100, (100, 50)),
        ((90, 60), 100, (90, 60)),
        ((101, 40), 100, (100, 40)),
        ((640, 480), 0, (640, 480)),
    ],
)
def test_reduced(size, limit, expected):
    for form in ("JPEG", "PNG"):
        made = reduced(jpeg(1, size, form), limit)
        with Image.open(io.BytesIO(made)) as picture:
            assert (picture.format, picture.size) == ("JPEG", expected)
    assert (reduced(jpeg(1, size), limit) == jpeg(1, size)) == (size == expected)
