"""Files, PIL images and tensors become the same batch of images, and the one that training sees."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wikiart_data import DeviceImages, InputError, load_images, pack, scan


@pytest.fixture
def files(paint: Callable[..., Path], tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / f"{number}.jpg", number, size=(50, 40 + number)) for number in range(3)]


def test_shape_range_and_layout(files: list[Path]):
    images = load_images(files, 12)
    assert (images.shape, images.dtype) == ((3, 3, 12, 12), torch.float32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= images.min() < 0.5 < images.max() <= 1


def test_files_names_and_pil_images_are_the_same(files: list[Path]):
    images = load_images(files, 45)
    assert torch.equal(load_images([str(file) for file in files], 45), images)
    assert torch.equal(load_images([Image.open(file) for file in files], 45), images)
    assert torch.equal(load_images([files[0], Image.open(files[1]), files[2]], 45), images)
    assert torch.equal(load_images(files[1], 45), images[1:2])
    assert torch.equal(load_images((file for file in files), 45), images)


def test_pil_images_are_turned_upright_and_laid_on_white():
    # A transparent picture, stored lying on its side.
    turned = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    turned.paste((255, 0, 0, 255), (0, 0, 10, 10))
    turned.getexif()[0x0112] = 6  # to be turned by 90° clockwise
    images = load_images(turned, 8)
    assert images[0, :, 1, 4].tolist() == [1.0, 0.0, 0.0]
    assert images[0, :, 6, 4].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("size", [12, 9, 30])
def test_the_same_pixels_as_from_a_pack(size: int, folder: Callable[..., Path]):
    catalog = scan(folder())
    packed = pack(catalog, 12)
    rows = packed.rows("train")[:5]
    (images,) = DeviceImages(packed).in_order(rows, 5, size)
    files = [catalog.root / catalog.files[row] for row in rows]
    assert torch.equal(load_images(files, size, packed_size=12), images)


def test_tensors_are_resized():
    pixels = torch.randint(0, 256, (2, 3, 10, 14), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = load_images(pixels, 7)
    assert (images.shape, images.dtype) == ((2, 3, 7, 7), torch.float32)
    torch.testing.assert_close(load_images(pixels.float() / 255, 7), images)
    whole = load_images(pixels[..., :10], 10)
    torch.testing.assert_close(whole, pixels[..., :10].float() / 255)
    assert torch.equal(load_images(whole, 10), whole)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (2, 8, 8, 3), (2, 1, 8, 8)])
def test_a_tensor_of_another_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\)"):
        load_images(torch.zeros(shape), 8)


@pytest.mark.parametrize("values", [(0.0, 255.0), (-2.1, 2.6), (0.0, float("nan"))])
def test_floats_that_are_not_between_0_and_1_are_refused(values: tuple[float, float]):
    images = torch.tensor(values).expand(2, 3, 4, 2)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        load_images(images, 8)


@pytest.mark.parametrize("wrong", [[np.zeros((8, 8, 3), np.uint8)], [torch.zeros(3, 8, 8)], b"bytes"])
def test_what_is_no_picture_is_refused_by_its_type(wrong: object):
    with pytest.raises(TypeError, match=r"PIL\.Image\.fromarray"):
        load_images(wrong, 8)


def test_a_single_tensor_or_array_is_a_batch_of_one():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    images = load_images(tensor, 7)
    assert torch.equal(images, load_images(tensor[None], 7))
    assert torch.equal(load_images(pixels, 7), load_images(Image.fromarray(pixels), 7))
    assert images.shape == (1, 3, 7, 7)


@pytest.mark.parametrize(("shape", "kind"), [((3, 8, 8), "uint8"), ((8, 8, 3), "float32"), ((2, 8, 8, 3), "uint8")])
def test_an_array_of_another_shape_or_type_is_refused(shape: tuple[int, ...], kind: str):
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        load_images(np.zeros(shape, kind), 8)


def test_a_size_of_0_is_not_the_fault_of_a_file(files: list[Path], folder: Callable[..., Path], cache: Path):
    catalog = scan(folder())
    with pytest.raises(ValueError, match="size"):
        load_images(files, 0)
    with pytest.raises(ValueError, match="size"):
        pack(catalog, 0)
    assert not (cache / "packs").exists()


def test_nothing_is_an_empty_batch():
    assert load_images([], 8).shape == (0, 3, 8, 8)


def test_a_file_that_cannot_be_read_is_named(files: list[Path], tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(files[0].read_bytes()[:300])
    for wrong in (broken, tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(InputError) as error:
            load_images([files[0], wrong], 8)
        assert error.value.field == str(wrong)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(files[0].read_bytes()[:-300])
    with Image.open(cut) as opened, pytest.raises(InputError) as error:
        load_images(opened, 8)
    assert error.value.field == str(cut)


def test_what_is_loaded_does_not_share_memory_with_the_picture():
    picture = Image.fromarray(np.full((8, 8, 3), 51, dtype=np.uint8))
    load_images(picture, 8).zero_()
    assert np.asarray(picture).min() == 51


def test_a_pil_image_of_a_corrupt_file_is_refused(tmp_path: Path):
    corrupt = tmp_path / "corrupt.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(corrupt)
    content = bytearray(corrupt.read_bytes())
    content[len(content) // 2] ^= 0xFF
    corrupt.write_bytes(content)
    with Image.open(corrupt) as opened, pytest.raises(InputError) as error:
        load_images(opened, 8)
    assert error.value.field == str(corrupt)
