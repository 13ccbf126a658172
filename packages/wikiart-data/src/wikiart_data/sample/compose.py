"""How each kind of scene is put together: things from back to front, in unit coordinates, y downwards."""

from collections.abc import Callable
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
"""Time of day: sky above, sky below, tint of everything, what shines."""

_SHINE = {"a yellow sun": "yellow", "a pale sun": "white", "a red sun": "red", "a white moon": "white"}


@dataclass
class Thing:
    """One thing on the stage: shapes of one colour; `name` is what a caption calls it, empty for a mere part."""

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
    """Things from back to front, and what holds for all of them; `sentence` has a place for `{inventory}`."""

    things: list[Thing] = field(default_factory=list)
    sentence: str = ""
    title: str = ""
    light: tuple[float, float] = (-0.6, -0.8)
    tint: Colour = (1.0, 1.0, 1.0)
    focus: tuple[float, float, float] = (0.5, 0.4, 0.2)

    def add(self, colour: Colour, *shapes: tuple, name: str = "", **how) -> None:
        """Put a thing in front of what is there."""
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


def _pick(rng, options):
    options = list(options)
    return options[int(rng.integers(len(options)))]


def _light(rng) -> tuple[float, float]:
    angle = rng.uniform(0.35, 1.2)
    return float(np.cos(angle) * rng.choice((-1, 1))), float(-np.sin(angle))


def _vary(rng, colour: Colour, by: float = 0.05) -> Colour:
    return tuple(np.clip(np.asarray(colour) * rng.uniform(1 - 2 * by, 1 + 2 * by) + rng.normal(0, by, 3), 0.02, 0.98))


def _dark(colour: Colour, by: float = 0.6) -> Colour:
    return tuple(by * value for value in colour)


def _ridge(rng, base, height, bottom, peak=None):
    x = np.linspace(-0.02, 1.02, 25)
    peak = rng.uniform(0.1, 0.9) if peak is None else peak
    rise = np.exp(-(((x - peak) / rng.uniform(0.2, 0.4)) ** 2))
    rough = sum(np.sin(x * f + rng.uniform(0, 6.3)) / f for f in (9.0, 17.0, 31.0))
    y = base - height * rise + 0.18 * height * rough
    return polygon((-0.02, bottom), *zip(x.tolist(), y.tolist(), strict=True), (1.02, bottom))


def _sky(rng, stage: Stage, clear_above: float) -> str:
    """Sky, clouds and what shines, free of things above `clear_above`; returns the end of the sentence."""
    hour = _pick(rng, SKIES)
    above, below, stage.tint, shines = SKIES[hour]
    stage.title = hour
    above, below = np.asarray(_vary(rng, above, 0.03)), np.asarray(_vary(rng, below, 0.03))
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
    stage.light = _light(rng)
    return "under a cloudy sky" if clouds > 1 else "under a grey sky" if not shines else "under a clear sky"


def _tree(rng, stage: Stage, x, foot, h, depth):
    kind = _pick(rng, ("tree", "poplar", "pine"))
    leaf = _vary(rng, _pick(rng, ((0.24, 0.42, 0.16), (0.36, 0.46, 0.18), (0.62, 0.42, 0.16), (0.16, 0.34, 0.22))))
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


