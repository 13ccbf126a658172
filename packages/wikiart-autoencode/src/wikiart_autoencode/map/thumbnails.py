"""Thumbnails of the map: small JPEG files that share one header, and an overview in which every picture is tiny."""

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np

THUMBNAIL_BYTES = 24_000_000
"""Space for thumbnails in a single file; with 15,000 pictures the page stays below 40 MB."""
LARGEST_SIDE = 128
_SIDES = (LARGEST_SIDE, 112, 96, 80, 64, 48, 32)  # multiples of JPEG's 16-pixel blocks: others are padded up to them
_JPEG_QUALITY = 60
_SAMPLE = 200
_OVERVIEW_SIDE = 16
_OVERVIEW_PIXELS = 16_000_000  # browsers refuse larger images on phones


@dataclass(frozen=True)
class Thumbnails:
    """JPEG files without their common header."""

    side: int
    """The longer side in pixels."""
    header: str
    """The common header, in base64."""
    bodies: list[str]
    """(n,) base64; `header + bodies[row]` is a JPEG file."""


@dataclass(frozen=True)
class Overview:
    """All pictures in one image, row by row; each is stretched to a square."""

    jpeg: str
    """The image in base64."""
    side: int
    """Of one picture, in pixels."""
    columns: int


def encode_thumbnails(pictures: np.ndarray, budget: int | None = THUMBNAIL_BYTES) -> Thumbnails:
    """Encode pictures as small JPEG files whose common header is stored once.

    JPEG files of one size and quality share their first 623 bytes (tables), half of such a small file. The header is
    padded to a multiple of three bytes, with the 0xFF that JPEG permits before any marker, so that base64 texts can be
    concatenated.

    Args:
        pictures: (n, h, w, 3) uint8.
        budget: bytes of base64; the longer side is the largest from 128 to 32 pixels at which all pictures fit. None
            means no bound.
    """
    rows = np.unique(np.linspace(0, len(pictures) - 1, _SAMPLE).astype(int))
    longest = max(pictures.shape[1:3])
    side = min(longest, LARGEST_SIDE)
    for smaller in [side for side in _SIDES[1:] if side < longest]:
        if budget is None:
            break
        sample = [_jpeg(pictures[row], side) for row in rows]
        body = np.mean([len(file) for file in sample]) - _common_prefix(sample)
        if body * 4 / 3 * len(pictures) < budget:
            break
        side = smaller
    encoded = [_jpeg(picture, side) for picture in pictures]
    shared = _common_prefix(encoded)
    header = encoded[0][:2] + b"\xff" * (-shared % 3) + encoded[0][2:shared]
    return Thumbnails(side, _base64(header), [_base64(file[shared:]) for file in encoded])


def make_overview(pictures: np.ndarray) -> Overview:
    """Draw all pictures (n, h, w, 3) uint8 into one image, each at 16 pixels or as large as 16 megapixels allow."""
    from PIL import Image

    columns = int(np.ceil(np.sqrt(len(pictures))))
    side = max(2, min(_OVERVIEW_SIDE, int(np.sqrt(_OVERVIEW_PIXELS)) // columns))
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side))
    for row, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
        sheet.paste(small, (row % columns * side, row // columns * side))
    file = BytesIO()
    sheet.save(file, "JPEG", quality=80)
    return Overview(_base64(file.getvalue()), side, columns)


def _common_prefix(contents: list[bytes]) -> int:
    """Length of the common prefix: that of the first and the last in lexicographic order."""
    first, last = min(contents), max(contents)
    differences = (index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(differences, len(first))


def _jpeg(picture: np.ndarray, side: int) -> bytes:
    """(h, w, 3) uint8 as a JPEG of at most `side` × `side` pixels."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    image = Image.fromarray(picture)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BICUBIC)
    file = BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
