"""ICC profiles, and 10, 12 or 14 bits in 16, against values computed by hand."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from wikiart_data.images import decode as decode_module
from wikiart_data.images.catalog import scan
from wikiart_data.images.colour import profile_problem, raw_bits
from wikiart_data.images.decode import BadPictureError, decode

# Primaries adapted to D50, as the profiles of Adobe (1998) and ROMM RGB (ISO 22028-2) give them, and the exponent.
ADOBE = ([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]], 563 / 256)
PROPHOTO = ([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]], 1.8)
SRGB_D50 = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]


def icc(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ", intent: int = 1) -> bytes:
    """An ICC version 2 profile."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78} | tags
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + b"\0" * (-len(tag) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(content), b"lcms", 0x02200000, kind, space, pcs)
    header += b"\0" * 12 + b"acsp" + b"\0" * 24 + struct.pack(">I", intent) + _fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + content


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def matrix_profile(primaries: list[list[float]], gamma: float) -> bytes:
    columns = np.array(primaries).T
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)}
    for channel, column in zip(b"rgb", columns, strict=True):
        tags[bytes([channel]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*column)
        tags[bytes([channel]) + b"TRC"] = curve
    return icc(b"RGB ", tags)


def cmyk_profile() -> bytes:
    """A press whose inks give these Lab colours: a table of the 16 corners of CMYK (lut8, ICC.1:2001 section 6.5.8)."""
    corners = b""
    for number in range(16):
        cyan, magenta, yellow, black = ((number >> shift) & 1 for shift in (3, 2, 1, 0))
        lightness = (95 - 35 * cyan - 45 * magenta - 5 * yellow) * (1 - 0.9 * black)
        a = (-35 * cyan + 70 * magenta - 5 * yellow) * (1 - black)
        b = (-48 * cyan - 2 * magenta + 90 * yellow) * (1 - black)
        corners += bytes([round(max(0, lightness) * 2.55), round(a + 128), round(min(b, 127) + 128)])
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + corners + ramp * 3
    white = b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)
    return icc(b"CMYK", {b"wtpt": white, b"A2B0": lut, b"A2B1": lut}, b"prtr", b"Lab ")


