"""The cache: kept while nothing changes, made anew when anything does that it depends on."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_lora import cache
from wikiart_lora.cache import embeddings_of, latents_of
from wikiart_lora.families import encode_pictures, encode_text
from wikiart_lora.pipelines import open_base

SQUARE = [(16, 16)]


def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made from now on, instead of being opened."""
    found: list[str] = []
    for name in ("encode_pictures", "encode_text"):
        real = getattr(cache, name)

        def counted(*arguments, name=name, real=real):
            found.append(name)
            return real(*arguments)

        monkeypatch.setattr(cache, name, counted)
    return found


def test_what_is_kept_is_what_the_base_says(sd, paintings):
    base, catalog = open_base(str(sd)), scan(paintings)
    latents = latents_of(base, catalog, [(16, 16), (16, 28)], True, 0.01, None)
    row = int(np.flatnonzero(latents.bucket_of == 0)[3])
    images = cache.read_pictures(catalog, np.array([row]), (16, 16))
    torch.testing.assert_close(latents.read(np.array([row])), encode_pictures(base, images), rtol=1e-2, atol=1e-2)
    mirrored = latents.read(np.array([row]), np.array([True]))
    torch.testing.assert_close(mirrored, encode_pictures(base, images.flip(3)), rtol=1e-2, atol=1e-2)
    words = embeddings_of(base, ["a lake", "a house"], None)
    with torch.no_grad():
        said = encode_text(base, ["a house"])["embeds"]
    kept = words.read(["a house"], torch.device("cpu"), torch.float32)["embeds"]
    torch.testing.assert_close(kept, said, rtol=1e-2, atol=1e-2)


def test_it_is_made_once_and_anew_when_something_changes(sd, paintings, tmp_path, monkeypatch):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    base = open_base(str(sd))
    found = made(monkeypatch)

    def is_made(buckets=SQUARE, flip=False, words=("a lake",)) -> set[str]:
        found.clear()
        latents_of(base, scan(root), buckets, flip, 0.01, None)
        embeddings_of(base, words, None)
        return set(found)

    assert is_made() == {"encode_pictures", "encode_text"}
    assert is_made() == set()
    assert is_made(flip=True) == {"encode_pictures"}
    assert is_made(buckets=[(16, 16), (16, 28)]) == {"encode_pictures"}
    assert is_made(words=("a lake", "a tree")) == {"encode_text"}
    picture = next(root.rglob("*.jpg"))
    picture.write_bytes(next(root.rglob("*-1.jpg")).read_bytes())
    assert is_made() == {"encode_pictures"}
    with torch.no_grad():
        next(base.pipeline.vae.parameters()).add_(0.01)
    assert is_made() == {"encode_pictures"}
    with torch.no_grad():
        next(base.pipeline.text_encoder.parameters()).add_(0.01)
    assert is_made() == {"encode_text"}
    base.pipeline.tokenizer.add_tokens(["zwx"])
    assert is_made() == {"encode_text"}


def test_half_a_cache_is_never_read(sd, paintings, monkeypatch):
    base, catalog = open_base(str(sd)), scan(paintings)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "encode_pictures", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            latents_of(base, catalog, SQUARE, False, 0.01, None)
    assert latents_of(base, catalog, SQUARE, False, 0.01, None).maps[0].shape[1] == len(catalog)


def test_too_many_unreadable_files_are_named(sd, paintings, tmp_path):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    (root / "train/Baroque/broken_one-1.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    base, catalog = open_base(str(sd)), scan(root)
    with pytest.raises(InputError, match="broken_one-1"):
        latents_of(base, catalog, SQUARE, False, 0.0, None)
    latents = latents_of(base, catalog, SQUARE, False, 0.5, None)
    assert (latents.bucket_of < 0).sum() == 1


def test_a_cache_that_cannot_be_written_is_a_sentence(sd, paintings):
    Path("file").write_text("no folder")
    with pytest.raises(InputError, match="--cache-dir"):
        embeddings_of(open_base(str(sd)), ["a lake"], Path("file"))


@pytest.mark.parametrize("file", ["0.npy", "rows.npz", "about.json", "embeds.npy"])
def test_what_is_damaged_is_made_again(sd, paintings, tmp_path, monkeypatch, capsys, file):
    base, catalog = open_base(str(sd)), scan(paintings)

    def read() -> list[bytes]:
        kept = latents_of(base, catalog, SQUARE, False, 0.01, None)
        words = embeddings_of(base, ["a lake"], None).maps["embeds"]
        return [kept.maps[0].tobytes(), kept.place_of.tobytes(), words.view(torch.uint16).numpy().tobytes()]

    truth, found = read(), made(monkeypatch)
    (path, *_) = (tmp_path / "cache" / "lora").glob(f"*/{file}")
    whole = path.read_bytes()
    for damaged in (whole[:-2], whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:], b""):
        path.write_bytes(damaged)
        found.clear()
        assert read() == truth
        assert len(set(found)) == 1
        assert "is damaged; making it again" in capsys.readouterr().out
        assert path.read_bytes() == whole
    assert read() == truth


def test_a_disk_that_is_full_is_a_sentence_and_no_end_of_the_process(sd, paintings, tmp_path, monkeypatch):
    """Bytes must go through writes that can fail; through a memory map a full disk kills the process."""
    base, catalog = open_base(str(sd)), scan(paintings)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", None)
        patch.setattr(cache._Filled, "put", full)
        with pytest.raises(InputError, match=r"No space left on device.*--no-cache"):
            latents_of(base, catalog, SQUARE, False, 0.01, None)
        with pytest.raises(InputError, match=r"No space left on device.*--no-cache"):
            embeddings_of(base, [], None)
    assert [path.suffix for path in (tmp_path / "cache" / "lora").iterdir() if path.is_dir()] == []
    assert embeddings_of(base, [], None).maps["embeds"].shape[0] == 1


def test_a_whole_cache_need_not_be_writable(sd, paintings, monkeypatch):
    base = open_base(str(sd))
    truth = embeddings_of(base, ["a lake"], None).maps["embeds"]
    monkeypatch.setattr(cache, "writable_folder", lambda folder: pytest.fail("nothing is to be written"))
    assert torch.equal(embeddings_of(base, ["a lake"], None).maps["embeds"], truth)
