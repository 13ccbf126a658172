"""One file under the loupe: what `doctor` wants to know of a picture, from one read and one decode."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wikiart_data.doctor.duplicates import perceptual_hash
from wikiart_data.images.decode import FORMATS, BadPictureError, decode

_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "MPO": (".mpo", ".jpg", ".jpeg", ".jpe"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
_MODES = {"1": "black and white", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK"}
_ORIENTATION = 0x0112
_ENOUGH = 64  # pixels a side that are decoded; a JPEG's whole data is read all the same, so a truncated one is noticed


@dataclass(frozen=True)
class InspectedFile:
    """What one file turned out to be."""

    file: str
    """Path below the data folder."""
    split: str
    style: str
    content: bytes = b""
    """Digest of the file's bytes; empty if they could not be read."""
    reason: str = ""
    """Why it cannot be decoded; empty if it can."""
    odd: tuple[str, ...] = ()
    """What is unusual about it, though it decodes: 'CMYK', 'WEBP named .jpg', ..."""
    width: int = 0
    height: int = 0
    pixels: bytes = b""
    """Digest of the decoded pixels; empty for a picture too flat to be told by a reduced copy."""
    look: tuple[np.ndarray, np.ndarray] | None = None
    """Perceptual hash and thumbnail (`duplicates.look_of`); None for a flat picture."""


def inspect_file(root: Path, file: str, split: str, style: str, *, near: bool = True) -> InspectedFile:
    """Read and decode one file; never raises for what is in it."""
    try:
        data = (root / file).read_bytes()
    except OSError as error:
        return InspectedFile(file, split, style, reason=f"cannot be read: {error.strerror or error}")
    content = _digest(data)
    try:
        picture = decode(data, at_least=_ENOUGH)
        odd, width, height = _header(data, Path(file).suffix.lower())
    except BadPictureError as error:
        return InspectedFile(file, split, style, content, reason=str(error))
    look = perceptual_hash(picture)
    pixels = _digest(f"{width} {height} {picture.size}".encode() + picture.tobytes()) if look else b""
    return InspectedFile(file, split, style, content, "", odd, width, height, pixels, look if near else None)


def _header(data: bytes, ending: str) -> tuple[tuple[str, ...], int, int]:
    """Oddities and size of a picture that is known to decode."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        odd = []
        if opened.mode.startswith(("I", "F")) or (opened.format == "PNG" and data[24] == 16):
            odd.append("16 bits or more a channel")
        elif opened.mode in _MODES:
            odd.append(_MODES[opened.mode])
        if "A" in opened.mode or "transparency" in opened.info:
            odd.append("transparent")
        if ending not in _ENDINGS.get(opened.format or "", ()):
            odd.append(f"{opened.format} named {ending}")
        elif opened.format not in ("JPEG", "PNG"):
            odd.append(str(opened.format))
        if _frames(opened) > 1:
            odd.append("several frames")
        if _orientation(opened) in range(2, 9):
            odd.append("EXIF-rotated")
        return tuple(odd), *opened.size


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
