"""What `doctor` wants to know of a picture file, from one read and one decode."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wikiart_data.doctor.duplicates import perceptual_hash
from wikiart_data.images.colour import is_sixteen_bit_colour, profile_problem, raw_bits
from wikiart_data.images.decode import BadPictureError, decode, open_picture, scaled_by_bits

_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "MPO": (".mpo", ".jpg", ".jpeg", ".jpe"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpx", ".jpf"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
}
_MODES = {"1": "black and white", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK"}
_ORIENTATION = 0x0112
_DECODED_PX = 64  # enough for a hash; all of a JPEG's data is read nevertheless, so a truncated one is noticed


@dataclass(frozen=True)
class InspectedFile:
    """What was found out about one file."""

    file: str
    """Path below the data folder."""
    split: str
    style: str
    content: bytes = b""
    """Digest of the file's bytes; empty if they could not be read."""
    reason: str = ""
    """Why it cannot be decoded; empty if it can."""
    oddities: tuple[str, ...] = ()
    """What is unusual about it, though it decodes: 'CMYK', 'WEBP named .jpg', 'Adobe RGB (1998) colour profile', ..."""
    width: int = 0
    height: int = 0
    pixels: bytes = b""
    """Digest of the decoded pixels; empty for a picture too flat to be recognised by a reduced copy."""
    hash: tuple[np.ndarray, np.ndarray] | None = None
    """Perceptual hash and thumbnail (`duplicates.perceptual_hash`); None for a flat picture."""


def inspect_file(root: Path, file: str, split: str, style: str, *, near: bool = True) -> InspectedFile:
    """Read and decode one file; never raises for what is in it."""
    try:
        data = (root / file).read_bytes()
    except OSError as error:
        return InspectedFile(file, split, style, reason=f"cannot be read: {error.strerror or error}")
    content = _digest(data)
    try:
        picture = decode(data, at_least=_DECODED_PX)
        oddities, width, height = _header(data, Path(file).suffix.lower())
    except BadPictureError as error:
        return InspectedFile(file, split, style, content, reason=str(error))
    hashed = perceptual_hash(picture)
    pixels = _digest(f"{width} {height} {picture.size}".encode() + picture.tobytes()) if hashed else b""
    return InspectedFile(file, split, style, content, "", oddities, width, height, pixels, hashed if near else None)


def _header(data: bytes, ending: str) -> tuple[tuple[str, ...], int, int]:
    """Oddities and size of a picture that is known to decode."""
    with open_picture(data) as opened:
        oddities: list[str] = []
        deep = is_sixteen_bit_colour(opened)
        if deep or opened.mode.startswith(("I", "F")):
            bits = _bits(data, opened, deep)
            oddities.append("16 bits or more a channel" if bits == 16 else f"{bits} bits in 16")
        elif opened.mode in _MODES:
            oddities.append(_MODES[opened.mode])
        if "A" in opened.mode or "transparency" in opened.info:
            oddities.append("transparent")
        if ending not in _ENDINGS.get(opened.format or "", ()):
            oddities.append(f"{opened.format} {f'named {ending}' if ending else 'without an ending'}")
        elif opened.format not in ("JPEG", "PNG"):
            oddities.append(str(opened.format))
        if problem := profile_problem(opened):
            oddities.append(problem)
        if _frames(opened) > 1:
            oddities.append("several frames")
        if _orientation(opened) in range(2, 9):
            oddities.append("EXIF-rotated")
        return tuple(oddities), *opened.size


def _bits(data: bytes, opened: Image.Image, deep: bool) -> int:
    """The bits that a picture of more than 8 per channel uses."""
    opened.load()
    if deep:
        return scaled_by_bits(data, opened)[1]
    return 16 if opened.mode == "F" else raw_bits(float(np.asarray(opened).max(initial=0)))


def _frames(opened: Image.Image) -> int:
    try:
        return int(getattr(opened, "n_frames", 1))
    except Exception:
        return 1  # a later frame is damaged; only the first is used


def _orientation(opened: Image.Image) -> object:
    try:
        return opened.getexif().get(_ORIENTATION)
    except Exception:
        return None  # a broken EXIF block: `decode` ignores it as well


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
