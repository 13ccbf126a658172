"""Scenes under a sky: landscape, figures, city."""

from itertools import pairwise

import numpy as np

from wikiart_data.sample.stage import (
    COLOURS,
    SKIES,
    Stage,
    box,
    darker,
    ellipse,
    figure,
    house,
    line,
    pick,
    polygon,
    ridge,
    sky,
    some_light,
    tree,
    vary,
)


def landscape(rng) -> Stage:
    """Hills or mountains, water or a path, trees, perhaps a house."""
    stage = Stage()
    horizon = rng.uniform(0.42, 0.62)
    end = sky(rng, stage, horizon - 0.22)
    kind = pick(rng, ("hill", "mountain"))
    count = int(rng.integers(1, 4))
    first = rng.uniform(0.1, 0.4)
    far = (0.46, 0.54, 0.66) if kind == "mountain" else (0.42, 0.53, 0.36)
    for i in range(count):
        near = (i + 1) / count
        tall = rng.uniform(0.14, 0.22) * (1.3 if kind == "mountain" and i == 0 else 0.8)
        colour = vary(rng, tuple(np.asarray(far) * (1.15 - 0.35 * near)), 0.03)
        peak = (first + i * 0.37) % 1.0
        stage.add(
            colour,
            ridge(rng, horizon + 0.05 * i, tall, horizon + 0.3, peak),
            name=kind,
            depth=0.85 - 0.15 * i,
            roundness=0.4,
            texture=0.4,
        )
    season = vary(rng, pick(rng, ((0.42, 0.54, 0.24), (0.72, 0.62, 0.30), (0.84, 0.85, 0.86), (0.55, 0.45, 0.27))))
    ground = horizon + 0.08
    stage.add(season, ridge(rng, ground, 0.03, 1.02), depth=0.45, texture=0.6, fade=tuple(-0.10 * np.ones(3)))
    water = pick(rng, ("lake", "river", "path", ""))
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
            vary(rng, colour, 0.03),
            shape,
            name=water,
            depth=0.4,
            texture=0.0 if water == "path" else 0.5,
            fade=(-0.06, -0.04, 0.0),
        )
    spots = rng.permutation([0.1, 0.26, 0.46, 0.66, 0.82, 0.94])
    if rng.random() < 0.45:
        house(rng, stage, spots[0], ground + 0.1, rng.uniform(0.12, 0.2), 0.38)
    for x in spots[1 : 1 + int(rng.integers(0, 5))]:
        far = rng.uniform(0.05, 0.35)
        tree(rng, stage, x + rng.normal(0, 0.02), ground + far, 0.16 + far * rng.uniform(0.9, 1.3), 0.4 - far)
    stage.sentence = f"a landscape {stage.title} with {{inventory}} {end}"
    return stage


