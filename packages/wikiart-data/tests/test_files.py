"""Files are written whole or not at all, by one process or several."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from wikiart_data import files as files_module
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root, csv_bytes, read_csv, writable_folder, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path: Path):
    for content in (b"old", b"new"):
        write_bytes(tmp_path / "result.json", content)
        assert (tmp_path / "result.json").read_bytes() == content
        assert names(tmp_path) == ["result.json"]


WRITER = """
import sys
from pathlib import Path
from wikiart_data.files import write_bytes
for _ in range(40):
    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 300_000)
"""


def test_a_reader_never_sees_a_part_of_what_several_processes_write(tmp_path: Path):
    path = tmp_path / "result.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "abc"]
    seen = set()
    try:
        while any(writer.poll() is None for writer in writers):
            if path.exists():
                content = path.read_bytes()
                assert len(content) == 300_000
                assert content == content[:1] * 300_000
                seen.add(content[:1])
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen
    assert names(tmp_path) == ["result.json"]


def test_writers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writing: list[int] = []
    at_once: list[int] = []

    def fsync(descriptor: int) -> None:
        writing.append(descriptor)
        at_once.append(len(writing))
        threading.Event().wait(0.02)
        writing.remove(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "state.pt"
    threads = [threading.Thread(target=write_bytes, args=(path, bytes([n]) * 9000)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == [1] * 5
    content = path.read_bytes()
    assert content == content[:1] * 9000
    assert names(tmp_path) == ["state.pt"]


KILLED = """
import os, signal, sys
from pathlib import Path
from wikiart_data.files import write_bytes
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_bytes(Path(sys.argv[1]), b"half")
"""


def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path: Path):
    path = tmp_path / "result.json"
    write_bytes(path, b"old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) > 1
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "result.json"
    write_bytes(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os if step == "fsync" else Path, step, full)
        with pytest.raises(InputError) as error:
            write_bytes(path, b"new")
    assert error.value.field == str(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["result.json"]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_is_not_there_names_the_file(tmp_path: Path):
    path = tmp_path / "missing" / "result.json"
    with pytest.raises(InputError) as error:
        write_bytes(path, b"new")
    assert error.value.field == str(path)


def test_where_the_cache_is(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    assert cache_root(tmp_path / "given") == tmp_path / "given"
    assert cache_root() == cache
    monkeypatch.delenv("WIKIART_CACHE")
    monkeypatch.setattr(files_module.platformdirs, "user_cache_path", lambda name: Path("/home/someone/cache") / name)
    assert cache_root() == Path("/home/someone/cache/wikiart")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on no file can be made, whatever rights the user has."""

    def touch(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    return lambda: monkeypatch.setattr(Path, "touch", touch)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, read_only: Callable[[], None]):
    assert writable_folder(tmp_path / "packs") == tmp_path / "packs"
    assert list((tmp_path / "packs").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        writable_folder(tmp_path / "file" / "packs")
    assert error.value.field == str(tmp_path / "file" / "packs")
    read_only()
    with pytest.raises(InputError) as error:
        writable_folder(tmp_path / "packs")
    assert error.value.field == str(tmp_path / "packs")


def test_csv_is_read_as_it_was_written(tmp_path: Path):
    rows = [["a, b", 'in "quotes"'], ["two\nlines", "ü\u2028"]]
    write_bytes(tmp_path / "table.csv", csv_bytes(["file", "style"], rows))
    assert read_csv(tmp_path / "table.csv") == [["file", "style"], *rows]
    assert read_csv(tmp_path / "missing.csv") == []


def test_bytes_of_a_file_name_that_are_not_utf_8_are_replaced():
    assert csv_bytes(["file"], [[os.fsdecode(b"caf\xe9.jpg")]]) == "file\ncaf\ufffd.jpg\n".encode()
