"""One picture file to upright sRGB, whatever format it is in, or a reason why not."""

import io
import os
import warnings
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from wikiart_data.errors import how_to_install
from wikiart_data.images.colour import (
    eight_bits,
    from_sixteen_bits,
    is_sixteen_bit_colour,
    lower_bytes,
    may_be_unscaled,
    to_srgb,
)
from wikiart_data.images.formats import PLUGIN_REQUIREMENTS, PLUGINS, has_plugin, kind_of_content

Image.init()  # registers every format now: opening from several threads, or with `formats=`, relies on it
# Pillow warns of odd metadata; only the pixels count here, and what is too large is refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 150_000_000
"""Larger pictures are refused from their header, before anything is decoded (a decompression bomb, or a mistake)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Pillow's names of the formats that are read; they are recognised by content, whatever the file is called."""

_PLUGIN_FORMATS = {"HEIC": "HEIF", "JPEG XL": "JXL"}
_registered: set[str] = set()
_registering = Lock()


class BadPictureError(Exception):
    """A file that cannot be used as a picture; the message is the reason, without the file's name."""


def decode(source: Path | bytes, at_least: int | None = None) -> Image.Image:
    """Decode a picture file to upright sRGB on white.

    EXIF rotation and the ICC profile are applied, transparency is laid on white, 16 bits become 8 (10, 12 and 14 bits
    that were stored in 16 are scaled up), CMYK, grey and palette become RGB, and of several frames the first is taken.
    A broken profile is ignored. Truncated files are refused, not padded with grey.

    Args:
        source: a path, or the file's bytes.
        at_least: if given, a JPEG may come back reduced by 2, 4 or 8 while both sides stay at or above this many
            pixels: decoding then costs a fraction.

    Returns:
        A picture of mode RGB.

    Raises:
        BadPictureError: the file is missing, empty, no picture, truncated, or of more than MAX_PIXELS pixels.
    """
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise BadPictureError(f"cannot be read: {error.strerror or error}") from error
    try:
        with open_picture(data) as opened:
            deep = is_sixteen_bit_colour(opened)
            if at_least is not None:
                opened.draft(None, (at_least, at_least))
            opened.load()
            return upright_rgb(scaled_by_bits(data, opened)[0] if deep else opened)
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"more than {MAX_PIXELS:,} pixels") from error
    except MemoryError as error:
        raise BadPictureError("needs more memory than there is") from error
    except Exception as error:
        # Pillow's plugins raise nearly everything on hostile bytes (OSError, SyntaxError, struct.error, IndexError,
        # ...); each means the same to us.
        raise BadPictureError(_reason(error)) from error


def open_picture(data: bytes) -> Image.Image:
    """Open a picture's bytes with Pillow, of any format that is read, without decoding them.

    Raises:
        BadPictureError: there are none, they need a package that is not installed, or the header names more than
            MAX_PIXELS pixels.
        Exception: what Pillow's plugins raise on bytes that are no picture, which is nearly everything.
    """
    if not data:
        raise BadPictureError("empty file")
    formats = FORMATS
    if (kind := kind_of_content(data[:64])) in PLUGINS:
        if not has_plugin(kind):
            packages = how_to_install("formats", *PLUGIN_REQUIREMENTS)
            raise BadPictureError(f"a {kind} file; to read it, run {packages}")
        _register(kind)
        formats = (*FORMATS, _PLUGIN_FORMATS[kind])
    opened = Image.open(io.BytesIO(data), formats=formats)
    width, height = opened.size
    if width * height > MAX_PIXELS:
        opened.close()
        raise BadPictureError(f"{width} × {height} pixels, more than {MAX_PIXELS:,}")
    return opened


def _register(kind: str) -> None:
    with _registering:
        if kind not in _registered:
            if kind == "HEIC":
                import pillow_heif

                pillow_heif.register_heif_opener()
            else:
                import pillow_jxl  # noqa: F401  (registers itself)
            _registered.add(kind)


def scaled_by_bits(data: bytes, opened: Image.Image) -> tuple[Image.Image, int]:
    """A 16-bit colour picture as Pillow loads it, or scaled up if it plainly uses 10, 12 or 14 bits only.

    Args:
        data: the file.
        opened: the same, loaded.

    Returns:
        The picture, and the bits that it uses.
    """
    if not may_be_unscaled(opened):
        return opened, 16
    with open_picture(data) as reopened:
        return from_sixteen_bits(opened, lower_bytes(reopened))


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Squash a picture to a square, as the course's export did: (size, size, 3) uint8, antialiased."""
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.uint8)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A PIL image of any mode as upright sRGB on white, as `decode` returns it.

    Raises:
        Exception: what Pillow's plugins raise when the image is first read from its file and that is damaged.
    """
    picture.load()  # outside of the try below: a second attempt would return what was decoded before the damage
    try:
        turned = ImageOps.exif_transpose(picture)
    except Exception:
        turned = picture  # a broken EXIF block says nothing about which way is up
    if turned.mode.startswith(("I", "F")):
        turned = eight_bits(turned)
    if turned.mode in ("PA", "La", "RGBa") or "transparency" in turned.info:
        turned = turned.convert("RGBA")
    elif turned.mode == "P":
        turned = turned.convert("RGB")
    turned = to_srgb(turned)
    if turned.mode in ("RGBA", "LA"):
        layer = turned.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        turned = ground
    return turned.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture that can be read"
    text = " ".join(str(error).split())
    return text[:120] if text else type(error).__name__


def available_cores() -> int:
    """CPU cores that this process may use; in a container or a batch job often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