def srgb_of(values: np.ndarray, primaries: list[list[float]], gamma: float) -> np.ndarray:
    """(…, 3) uint8 in a matrix profile's space → (…, 3) float 0..255 in sRGB (IEC 61966-2-1)."""
    xyz = (values / 255.0) ** gamma @ np.array(primaries).T
    linear = (xyz @ np.linalg.inv(np.array(SRGB_D50)).T).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def smooth(size: int = 48) -> np.ndarray:
    """(size, size, 3) uint8: all hues, of middling saturation, without edges."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    return np.stack([60 + 130 * x, 60 + 130 * y, 190 - 130 * x * y], axis=-1).round().astype(np.uint8)


# -- profiles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("primaries", "gamma"), [ADOBE, PROPHOTO], ids=["Adobe RGB", "ProPhoto"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_wide_gamut_becomes_what_a_browser_shows(primaries: list, gamma: float, kind: str):
    values = smooth()
    options = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}[kind]
    content = saved(Image.fromarray(values), kind, icc_profile=matrix_profile(primaries, gamma), **options)
    expected = srgb_of(values.astype(float), primaries, gamma)
    error = np.abs(np.asarray(decode(content)).astype(float) - expected)
    assert error.mean() < 1.2
    assert np.abs(values - expected).mean() > 6, "without the profile it would be plainly wrong"


def test_cmyk_goes_through_its_profile():
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    colours = {}
    for name, profile in (("with", cmyk_profile()), ("without", None)):
        content = saved(inks, "JPEG", quality=100, icc_profile=profile) if profile else saved(inks, "JPEG", quality=100)
        colours[name] = decode(content).getpixel((8, 8))
    # Lab (60, -35, -48) is a dull blue in sRGB, where the naive formula says pure cyan.
    lab = np.array([60.0, -35.0, -48.0])
    fy = (lab[0] + 16) / 116
    f = np.array([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1.0, 0.8249)
    linear = (np.linalg.inv(np.array(SRGB_D50)) @ xyz).clip(0, 1)
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    # Black-point compensation stretches the darkest ink (L* of 1) to black: a few steps.
    assert colours["with"] == pytest.approx(expected, abs=6)
    assert colours["without"] == pytest.approx((0, 255, 255), abs=2)


def test_srgb_pictures_stay_bit_for_bit_and_are_still_reduced():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.fromarray(smooth(512))
    plain, tagged = saved(picture, "JPEG", quality=95), saved(picture, "JPEG", quality=95, icc_profile=profile)
    assert decode(tagged).tobytes() == decode(plain).tobytes()
    assert decode(tagged, at_least=64).size == (64, 64)
    with Image.open(io.BytesIO(tagged)) as opened:
        assert profile_problem(opened) == ""


def test_a_reduced_picture_has_the_colours_of_its_profile():
    values = smooth(512)
    content = saved(Image.fromarray(values), "JPEG", quality=95, icc_profile=matrix_profile(*ADOBE))
    reduced = decode(content, at_least=64)
    assert reduced.size == (64, 64)
    whole = decode(content).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(reduced).astype(int) - np.asarray(whole)).mean() < 1.5


def test_transparency_survives_a_profile():
    values = np.dstack([smooth(8), np.full((8, 8), 255, dtype=np.uint8)])
    values[0, 0, 3] = 0
    content = saved(Image.fromarray(values), "PNG", icc_profile=matrix_profile(*ADOBE))
    pixels = np.asarray(decode(content)).astype(float)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    expected = srgb_of(values[..., :3].astype(float), *ADOBE)
    assert np.abs(pixels - expected)[1:].mean() < 1.2


def test_grey_with_a_profile():
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)  # linear light
    profile = icc(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249), b"kTRC": curve})
    content = saved(Image.new("L", (8, 8), 55), "PNG", icc_profile=profile)
    linear = 55 / 255
    assert decode(content).getpixel((4, 4)) == pytest.approx([255 * (1.055 * linear ** (1 / 2.4) - 0.055)] * 3, abs=2)


@pytest.mark.parametrize("damage", ["no profile", "cut", "another space"])
def test_a_broken_profile_is_ignored_and_named(damage: str):
    profile = {
        "no profile": b"this is no profile at all, " * 8,
        "cut": matrix_profile(*ADOBE)[:200],
        "another space": cmyk_profile(),
    }[damage]
    values = smooth(8)
    content = saved(Image.fromarray(values), "PNG", icc_profile=profile)
    assert (np.asarray(decode(content)) == values).all()
    with Image.open(io.BytesIO(content)) as opened:
        assert "profile" in profile_problem(opened)


def test_a_wide_gamut_is_named():
    content = saved(Image.fromarray(smooth(8)), "PNG", icc_profile=matrix_profile(*ADOBE))
    with Image.open(io.BytesIO(content)) as opened:
        assert profile_problem(opened) == "test colour profile"


# -- more than 8 bits ----------------------------------------------------------------------------------------------


def png16(values: np.ndarray) -> bytes:
    """(H, W, C) uint16 as a PNG of 16 bits per channel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff16(values: np.ndarray, order: str, compressed: bool) -> bytes:
    """(H, W, 3) uint16 as a TIFF of one strip, plain or with zip compression."""
    height, width, channels = values.shape
    strip = values.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if compressed else strip
    bits, start = 8, 8 + 6
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 8 if compressed else 1), (262, 3, 1, 2),
        (273, 4, 1, start), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(strip)), (284, 3, 1, 1),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        directory += struct.pack(f"{order}HHI", tag, kind, count)
        directory += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    body = struct.pack(f"{order}HHH", 16, 16, 16) + strip
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8 + len(body)) + body + directory + struct.pack(f"{order}I", 0)


