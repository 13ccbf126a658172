"""Marks of the painter's tools: strokes, dots, lines, drips, cracks. Same signature as the operations of `colour`."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from wikiart_data.sample.colour import blurred, field, grid, hexed, luminance, mix, to_bytes, turned


def flow(image, rng, swirl):
    """(H, W) angles along the forms of the picture (`swirl` 0) up to those of an independent flow (`swirl` 1)."""
    form = blurred(luminance(image), 0.03) * (1 - 0.75 * swirl) + field(rng, image.shape[0], 3) * (0.1 + swirl)
    down, right = np.gradient(form)
    return np.arctan2(down, right) + np.float32(np.pi / 2)


def strokes(
    image, layers, rng, *, length, width, angle=None, swirl=0.0, spread=0.3, curve=0.0, cover=1.6, stray=0.04,
    divide=0.0, bristle=0.15, relief=0.1, dry=0.0, stay=0.0, where=None, ground=None, source=None,
):  # fmt: skip
    """Lay brush strokes, each in the colour of the picture under its middle.

    Args:
        image: (H, W, 3), both the source of colours and what shows between the strokes.
        layers: the rendered scene.
        rng: decides where strokes lie.
        length: of a stroke, like `width` a fraction of the side. Strokes as wide as long are dots.
        width: of a stroke.
        angle: of all strokes, in radians; None follows the forms.
        swirl: 0 follows the forms, 1 an independent flow.
        spread: standard deviation of the angle.
        curve: how far a stroke bends, in units of its length.
        cover: total area of strokes over the area of the picture.
        stray: standard deviation of brightness between strokes.
        divide: fraction of strokes in a neighbouring or complementary hue instead of the mixed one.
        bristle: contrast of the lines that bristles leave along a stroke.
        relief: contrast of the light on the ridge of thick paint.
        dry: fraction of bristles that leave no paint.
        stay: fraction of strokes that end at the contour of the thing they paint.
        where: (H, W) probability that a stroke is laid (default: 1 everywhere).
        ground: hex colour that shows between the strokes instead of the image.
        source: another picture to take colours from.
    """
    size = layers.size
    count = max(8, int(cover / (length * width)))
    middle = rng.random((2, count), np.float32)
    cells = np.minimum((middle * size).astype(np.int32), size - 1)
    if where is not None:
        laid = rng.random(count) < where[cells[0], cells[1]]
        middle, cells = middle[:, laid], cells[:, laid]
        count = middle.shape[1]
        if not count:
            return image
    turn = flow(image, rng, swirl)[cells[0], cells[1]] if angle is None else np.full(count, angle, np.float32)
    turn = turn + rng.normal(0, spread, count).astype(np.float32)
    colours = (image if source is None else source)[cells[0], cells[1]]
    colours = colours + rng.normal(0, stray, (count, 1)).astype(np.float32)
    if divide:
        kick = np.where(rng.random(count) < divide, rng.choice((-1.2, 1.0, 2.6), count), rng.normal(0, 0.2, count))
        colours = turned(colours, kick.astype(np.float32))

    # Each stroke is a small sheet of samples (along × across) on the canvas; later strokes cover earlier ones.
    along = np.linspace(-0.5, 0.5, max(2, int(np.ceil(length * size * 1.35))), dtype=np.float32)[:, None]
    across = np.linspace(-0.5, 0.5, max(2, int(np.ceil(width * size * 1.45))), dtype=np.float32)[None, :]
    taper = np.sqrt(np.maximum(1 - (2 * along) ** 2, 0)) if length <= 1.5 * width else 1 - 0.7 * (2 * along) ** 8
    ragged = 0.05 * rng.normal(0, 1, across.shape).astype(np.float32)
    forth = (along + ragged).ravel() * length
    side = (across * taper + (curve * length / width) * (along**2 - 0.08)).ravel() * width
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    px = ((middle[1][:, None] + forth * cos - side * sin) * size).astype(np.int32)
    py = ((middle[0][:, None] + forth * sin + side * cos) * size).astype(np.int32)
    pixel = py * size + px
    inside = (px >= 0) & (px < size) & (py >= 0) & (py < size)
    lanes = across.size
    if stay:
        loyal = rng.random(count) < stay
        regions = layers.regions.ravel()
        home = layers.regions[cells[0], cells[1]][:, None]
        inside &= ~loyal[:, None] | (regions[np.where(inside, pixel, 0)] == home)
    if dry:
        worn = rng.random((32, lanes)) < dry * 1.6 * np.linspace(0.3, 1.0, along.size)[:, None, None]
        worn = worn.transpose(1, 0, 2).reshape(32, -1)
        inside &= ~worn[np.arange(count) % 32]
    top = np.full(size * size + 1, -1, np.int32)
    top[np.where(inside, pixel, size * size)] = np.arange(pixel.size, dtype=np.int32).reshape(pixel.shape)
    top = top[:-1]
    owner, sheet = np.divmod(top, forth.size)
    lane = sheet % lanes
    hairs = rng.normal(0, 1, (64, lanes + 1)).astype(np.float32)
    profile = 1 + bristle * (0.7 * hairs[:, 1:] + 0.5 * hairs[:, :-1])
    profile += relief * np.linspace(1, -1, lanes, dtype=np.float32)
    painted = colours[owner] * profile[owner % 64, lane][:, None]
    under = image if ground is None else np.broadcast_to(hexed(ground), image.shape)
    return np.clip(np.where((top >= 0)[:, None], painted, under.reshape(-1, 3)), 0, 1).reshape(image.shape)


def outline(image, layers, rng, *, width, colour="17130f", amount=0.9, broken=0.0):
    """Contours of things, in a colour or, without one, in a darker tone of the picture."""
    r = layers.regions
    area = np.bincount(r.ravel())
    # A broad contour would cover eyes and mouths: things that are too small for it count as their surroundings.
    if (small := (area > 0) & (area < (4 * width * layers.size) ** 2)).any():
        around = np.asarray(Image.fromarray(np.where(small[r], 0, r)).filter(ImageFilter.MaxFilter(5)))
        r = np.where(small[r], around, r)
    edge = np.zeros(r.shape, bool)
    edge[:-1] |= r[:-1] != r[1:]
    edge[:, :-1] |= r[:, :-1] != r[:, 1:]
    wide = max(1, round(width * layers.size))
    ink = Image.fromarray(edge).convert("L")
    if wide > 1:
        ink = ink.filter(ImageFilter.MaxFilter(2 * (wide // 2) + 1))
    alpha = np.asarray(ink.filter(ImageFilter.GaussianBlur(0.35 + 0.12 * wide)), np.float32) * np.float32(amount / 255)
    if broken:
        alpha = alpha * np.clip(1.5 - 3 * broken * field(rng, layers.size, 9), 0, 1)
    return mix(image, hexed(colour) if colour else image * np.float32(0.45), np.clip(alpha, 0, 1))


def hatch(image, layers, rng, *, spacing, angle, amount, colour="2a1c12", reach=0.75):
    """Fine parallel lines, thicker in darker parts."""
    y, x = grid(layers.size)
    t = (x * np.cos(angle) + y * np.sin(angle) + 0.012 * field(rng, layers.size, 6)) / spacing
    dark = np.clip(1 - luminance(image) / reach, 0, 1)
    line = np.clip(np.cos(2 * np.pi * t) - 1 + 2.2 * dark, 0, 1)
    return mix(image, hexed(colour), np.minimum(amount * line, 1))


def ripples(image, layers, rng, *, spacing, amount, colour="1a2a4a"):
    """Carved parallel lines on water, grass and hair."""
    y, x = grid(layers.size)
    t = (y + 0.014 * np.sin(2 * np.pi * 7 * x) + 0.02 * field(rng, layers.size, 5)) / spacing
    line = (np.abs(t - np.floor(t) - 0.5) < 0.16) & (layers.texture > 0.35)
    return mix(image, hexed(colour), amount * line)


def halftone(image, layers, rng, *, spacing, angle=0.6, amount=0.9, colours=("d8322a", "2454a8")):
    """Ben-Day dots: dots of one ink in the middle tones, larger for darker ones."""
    y, x = grid(layers.size)
    u, v = (x * np.cos(angle) - y * np.sin(angle)) / spacing, (x * np.sin(angle) + y * np.cos(angle)) / spacing
    tone = blurred(luminance(image), 0.02)
    dot = (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v)) / 4 + 0.5
    alpha = np.clip((dot - 0.25 - 0.55 * tone) * 7, 0, 1) * (tone > 0.22)
    ink = mix(hexed(colours[int(rng.integers(len(colours)))]), image * 0.55, 0.45)
    paper = np.clip(image * 0.45 + 0.58, 0, 1)
    return mix(image, mix(paper, ink, alpha), amount * (tone > 0.22) * (layers.regions % 3 != 1))


def facets(image, layers, rng, *, lines, shift, shade, edge=0.3, tilt=0.5, paper=0.0):
    """The picture cut by straight lines into facets, each shifted and shaded from edge to edge.

    With `paper`, that fraction of the facets is pasted paper: newsprint, wood grain, stripes.
    """
    size = layers.size
    y, x = grid(size)
    axes = rng.choice((0.15, 0.8, 1.5, 2.3), lines) + rng.normal(0, tilt * 0.4, lines)
    through = 0.5 + (rng.random((2, lines)) - 0.5) * 0.95
    code, near, sides = np.zeros((size, size), np.int64), np.ones((size, size), np.float32), []
    for i in range(lines):
        side = (x - np.float32(through[0, i])) * np.float32(np.cos(axes[i]))
        side = side + (y - np.float32(through[1, i])) * np.float32(np.sin(axes[i]))
        # About half of the lines stop at an earlier one, so that facets differ in size.
        here = sides[int(rng.integers(len(sides)))] > 0 if i > 2 and rng.random() < 0.6 else np.True_
        code = code * 2 + ((side > 0) & here)
        near = np.minimum(near, np.where(here, np.abs(side), 1))
        sides.append(side)
    cell = (code * 2654435761 >> 7) % 1021
    steps = np.rint(rng.normal(0, shift * size, (2, 1021))).astype(np.int64)
    py, px = np.indices((size, size))
    seen = image[np.clip(py + steps[0][cell], 0, size - 1), np.clip(px + steps[1][cell], 0, size - 1)]
    lean, phase = rng.uniform(0, 2 * np.pi, 1021).astype(np.float32)[cell], rng.random(1021, np.float32)[cell]
    ramp = (x * np.cos(lean) + y * np.sin(lean)) * 3.2 + phase
    ramp = ramp - np.floor(ramp) - 0.5
    tone = 1 + shade * (1.1 * ramp + 0.7 * (phase - 0.5))
    seen = seen * tone[..., None]
    if paper:
        seen = _pasted(seen, cell, phase, rng, paper)
    dark = edge * np.exp(-near * size / max(1.0, size / 110))
    return np.clip(seen * (1 - dark[..., None]), 0, 1)


def _pasted(image, cell, phase, rng, fraction):
    size = image.shape[0]
    y, x = grid(size)
    pasted = rng.permutation(1021)[cell] / 1021
    words = (field(rng, size, (size // 5, size // 3)) > 0.42) & ((y * 30) % 1 < 0.45)
    prints = mix(np.broadcast_to(hexed("ddd0b0"), image.shape), hexed("3b352d"), 0.75 * words.astype(np.float32))
    grain = np.sin(2 * np.pi * (x * 17 + 2.2 * field(rng, size, (2, 5))))
    wood = hexed("a9763f") * (1 + 0.22 * grain)[..., None]
    stripes = mix(image, np.clip(image * 0.4 + 0.55, 0, 1), ((x + y * (phase > 0.5)) * 14 % 1 < 0.5).astype(np.float32))
    for i, sheet in enumerate((prints, wood, stripes)):
        chosen = (pasted > i * fraction / 3) & (pasted <= (i + 1) * fraction / 3)
        image = np.where(chosen[..., None], sheet * (0.86 + 0.14 * luminance(image))[..., None], image)
    return image


def drips(image, layers, rng, *, count, width, colours, splatter=120, source=0.35):
    """Poured paint: looping threads and splashes over the picture."""
    fine = Image.fromarray(to_bytes(image)).resize((2 * layers.size,) * 2)
    draw, side = ImageDraw.Draw(fine), 2 * layers.size
    inks = [tuple(int(code[i : i + 2], 16) for i in (0, 2, 4)) for code in colours]
    flat = to_bytes(image)

    def ink(x, y):
        if rng.random() < source:
            row, column = (int(np.clip(v, 0, 0.999) * layers.size) for v in (y, x))
            return tuple(int(v) for v in flat[row, column])
        return inks[int(rng.integers(len(inks)))]

    for _ in range(int(count)):
        turns = np.cumsum(rng.normal(0, 0.22, 34)) + rng.uniform(0, 6.3) + rng.normal(0, 0.12) * np.arange(34)
        path = rng.random(2)[:, None] + 0.035 * np.cumsum([np.cos(turns), np.sin(turns)], 1)
        thick = max(1, round(width * side * rng.uniform(0.4, 1.5)))
        draw.line([(x * side, y * side) for x, y in path.T], fill=ink(*path[:, 0]), width=thick, joint="curve")
    spots = rng.random((int(splatter), 2))
    for (x, y), r in zip(spots, np.minimum(rng.exponential(0.45 * width, len(spots)), 2 * width) * side, strict=True):
        draw.ellipse((x * side - r, y * side - r, x * side + r, y * side + r), fill=ink(x, y))
    return np.asarray(fine.reduce(2), np.float32) / 255


def craquelure(image, layers, rng, *, amount, cells=9):
    """Fine cracks of old varnish: the edges of Voronoi cells of scattered points."""
    size = layers.size
    v, u = (axis * cells + 0.9 * field(rng, size, 8) for axis in grid(size))
    seeds = rng.random((2, cells + 4, cells + 4), np.float32)
    row, column = v.astype(np.int32), u.astype(np.int32)
    first, second = np.full((size, size), 9, np.float32), np.full((size, size), 9, np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = row + down + 1, column + right + 1
            far = (v - (r - 1) - seeds[0][r, c]) ** 2 + (u - (c - 1) - seeds[1][r, c]) ** 2
            second = np.minimum(second, np.maximum(first, far))
            first = np.minimum(first, far)
    gap = (np.sqrt(second) - np.sqrt(first)) * size / cells
    return image * (1 - amount * np.clip(1.2 - gap, 0, 1))[..., None]


def weave(image, layers, rng, *, amount, threads=60):
    """The weave of canvas under thin paint."""
    y, x = grid(layers.size)
    return image * (1 + amount * np.sin(2 * np.pi * threads * x) * np.sin(2 * np.pi * threads * y))[..., None]


def fibres(image, layers, rng, *, amount):
    """Fibres of paper, or the grain of a printing block."""
    along = field(rng, layers.size, (layers.size // 2, 7)) + field(rng, layers.size, layers.size // 2)
    return np.clip(image * (1 + amount * (along - 1))[..., None], 0, 1)
