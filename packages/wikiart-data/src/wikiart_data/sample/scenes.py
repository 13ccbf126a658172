"""A scene is what is depicted: things on a stage, drawn from a seed and rendered to layers for painting."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from wikiart_data.sample import indoors, outdoors
from wikiart_data.sample.colour import field
from wikiart_data.sample.stage import Stage, Thing, named

COMPOSERS: dict[str, Callable[[np.random.Generator], Stage]] = {
    "landscape": outdoors.landscape,
    "still_life": indoors.still_life,
    "portrait": indoors.portrait,
    "figures": outdoors.figures,
    "city": outdoors.city,
    "abstract": indoors.abstract,
}

SCENES: tuple[str, ...] = tuple(COMPOSERS)
"""The six kinds: landscape, still_life, portrait, figures, city, abstract."""


@dataclass(frozen=True)
class Layers:
    """A rendered scene; every array is (size, size, ...).

    Attributes:
        colour: (H, W, 3) float32 in 0..1, the plain picture, lit.
        regions: (H, W) uint8, which thing a pixel shows; 0 is the farthest.
        depth: (H, W) float32, 0 near to 1 far.
        texture: (H, W) float32 in 0..1, how leafy, rippled or woven the thing is.
        light: (x, y), unit vector towards the light, y downwards.
        focus: (x, y, radius) of the centre of interest, as fractions of the side.
    """

    colour: np.ndarray
    regions: np.ndarray
    depth: np.ndarray
    texture: np.ndarray
    light: tuple[float, float]
    focus: tuple[float, float, float]

    @property
    def size(self) -> int:
        """The side in pixels."""
        return self.colour.shape[0]


@dataclass(frozen=True)
class Scene:
    """What is depicted: one of the kinds in `SCENES`, and a seed of 0 or more that determines everything else."""

    kind: str
    seed: int

    def __post_init__(self):
        if self.kind not in COMPOSERS:
            raise ValueError(f"no scene of kind {self.kind!r}; there are {', '.join(COMPOSERS)}")
        if self.seed < 0:
            raise ValueError(f"a scene's seed is 0 or more, not {self.seed}")

    def render(self, size: int) -> Layers:
        """Render at `size` × `size` pixels (16 or more)."""
        stage = _stage(self)
        fine = draw_regions(stage.things, 2 * size)
        palette = np.clip([thing.colour for thing in stage.things], 0, 1) * 255
        pixels = Image.fromarray(fine)
        pixels.putpalette(np.rint(palette).astype(np.uint8).tobytes())
        colour = np.asarray(pixels.convert("RGB").reduce(2), np.float32) / 255

        regions = np.ascontiguousarray(fine[::2, ::2])
        about = np.array([thing.about() for thing in stage.things], np.float32)[regions]
        x0, y0, rx, ry, roundness, depth, texture = np.moveaxis(about[..., :7], -1, 0)
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
        u, v = (x - x0) / rx, (y - y0) / ry
        light = stage.light
        # A thing is shaded as a bulge that fills its bounding box: cheap, and round things look round.
        lit = 1 + roundness * np.clip(0.5 * (u * light[0] + v * light[1]) - 0.3 * (u * u + v * v) + 0.12, -0.75, 0.5)
        grain = 0.35 * (field(np.random.default_rng([self.seed, 7]), size, 48, octaves=2) - 0.5)
        colour = colour * (lit + texture * grain)[..., None] + about[..., 7:] * np.clip(v, -1, 1)[..., None]
        tint = np.asarray(stage.tint, np.float32)
        return Layers(np.clip(colour * tint, 0, 1), regions, depth, texture, light, stage.focus)


def scene(kind: str, seed: int) -> Scene:
    """The scene of a kind and a seed.

    Raises:
        ValueError: the kind is not in `SCENES`, or the seed is negative.
    """
    return Scene(kind, seed)


def caption(scene: Scene) -> str:
    """One plain sentence about what is depicted; it names and counts visible things only."""
    stage = _stage(scene)
    seen = np.bincount(draw_regions(stage.things, 96).ravel(), minlength=len(stage.things)) >= 12
    names = [thing.name for thing, visible in zip(stage.things, seen, strict=True) if thing.name and visible]
    listed = [_counted(name, names.count(name)) for name in dict.fromkeys(names)]
    inventory = ", ".join(listed[:-1]) + (" and " if len(listed) > 1 else "") + listed[-1] if listed else ""
    return stage.sentence.format(inventory=inventory or "nothing else")


@lru_cache(maxsize=4096)
def title(scene: Scene) -> str:
    """A few lower-case words for a file name, the kind first: `landscape at dusk`."""
    return f"{scene.kind.replace('_', ' ')} {_stage(scene).title}"


@lru_cache(maxsize=64)
def _stage(scene: Scene) -> Stage:
    rng = np.random.default_rng([list(COMPOSERS).index(scene.kind), scene.seed])
    return COMPOSERS[scene.kind](rng)


def draw_regions(things: list[Thing], side: int) -> np.ndarray:
    """(side, side) uint8: index of the frontmost thing at every pixel."""
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    for number, thing in enumerate(things):
        for kind, *where in thing.shapes:
            if kind == "ellipse":
                x, y, rx, ry = (value * side for value in where)
                draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=number)
            elif kind == "polygon":
                draw.polygon([(x * side, y * side) for x, y in where[0]], fill=number)
            else:
                points, width = where
                wide = max(1, round(width * side))
                draw.line([(x * side, y * side) for x, y in points], fill=number, width=wide, joint="curve")
    return np.asarray(canvas)


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _counted(name: str, count: int) -> str:
    if count == 1:
        return named(name)
    return f"{_NUMBERS[count]} {name}{'es' if name.endswith(('sh', 's', 'x', 'ch')) else 's'}"