def gradient(bits: int, channels: int = 3, size: int = 32) -> np.ndarray:
    """(size, size, channels) uint16 from black to the top of so many bits."""
    ramp = np.linspace(0, 2**bits - 1, size * size * channels).reshape(size, size, channels)
    return ramp.round().astype(np.uint16)


FILES = {
    "PNG": png16,
    "little-endian TIFF": lambda values: tiff16(values, "<", compressed=False),
    "big-endian TIFF": lambda values: tiff16(values, ">", compressed=False),
    "little-endian TIFF, zip": lambda values: tiff16(values, "<", compressed=True),
    "big-endian TIFF, zip": lambda values: tiff16(values, ">", compressed=True),
}


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("kind", FILES)
def test_raw_bits_of_colour_are_scaled(bits: int, kind: str):
    values = gradient(bits)
    picture = decode(FILES[kind](values))
    assert picture.mode == "RGB"
    expected = values * (255.0 / (2**bits - 1))
    assert np.abs(np.asarray(picture) - expected).max() <= 1.01


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_raw_bits_of_grey_are_scaled(bits: int):
    values = gradient(bits, channels=1)
    pixels = np.asarray(decode(png16(values)))
    assert np.abs(pixels - values * (255.0 / (2**bits - 1))).max() <= 1.01


def test_alpha_is_scaled_by_its_own_range():
    values = gradient(12, channels=4)
    values[..., 3] = 65535
    expected = np.asarray(decode(png16(values[..., :3].copy())))
    assert np.abs(np.asarray(decode(png16(values))).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("highest", [40, 255, 300, 5000, 9000, 14000, 30000])
def test_a_dark_picture_of_sixteen_bits_stays_dark(highest: int):
    values = (gradient(16) * (highest / 65535)).astype(np.uint16)
    assert int(np.asarray(decode(png16(values))).max()) == highest >> 8


@pytest.mark.parametrize(
    ("highest", "bits"),
    [(255, 16), (512, 10), (1023, 10), (1024, 16), (2048, 12), (4095, 12), (14_745, 14), (16_383, 14), (16_384, 16)],
)
def test_which_bits_are_plain(highest: int, bits: int):
    assert raw_bits(highest) == bits


# -- formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"), [("JPEG", "a.jfif"), ("AVIF", "a.avif"), ("JPEG2000", "a.jp2"), ("JPEG", "a"), ("PNG", "a.dat")]
)
def test_what_pillow_decodes_is_read(kind: str, name: str, tmp_path: Path):
    values = smooth(64)
    (tmp_path / name).write_bytes(saved(Image.fromarray(values), kind))
    assert np.abs(np.asarray(decode(tmp_path / name)).astype(int) - values).mean() < 4


@pytest.mark.parametrize(
    ("kind", "module", "ending"),
    [("HEIF", "pillow_heif", ".heic"), ("JXL", "pillow_jxl", ".jxl"), ("HEIF", "pillow_heif", "")],
)
def test_heic_and_jpeg_xl_through_the_extra(kind: str, module: str, ending: str, tmp_path: Path):
    plugin = pytest.importorskip(module)
    if kind == "HEIF":
        plugin.register_heif_opener()
    path = tmp_path / "train" / "Baroque" / f"a{ending}"
    path.parent.mkdir(parents=True)
    path.write_bytes(saved(Image.fromarray(smooth(64)), kind, quality=95))
    assert len(scan(tmp_path)) == 1
    assert np.abs(np.asarray(decode(path)).astype(int) - smooth(64)).mean() < 4


@pytest.mark.parametrize("kind", ["HEIC", "JPEG XL"])
def test_without_the_extra_the_reason_names_it(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode_module, "has_plugin", lambda kind: False)
    content = {"HEIC": b"\0\0\0\x18ftypheic" + b"\0" * 50, "JPEG XL": b"\xff\x0a" + b"\0" * 50}[kind]
    with pytest.raises(BadPictureError) as error:
        decode(content)
    assert kind in str(error.value)
    assert "--extra formats" in str(error.value)
