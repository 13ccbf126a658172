"""Scenes without a sky: still life, portrait, abstract."""

import numpy as np

from wikiart_data.sample.stage import (
    COLOURS,
    HAIRS,
    SKINS,
    Stage,
    box,
    darker,
    ellipse,
    line,
    named,
    pick,
    polygon,
    some_light,
    vary,
)


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


def still_life(rng) -> Stage:
    """Vessels, flowers and fruit on a cloth."""
    stage = Stage(light=some_light(rng), title="on a table")
    wall, cloth = rng.choice(list(COLOURS), 2, replace=False)
    edge = rng.uniform(0.52, 0.64)
    stage.add(
        vary(rng, tuple(0.75 * np.asarray(COLOURS[wall]) + 0.08)),
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
        vary(rng, COLOURS[cloth]),
        polygon((-0.02, edge), (1.02, edge + rng.uniform(-0.04, 0.04)), (1.02, 1.02), (-0.02, 1.02)),
        depth=0.5,
        texture=0.3,
        fade=(-0.06, -0.06, -0.06),
    )
    folds = [
        polygon((x, edge + 0.2), (x + 0.03, edge + 0.2), (x + rng.uniform(-0.06, 0.1), 1.02), (x - 0.02, 1.02))
        for x in rng.uniform(0, 1, 4)
    ]
    stage.add(vary(rng, darker(COLOURS[cloth], 0.75), 0.02), *folds, depth=0.48)
    spots = np.linspace(0.16, 0.84, 5) + rng.normal(0, 0.02, 5)
    tall = rng.permutation(spots)[: int(rng.integers(1, 4))]
    shade = -0.5 * np.sign(stage.light[0])
    for x in tall:
        what = pick(rng, ("bottle", "vase", "jug", "candle", "vase of flowers"))
        name = pick(rng, [c for c in COLOURS if c not in (wall, cloth)])
        h, foot = rng.uniform(0.28, 0.42), edge + rng.uniform(0.06, 0.14)
        how = {"name": f"{name} {what}", "depth": 0.4, "roundness": 0.9}
        stage.add(darker(COLOURS[cloth], 0.5), ellipse(x + shade * 0.16, foot, 0.14, 0.025), depth=0.45)
        if what == "bottle":
            _bottle(stage, vary(rng, COLOURS[name]), x, foot, h * 1.15, **how)
        elif what == "candle":
            stage.add(
                vary(rng, COLOURS[name]),
                box(x - 0.022, foot - h * 0.7, x + 0.022, foot),
                ellipse(x, foot, 0.07, 0.025),
                **how,
            )
            stage.add((1.0, 0.85, 0.4), ellipse(x, foot - h * 0.7 - 0.03, 0.014, 0.035), depth=0.39)
        else:
            if "flowers" in what:
                bloom = vary(rng, COLOURS[pick(rng, ("red", "yellow", "pink", "white", "violet", "orange"))])
                heads = rng.normal((x, foot - h * 1.15), (0.085, 0.06), (9, 2))
                stage.add(
                    (0.24, 0.42, 0.18),
                    *(line(0.012, (x, foot - h * 0.6), (px, py)) for px, py in heads),
                    *(ellipse(px, py, 0.03, 0.02) for px, py in heads + 0.02),
                    depth=0.42,
                    texture=0.8,
                )
                stage.add(
                    bloom,
                    *(ellipse(px, py, 0.034, 0.032) for px, py in heads[:7]),
                    depth=0.4,
                    roundness=0.4,
                    texture=0.6,
                )
                h *= 0.75
            _vase(stage, vary(rng, COLOURS[name]), x, foot, h * 0.8, **how)
            if what == "jug":
                side = 0.3 * h * 0.8 * shade * 2
                stage.add(
                    vary(rng, darker(COLOURS[name], 0.8), 0.02),
                    line(
                        0.02,
                        (x + side * 0.5, foot - 0.7 * h),
                        (x + side * 1.3, foot - 0.55 * h),
                        (x + side, foot - 0.2 * h),
                    ),
                    depth=0.4,
                )
        stage.focus = (float(x), float(foot - h / 2), 0.22)
    fruit, tone = pick(
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
        stage.add(darker(COLOURS[cloth], 0.5), ellipse(x + shade * 0.09, y + r * 0.75, r * 1.2, r * 0.4), depth=0.3)
        stage.add(
            vary(rng, COLOURS[tone]),
            ellipse(x, y, r * (1.3 if fruit == "lemon" else 1), r),
            name=fruit,
            depth=0.25,
            roundness=1.0,
        )
    if rng.random() < 0.35:
        x, y = rng.uniform(0.2, 0.75), 0.9
        stage.add(
            vary(rng, COLOURS[pick(rng, ("brown", "blue", "red"))]),
            polygon((x - 0.14, y), (x + 0.1, y - 0.05), (x + 0.18, y + 0.01), (x - 0.06, y + 0.06)),
            name="book",
            depth=0.2,
        )
        stage.add(
            (0.9, 0.87, 0.76),
            polygon((x - 0.06, y + 0.06), (x + 0.18, y + 0.01), (x + 0.18, y + 0.04), (x - 0.06, y + 0.09)),
            depth=0.19,
        )
    stage.sentence = f"a still life of {{inventory}} on {named(cloth)} cloth before {named(wall)} wall"
    return stage


def portrait(rng) -> Stage:
    """One person to the waist, in front of a wall."""
    stage = Stage(light=some_light(rng))
    wall, coat = rng.choice(list(COLOURS), 2, replace=False)
    stage.title = f"in {coat}"
    stage.add(
        vary(rng, tuple(0.7 * np.asarray(COLOURS[wall]) + 0.08)),
        box(-0.01, -0.01, 1.01, 1.01),
        depth=1.0,
        fade=(0.06, 0.06, 0.06),
    )
    behind = pick(rng, ("a wall", "a window", "a curtain"))
    if behind == "a window":
        left = pick(rng, (0.04, 0.66))
        stage.add((0.62, 0.76, 0.86), box(left, 0.08, left + 0.3, 0.5), depth=0.92, fade=(0.1, 0.06, 0.0))
        stage.add((0.36, 0.46, 0.28), _hill_in(left, left + 0.3, 0.38, 0.5), depth=0.9, texture=0.6)
        stage.add(
            (0.34, 0.24, 0.16),
            line(0.02, (left, 0.08), (left + 0.3, 0.08), (left + 0.3, 0.5), (left, 0.5), (left, 0.08)),
            depth=0.88,
        )
    elif behind == "a curtain":
        drape = pick(rng, (0.0, 0.72))
        stage.add(
            vary(rng, (0.5, 0.16, 0.16)),
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
    turn = float(pick(rng, (-1, 1)) * rng.uniform(0.15, 0.4))
    skin, hair = vary(rng, pick(rng, SKINS), 0.03), pick(rng, HAIRS)
    dye = vary(rng, HAIRS[hair], 0.02)
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
        vary(rng, COLOURS[coat]),
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
        darker(skin, 0.85),
        box(x - 0.06, y + h * 0.6, x + 0.06, shoulder),
        ellipse(x, shoulder, 0.07, 0.05),
        depth=0.32,
        roundness=0.5,
    )
    if rng.random() < 0.5:
        trim = vary(rng, COLOURS[pick(rng, ("white", "yellow", "red"))])
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
        darker(dye, 0.8),
        *(line(0.012, (ex - 0.035, ey - 0.032), (ex, ey - 0.042), (ex + 0.035, ey - 0.032)) for ex, ey in eyes),
        depth=0.21,
    )
    nose = fx + turn * 0.06
    stage.add(
        darker(skin, 0.78), polygon((fx, y - 0.01), (nose + 0.025, y + 0.065), (nose - 0.02, y + 0.068)), depth=0.2
    )
    if beard:
        stage.add(dye, ellipse(fx, y + h * 0.85, w * 0.72, h * 0.42), depth=0.2, roundness=0.6, texture=0.6)
    stage.add((0.70, 0.28, 0.26), ellipse(fx, y + 0.105, 0.036, 0.011), depth=0.19)
    if hat:
        of = pick(rng, [c for c in COLOURS if c != wall])
        stage.add(
            vary(rng, COLOURS[of]),
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
    stage.sentence = f"a portrait of a {who} with {'long' if long_hair else 'short'} {hair} hair in {named(coat)} coat"
    stage.sentence += f" and {named(of)} hat" if hat else ""
    stage.sentence += f" before {named(wall)} wall" + (f" with {behind}" if behind != "a wall" else "")
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


def abstract(rng) -> Stage:
    """Three to seven plain shapes on a plain ground."""
    stage = Stage(light=some_light(rng))
    tones = rng.choice(list(COLOURS), 4, replace=False)
    ground = tones[0]
    stage.title = f"on {ground}"
    stage.add(vary(rng, COLOURS[ground]), box(-0.01, -0.01, 1.01, 1.01), depth=1.0, fade=(0.05, 0.05, 0.05))
    stage.focus = (float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7)), 0.2)
    cells = rng.permutation([(x, y) for x in (0.22, 0.5, 0.78) for y in (0.22, 0.5, 0.78)])
    count = int(rng.integers(3, 8))
    for i, (x, y) in enumerate(cells[:count] + rng.normal(0, 0.04, (count, 2))):
        what, size = (
            pick(rng, ("circle", "bar", "triangle", "square", "arc")),
            rng.uniform(0.10, 0.22) * (1.4 if i == 0 else 1),
        )
        tone, turn = pick(rng, tones[1:]), rng.uniform(0, np.pi)
        how = {"name": f"{tone} {what}", "depth": 0.8 - 0.1 * i, "roundness": 0.35}
        colour, ray = vary(rng, COLOURS[tone]), np.array([np.cos(turn), np.sin(turn)])
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
    stage.sentence = f"an abstract composition of {{inventory}} on {named(ground)} ground"
    return stage
