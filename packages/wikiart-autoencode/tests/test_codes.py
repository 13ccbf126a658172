"""Codes on disk: saving and loading, and damaged or inconsistent files."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wikiart_autoencode.codes import Codes
from wikiart_data.errors import InputError


def some(number: int = 6, **changed) -> Codes:
    arrays = {
        "codes": np.arange(number * 4, dtype=np.float32).reshape(number, 4),
        "labels": np.arange(number) % 2,
        "files": np.array([f"train/Baroque/{index}.jpg" for index in range(number)]),
        "styles": np.array(["Baroque", "Cubism"]),
        "split": np.array((["train", "valid", "test"] * number)[:number]),
    }
    return Codes(**{**arrays, **changed})


def written(path: Path, **changed) -> Path:
    """An .npz with the arrays of `some`, some of them changed, None to leave one out."""
    arrays = {name: getattr(some(), name) for name in ("codes", "labels", "files", "styles", "split")} | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def refused(path: Path) -> str | None:
    """The field of the error that loading raises."""
    with pytest.raises(InputError) as error:
        Codes.load(path)
    return error.value.field


def test_what_is_saved_is_loaded(tmp_path):
    files = np.array(
        ["a\ud800.jpg", "<b>.jpg", "é\n.jpg", "d.jpg", "e.jpg", "f" * 250]
    )  # file systems permit all of these
    codes = some(files=files)
    codes.save(tmp_path / "codes.npz")
    again = Codes.load(tmp_path / "codes.npz")
    for name in ("codes", "labels", "files", "styles", "split"):
        np.testing.assert_array_equal(getattr(again, name), getattr(codes, name))
    assert again.fingerprint == codes.fingerprint
    assert len(again) == 6
    assert list(tmp_path.iterdir()) == [tmp_path / "codes.npz"]


def test_a_run_folder_holds_its_codes(tmp_path):
    some().save(tmp_path / "codes.npz")
    assert Codes.load(str(tmp_path)).fingerprint == some().fingerprint


def test_types_are_what_the_contract_says():
    codes = some(codes=np.ones((6, 4), dtype=np.float64), labels=np.zeros(6, dtype=np.uint8))
    assert (codes.codes.dtype, codes.labels.dtype) == (np.float32, np.int64)


def test_spatial_codes_are_flattened_row_by_row():
    spatial = np.arange(6 * 8, dtype=np.float32).reshape(6, 2, 2, 2)
    np.testing.assert_array_equal(some(codes=spatial).codes[1], np.arange(8, 16))


def test_rows_of_a_split():
    np.testing.assert_array_equal(some().rows("valid"), [1, 4])
    assert some(split=np.full(6, "train")).rows("test").size == 0


def test_every_change_changes_the_fingerprint():
    codes = some()
    others = [
        replace(codes, codes=codes.codes + np.float32(1e-3)),
        replace(codes, codes=codes.codes.reshape(6, 4)[:, :3]),
        replace(codes, labels=1 - codes.labels),
        replace(codes, files=codes.files[::-1]),
        replace(codes, styles=np.array(["Baroque", "Cubisme"])),
        replace(codes, split=np.full(6, "test")),
    ]
    prints = {codes.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 1 + len(others)
    assert some().fingerprint == codes.fingerprint
    assert len(codes.fingerprint) == 16


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": None},
        {"split": None, "files": None},
        {"labels": np.zeros(5, dtype=int)},
        {"files": np.array(["a"])},
        {"codes": np.zeros(6, dtype=np.float32)},
        {"codes": np.zeros((0, 4), dtype=np.float32)},
        {"codes": np.array([[1, np.nan]] + [[0, 0]] * 5)},
        {"codes": np.full((6, 2), 1e300)},
        {"codes": np.array([["a"]] * 6)},
        {"labels": np.array([0, 1, 2, 0, 1, 0])},
        {"labels": np.array([0, 1, -1, 0, 1, 0])},
        {"split": np.array(["train"] * 5 + ["val"])},
        {"styles": np.array([1, 2])},
        {"files": np.array([{}] * 6, dtype=object)},  # a pickle is never opened
    ],
)
def test_wrong_arrays_are_refused(tmp_path, changed):
    path = written(tmp_path / "codes.npz", **changed)
    assert refused(path) == str(path)


@pytest.mark.parametrize("length", [0, 10, 200, -1, -30])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = written(tmp_path / "codes.npz")
    path.write_bytes(path.read_bytes()[:length])
    assert refused(path) == str(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = written(tmp_path / "codes.npz")
    content = bytearray(path.read_bytes())
    content[content.index(b"codes.npy") + 150] ^= 0xFF  # within the numbers, which the zip's CRC-32 covers
    path.write_bytes(content)
    assert refused(path) == str(path)


def test_a_flip_in_a_shape_does_not_read_a_part(tmp_path):
    path = written(tmp_path / "codes.npz")
    content = path.read_bytes()
    assert content.count(b"'shape': (6, 4)") == 1
    path.write_bytes(content.replace(b"'shape': (6, 4)", b"'shape': (6, 0)"))
    assert refused(path) == str(path)
    assert content.count(b"'<U19'") == 1  # of files
    path.write_bytes(content.replace(b"'<U19'", b"'<U11'"))
    assert refused(path) == str(path)


def test_every_bit_flip_in_the_zip_directory_is_noticed_or_harmless(tmp_path):
    path = written(tmp_path / "codes.npz")
    content, truth = path.read_bytes(), Codes.load(path).fingerprint
    directory = range(content.index(b"PK\1\2"), len(content))
    noticed = 0
    for index in [*range(60), *directory]:
        flipped = bytearray(content)
        flipped[index] ^= 1 << index % 8
        path.write_bytes(flipped)
        try:
            assert Codes.load(path).fingerprint == truth
        except InputError:
            noticed += 1
    assert noticed > 100


def test_other_files_are_refused(tmp_path):
    assert refused(tmp_path / "none.npz") == str(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip at all")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"codes": 1}))
    for name in ("text.npz", "pickle.npz"):
        assert refused(tmp_path / name) == str(tmp_path / name)
    np.save(tmp_path / "one.npy", np.zeros((3, 2)))
    assert refused(tmp_path / "one.npy") == str(tmp_path / "one.npy")
    assert refused(tmp_path) == str(tmp_path / "codes.npz")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        some().save(tmp_path / "none" / "codes.npz")
    assert error.value.field == str(tmp_path / "none" / "codes.npz")
