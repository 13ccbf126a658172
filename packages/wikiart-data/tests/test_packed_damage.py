"""Pictures that cannot be read are named and left out of a pack, and a damaged pack is repaired."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.decode import decode, square
from wikiart_data.images.packed import pack

SIZE = 12
Folder = Callable[..., Path]


# -- unreadable files ------------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(folder: Folder) -> Catalog:
    root = folder()
    (root / "train/Baroque/001.jpg").write_bytes(b"")
    whole = (root / "test/Baroque/000.jpg").read_bytes()
    (root / "test/Baroque/000.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "test/Ukiyo_e/a\n<b>.jpg").write_text("no picture")
    return scan(root)


SPOILT = ["train/Baroque/001.jpg", "test/Baroque/000.jpg", "test/Ukiyo_e/a\n<b>.jpg"]


def test_unreadable_files_are_named_and_left_out(spoilt: Catalog, capsys: pytest.CaptureFixture):
    packed = pack(spoilt, SIZE, max_bad_fraction=0.1)
    assert [spoilt.files[row] for row in packed.bad] == SPOILT
    assert packed.bad[spoilt.files.index(SPOILT[0])] == "empty file"
    output = capsys.readouterr().out
    assert "  train/Baroque/001.jpg: empty file\n" in output
    assert "  test/Ukiyo_e/a\\n<b>.jpg: " in output
    for row, file in enumerate(spoilt.files):
        if row in packed.bad:
            assert not packed.images[row].any()
        else:
            assert np.array_equal(packed.images[row], square(decode(spoilt.root / file, at_least=SIZE), SIZE))
    readable = [spoilt.files[row] for split in ("train", "valid", "test") for row in packed.rows(split)]
    assert sorted(readable) == sorted(set(spoilt.files) - set(SPOILT))
    again = pack(spoilt, SIZE, max_bad_fraction=0.1)
    assert again.bad == packed.bad
    assert "train/Baroque/001.jpg: empty file" in capsys.readouterr().out


def test_more_than_the_limit_is_refused_with_the_list(spoilt: Catalog):
    for _ in range(2):  # when it is packed, and when it is opened
        with pytest.raises(InputError) as error:
            pack(spoilt, SIZE)
        assert error.value.field == "--max-bad-fraction"
        message = str(error.value)
        assert message.startswith(f"3 of {len(spoilt)} pictures in {spoilt.root} ")
        for name in ("train/Baroque/001.jpg: empty file", "test/Baroque/000.jpg: ", "test/Ukiyo_e/a\\n<b>.jpg: "):
            assert f"\n  {name}" in message
        assert "doctor" in message


def test_the_limit_itself_is_accepted(spoilt: Catalog):
    assert len(pack(spoilt, SIZE, max_bad_fraction=3 / len(spoilt)).bad) == 3
    with pytest.raises(InputError):
        pack(spoilt, SIZE, max_bad_fraction=2.9 / len(spoilt))


def test_a_long_list_is_cut(folder: Folder):
    root = folder({"train": {"Baroque": [f"{i:02d}.jpg" for i in range(30)]}}, real=False)
    with pytest.raises(InputError) as error:
        pack(scan(root), SIZE)
    assert "19.jpg" in str(error.value)
    assert "20.jpg" not in str(error.value)
    assert "10 more" in str(error.value)


# -- damaged packs ---------------------------------------------------------------------------------------------------


def flip(path: Path, places: list[int], bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 1 << bit
    path.write_bytes(content)


def test_damaged_pictures_are_decoded_again(catalog: Catalog, decoded: list, capsys: pytest.CaptureFixture):
    packed = pack(catalog, SIZE)
    expected = packed.images.copy()
    bytes_each = SIZE * SIZE * 3
    decoded.clear()
    flip(packed.folder / "images.u8", [0, bytes_each * 4 + 1, bytes_each * 9 - 1, expected.size - 1])
    assert np.array_equal(pack(catalog, SIZE).images, expected)
    assert len(decoded) == 4
    assert "4 packed pictures were damaged" in capsys.readouterr().out
    assert np.array_equal(np.fromfile(packed.folder / "images.u8", dtype=np.uint8), expected.ravel())
    pack(catalog, SIZE)
    assert len(decoded) == 4


def test_a_flipped_bit_anywhere_is_repaired(catalog: Catalog):
    packed = pack(catalog, SIZE)
    expected, dice = packed.images.copy(), random.Random(0)
    for place in dice.sample(range(expected.size), 25):
        flip(packed.folder / "images.u8", [place], dice.randrange(8))
        assert np.array_equal(pack(catalog, SIZE).images, expected)


def test_a_damaged_black_row_is_repaired(spoilt: Catalog):
    packed = pack(spoilt, SIZE, max_bad_fraction=0.1)
    row = next(iter(packed.bad))
    flip(packed.folder / "images.u8", [row * SIZE * SIZE * 3 + 5])
    again = pack(spoilt, SIZE, max_bad_fraction=0.1)
    assert not again.images[row].any()
    assert again.bad == packed.bad


def test_flips_in_the_index_are_harmless_or_noticed(folder: Folder):
    catalog = scan(folder({"train": {"Baroque": 3, "Cubism": 1}}))
    packed = pack(catalog, SIZE)
    expected, index = packed.images.copy(), packed.folder / "index.npz"
    whole, dice = index.read_bytes(), random.Random(1)
    damages = [b"", b"PK\3\4", whole[:-1], whole[: len(whole) // 2], b"\x93NUMPY" + whole]
    for place in dice.sample(range(len(whole)), 80):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << dice.randrange(8)
        damages.append(bytes(flipped))
    for damaged in damages:
        index.write_bytes(damaged)
        again = pack(catalog, SIZE, workers=1)
        assert np.array_equal(again.images, expected)
        assert again.bad == {}
