import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from wikiart_data.images.decode import MAX_PIXELS, BadPictureError, decode, square

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def corners(size: tuple[int, int] = (32, 24)) -> Image.Image:
    """A picture whose four corners are red, green (top), blue, yellow (bottom)."""
    width, height = size
    picture = Image.new("RGB", size)
    for place, colour in enumerate((RED, GREEN, BLUE, YELLOW)):
        left, top = place % 2 * width // 2, place // 2 * height // 2
        picture.paste(colour, (left, top, left + width // 2, top + height // 2))
    return picture


def corner_colours(picture: Image.Image) -> list[tuple[int, int, int]]:
    """The colours near the corners, each channel rounded to 0 or 255: left above, right above, left below, right."""
    right, bottom = picture.width - 3, picture.height - 3
    found = [picture.getpixel(place) for place in ((2, 2), (right, 2), (2, bottom), (right, bottom))]
    return [tuple(255 * (channel > 127) for channel in colour) for colour in found]


UPRIGHT = [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_the_usual_formats_whatever_they_are_called(kind: str, tmp_path: Path):
    path = tmp_path / "picture.jpg"  # a WEBP that is named .jpg is common
    path.write_bytes(saved(corners(), kind))
    picture = decode(path)
    assert (picture.mode, picture.size) == ("RGB", (32, 24))
    assert corner_colours(picture) == UPRIGHT


def test_cmyk_jpeg():
    picture = decode(saved(corners().convert("CMYK"), "JPEG", quality=95))
    assert picture.mode == "RGB"
    assert corner_colours(picture) == UPRIGHT


def test_grey_jpeg():
    pixels = np.asarray(decode(saved(Image.new("L", (8, 8), 77), "JPEG")))
    assert pixels.shape == (8, 8, 3)
    assert np.unique(pixels).tolist() == [77]


def test_one_bit():
    picture = Image.new("1", (8, 8), 0)
    picture.paste(1, (4, 0, 8, 8))
    pixels = np.asarray(decode(saved(picture, "PNG")))
    assert np.unique(pixels[:, :4]).tolist() == [0]
    assert np.unique(pixels[:, 4:]).tolist() == [255]


def test_sixteen_bits_become_eight():
    ramp = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16).repeat(2, axis=0)
    pixels = np.asarray(decode(saved(Image.fromarray(ramp), "PNG")))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (pixels == pixels[..., :1]).all()


def test_a_dark_sixteen_bit_picture_stays_dark():
    dark = np.full((4, 4), 255, dtype=np.uint16)  # 255 of 65,535: black
    assert np.asarray(decode(saved(Image.fromarray(dark), "PNG"))).max() == 0


def test_floats_with_a_hole():
    values = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    assert np.asarray(decode(saved(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 127, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str):
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(0, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 128)])
    pixels = np.asarray(decode(saved(picture.convert(mode), "PNG")))
    assert pixels[0].tolist() == [[0, 0, 0], [255, 255, 255], [127, 127, 127]]


def test_palette_with_a_transparent_entry():
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    picture.putdata([0, 1, 2])
    assert np.asarray(decode(saved(picture, "PNG")))[0].tolist() == [list(RED), list(BLUE), list(GREEN)]
    holed = np.asarray(decode(saved(picture, "PNG", transparency=1)))
    assert holed[0].tolist() == [list(RED), list(WHITE), list(GREEN)]
    shaded = np.asarray(decode(saved(picture, "PNG", transparency=bytes([255, 0, 0]))))
    assert shaded[0].tolist() == [list(RED), list(WHITE), list(WHITE)]


def test_one_transparent_colour():
    picture = Image.new("RGB", (2, 1), BLUE)
    picture.putpixel((1, 0), RED)
    assert np.asarray(decode(saved(picture, "PNG", transparency=RED)))[0].tolist() == [list(BLUE), list(WHITE)]


# How a camera that wrote this orientation had turned the picture: the inverse of what EXIF 2.3 says to do.
TURNED = {
    1: lambda p: p,
    2: lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda p: p.transpose(Image.Transpose.ROTATE_180),
    4: lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda p: p.transpose(Image.Transpose.TRANSPOSE),
    6: lambda p: p.transpose(Image.Transpose.ROTATE_90),
    7: lambda p: p.transpose(Image.Transpose.TRANSVERSE),
    8: lambda p: p.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientations(orientation: int, kind: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(TURNED[orientation](corners((40, 24))), kind, exif=exif))
    assert picture.size == (40, 24)
    assert corner_colours(picture) == UPRIGHT


def test_a_broken_exif_block_does_not_lose_the_picture():
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 20
    assert corner_colours(decode(saved(corners(), "JPEG", exif=exif))) == UPRIGHT


def test_of_several_pictures_in_a_file_the_first():
    content = saved(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24), WHITE)])
    assert b"MPF\0" in content  # it is what a stereo camera writes
    assert corner_colours(decode(content)) == UPRIGHT


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame(kind: str):
    content = saved(corners(), kind, save_all=True, append_images=[Image.new("RGB", (32, 24), WHITE)])
    assert corner_colours(decode(content)) == UPRIGHT


