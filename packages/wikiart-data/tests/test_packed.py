"""A pack holds every picture: made once, again when files change, after a kill, by several at once, on a full disk."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wikiart_data.errors import InputError
from wikiart_data.images import packed as packed_module
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.decode import decode, square
from wikiart_data.images.packed import PackedImages, pack

SIZE = 12
Folder = Callable[..., Path]


def truth(catalog: Catalog) -> np.ndarray:
    """(N, SIZE, SIZE, 3) uint8: what a pack must hold."""
    return np.stack([square(decode(catalog.root / file, at_least=SIZE), SIZE) for file in catalog.files])


def test_a_pack_holds_every_picture_in_order(catalog: Catalog, cache: Path):
    packed = pack(catalog, SIZE)
    assert packed.size == SIZE
    assert packed.images.dtype == np.uint8
    assert np.array_equal(packed.images, truth(catalog))
    assert packed.bad == {}
    assert packed.rows("test").tolist() == catalog.rows("test").tolist()
    assert packed.folder.parent == cache / "packs"
    assert sorted(path.name for path in packed.folder.iterdir()) == ["images.u8", "index.npz"]
    assert (packed.folder / "images.u8").stat().st_size == len(catalog) * SIZE * SIZE * 3
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0] = 0


def test_large_pictures_are_decoded_at_reduced_size_and_look_the_same(folder: Folder, paint: Callable):
    root = folder({"train": {"Baroque": 1}})
    paint(root / "train/Baroque/large.jpg", 5, (400, 300))
    catalog = scan(root)
    whole = square(decode(root / "train/Baroque/large.jpg"), SIZE)
    assert np.abs(pack(catalog, SIZE).images[1].astype(int) - whole).mean() < 3


def test_a_second_open_decodes_nothing(catalog: Catalog, decoded: list):
    first = pack(catalog, SIZE)
    assert len(decoded) == len(catalog)
    before = (first.folder / "images.u8").stat().st_mtime_ns
    second = pack(catalog, SIZE)
    assert len(decoded) == len(catalog)
    assert np.array_equal(first.images, second.images)
    assert (second.folder / "images.u8").stat().st_mtime_ns == before


def test_every_size_has_a_pack_of_its_own(catalog: Catalog, cache: Path):
    folders = {pack(catalog, size).folder for size in (SIZE, SIZE + 1)}
    assert len(folders) == 2
    assert {path for path in (cache / "packs").iterdir() if path.is_dir()} == folders


def test_a_changed_file_makes_another_pack(catalog: Catalog, paint: Callable):
    before = pack(catalog, SIZE)
    file = catalog.root / catalog.files[3]
    paint(file, 999)
    later = time.time_ns() + 5_000_000_000
    os.utime(file, ns=(later, later))
    changed = scan(catalog.root)
    after = pack(changed, SIZE)
    assert after.folder != before.folder
    assert np.array_equal(after.images, truth(changed))
    assert not np.array_equal(after.images[3], before.images[3])


def test_a_file_rewritten_at_the_same_size_makes_another_pack(catalog: Catalog):
    before = pack(catalog, SIZE).folder
    file = catalog.root / catalog.files[0]
    os.utime(file, ns=(1, 1))
    assert pack(scan(catalog.root), SIZE).folder != before


def test_nothing_is_written_into_the_data_folder(catalog: Catalog, snapshot: Callable):
    before = snapshot(catalog.root)
    pack(catalog, SIZE)
    assert snapshot(catalog.root) == before


def test_a_finished_pack_needs_no_writable_cache(catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    expected = pack(catalog, SIZE).images.copy()

    def denied(folder: Path) -> Path:
        pytest.fail(f"{folder} was to be written")

    monkeypatch.setattr(packed_module, "writable_folder", denied)
    assert np.array_equal(pack(catalog, SIZE).images, expected)


def test_a_cache_that_cannot_be_written_is_named(catalog: Catalog, tmp_path: Path):
    (tmp_path / "file").write_text("a file where the cache folder should be")
    with pytest.raises(InputError) as error:
        pack(catalog, SIZE, cache_dir=tmp_path / "file")
    assert error.value.field == str(tmp_path / "file" / "packs")
    assert "--cache-dir" in str(error.value)


@pytest.mark.parametrize("damage", ["short", "gone", "empty", "index gone", "index of another"])
def test_a_pack_beyond_repair_is_made_again(damage: str, catalog: Catalog):
    folder = pack(catalog, SIZE).folder
    if damage == "short":
        os.truncate(folder / "images.u8", 1000)
    elif damage == "gone":
        (folder / "images.u8").unlink()
    elif damage == "empty":
        (folder / "images.u8").write_bytes(b"")
    elif damage == "index gone":
        (folder / "index.npz").unlink()
    else:
        np.savez(folder / "index.npz", crcs=np.zeros(36, np.uint32), bad=np.frombuffer(b"{}", np.uint8))
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))
    assert sorted(path.name for path in folder.iterdir()) == ["images.u8", "index.npz"]


# -- killed while packing ------------------------------------------------------------------------------------------


# Packs with one thread and kills itself with SIGKILL after the 20th picture is recorded.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from wikiart_data.images import packed
from wikiart_data.images.catalog import scan
real, written = os.pwrite, []
def pwrite(descriptor, data, offset):
    if len(written) == 20:
        (journal,) = Path(os.environ["WIKIART_CACHE"]).glob("packs/*.part/done")
        until = time.monotonic() + 10
        while journal.stat().st_size < 20 * 9 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(offset)
    return real(descriptor, data, offset)
os.pwrite = pwrite
packed.pack(scan(Path(sys.argv[1])), int(sys.argv[2]), workers=1)
"""


