"""From the colours of a file to 8-bit sRGB: embedded ICC profiles, and more than 8 bits per channel."""

import io
import re
import sys
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

RAW_BITS = (10, 12, 14)
"""Bit depths of scanners and cameras that are stored in 16 bits without being scaled up."""

_SAME_COLOUR = 3
"""Largest difference, of 255, at which a profile counts as sRGB: its pictures are left as they are."""
_SIXTEEN_BIT = re.compile(r"^(RGB|RGBA);16([LBN])$")
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}


def to_srgb(picture: Image.Image) -> Image.Image:
    """A picture with the colours that its ICC profile means, in sRGB; unchanged without a profile or with a broken one.

    The profile's own rendering intent is used, with black-point compensation, as browsers do.

    Args:
        picture: of mode L, LA, RGB, RGBA or CMYK; other modes come back unchanged.

    Returns:
        A picture of mode RGB or RGBA if the profile was applied, else the picture itself.
    """
    profile = picture.info.get("icc_profile")
    if not profile or not isinstance(profile, bytes):
        return picture
    if picture.mode == "LA":
        grey, alpha = picture.split()
        converted = _apply(grey, profile)
        if converted is not grey:
            converted.putalpha(alpha)
            return converted
        return picture
    return _apply(picture, profile)


def _apply(picture: Image.Image, profile: bytes) -> Image.Image:
    transform = _transform(profile, picture.mode)
    if not isinstance(transform, ImageCms.ImageCmsTransform):
        return picture
    converted = ImageCms.applyTransform(picture, transform)
    return picture if converted is None else converted


def profile_problem(picture: Image.Image) -> str:
    """What to say of a picture's ICC profile: "broken colour profile", its name if it is not sRGB, else nothing."""
    profile = picture.info.get("icc_profile")
    if not profile:
        return ""
    if not isinstance(profile, bytes):
        return "broken colour profile"
    mode = {"P": "RGB", "PA": "RGB", "LA": "L", "1": "L"}.get(picture.mode, picture.mode)
    transform = _transform(profile, mode)
    if isinstance(transform, str):
        return transform
    if transform is None:
        return ""
    name = " ".join(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).split())
    return f"{name or 'unnamed'} colour profile"[:60]


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | str | None:
    """The transform from a profile to sRGB; None if it is sRGB already, a word of complaint if it cannot be used."""
    space = _PROFILE_SPACES.get(mode)
    if space is None:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if str(getattr(opened.profile, "xcolor_space", "")).strip() != space:
            return "colour profile of another kind of picture"
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(opened))
        if intent == ImageCms.Intent.ABSOLUTE_COLORIMETRIC:  # would tint white paper yellow: no browser does that
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGBA" if mode == "RGBA" else "RGB",
            intent,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # littleCMS and Pillow raise PyCMSError, OSError, ValueError, TypeError on broken profiles
        return "broken colour profile"


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    if mode == "L":
        values = np.arange(256, dtype=np.uint8)[None]
        before = Image.fromarray(values)
    else:
        steps = np.linspace(0, 255, 7).astype(np.uint8)
        values = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        before = Image.fromarray(values).convert(mode)
    after = ImageCms.applyTransform(before, transform)
    if after is None:
        return True
    difference = np.asarray(after.convert("RGB"), dtype=np.int16) - np.asarray(before.convert("RGB"), dtype=np.int16)
    return int(np.abs(difference).max()) <= _SAME_COLOUR


def raw_bits(highest: float) -> int:
    """How many bits the values of a 16-bit picture plainly use: 10, 12 or 14; 16 if they may use them all.

    Up to 12 bits, a picture whose brightest value is above half of that range would be nearly black as 16 bits. With
    14 bits it would merely be dark, as paintings can be, so its brightest value must be within a tenth of the top.

    Args:
        highest: the largest value in the picture.
    """
    for bits in RAW_BITS:
        full = 2**bits - 1
        if full * (0.9 if bits > 12 else 0.5) < highest <= full:
            return bits
    return 16


def eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, or of floating-point numbers, as mode L."""
    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    highest = float(values.max(initial=0))
    if picture.mode == "F" and highest <= 1.0:
        full = 1.0
    elif picture.mode.startswith("I;16") or highest > 255:
        full = 2.0 ** raw_bits(highest) - 1 if picture.mode != "F" else 65535.0
    else:
        full = 255.0
    grey = Image.fromarray((values.clip(0, full) * (255.0 / full)).astype(np.uint8))
    grey.info = dict(picture.info)
    return grey


def may_be_unscaled(opened: Image.Image) -> bool:
    """Whether a loaded 16-bit colour picture is so dark that its values may use 10, 12 or 14 bits only.

    Pillow keeps the upper byte of each value. Twelve bits in sixteen are then values of 0..15: almost black.
    """
    if opened.mode not in ("RGB", "RGBA"):
        return False
    return max(int(np.asarray(band).max(initial=0)) for band in opened.split()[:3]) < 2 ** (RAW_BITS[-1] - 8)


def is_sixteen_bit_colour(opened: Image.Image) -> bool:
    """Whether an opened file holds 16 bits per channel in colour; call it before the file is loaded."""
    return _raw_mode(opened) is not None


def _raw_mode(opened: Image.Image) -> re.Match[str] | None:
    tiles = getattr(opened, "tile", None)
    if not tiles:
        return None
    arguments = tiles[0].args
    raw_mode = arguments if isinstance(arguments, str) else arguments[0] if isinstance(arguments, tuple) else ""
    return _SIXTEEN_BIT.match(raw_mode) if isinstance(raw_mode, str) else None


def lower_bytes(reopened: Image.Image) -> Image.Image:
    """Load a freshly opened 16-bit colour file so that each value is its lower byte, which Pillow drops by itself.

    Asking its decoder for the other byte order makes it keep the other byte.
    """
    match = _raw_mode(reopened)
    assert match is not None, "the file is 16-bit colour"
    channels, order = match.groups()
    native = "L" if sys.byteorder == "little" else "B"
    order = native if order == "N" else order
    swapped = f"{channels};16{'B' if order == 'L' else 'L'}"
    tiles = reopened.tile  # pyright: ignore[reportAttributeAccessIssue]
    reopened.tile = [  # pyright: ignore[reportAttributeAccessIssue]
        tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:])) for tile in tiles
    ]
    reopened.load()
    return reopened


def from_sixteen_bits(upper: Image.Image, lower: Image.Image) -> tuple[Image.Image, int]:
    """A dark 16-bit colour picture, scaled by the range that it plainly uses.

    Args:
        upper: mode RGB or RGBA, the upper byte of each value.
        lower: the same, the lower byte.

    Returns:
        The picture, with the mode and metadata of `upper`, and the bits that its colours use (16: it is `upper`).
        Alpha is scaled by its own range.
    """
    values = (np.asarray(upper).astype(np.uint16) << 8) | np.asarray(lower)
    bits = raw_bits(float(values[..., :3].max(initial=0)))
    if bits == 16:
        return upper, bits
    scaled = np.empty(values.shape, dtype=np.uint8)
    for channels in (slice(0, 3), slice(3, 4)):
        part = values[..., channels]
        full = 2.0 ** raw_bits(float(part.max(initial=0))) - 1
        scaled[..., channels] = (part * (255.0 / full)).astype(np.uint8)
    picture = Image.fromarray(scaled)
    picture.info = dict(upper.info)
    return picture, bits
