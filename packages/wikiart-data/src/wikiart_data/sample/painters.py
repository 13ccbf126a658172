"""Painting a scene: the operations in the row of a style, one after another."""

import textwrap
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

    A scene has the same things in the same places in every style; only how it is painted differs. The result depends
    on the arguments alone.

    Args:
        scene: what is depicted.
        style: one of the 27 of `wikiart_data.styles.STYLES`, or `photograph` for the plain scene.
        size: side in pixels, 16 or more.
        artist: any name; an artist uses few palettes and has habits within the style.

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
    draw_settings = partial(_draw_settings, rng=rng, habit=np.random.default_rng([name, 1]) if artist else rng)
    palettes = row.palettes.split()
    if artist:
        palettes = np.random.default_rng(name).permutation(palettes)[: max(3, len(palettes) // 2)]
    chosen = palette(str(palettes[int(rng.integers(len(palettes)))]))

    layers = designs.bend(layers, rng, **draw_settings(row.bend))
    image = colour.grade(layers.colour, layers, rng, palette=chosen, **draw_settings(row.grade))
    for operation, settings in row.steps:
        image = operation(image, layers, rng, **draw_settings(settings))
    return colour.to_bytes(colour.reproduce(image, layers, rng))


def _draw_settings(settings: dict, rng, habit) -> dict:
    """Draw every (low, high) setting: an artist has a position in each range, about which pictures vary."""
    drawn = {}
    for name, value in settings.items():
        if isinstance(value, tuple) and not isinstance(value[0], str):
            low, high = value
            position = np.clip(habit.random() + rng.normal(0, 0.12), 0, 1)
            value = float(low + (high - low) * position)
            value = round(value) if isinstance(low, int) and isinstance(high, int) else value
        drawn[name] = value
    return drawn


def contact_sheet(size: int = 128, seed: int = 3, styles: tuple[str, ...] = STYLES, across: int = 2) -> Image.Image:
    """A grid of every style: one scene of each kind, the same scenes in every style.

    Args:
        size: side of a picture in pixels.
        seed: of the scenes.
        styles: the rows; `photograph` may be among them.
        across: number of columns of styles.

    Returns:
        An RGB picture; each row is one style, with its name on the left.
    """
    label, gap = round(size * 0.95), max(2, size // 32)
    wide, tall = label + len(SCENES) * (size + gap), size + gap
    rows = -(-len(styles) // across)
    sheet = Image.new("RGB", (across * wide + gap, rows * tall + gap), "#f6f3ec")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size / 8.5)
    for i, style in enumerate(styles):
        left, top = i // rows * wide + gap, i % rows * tall + gap
        name = textwrap.fill(display_name(style), 13)
        draw.text((left + gap, top + size / 2), name, "#2b2620", font, anchor="lm", spacing=size // 24)
        for k, kind in enumerate(SCENES):
            sheet.paste(Image.fromarray(paint(Scene(kind, seed), style, size)), (left + label + k * (size + gap), top))
    return sheet
