"""The stage of a scene and the things on it, from back to front, in unit coordinates with y downwards."""

from dataclasses import dataclass, field

import numpy as np

Colour = tuple[float, float, float]

COLOURS: dict[str, Colour] = {
    "red": (0.76, 0.17, 0.14),
    "orange": (0.88, 0.50, 0.16),
    "yellow": (0.91, 0.78, 0.28),
    "green": (0.30, 0.52, 0.24),
    "teal": (0.16, 0.50, 0.50),
    "blue": (0.20, 0.34, 0.66),
    "violet": (0.46, 0.28, 0.55),
    "pink": (0.90, 0.60, 0.62),
    "brown": (0.44, 0.28, 0.17),
    "white": (0.93, 0.91, 0.86),
    "grey": (0.55, 0.55, 0.54),
    "black": (0.13, 0.12, 0.13),
}
"""The colours that captions name."""

SKIES: dict[str, tuple[Colour, Colour, Colour, str]] = {
    "at noon": ((0.32, 0.55, 0.84), (0.78, 0.87, 0.92), (1.0, 1.0, 0.97), "a yellow sun"),
    "at dawn": ((0.55, 0.60, 0.78), (0.95, 0.80, 0.74), (1.0, 0.96, 0.94), "a pale sun"),
    "at dusk": ((0.36, 0.32, 0.55), (0.95, 0.58, 0.32), (0.98, 0.86, 0.76), "a red sun"),
    "at night": ((0.07, 0.10, 0.24), (0.20, 0.28, 0.45), (0.52, 0.58, 0.80), "a white moon"),
    "on a grey day": ((0.62, 0.65, 0.68), (0.80, 0.81, 0.80), (0.90, 0.92, 0.93), ""),
}
"""Time of day: colour of the sky at the top and at the horizon, tint of the scene, sun or moon."""

_SHINE = {"a yellow sun": "yellow", "a pale sun": "white", "a red sun": "red", "a white moon": "white"}


@dataclass
class Thing:
    """One thing on the stage: shapes of one colour. `name` is its noun in captions, empty for a part of a thing."""

    shapes: list[tuple]
    colour: Colour
    name: str = ""
    depth: float = 0.3
    roundness: float = 0.0
    texture: float = 0.0
    fade: Colour = (0.0, 0.0, 0.0)

    def about(self) -> list[float]:
        """Centre x, y and half extents of the bounding box, roundness, depth, texture, and the three of `fade`."""
        corners = []
        for kind, *where in self.shapes:
            if kind == "ellipse":
                x, y, rx, ry = where
                corners += [(x - rx, y - ry), (x + rx, y + ry)]
            else:
                corners += where[0]
        xs, ys = zip(*corners, strict=True)
        middle = [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2]
        half = [max((max(xs) - min(xs)) / 2, 0.01), max((max(ys) - min(ys)) / 2, 0.01)]
        return [*middle, *half, self.roundness, self.depth, self.texture, *self.fade]


@dataclass
class Stage:
    """Things from back to front, and their common light; `sentence` has a placeholder `{inventory}`."""

    things: list[Thing] = field(default_factory=list)
    sentence: str = ""
    title: str = ""
    light: tuple[float, float] = (-0.6, -0.8)
    tint: Colour = (1.0, 1.0, 1.0)
    focus: tuple[float, float, float] = (0.5, 0.4, 0.2)

    def add(self, colour: Colour, *shapes: tuple, name: str = "", **how) -> None:
        """Put a thing in front of all others."""
        self.things.append(Thing(list(shapes), colour, name, **how))


def ellipse(x, y, rx, ry):
    """An ellipse by centre and half axes."""
    return ("ellipse", x, y, rx, ry)


def polygon(*points):
    """A polygon by its (x, y) corners."""
    return ("polygon", list(points))


def box(left, top, right, bottom):
    """An upright rectangle."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def line(width, *points):
    """A line through (x, y) points."""
    return ("line", list(points), width)


def named(noun: str) -> str:
    """`a pear`, `an orange`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def pick(rng, options):
    """One of some options, all equally likely."""
    options = list(options)
    return options[int(rng.integers(len(options)))]


def some_light(rng) -> tuple[float, float]:
    """A unit vector towards a light above, on the left or on the right."""
    angle = rng.uniform(0.35, 1.2)
    return float(np.cos(angle) * rng.choice((-1, 1))), float(-np.sin(angle))