def _house(rng, stage: Stage, x, foot, w, depth):
    wall, roof = (
        _vary(rng, _pick(rng, ((0.90, 0.86, 0.76), (0.80, 0.62, 0.48), (0.75, 0.75, 0.74)))),
        _vary(rng, (0.62, 0.25, 0.17)),
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


def _landscape(rng) -> Stage:
    stage = Stage()
    horizon = rng.uniform(0.42, 0.62)
    end = _sky(rng, stage, horizon - 0.22)
    kind = _pick(rng, ("hill", "mountain"))
    count = int(rng.integers(1, 4))
    first = rng.uniform(0.1, 0.4)
    far = (0.46, 0.54, 0.66) if kind == "mountain" else (0.42, 0.53, 0.36)
    for i in range(count):
        near = (i + 1) / count
        tall = rng.uniform(0.14, 0.22) * (1.3 if kind == "mountain" and i == 0 else 0.8)
        colour = _vary(rng, tuple(np.asarray(far) * (1.15 - 0.35 * near)), 0.03)
        peak = (first + i * 0.37) % 1.0
        stage.add(
            colour,
            _ridge(rng, horizon + 0.05 * i, tall, horizon + 0.3, peak),
            name=kind,
            depth=0.85 - 0.15 * i,
            roundness=0.4,
            texture=0.4,
        )
    season = _vary(rng, _pick(rng, ((0.42, 0.54, 0.24), (0.72, 0.62, 0.30), (0.84, 0.85, 0.86), (0.55, 0.45, 0.27))))
    ground = horizon + 0.08
    stage.add(season, _ridge(rng, ground, 0.03, 1.02), depth=0.45, texture=0.6, fade=tuple(-0.10 * np.ones(3)))
    water = _pick(rng, ("lake", "river", "path", ""))
    x = rng.uniform(0.3, 0.7)
    if water == "lake":
        shape = ellipse(x, ground + 0.16, rng.uniform(0.22, 0.38), rng.uniform(0.06, 0.10))
    else:
        s = rng.uniform(-0.25, 0.25)
        shape = polygon(
            (x, ground),
            (x + s + 0.02, ground + 0.12),
            (x + 0.24, 1.02),
            (x - 0.24, 1.02),
            (x + s - 0.07, ground + 0.12),
        )
    if water:
        colour = (
            (0.74, 0.62, 0.45)
            if water == "path"
            else tuple(0.35 * np.asarray(SKIES[stage.title][0]) + 0.55 * np.asarray(SKIES[stage.title][1]))
        )
        stage.add(
            _vary(rng, colour, 0.03),
            shape,
            name=water,
            depth=0.4,
            texture=0.0 if water == "path" else 0.5,
            fade=(-0.06, -0.04, 0.0),
        )
    spots = rng.permutation([0.1, 0.26, 0.46, 0.66, 0.82, 0.94])
    if rng.random() < 0.45:
        _house(rng, stage, spots[0], ground + 0.1, rng.uniform(0.12, 0.2), 0.38)
    for x in spots[1 : 1 + int(rng.integers(0, 5))]:
        far = rng.uniform(0.05, 0.35)
        _tree(rng, stage, x + rng.normal(0, 0.02), ground + far, 0.16 + far * rng.uniform(0.9, 1.3), 0.4 - far)
    stage.sentence = f"a landscape {stage.title} with {{inventory}} {end}"
    return stage


def _bottle(stage, colour, x, foot, h, **how):
    w = 0.16 * h
    stage.add(
        colour,
        box(x - w, foot - 0.6 * h, x + w, foot - 0.02),
        ellipse(x, foot - 0.02, w, 0.03),
        ellipse(x, foot - 0.6 * h, w, 0.10 * h),
        box(x - 0.4 * w, foot - h, x + 0.4 * w, foot - 0.6 * h),
        **how,
    )


def _vase(stage, colour, x, foot, h, **how):
    stage.add(
        colour,
        ellipse(x, foot - 0.36 * h, 0.3 * h, 0.36 * h),
        box(x - 0.13 * h, foot - h, x + 0.13 * h, foot - 0.5 * h),
        ellipse(x, foot - h, 0.2 * h, 0.05 * h),
        **how,
    )


def _still_life(rng) -> Stage:
    stage = Stage(light=_light(rng), title="on a table")
    wall, cloth = rng.choice(list(COLOURS), 2, replace=False)
    edge = rng.uniform(0.52, 0.64)
    stage.add(
        _vary(rng, tuple(0.75 * np.asarray(COLOURS[wall]) + 0.08)),
        box(-0.01, -0.01, 1.01, 1.01),
        depth=1.0,
        fade=(0.05, 0.05, 0.04),
    )
    if rng.random() < 0.4:
        left = rng.uniform(0.05, 0.6)
        stage.add((0.70, 0.80, 0.88), box(left, 0.06, left + 0.3, 0.4), name="window", depth=0.9)
        stage.add(
            (0.35, 0.26, 0.18),
            line(0.018, (left + 0.15, 0.06), (left + 0.15, 0.4)),
            line(0.018, (left, 0.06), (left + 0.3, 0.06), (left + 0.3, 0.4), (left, 0.4), (left, 0.06)),
            depth=0.88,
        )
    stage.add(
        _vary(rng, COLOURS[cloth]),
        polygon((-0.02, edge), (1.02, edge + rng.uniform(-0.04, 0.04)), (1.02, 1.02), (-0.02, 1.02)),
        depth=0.5,
        texture=0.3,
        fade=(-0.06, -0.06, -0.06),
    )
    folds = [
        polygon((x, edge + 0.2), (x + 0.03, edge + 0.2), (x + rng.uniform(-0.06, 0.1), 1.02), (x - 0.02, 1.02))
        for x in rng.uniform(0, 1, 4)
    ]
    stage.add(_vary(rng, _dark(COLOURS[cloth], 0.75), 0.02), *folds, depth=0.48)
    spots = np.linspace(0.16, 0.84, 5) + rng.normal(0, 0.02, 5)
    tall = rng.permutation(spots)[: int(rng.integers(1, 4))]
    shade = -0.5 * np.sign(stage.light[0])
    for x in tall:
        what = _pick(rng, ("bottle", "vase", "jug", "candle", "vase of flowers"))
        name = _pick(rng, [c for c in COLOURS if c not in (wall, cloth)])
        h, foot = rng.uniform(0.28, 0.42), edge + rng.uniform(0.06, 0.14)
        how = {"name": f"{name} {what}", "depth": 0.4, "roundness": 0.9}
        stage.add(_dark(COLOURS[cloth], 0.5), ellipse(x + shade * 0.16, foot, 0.14, 0.025), depth=0.45)
        if what == "bottle":
            _bottle(stage, _vary(rng, COLOURS[name]), x, foot, h * 1.15, **how)
        elif what == "candle":
            stage.add(
                _vary(rng, COLOURS[name]),
                box(x - 0.022, foot - h * 0.7, x + 0.022, foot),
                ellipse(x, foot, 0.07, 0.025),
                **how,
            )
            stage.add((1.0, 0.85, 0.4), ellipse(x, foot - h * 0.7 - 0.03, 0.014, 0.035), depth=0.39)
        else:
            if "flowers" in what:
                bloom = _vary(rng, COLOURS[_pick(rng, ("red", "yellow", "pink", "white", "violet", "orange"))])
                heads = rng.normal((x, foot - h * 1.15), (0.085, 0.06), (9, 2))
                stage.add(
                    (0.24, 0.42, 0.18),
                    *(line(0.012, (x, foot - h * 0.6), tuple(p)) for p in heads),
                    *(ellipse(*p, 0.03, 0.02) for p in heads + 0.02),
                    depth=0.42,
                    texture=0.8,
                )
                stage.add(bloom, *(ellipse(*p, 0.034, 0.032) for p in heads[:7]), depth=0.4, roundness=0.4, texture=0.6)
                h *= 0.75
            _vase(stage, _vary(rng, COLOURS[name]), x, foot, h * 0.8, **how)
            if what == "jug":
                side = 0.3 * h * 0.8 * shade * 2
                stage.add(
                    _vary(rng, _dark(COLOURS[name], 0.8), 0.02),
                    line(
                        0.02,
                        (x + side * 0.5, foot - 0.7 * h),
                        (x + side * 1.3, foot - 0.55 * h),
                        (x + side, foot - 0.2 * h),
                    ),
                    depth=0.4,
                )
        stage.focus = (float(x), float(foot - h / 2), 0.22)
    fruit, tone = _pick(
        rng,
        (
            ("apple", "red"),
            ("apple", "green"),
            ("lemon", "yellow"),
            ("orange", "orange"),
            ("plum", "violet"),
            ("peach", "pink"),
        ),
    )
    row = edge + rng.uniform(0.18, 0.24)
    for x in rng.permutation(np.linspace(0.12, 0.88, 7))[: int(rng.integers(1, 6))]:
        y, r = row + rng.uniform(-0.03, 0.06), rng.uniform(0.048, 0.06)
        stage.add(_dark(COLOURS[cloth], 0.5), ellipse(x + shade * 0.09, y + r * 0.75, r * 1.2, r * 0.4), depth=0.3)
        stage.add(
            _vary(rng, COLOURS[tone]),
            ellipse(x, y, r * (1.3 if fruit == "lemon" else 1), r),
            name=fruit,
            depth=0.25,
            roundness=1.0,
        )
    if rng.random() < 0.35:
        x, y = rng.uniform(0.2, 0.75), 0.9
        stage.add(
            _vary(rng, COLOURS[_pick(rng, ("brown", "blue", "red"))]),
            polygon((x - 0.14, y), (x + 0.1, y - 0.05), (x + 0.18, y + 0.01), (x - 0.06, y + 0.06)),
            name="book",
            depth=0.2,
        )
        stage.add(
            (0.9, 0.87, 0.76),
            polygon((x - 0.06, y + 0.06), (x + 0.18, y + 0.01), (x + 0.18, y + 0.04), (x - 0.06, y + 0.09)),
            depth=0.19,
        )
    stage.sentence = f"a still life of {{inventory}} on a {cloth} cloth before a {wall} wall"
    return stage


_SKINS = ((0.93, 0.76, 0.64), (0.85, 0.64, 0.50), (0.70, 0.48, 0.34), (0.46, 0.30, 0.21))
_HAIRS = {
    "black": (0.11, 0.09, 0.09),
    "brown": (0.34, 0.21, 0.13),
    "fair": (0.80, 0.64, 0.34),
    "red": (0.62, 0.26, 0.12),
    "white": (0.86, 0.85, 0.83),
}


def _portrait(rng) -> Stage:
    stage = Stage(light=_light(rng))
    wall, coat = rng.choice(list(COLOURS), 2, replace=False)
    stage.title = f"in {coat}"
    stage.add(
        _vary(rng, tuple(0.7 * np.asarray(COLOURS[wall]) + 0.08)),
        box(-0.01, -0.01, 1.01, 1.01),
        depth=1.0,
        fade=(0.06, 0.06, 0.06),
    )
    behind = _pick(rng, ("a wall", "a window", "a curtain"))
    if behind == "a window":
        left = _pick(rng, (0.04, 0.66))
        stage.add((0.62, 0.76, 0.86), box(left, 0.08, left + 0.3, 0.5), depth=0.92, fade=(0.1, 0.06, 0.0))
        stage.add((0.36, 0.46, 0.28), _hill_in(left, left + 0.3, 0.38, 0.5), depth=0.9, texture=0.6)
        stage.add(
            (0.34, 0.24, 0.16),
            line(0.02, (left, 0.08), (left + 0.3, 0.08), (left + 0.3, 0.5), (left, 0.5), (left, 0.08)),
            depth=0.88,
        )
    elif behind == "a curtain":
        drape = _pick(rng, (0.0, 0.72))
        stage.add(
            _vary(rng, (0.5, 0.16, 0.16)),
            *(
                polygon(
                    (drape + i * 0.07, -0.01),
                    (drape + i * 0.07 + 0.09, -0.01),
                    (drape + i * 0.06 + 0.05, 1.01),
                    (drape + i * 0.06, 1.01),
                )
                for i in range(4)
            ),
            depth=0.8,
            roundness=0.5,
        )
    x, y = 0.5 + rng.normal(0, 0.05), rng.uniform(0.36, 0.44)
    w, h = rng.uniform(0.125, 0.15), rng.uniform(0.175, 0.20)
    turn = float(_pick(rng, (-1, 1)) * rng.uniform(0.15, 0.4))
    skin, hair = _vary(rng, _pick(rng, _SKINS), 0.03), _pick(rng, _HAIRS)
    dye = _vary(rng, _HAIRS[hair], 0.02)
    long_hair, hat, beard = rng.random() < 0.5, rng.random() < 0.4, False
    stage.focus = (float(x), float(y), 0.26)
    if long_hair:
        stage.add(
            dye,
            ellipse(x - turn * 0.1, y + 0.04, w * 1.35, h * 1.3),
            box(x - w * 1.3, y, x + w * 1.3, y + h * 1.5),
            depth=0.5,
            roundness=0.5,
            texture=0.5,
        )
    else:
        beard = rng.random() < 0.5
        stage.add(dye, ellipse(x - turn * 0.15, y - 0.05, w * 1.15, h * 1.0), depth=0.5, roundness=0.5, texture=0.5)
    shoulder = y + h * 1.45
    stage.add(
        _vary(rng, COLOURS[coat]),
        polygon(
            (x - 0.1, shoulder - 0.03),
            (x + 0.1, shoulder - 0.03),
            (x + 0.3, shoulder + 0.09),
            (x + 0.4, 1.02),
            (x - 0.4, 1.02),
            (x - 0.3, shoulder + 0.09),
        ),
        depth=0.35,
        roundness=0.5,
        texture=0.3,
    )
    stage.add(
        _dark(skin, 0.85),
        box(x - 0.06, y + h * 0.6, x + 0.06, shoulder),
        ellipse(x, shoulder, 0.07, 0.05),
        depth=0.32,
        roundness=0.5,
    )
    if rng.random() < 0.5:
        trim = _vary(rng, COLOURS[_pick(rng, ("white", "yellow", "red"))])
        stage.add(
            trim, line(0.03, (x - 0.1, shoulder - 0.03), (x, shoulder + 0.09), (x + 0.1, shoulder - 0.03)), depth=0.3
        )
    stage.add(skin, ellipse(x, y, w, h), depth=0.25, roundness=0.9)
    fx = x + turn * w * 0.8
    white, ink = (0.92, 0.90, 0.86), (0.12, 0.10, 0.10)
    eyes = [(fx - 0.42 * w, y - 0.02), (fx + 0.42 * w, y - 0.02)]
    stage.add(white, *(ellipse(*eye, 0.026, 0.013) for eye in eyes), depth=0.22)
    stage.add(ink, *(ellipse(ex + turn * 0.02, ey, 0.012, 0.013) for ex, ey in eyes), depth=0.21)
    stage.add(
        _dark(dye, 0.8),
        *(line(0.012, (ex - 0.035, ey - 0.032), (ex, ey - 0.042), (ex + 0.035, ey - 0.032)) for ex, ey in eyes),
        depth=0.21,
    )
    nose = fx + turn * 0.06
    stage.add(
        _dark(skin, 0.78), polygon((fx, y - 0.01), (nose + 0.025, y + 0.065), (nose - 0.02, y + 0.068)), depth=0.2
    )
    if beard:
        stage.add(dye, ellipse(fx, y + h * 0.85, w * 0.72, h * 0.42), depth=0.2, roundness=0.6, texture=0.6)
    stage.add((0.70, 0.28, 0.26), ellipse(fx, y + 0.105, 0.036, 0.011), depth=0.19)
    if hat:
        of = _pick(rng, [c for c in COLOURS if c != wall])
        stage.add(
            _vary(rng, COLOURS[of]),
            ellipse(x, y - h * 0.62, w * 1.75, 0.035),
            ellipse(x - turn * 0.1, y - h * 0.9, w * 1.02, h * 0.42),
            depth=0.22,
            roundness=0.6,
        )
    else:
        stage.add(
            dye, ellipse(x - turn * 0.2, y - h * 0.82, w * 0.95, h * 0.36), depth=0.22, roundness=0.5, texture=0.4
        )
    who = "bearded man" if beard else "person"
    stage.sentence = f"a portrait of a {who} with {'long' if long_hair else 'short'} {hair} hair in a {coat} coat"
    stage.sentence += f" and {'an' if of[0] in 'aeiou' else 'a'} {of} hat" if hat else ""
    stage.sentence += f" before a {wall} wall" + (f" with {behind}" if behind != "a wall" else "")
    return stage


def _hill_in(left, right, top, bottom):
    return polygon(
        (left, bottom),
        (left, top + 0.04),
        ((2 * left + right) / 3, top),
        ((left + 2 * right) / 3, top + 0.05),
        (right, top + 0.02),
        (right, bottom),
    )


def _figure(rng, stage: Stage, x, foot, h, colour: Colour, depth):
    skin, dye = _vary(rng, _pick(rng, _SKINS), 0.03), _vary(rng, _HAIRS[_pick(rng, _HAIRS)], 0.02)
    lean, pose = rng.normal(0, 0.06) * h, _pick(rng, ("stand", "raise", "spread", "robe"))
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
        stage.add(_dark(colour, 0.5), *legs, depth=depth, roundness=0.3)
    stage.add(colour, *body, name="figure", depth=depth, roundness=0.6, texture=0.2)
    stage.add(skin, ellipse(*head, 0.062 * h, 0.08 * h), depth=depth, roundness=0.8)
    stage.add(dye, ellipse(head[0], head[1] - 0.045 * h, 0.066 * h, 0.05 * h), depth=depth)
    return head


def _figures(rng) -> Stage:
    stage = Stage()
    place = _pick(rng, ("in a field", "on a beach", "in a hall", "in a garden"))
    if place == "in a hall":
        horizon, end = rng.uniform(0.5, 0.62), ""
        stage.light = _light(rng)
        wall = _vary(rng, _pick(rng, ((0.60, 0.52, 0.42), (0.42, 0.46, 0.52), (0.66, 0.42, 0.34))))
        stage.add(wall, box(-0.01, -0.01, 1.01, 1.01), depth=1.0, fade=(0.06, 0.06, 0.05))
        for left in (0.08, 0.4, 0.72):
            stage.add(
                _dark(wall, 0.6), ellipse(left + 0.1, 0.2, 0.1, 0.12), box(left, 0.2, left + 0.2, horizon), depth=0.95
            )
        stage.add(
            _vary(rng, (0.58, 0.44, 0.32)), box(-0.01, horizon, 1.01, 1.01), depth=0.5, fade=(-0.05, -0.05, -0.05)
        )
    else:
        horizon = rng.uniform(0.38, 0.5)
        end = " " + _sky(rng, stage, horizon - 0.08)
        if place == "on a beach":
            stage.add((0.24, 0.45, 0.58), box(-0.01, horizon, 1.01, 1.01), depth=0.8, texture=0.6)
            stage.add(
                _vary(rng, (0.86, 0.76, 0.56)),
                _ridge(rng, horizon + 0.14, 0.04, 1.02),
                depth=0.5,
                texture=0.2,
                fade=(-0.06, -0.06, -0.06),
            )
        else:
            stage.add(_vary(rng, (0.36, 0.46, 0.34)), _ridge(rng, horizon + 0.02, 0.1, 1.02), depth=0.8, texture=0.5)
            stage.add(
                _vary(rng, (0.48, 0.56, 0.26) if place == "in a garden" else (0.74, 0.64, 0.32)),
                box(-0.01, horizon + 0.05, 1.01, 1.01),
                depth=0.5,
                texture=0.7,
                fade=(-0.08, -0.08, -0.06),
            )
            if place == "in a garden":
                for x in rng.uniform(0, 1, int(rng.integers(1, 4))):
                    _tree(rng, stage, x, horizon + 0.14, rng.uniform(0.25, 0.4), 0.6)
    if stage.title == "":
        stage.title = place
    count = int(rng.integers(2, 6))
    spots = np.linspace(0.5 - 0.09 * count, 0.5 + 0.09 * count, count) + rng.normal(0, 0.02, count)
    tones = rng.choice([c for c in COLOURS if c != "black"], count, replace=False)
    for x, tone in zip(spots, tones, strict=True):
        foot = rng.uniform(0.8, 0.95)
        head = _figure(
            rng,
            stage,
            float(x),
            foot,
            (foot - horizon) * rng.uniform(1.15, 1.35),
            _vary(rng, COLOURS[tone]),
            0.95 - foot + 0.1,
        )
        stage.focus = (head[0], head[1], 0.14)
        stage.things[-3].name = f"figure in {tone}"
    stage.sentence = f"{{inventory}} {place}{end}"
    return stage


def _city(rng) -> Stage:
    stage = Stage()
    ground = rng.uniform(0.72, 0.82)
    end = _sky(rng, stage, 0.25)
    night = stage.title == "at night"
    tower = rng.uniform(0.2, 0.8) if rng.random() < 0.5 else None
    if tower is not None:
        stone = _vary(rng, (0.58, 0.55, 0.55))
        stage.add(stone, box(tower - 0.05, 0.27, tower + 0.05, ground), name="tower", depth=0.85, roundness=0.4)
        stage.add(_dark(stone, 0.6), polygon((tower - 0.065, 0.28), (tower + 0.065, 0.28), (tower, 0.13)), depth=0.85)
    edges = np.linspace(-0.03, 1.03, int(rng.integers(4, 8)))
    edges[1:-1] += rng.normal(0, 0.02, len(edges) - 2)
    for left, right in zip(edges[:-1], edges[1:], strict=True):
        top, w = rng.uniform(0.36, 0.58), right - left
        wall = _vary(
            rng,
            _pick(
                rng,
                (
                    (0.84, 0.74, 0.58),
                    (0.74, 0.48, 0.36),
                    (0.62, 0.62, 0.62),
                    (0.86, 0.82, 0.76),
                    (0.52, 0.56, 0.62),
                    (0.80, 0.58, 0.52),
                ),
            ),
        )
        stage.add(wall, box(left, top, right, ground), name="house", depth=0.65, roundness=0.3)
        if rng.random() < 0.6:
            stage.add(
                _vary(rng, (0.48, 0.24, 0.18)),
                polygon((left - 0.01, top), (right + 0.01, top), ((left + right) / 2, top - 0.5 * w)),
                depth=0.65,
            )
        columns, rows = 2 if w < 0.2 else 3, int((ground - top) / 0.11)
        panes = [
            box(
                left + w * (c + 0.28) / columns,
                top + 0.035 + r * 0.11,
                left + w * (c + 0.72) / columns,
                top + 0.09 + r * 0.11,
            )
            for c in range(columns)
            for r in range(rows)
        ]
        if panes:
            stage.add((1.0, 0.85, 0.45) if night and rng.random() < 0.7 else (0.20, 0.23, 0.28), *panes, depth=0.64)
    floor = _pick(rng, ("street", "canal"))
    if floor == "canal":
        stage.add(
            _vary(rng, tuple(0.6 * np.asarray(SKIES[stage.title][1]))),
            box(-0.01, ground, 1.01, 1.01),
            name="canal",
            depth=0.4,
            texture=0.7,
            fade=(-0.05, -0.04, 0.0),
        )
        if rng.random() < 0.5:
            x = rng.uniform(0.25, 0.75)
            stage.add(
                (0.34, 0.20, 0.14),
                polygon((x - 0.13, 0.88), (x + 0.13, 0.88), (x + 0.09, 0.93), (x - 0.09, 0.93)),
                name="boat",
                depth=0.3,
            )
            stage.add(
                _vary(rng, COLOURS[_pick(rng, ("red", "white", "orange"))]),
                polygon((x, 0.66), (x, 0.87), (x + 0.11, 0.87)),
                depth=0.3,
            )
    else:
        stage.add(
            _vary(rng, (0.52, 0.48, 0.45)),
            box(-0.01, ground, 1.01, 1.01),
            name="street",
            depth=0.45,
            texture=0.3,
            fade=(-0.08, -0.08, -0.08),
        )
        stage.add((0.72, 0.68, 0.62), polygon((0.46, ground), (0.5, ground), (0.4, 1.01), (0.15, 1.01)), depth=0.42)
        spots = rng.permutation(np.linspace(0.1, 0.9, 5))
        for x in spots[: int(rng.integers(0, 4))]:
            tone = _pick(rng, COLOURS)
            _figure(
                rng,
                stage,
                float(x),
                ground + rng.uniform(0.08, 0.16),
                rng.uniform(0.2, 0.28),
                _vary(rng, COLOURS[tone]),
                0.25,
            )
        if rng.random() < 0.5:
            x = float(spots[4])
            stage.add(
                (0.15, 0.15, 0.17),
                line(0.016, (x, 0.95), (x, 0.5)),
                box(x - 0.025, 0.44, x + 0.025, 0.5),
                name="lamp",
                depth=0.2,
            )
    stage.sentence = f"a city {stage.title} with {{inventory}} {end}"
    return stage


def _abstract(rng) -> Stage:
    stage = Stage(light=_light(rng))
    tones = rng.choice(list(COLOURS), 4, replace=False)
    ground = tones[0]
    stage.title = f"on {ground}"
    stage.add(_vary(rng, COLOURS[ground]), box(-0.01, -0.01, 1.01, 1.01), depth=1.0, fade=(0.05, 0.05, 0.05))
    stage.focus = (float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7)), 0.2)
    cells = rng.permutation([(x, y) for x in (0.22, 0.5, 0.78) for y in (0.22, 0.5, 0.78)])
    count = int(rng.integers(3, 8))
    for i, (x, y) in enumerate(cells[:count] + rng.normal(0, 0.04, (count, 2))):
        what, size = (
            _pick(rng, ("circle", "bar", "triangle", "square", "arc")),
            rng.uniform(0.10, 0.22) * (1.4 if i == 0 else 1),
        )
        tone, turn = _pick(rng, tones[1:]), rng.uniform(0, np.pi)
        how = {"name": f"{tone} {what}", "depth": 0.8 - 0.1 * i, "roundness": 0.35}
        colour, ray = _vary(rng, COLOURS[tone]), np.array([np.cos(turn), np.sin(turn)])
        if what == "circle":
            stage.add(colour, ellipse(x, y, size * 0.8, size * 0.8), **how)
        elif what == "bar":
            stage.add(
                colour, line(size * 0.45, tuple((x, y) - 1.7 * size * ray), tuple((x, y) + 1.7 * size * ray)), **how
            )
        elif what == "arc":
            bend = turn + np.linspace(0, 3.4, 14)
            stage.add(
                colour, line(size * 0.3, *zip(x + size * np.cos(bend), y + size * np.sin(bend), strict=True)), **how
            )
        else:
            corners = 3 if what == "triangle" else 4
            bend = turn + np.arange(corners) * 2 * np.pi / corners
            stage.add(colour, polygon(*zip(x + size * np.cos(bend), y + size * np.sin(bend), strict=True)), **how)
    stage.sentence = f"an abstract composition of {{inventory}} on a {ground} ground"
    return stage


COMPOSERS: dict[str, Callable[[np.random.Generator], Stage]] = {
    "landscape": _landscape,
    "still_life": _still_life,
    "portrait": _portrait,
    "figures": _figures,
    "city": _city,
    "abstract": _abstract,
}
