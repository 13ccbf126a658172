"""The cache: reused while its inputs are unchanged, written anew when any of them changes or it is damaged."""

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
from wikiart_lora.base_models.families import encode_captions, encode_images
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cache import cached_embeddings, cached_latents

SQUARE = [(16, 16)]


def record_encoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the encoding functions that are called from now on."""
    calls: list[str] = []
    for name in ("encode_images", "encode_captions"):
        real = getattr(cache, name)

        def counted(*arguments, name=name, real=real):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(cache, name, counted)
    return calls


def test_cached_values_are_those_of_the_base(sd, paintings):
    base, catalog = load_base(str(sd)), scan(paintings)
    latents = cached_latents(base, catalog, [(16, 16), (16, 28)], True, 0.01, None)
    row = int(np.flatnonzero(latents.bucket_of == 0)[3])
    images = cache.read_images(catalog, np.array([row]), (16, 16))
    torch.testing.assert_close(latents.read(np.array([row])), encode_images(base, images), rtol=1e-2, atol=1e-2)
    mirrored = latents.read(np.array([row]), np.array([True]))
    torch.testing.assert_close(mirrored, encode_images(base, images.flip(3)), rtol=1e-2, atol=1e-2)
    embeddings = cached_embeddings(base, ["a lake", "a house"], None)
    with torch.no_grad():
        direct = encode_captions(base, ["a house"])["embeds"]
    cached = embeddings.read(["a house"], torch.device("cpu"), torch.float32)["embeds"]
    torch.testing.assert_close(cached, direct, rtol=1e-2, atol=1e-2)


def test_the_cache_is_written_anew_when_an_input_changes(sd, paintings, tmp_path, monkeypatch):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    base = load_base(str(sd))
    calls = record_encoding(monkeypatch)

    def encoded(buckets=SQUARE, flip=False, captions=("a lake",)) -> set[str]:
        calls.clear()
        cached_latents(base, scan(root), buckets, flip, 0.01, None)
        cached_embeddings(base, captions, None)
        return set(calls)

    assert encoded() == {"encode_images", "encode_captions"}
    assert encoded() == set()
    assert encoded(flip=True) == {"encode_images"}
    assert encoded(buckets=[(16, 16), (16, 28)]) == {"encode_images"}
    assert encoded(captions=("a lake", "a tree")) == {"encode_captions"}
    picture = next(root.rglob("*.jpg"))
    picture.write_bytes(next(root.rglob("*-1.jpg")).read_bytes())
    assert encoded() == {"encode_images"}
    with torch.no_grad():
        next(base.pipeline.vae.parameters()).add_(0.01)
    assert encoded() == {"encode_images"}
    with torch.no_grad():
        next(base.pipeline.text_encoder.parameters()).add_(0.01)
    assert encoded() == {"encode_captions"}
    base.pipeline.tokenizer.add_tokens(["zwx"])
    assert encoded() == {"encode_captions"}


def test_an_interrupted_cache_is_not_used(sd, paintings, monkeypatch):
    base, catalog = load_base(str(sd)), scan(paintings)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "encode_images", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            cached_latents(base, catalog, SQUARE, False, 0.01, None)
    assert cached_latents(base, catalog, SQUARE, False, 0.01, None).maps[0].shape[1] == len(catalog)


def test_too_many_unreadable_files_are_listed(sd, paintings, tmp_path):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    (root / "train/Baroque/broken_one-1.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    base, catalog = load_base(str(sd)), scan(root)
    with pytest.raises(InputError) as error:
        cached_latents(base, catalog, SQUARE, False, 0.0, None)
    assert error.value.field == "--max-bad-fraction"
    assert "broken_one-1" in str(error.value)
    latents = cached_latents(base, catalog, SQUARE, False, 0.5, None)
    assert (latents.bucket_of < 0).sum() == 1


def test_a_cache_that_cannot_be_written_is_refused(sd, paintings):
    Path("file").write_text("no folder")
    with pytest.raises(InputError) as error:
        cached_embeddings(load_base(str(sd)), ["a lake"], Path("file"))
    assert "file" in str(error.value)


@pytest.mark.parametrize("file", ["0.npy", "rows.npz", "about.json", "embeds.npy"])
def test_damaged_files_are_written_again(sd, paintings, tmp_path, monkeypatch, capsys, file):
    base, catalog = load_base(str(sd)), scan(paintings)

    def read() -> list[bytes]:
        latents = cached_latents(base, catalog, SQUARE, False, 0.01, None)
        embeddings = cached_embeddings(base, ["a lake"], None).maps["embeds"]
        return [latents.maps[0].tobytes(), latents.index_of.tobytes(), embeddings.view(torch.uint16).numpy().tobytes()]

    truth, calls = read(), record_encoding(monkeypatch)
    (path, *_) = (tmp_path / "cache" / "lora").glob(f"*/{file}")
    whole = path.read_bytes()
    for damaged in (whole[:-2], whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:], b""):
        path.write_bytes(damaged)
        calls.clear()
        assert read() == truth
        assert len(set(calls)) == 1
        assert str(path.parent) in capsys.readouterr().out
        assert path.read_bytes() == whole
    assert read() == truth


def test_a_full_disk_is_an_error_and_does_not_kill_the_process(sd, paintings, tmp_path, monkeypatch):
    """Data must be written by calls that can fail; a write through a memory map on a full disk kills the process."""
    base, catalog = load_base(str(sd)), scan(paintings)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", None)
        patch.setattr(cache._ArrayFile, "write", full)
        with pytest.raises(InputError) as latents_error:
            cached_latents(base, catalog, SQUARE, False, 0.01, None)
        with pytest.raises(InputError) as embeddings_error:
            cached_embeddings(base, [], None)
        assert latents_error.value.field == embeddings_error.value.field == "--cache-dir"
    assert [path.suffix for path in (tmp_path / "cache" / "lora").iterdir() if path.is_dir()] == []
    assert cached_embeddings(base, [], None).maps["embeds"].shape[0] == 1


def test_a_complete_cache_need_not_be_writable(sd, paintings, monkeypatch):
    base = load_base(str(sd))
    truth = cached_embeddings(base, ["a lake"], None).maps["embeds"]
    monkeypatch.setattr(cache, "writable_folder", lambda folder: pytest.fail("nothing may be written"))
    assert torch.equal(cached_embeddings(base, ["a lake"], None).maps["embeds"], truth)