def vary(rng, colour: Colour, by: float = 0.05) -> Colour:
    """A colour varied at random: `by` is the spread of its brightness and of each channel."""
    varied = np.asarray(colour) * rng.uniform(1 - 2 * by, 1 + 2 * by) + rng.normal(0, by, 3)
    red, green, blue = np.clip(varied, 0.02, 0.98)
    return red, green, blue


def darker(colour: Colour, by: float = 0.6) -> Colour:
    """A colour in shade."""
    red, green, blue = colour
    return by * red, by * green, by * blue


def ridge(rng, base, height, bottom, peak=None):
    """A hilly outline across the picture at `base`, rising by `height` at `peak`, filled down to `bottom`."""
    x = np.linspace(-0.02, 1.02, 25)
    peak = rng.uniform(0.1, 0.9) if peak is None else peak
    rise = np.exp(-(((x - peak) / rng.uniform(0.2, 0.4)) ** 2))
    rough = sum(np.sin(x * f + rng.uniform(0, 6.3)) / f for f in (9.0, 17.0, 31.0))
    y = base - height * rise + 0.18 * height * rough
    return polygon((-0.02, bottom), *zip(x.tolist(), y.tolist(), strict=True), (1.02, bottom))


def sky(rng, stage: Stage, clear_above: float) -> str:
    """Sky, clouds, and sun or moon, all above `clear_above`; returns the end of the sentence."""
    hour = pick(rng, SKIES)
    above, below, stage.tint, shines = SKIES[hour]
    stage.title = hour
    above, below = np.asarray(vary(rng, above, 0.03)), np.asarray(vary(rng, below, 0.03))
    fade = tuple((below - above) / 2)
    stage.add(tuple((above + below) / 2), box(-0.01, -0.01, 1.01, max(clear_above * 1.6, 0.5)), depth=1.0, fade=fade)
    sun = rng.uniform(0.15, 0.85)
    clouds = int(rng.integers(0, 4))
    for _ in range(clouds):
        x, y = rng.uniform(0, 1), rng.uniform(0.06, max(0.1, clear_above * 0.8))
        if abs(x - sun) < 0.2:
            x = sun + (0.35 if sun < 0.5 else -0.35)
        w = rng.uniform(0.07, 0.13)
        puffs = [
            ellipse(x + dx * w, y + dy * w, w * s, w * s * 0.5)
            for dx, dy, s in ((-0.8, 0.1, 0.8), (0, -0.2, 1), (0.9, 0.1, 0.7))
        ]
        stage.add(tuple(np.clip(0.35 * below + 0.62, 0, 1)), *puffs, depth=0.95, roundness=0.35, texture=0.2)
    if shines and rng.random() < 0.7:
        y, r = rng.uniform(0.1, max(0.12, clear_above * 0.75)), rng.uniform(0.035, 0.07)
        glow = COLOURS[_SHINE[shines]]
        stage.add(
            tuple(np.minimum(1, np.asarray(glow) * 1.15 / np.asarray(stage.tint))), ellipse(sun, y, r, r), depth=0.97
        )
        stage.focus = (sun, y, 2.5 * r)
        stage.light = (float(np.sign(sun - 0.5)) * 0.6, -0.8)
        return f"under {shines}"
    stage.light = some_light(rng)
    return "under a cloudy sky" if clouds > 1 else "under a grey sky" if not shines else "under a clear sky"


def tree(rng, stage: Stage, x, foot, h, depth):
    """A tree, poplar or pine of height `h` with its foot at (x, foot)."""
    kind = pick(rng, ("tree", "poplar", "pine"))
    leaf = vary(rng, pick(rng, ((0.24, 0.42, 0.16), (0.36, 0.46, 0.18), (0.62, 0.42, 0.16), (0.16, 0.34, 0.22))))
    stage.add((0.30, 0.21, 0.14), line(0.035 * h / 0.3, (x, foot), (x + 0.01, foot - h * 0.6)), depth=depth)
    if kind == "tree":
        puffs = rng.normal(0, 0.1 * h, (5, 2)) + (0, -0.68 * h)
        crown = [ellipse(x + dx * 1.3, foot + dy, 0.25 * h, 0.22 * h) for dx, dy in puffs]
    elif kind == "poplar":
        crown = [ellipse(x, foot - 0.58 * h, 0.13 * h, 0.44 * h)]
    else:
        crown = [
            polygon((x, foot - h * top), (x - w * h, foot - h * low), (x + w * h, foot - h * low))
            for top, low, w in ((1.0, 0.6, 0.17), (0.78, 0.38, 0.24), (0.55, 0.16, 0.31))
        ]
    stage.add(leaf, *crown, name=kind, depth=depth, roundness=0.8, texture=1.0)