def figures(rng) -> Stage:
    """Two to five people in a field, a garden, a hall or on a beach."""
    stage = Stage()
    place = pick(rng, ("in a field", "on a beach", "in a hall", "in a garden"))
    if place == "in a hall":
        horizon, end = rng.uniform(0.5, 0.62), ""
        stage.light = some_light(rng)
        wall = vary(rng, pick(rng, ((0.60, 0.52, 0.42), (0.42, 0.46, 0.52), (0.66, 0.42, 0.34))))
        stage.add(wall, box(-0.01, -0.01, 1.01, 1.01), depth=1.0, fade=(0.06, 0.06, 0.05))
        for left in (0.08, 0.4, 0.72):
            stage.add(
                darker(wall, 0.6), ellipse(left + 0.1, 0.2, 0.1, 0.12), box(left, 0.2, left + 0.2, horizon), depth=0.95
            )
        stage.add(vary(rng, (0.58, 0.44, 0.32)), box(-0.01, horizon, 1.01, 1.01), depth=0.5, fade=(-0.05, -0.05, -0.05))
    else:
        horizon = rng.uniform(0.38, 0.5)
        end = " " + sky(rng, stage, horizon - 0.08)
        if place == "on a beach":
            stage.add((0.24, 0.45, 0.58), box(-0.01, horizon, 1.01, 1.01), depth=0.8, texture=0.6)
            stage.add(
                vary(rng, (0.86, 0.76, 0.56)),
                ridge(rng, horizon + 0.14, 0.04, 1.02),
                depth=0.5,
                texture=0.2,
                fade=(-0.06, -0.06, -0.06),
            )
        else:
            stage.add(vary(rng, (0.36, 0.46, 0.34)), ridge(rng, horizon + 0.02, 0.1, 1.02), depth=0.8, texture=0.5)
            stage.add(
                vary(rng, (0.48, 0.56, 0.26) if place == "in a garden" else (0.74, 0.64, 0.32)),
                box(-0.01, horizon + 0.05, 1.01, 1.01),
                depth=0.5,
                texture=0.7,
                fade=(-0.08, -0.08, -0.06),
            )
            if place == "in a garden":
                for x in rng.uniform(0, 1, int(rng.integers(1, 4))):
                    tree(rng, stage, x, horizon + 0.14, rng.uniform(0.25, 0.4), 0.6)
    if stage.title == "":
        stage.title = place
    count = int(rng.integers(2, 6))
    spots = np.linspace(0.5 - 0.09 * count, 0.5 + 0.09 * count, count) + rng.normal(0, 0.02, count)
    tones = rng.choice([c for c in COLOURS if c != "black"], count, replace=False)
    for x, tone in zip(spots, tones, strict=True):
        foot = rng.uniform(0.8, 0.95)
        head = figure(
            rng,
            stage,
            float(x),
            foot,
            (foot - horizon) * rng.uniform(1.15, 1.35),
            vary(rng, COLOURS[tone]),
            0.95 - foot + 0.1,
        )
        stage.focus = (head[0], head[1], 0.14)
        stage.things[-3].name = f"figure in {tone}"
    stage.sentence = f"{{inventory}} {place}{end}"
    return stage


def city(rng) -> Stage:
    """A row of houses on a street or a canal."""
    stage = Stage()
    ground = rng.uniform(0.72, 0.82)
    end = sky(rng, stage, 0.25)
    night = stage.title == "at night"
    tower = rng.uniform(0.2, 0.8) if rng.random() < 0.5 else None
    if tower is not None:
        stone = vary(rng, (0.58, 0.55, 0.55))
        stage.add(stone, box(tower - 0.05, 0.27, tower + 0.05, ground), name="tower", depth=0.85, roundness=0.4)
        stage.add(darker(stone, 0.6), polygon((tower - 0.065, 0.28), (tower + 0.065, 0.28), (tower, 0.13)), depth=0.85)
    edges = np.linspace(-0.03, 1.03, int(rng.integers(4, 8)))
    edges[1:-1] += rng.normal(0, 0.02, len(edges) - 2)
    for left, right in pairwise(edges):
        top, w = rng.uniform(0.36, 0.58), right - left
        wall = vary(
            rng,
            pick(
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
                vary(rng, (0.48, 0.24, 0.18)),
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
    floor = pick(rng, ("street", "canal"))
    if floor == "canal":
        stage.add(
            vary(rng, tuple(0.6 * np.asarray(SKIES[stage.title][1]))),
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
                vary(rng, COLOURS[pick(rng, ("red", "white", "orange"))]),
                polygon((x, 0.66), (x, 0.87), (x + 0.11, 0.87)),
                depth=0.3,
            )
    else:
        stage.add(
            vary(rng, (0.52, 0.48, 0.45)),
            box(-0.01, ground, 1.01, 1.01),
            name="street",
            depth=0.45,
            texture=0.3,
            fade=(-0.08, -0.08, -0.08),
        )
        stage.add((0.72, 0.68, 0.62), polygon((0.46, ground), (0.5, ground), (0.4, 1.01), (0.15, 1.01)), depth=0.42)
        spots = rng.permutation(np.linspace(0.1, 0.9, 5))
        for x in spots[: int(rng.integers(0, 4))]:
            tone = pick(rng, COLOURS)
            figure(
                rng,
                stage,
                float(x),
                ground + rng.uniform(0.08, 0.16),
                rng.uniform(0.2, 0.28),
                vary(rng, COLOURS[tone]),
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