def test_missing_empty_and_folder_are_refused(tmp_path: Path):
    (tmp_path / "empty.jpg").touch()
    for path in (tmp_path / "empty.jpg", tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(BadPictureError) as error:
            decode(path)
        assert str(error.value)


@pytest.mark.parametrize("content", [b"no picture at all\n", b"\xff\xd8\xff", b"<svg></svg>", b"\0" * 4000, b"GIF89a"])
def test_what_is_no_picture_is_refused(content: bytes):
    with pytest.raises(BadPictureError):
        decode(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_truncated_files_are_refused(kind: str, fraction: float):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(noise, kind)
    with pytest.raises(BadPictureError) as caught:
        decode(content[: int(len(content) * fraction)])
    assert 3 < len(str(caught.value)) <= 120
    assert "\n" not in str(caught.value)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(60_000, 60_000), (20_000, 8_000), (2_000_000, 100)])
def test_bombs_are_refused_from_their_header(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    def load(*_: object) -> None:
        pytest.fail("a bomb was being decoded")

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(BadPictureError, match="more than 150,000,000"):
        decode(png_header(*size))


@pytest.mark.parametrize("size", [(640, 480), (640, 90), (97, 801), (64, 64), (30, 500)])
@pytest.mark.parametrize("at_least", [1, 24, 64, 65, 100])
def test_reduced_decoding_stays_large_enough(size: tuple[int, int], at_least: int):
    picture = decode(saved(corners(size), "JPEG"), at_least=at_least)
    assert min(picture.size) >= min(at_least, *size)
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.1)
    if min(size) >= 2 * at_least:
        assert picture.width <= size[0] // 2 + 1, "nothing was saved"


def test_reduced_decoding_shows_the_same_picture():
    content = saved(corners((640, 480)), "JPEG", quality=95)
    whole = square(decode(content), 48).astype(int)
    reduced = square(decode(content, at_least=48), 48).astype(int)
    assert np.abs(whole - reduced).mean() < 3  # only the edges between the colours differ


def test_square_squashes_and_leaves_a_fitting_picture_alone():
    pixels = square(corners((60, 20)), 30)
    assert (pixels.shape, pixels.dtype) == ((30, 30, 3), np.uint8)
    assert corner_colours(Image.fromarray(pixels)) == UPRIGHT
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    assert (square(Image.fromarray(noise), 30) == noise).all()


def originals() -> list[bytes]:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return [
        saved(noise, "JPEG", exif=exif),
        saved(noise, "JPEG", progressive=True),
        saved(noise.convert("CMYK"), "JPEG"),
        saved(noise, "MPO", save_all=True, append_images=[noise]),
        saved(noise, "PNG", exif=exif),
        saved(noise.convert("P"), "PNG", transparency=bytes(range(200))),
        saved(Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40)), "PNG"),
        saved(noise.convert("LA"), "WEBP"),
        saved(noise, "GIF", save_all=True, append_images=[ImageOps.invert(noise)]),
        saved(noise.convert("1"), "TIFF", compression="group4"),
        saved(noise, "TIFF", compression="tiff_lzw"),
        saved(Image.fromarray(np.ones((9, 9), dtype=np.float32)), "TIFF"),
        saved(noise.convert("P"), "BMP"),
        saved(noise, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()),
        saved(noise, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        saved(noise, "AVIF"),
        saved(noise, "JPEG2000"),
    ]


def outcome(content: bytes) -> str:
    """A picture's mode or the reason why there is none; anything else passes through and fails the test."""
    try:
        return decode(content, at_least=16).mode
    except BadPictureError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("kind", range(17))
def test_hostile_bytes_raise_nothing_else(kind: int):
    original, dice = originals()[kind], random.Random(kind)
    assert outcome(original) == "RGB"
    for _ in range(60):
        content = bytearray(original)
        for _ in range(dice.choice((1, 1, 2, 8, 40))):
            # Half of the changes hit the beginning, where formats keep what they believe.
            place = dice.randrange(len(content) if dice.random() < 0.5 else min(200, len(content)))
            content[place] = dice.randrange(256)
        if dice.random() < 0.2:
            del content[dice.randrange(len(content)) :]
        found = outcome(bytes(content))
        assert found == "RGB" or (len(found) > len("refused: ") and "\n" not in found)