def house(rng, stage: Stage, x, foot, w, depth):
    """A gabled house of width `w` with its foot at (x, foot)."""
    wall, roof = (
        vary(rng, pick(rng, ((0.90, 0.86, 0.76), (0.80, 0.62, 0.48), (0.75, 0.75, 0.74)))),
        vary(rng, (0.62, 0.25, 0.17)),
    )
    h = w * rng.uniform(0.6, 0.9)
    stage.add(wall, box(x - w / 2, foot - h, x + w / 2, foot), name="house", depth=depth, roundness=0.25)
    stage.add(
        roof,
        polygon(
            (x - 0.6 * w, foot - h),
            (x + 0.6 * w, foot - h),
            (x + 0.3 * w, foot - 1.6 * h),
            (x - 0.3 * w, foot - 1.6 * h),
        ),
        depth=depth,
    )
    dark = (0.16, 0.15, 0.20)
    stage.add(
        dark,
        box(x - 0.3 * w, foot - 0.7 * h, x - 0.12 * w, foot - 0.35 * h),
        box(x + 0.1 * w, foot - 0.6 * h, x + 0.3 * w, foot),
        depth=depth,
    )


SKINS = ((0.93, 0.76, 0.64), (0.85, 0.64, 0.50), (0.70, 0.48, 0.34), (0.46, 0.30, 0.21))
HAIRS = {
    "black": (0.11, 0.09, 0.09),
    "brown": (0.34, 0.21, 0.13),
    "fair": (0.80, 0.64, 0.34),
    "red": (0.62, 0.26, 0.12),
    "white": (0.86, 0.85, 0.83),
}


def figure(rng, stage: Stage, x, foot, h, colour: Colour, depth):
    """A person of height `h` in `colour`, feet at (x, foot); returns the centre of the head."""
    skin, dye = vary(rng, pick(rng, SKINS), 0.03), vary(rng, HAIRS[pick(rng, HAIRS)], 0.02)
    lean, pose = rng.normal(0, 0.06) * h, pick(rng, ("stand", "raise", "spread", "robe"))
    head, neck, hip = (x + lean, foot - 0.9 * h), (x + lean, foot - 0.78 * h), (x, foot - 0.45 * h)
    hands = {
        "stand": ((-0.14, 0.45), (0.14, 0.45)),
        "raise": ((-0.2, 0.98), (0.17, 0.5)),
        "spread": ((-0.3, 0.72), (0.3, 0.78)),
        "robe": ((-0.08, 0.58), (0.1, 0.56)),
    }[pose]
    stage.add((0.18, 0.17, 0.16), ellipse(x, foot, 0.16 * h, 0.03 * h), depth=depth + 0.02)
    arms = [line(0.055 * h, neck, (x + dx * h, foot - dy * h)) for dx, dy in hands]
    stage.add(skin, *arms, depth=depth, roundness=0.3)
    if pose == "robe" or rng.random() < 0.5:
        body = [
            polygon(
                (neck[0] - 0.1 * h, neck[1]), (neck[0] + 0.1 * h, neck[1]), (x + 0.18 * h, foot), (x - 0.18 * h, foot)
            )
        ]
    else:
        body = [
            polygon(
                (neck[0] - 0.11 * h, neck[1]),
                (neck[0] + 0.11 * h, neck[1]),
                (hip[0] + 0.09 * h, hip[1]),
                (hip[0] - 0.09 * h, hip[1]),
            )
        ]
        legs = [line(0.075 * h, hip, (x + dx * h, foot)) for dx in (-0.07, 0.09)]
        stage.add(darker(colour, 0.5), *legs, depth=depth, roundness=0.3)
    stage.add(colour, *body, name="figure", depth=depth, roundness=0.6, texture=0.2)
    stage.add(skin, ellipse(*head, 0.062 * h, 0.08 * h), depth=depth, roundness=0.8)
    stage.add(dye, ellipse(head[0], head[1] - 0.045 * h, 0.066 * h, 0.05 * h), depth=depth)
    return head