@pytest.fixture
def killed(catalog: Catalog, cache: Path) -> Path:
    """The unfinished folder of a packer that was killed after 20 of 36 pictures."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(catalog.root), str(SIZE)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (part,) = (cache / "packs").glob("*.part")
    assert not part.with_suffix("").exists()
    return part


def test_a_killed_packer_is_taken_over(catalog: Catalog, killed: Path, decoded: list, capsys: pytest.CaptureFixture):
    packed = pack(catalog, SIZE)
    assert np.array_equal(packed.images, truth(catalog))
    assert len(decoded) == 36 - 20
    assert not killed.exists()
    assert "20 of 36 already done" in capsys.readouterr().out


def test_a_torn_record_is_dropped(catalog: Catalog, killed: Path, decoded: list, monkeypatch: pytest.MonkeyPatch):
    journal = killed / "done"
    os.truncate(journal, 10 * 9 + 4)
    # Interrupted again five pictures later: the records after the torn one must be read correctly.
    real, written = os.pwrite, []

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(offset)
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(KeyboardInterrupt):
            pack(catalog, SIZE, workers=1)
    assert len(journal.read_bytes()) == 15 * 9
    decoded.clear()
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))
    assert len(decoded) == 36 - 15


def test_what_a_killed_packer_left_is_checked(catalog: Catalog, killed: Path, capsys: pytest.CaptureFixture):
    with (killed / "images.u8").open("r+b") as file:
        file.seek(5 * SIZE * SIZE * 3 + 7)
        file.write(b"\x55\xaa\x55")
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))
    assert "were damaged" not in capsys.readouterr().out, "it was only noticed when the pack was opened"


@pytest.mark.parametrize("damage", ["no journal", "no images", "short images", "foreign journal"])
def test_useless_leftovers_are_replaced(damage: str, catalog: Catalog, killed: Path):
    if damage == "no journal":
        (killed / "done").unlink()
    elif damage == "no images":
        (killed / "images.u8").unlink()
    elif damage == "short images":
        os.truncate(killed / "images.u8", 1000)
    else:
        (killed / "done").write_bytes(random.Random(0).randbytes(999))
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))


# -- several processes, and a full disk ----------------------------------------------------------------------------


def test_several_threads_make_one_pack(catalog: Catalog, decoded: list, capsys: pytest.CaptureFixture):
    results: list[PackedImages] = []
    threads = [threading.Thread(target=lambda: results.append(pack(catalog, SIZE, workers=1))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 3
    assert all(np.array_equal(packed.images, truth(catalog)) for packed in results)
    assert len(decoded) == len(catalog), "a picture was decoded twice"
    assert capsys.readouterr().out.count("Packing 36 pictures") == 1


def test_a_process_that_waits_for_another_says_so(catalog: Catalog, capsys: pytest.CaptureFixture, cache: Path):
    from filelock import FileLock

    name = pack(catalog, SIZE).folder.name
    (cache / "packs" / name / "index.npz").unlink()
    capsys.readouterr()
    with FileLock(cache / "packs" / f"{name}.lock"):
        thread = threading.Thread(target=pack, args=(catalog, SIZE))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()
    assert f"Another process is making {name}; waiting for it." in capsys.readouterr().out
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))


def test_a_full_disk_keeps_what_is_done(catalog: Catalog, cache: Path, decoded: list, monkeypatch: pytest.MonkeyPatch):
    real, written = os.pwrite, []

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if len(written) == 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(offset)
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(InputError) as error:
        pack(catalog, SIZE, workers=1)
    assert error.value.field == str(cache / "packs")
    assert os.strerror(errno.ENOSPC) in str(error.value)
    assert "--cache-dir" in str(error.value)
    monkeypatch.setattr(os, "pwrite", real)
    decoded.clear()
    assert np.array_equal(pack(catalog, SIZE).images, truth(catalog))
    assert len(decoded) == 36 - 12


def test_short_writes_are_continued(catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    real = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, data[:100], offset))
        packed = pack(catalog, SIZE)
    assert np.array_equal(packed.images, truth(catalog))


def test_too_small_a_disk_is_noticed_before_decoding(
    catalog: Catalog, cache: Path, monkeypatch: pytest.MonkeyPatch, decoded: list
):
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=36 * SIZE * SIZE * 3 - 1))
    with pytest.raises(InputError) as error:
        pack(catalog, SIZE)
    assert error.value.field == str(cache / "packs")
    assert "--cache-dir" in str(error.value)
    assert decoded == []


# -- as a dataset --------------------------------------------------------------------------------------------------


def test_rows_are_images_and_labels(catalog: Catalog):
    import torch

    packed = pack(catalog, 12)
    assert len(packed) == len(catalog)
    image, label = packed[3]
    assert (image.shape, image.dtype) == ((3, 12, 12), torch.float32)
    assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), packed.images[3])
    assert label == catalog.labels[3]
    assert type(label) is int
    assert [label for _, label in packed] == catalog.labels.tolist()


def test_a_loader_with_workers_takes_it(catalog: Catalog):
    import torch
    from torch.utils.data import DataLoader, Subset

    packed = pack(catalog, 12)
    rows = packed.rows("train")
    loader = DataLoader(
        Subset(packed, rows.tolist()), batch_size=4, num_workers=1, multiprocessing_context="spawn", shuffle=False
    )
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert np.array_equal((images * 255).round().byte().permute(0, 2, 3, 1).numpy(), packed.images[rows])
    assert labels.tolist() == catalog.labels[rows].tolist()


def test_pickling_leaves_the_pixels_on_the_disk(catalog: Catalog):
    import pickle

    packed = pack(catalog, 64)
    pickled = pickle.dumps(packed)
    assert len(pickled) < packed.images.nbytes / 10
    again = pickle.loads(pickled)
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(again.images, packed.images)
    assert (again.size, again.bad, again.folder) == (64, packed.bad, packed.folder)
    in_memory = PackedImages(catalog, np.array(packed.images), {}, packed.folder)
    assert np.array_equal(pickle.loads(pickle.dumps(in_memory)).images, packed.images)


def test_a_pack_is_shown_on_one_line(catalog: Catalog):
    packed = pack(catalog, 12)
    assert "\n" not in repr(packed)
    assert len(repr(packed)) < 100 + len(str(packed.folder))
    assert packed == packed
    assert packed != pack(catalog, 13)
