"""Painting: a scene through the operations of a style's row."""

import zlib
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wikiart_data.sample import colour, designs
from wikiart_data.sample.scenes import SCENES, Scene
from wikiart_data.sample.table import TABLE, palette
from wikiart_data.styles import STYLES, display_name

PHOTOGRAPH = "photograph"
"""The 28th rendering: the plain scene."""

RENDERINGS: tuple[str, ...] = (*STYLES, PHOTOGRAPH)
"""Everything that `paint` takes as a style."""


def paint(scene: Scene, style: str, size: int, artist: str = "") -> np.ndarray:
    """Paint a scene in a style.

    The same scene keeps its things and their places in every style; only how it is painted differs. The result depends
    on nothing but the arguments.

    Args:
        scene: what is depicted.
        style: one of the 27 of `wikiart_data.styles.STYLES`, or `photograph` for the plain scene.
        size: side in pixels, 16 or more.
        artist: anyone's name; an artist keeps to a few palettes and has habits within the style.

    Returns:
        (size, size, 3) uint8.

    Raises:
        ValueError: no such style, or the size is too small.
    """
    if style not in RENDERINGS:
        raise ValueError(f"no style {style!r}; there are {', '.join(RENDERINGS)}")
    if size < 16:
        raise ValueError(f"a picture is at least 16 pixels wide, not {size}")
    layers = scene.render(size)
    if style == PHOTOGRAPH:
        return colour.to_bytes(layers.colour)
    row, name = TABLE[style], zlib.crc32(artist.encode())
    rng = np.random.default_rng([SCENES.index(scene.kind), scene.seed, RENDERINGS.index(style), name])
    hand = partial(_settle, rng=rng, habit=np.random.default_rng([name, 1]) if artist else rng)
    liked = row.palettes.split()
    if artist:
        liked = np.random.default_rng(name).permutation(liked)[: max(3, len(liked) // 2)]
    chosen = palette(str(liked[int(rng.integers(len(liked)))]))

    layers = designs.bend(layers, rng, **hand(row.bend))
    image = colour.grade(layers.colour, layers, rng, palette=chosen, **hand(row.grade))
    for operation, settings in row.steps:
        image = operation(image, layers, rng, **hand(settings))
    return colour.to_bytes(colour.reproduce(image, layers, rng))


def _settle(settings: dict, rng, habit) -> dict:
    """Draw every (low, high) setting: an artist's habit says where in the range, each picture strays a little."""
    settled = {}
    for name, value in settings.items():
        if isinstance(value, tuple) and not isinstance(value[0], str):
            low, high = value
            place = np.clip(habit.random() + rng.normal(0, 0.12), 0, 1)
            value = float(low + (high - low) * place)
            value = round(value) if isinstance(low, int) and isinstance(high, int) else value
        settled[name] = value
    return settled


def contact_sheet(size: int = 128, seed: int = 3, styles: tuple[str, ...] = STYLES, across: int = 2) -> Image.Image:
    """Every style over one scene of each kind, the same scenes in every style.

    Args:
        size: side of a picture in pixels.
        seed: of the scenes.
        styles: the rows; `photograph` may be among them.
        across: how many styles stand side by side.

    Returns:
        An RGB picture; each row is one style, its name on the left of it.
    """
    label, gap = round(size * 0.95), max(2, size // 32)
    wide, tall = label + len(SCENES) * (size + gap), size + gap
    rows = -(-len(styles) // across)
    sheet = Image.new("RGB", (across * wide + gap, rows * tall + gap), "#f6f3ec")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size / 8.5)
    for i, style in enumerate(styles):
        left, top = i // rows * wide + gap, i % rows * tall + gap
        name = display_name(style).replace(" ", "\n") if len(style) > 9 else display_name(style)
        draw.text((left + gap, top + size / 2), name, "#2b2620", font, anchor="lm", spacing=size // 24)
        for k, kind in enumerate(SCENES):
            sheet.paste(Image.fromarray(paint(Scene(kind, seed), style, size)), (left + label + k * (size + gap), top))
    return sheet
