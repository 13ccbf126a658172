"""One picture file to upright RGB, whatever it turns out to be, or a reason why not."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Image.init()  # registers every format now: opening from several threads, or with `formats=`, relies on it
# Odd metadata is met with warnings; only the pixels count here, and what is too large is refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 150_000_000
"""Larger pictures are refused from their header, before anything is decoded (a decompression bomb, or a mistake)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is recognised by content; the file's name does not matter."""


class BadPictureError(Exception):
    """A file that cannot be used as a picture; the message is the reason, without the file's name."""


def decode(source: Path | bytes, at_least: int | None = None) -> Image.Image:
    """Decode a picture file to upright RGB on white.

    EXIF rotation is applied, transparency is laid on white, 16 bits become 8, CMYK, grey and palette become RGB, and
    of several frames the first is taken. Truncated files are refused, not padded with grey.

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
    if not data:
        raise BadPictureError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise BadPictureError(f"{width} × {height} pixels, more than {MAX_PIXELS:,}")
            if at_least is not None:
                opened.draft(None, (at_least, at_least))
            opened.load()
            return upright_rgb(opened)
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


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Squash a picture to a square, as the course's export did: (size, size, 3) uint8, antialiased."""
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.uint8)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A PIL image of any mode as upright RGB on white, as `decode` returns it."""
    try:
        turned = ImageOps.exif_transpose(picture)
    except Exception:
        turned = picture  # a broken EXIF block says nothing about which way is up
    if turned.mode.startswith(("I", "F")):
        turned = _eight_bits(turned)
    if turned.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in turned.info:
        layer = turned.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        turned = ground
    return turned.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    top = values.max(initial=0)
    full = 65535.0 if picture.mode.startswith("I;16") or top > 255 else 255.0
    if picture.mode == "F" and top <= 1.0:
        full = 1.0
    return Image.fromarray((values.clip(0, full) * (255.0 / full)).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture that can be read"
    text = " ".join(str(error).split())
    return text[:120] if text else type(error).__name__


def available_cores() -> int:
    """In a container or a batch job often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
