"""Pictures of random marks, grounds, screens and textures: what the autoencoder learns surfaces from.

No operation, setting or palette of the sample set's painters is used. Every number is drawn anew for every picture,
from ranges far wider than any painter's, so that no combination is a style that could be recognised or named.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from wikiart_data.sample.scenes import Scene

FINE = 2
"""Marks are drawn at this multiple of the side and reduced, which smooths their edges."""
MAX_STROKES = 700
"""Strokes of one layer: drawing takes about ten microseconds each."""


def marked_picture(scene: Scene, side: int, rng: np.random.Generator, *, keep_scene: bool = False) -> np.ndarray:
    """A scene, or another ground, under two to four layers of random marks.

    Args:
        scene: what may be depicted.
        side: in pixels.
        rng: draws everything else.
        keep_scene: whether what is depicted stays recognisable: the ground is the scene, and no layer moves its parts.

    Returns:
        (side, side, 3) uint8.
    """
    layers = scene.render(side)
    regions = layers.regions.astype(np.int64)
    if keep_scene or rng.random() < 0.7:
        image = layers.colour
    else:
        image, regions = _ground(side, rng)
    image = np.clip(_graded(image, rng, 0.25 if keep_scene else 0.6), 0, 1)
    operations = SURFACES if keep_scene else (*SURFACES, *DISTORTIONS)
    number = int(rng.integers(1, 3)) if keep_scene else int(rng.integers(2, 5))
    for index in rng.choice(len(operations), number):
        image = np.clip(operations[index](image, regions, rng), 0, 1)
    return (image * 255 + 0.5).astype(np.uint8)


def _graded(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Other colours: a random mix of the channels, contrast, brightness and gamma."""
    mixing = np.eye(3) + amount * (rng.random() < 0.6) * rng.normal(0, 0.6, (3, 3))
    image = np.clip(image, 0, 1) ** np.exp(amount * rng.normal(0, 0.7))
    image = (image - 0.5) @ mixing.T * np.exp(amount * rng.normal(0, 0.6)) + 0.5 + amount * rng.normal(0, 0.15)
    return image.astype(np.float32)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32; half of the colours are nearly grey, as inks and papers are."""
    grey = rng.random()
    return np.clip(grey + rng.normal(0, 0.35 if rng.random() < 0.5 else 0.05, 3), 0, 1).astype(np.float32)


def _noise(side: int, rows: float, columns: float, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float32 smooth noise with a standard deviation of about 1 and so many blobs along each axis."""
    shape = (max(2, round(rows)), max(2, round(columns)))
    coarse = Image.fromarray(rng.standard_normal(shape, np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) * np.float32(1.3)


def _axes(side: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (side, side) in 0..1 about the middle, turned by an angle."""
    steps = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    y, x = np.meshgrid(steps, steps, indexing="ij")
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos - y * sin, x * sin + y * cos


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _ground(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ground without a scene: image and regions."""
    number = int(rng.integers(2, 7))
    colours = np.stack([_colour(rng) for _ in range(number)])
    blobs = _log_uniform(1.5, 10, rng)
    height = _noise(side, blobs, blobs, rng)
    if rng.random() < 0.3:  # straight bands and fields
        across, along = _axes(side, rng.uniform(0, np.pi))
        height = rng.uniform(1, 4) * (across + along * (rng.random() < 0.3)) + 0.1 * height
    low, high = float(height.min()), float(height.max())
    position = (height - low) / (high - low + 1e-6) * (number - 1)
    whole = np.minimum(position.astype(np.int64), number - 2)
    part = (position - whole)[..., None]
    sharpness = _log_uniform(1, 60, rng)  # from a smooth gradient to hard edges
    part = np.clip((part - 0.5) * sharpness + 0.5, 0, 1)
    return colours[whole] * (1 - part) + colours[whole + 1] * part, whole


# -- surfaces: they leave everything where it is ---------------------------------------------------------------------


def _strokes(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes or dots in varied colours of the picture under their middle, along a random flow."""
    side = image.shape[0]
    length = _log_uniform(0.018, 0.5, rng)
    width = max(0.008, length * _log_uniform(0.08, 1.0, rng))
    number = int(np.clip(_log_uniform(0.15, 2.5, rng) / (length * width), 6, MAX_STROKES))
    canvas = Image.fromarray((image * 255).astype(np.uint8)).resize((FINE * side,) * 2, Image.Resampling.BILINEAR)
    draw, scale = ImageDraw.Draw(canvas), FINE * side
    middles = rng.random((number, 2))
    rows, columns = (np.minimum((middles[:, axis] * side).astype(int), side - 1) for axis in (1, 0))
    blobs = rng.uniform(1, 8)
    flow = rng.uniform(0, np.pi) + rng.uniform(0, 2.5) * _noise(side, blobs, blobs, rng)
    angles = flow[rows, columns] + rng.uniform(0, 0.8) * rng.standard_normal(number)
    bends = rng.uniform(0, 1.2) * rng.standard_normal(number)
    colours = image[rows, columns] + rng.uniform(0, 0.15) * rng.standard_normal((number, 1))
    colours = colours + rng.uniform(0, 0.2) * (rng.random((number, 1)) < rng.random()) * rng.standard_normal(
        (number, 3)
    )
    if rng.random() < 0.25:
        colours = np.broadcast_to(_colour(rng), colours.shape) + 0.05 * rng.standard_normal((number, 1))
    hairs = int(rng.integers(0, 4)) if width * scale > 5 else 0
    contrast = rng.uniform(0.03, 0.2)
    round_ends = rng.random() < 0.5
    steps = np.array([-0.5, 0.0, 0.5])
    for middle, angle, bend, colour in zip(middles, angles, bends, colours, strict=True):
        turn = angle + bend * steps
        forward, sideward = np.stack([np.cos(turn), np.sin(turn)], 1), np.array([-np.sin(angle), np.cos(angle)])
        path = (middle + length * steps[:, None] * forward) * scale
        thick = max(1, round(width * scale * rng.uniform(0.6, 1.3)))
        ink = tuple(int(value) for value in np.clip(colour, 0, 1) * 255)
        if length < 1.4 * width:
            x, y = path[1]
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=ink)
            continue
        draw.line([tuple(point) for point in path], fill=ink, width=thick, joint="curve")
        if round_ends and thick > 3:
            for x, y in path[[0, 2]]:
                draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=ink)
        for _ in range(hairs):  # lines that bristles leave
            shade = np.clip(colour + contrast * rng.standard_normal(), 0, 1) * 255
            offset = path + sideward * thick * rng.uniform(-0.45, 0.45)
            draw.line([tuple(point) for point in offset], fill=tuple(int(value) for value in shade), width=1)
    return _reduced(canvas)


def _threads(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Long wandering lines and splashes in a few inks."""
    side = image.shape[0]
    canvas = Image.fromarray((image * 255).astype(np.uint8)).resize((FINE * side,) * 2, Image.Resampling.BILINEAR)
    draw, scale = ImageDraw.Draw(canvas), FINE * side
    inks = [tuple(int(value) for value in _colour(rng) * 255) for _ in range(int(rng.integers(1, 5)))]
    width, wander = _log_uniform(0.006, 0.04, rng), rng.uniform(0.03, 0.6)
    for _ in range(int(_log_uniform(2, 60, rng))):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, wander, 24))
        path = rng.random(2) + rng.uniform(0.015, 0.05) * np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), 0)
        thick = max(1, round(width * scale * rng.uniform(0.5, 1.6)))
        ink = inks[int(rng.integers(len(inks)))]
        draw.line([tuple(point) for point in path * scale], fill=ink, width=thick, joint="curve")
    for x, y, radius in rng.random((int(_log_uniform(1, 80, rng)), 3)) * (scale, scale, 1.2 * width * scale):
        ink = inks[int(rng.integers(len(inks)))]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return _reduced(canvas)


def _shapes(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Plain rectangles, ellipses and triangles, filled or as outlines, in few colours."""
    side = image.shape[0]
    canvas = Image.fromarray((image * 255).astype(np.uint8)).resize((FINE * side,) * 2, Image.Resampling.BILINEAR)
    draw, scale = ImageDraw.Draw(canvas), FINE * side
    inks = [tuple(int(value) for value in _colour(rng) * 255) for _ in range(int(rng.integers(1, 4)))]
    size, thick = _log_uniform(0.02, 0.3, rng), max(1, round(_log_uniform(0.006, 0.03, rng) * scale))
    kind, filled, upright = int(rng.integers(3)), rng.random() < 0.6, rng.random() < 0.5
    for _ in range(int(np.clip(0.4 * rng.random() / size**2, 2, 150))):
        half = size * scale * rng.uniform(0.3, 1.0, 2) / 2
        x, y = rng.random(2) * scale
        ink = inks[int(rng.integers(len(inks)))]
        paint: Any = {"fill": ink} if filled else {"outline": ink, "width": thick}
        if kind == 0:
            draw.ellipse((x - half[0], y - half[1], x + half[0], y + half[1]), **paint)
            continue
        corners = 4 if kind == 1 else 3
        turns = (0 if upright else rng.uniform(0, np.pi)) + (np.arange(corners) + 0.5) * 2 * np.pi / corners
        points = zip(x + 1.4 * half[0] * np.cos(turns), y + 1.4 * half[1] * np.sin(turns), strict=True)
        draw.polygon([tuple(point) for point in points], **paint)
    return _reduced(canvas)


def _screen(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A periodic pattern of lines, dots, checks or waves, everywhere or in some tones or places."""
    side = image.shape[0]
    across, along = _axes(side, rng.uniform(0, np.pi))
    pitch = _log_uniform(2.5, 16, rng) / side
    if rng.random() < 0.4:
        blobs = rng.uniform(2, 8)
        across = across + rng.uniform(0, 1.2) * pitch * _noise(side, blobs, blobs, rng)
    first = np.cos(2 * np.pi * across / pitch)
    second = np.cos(2 * np.pi * along / (pitch * (1 if rng.random() < 0.7 else rng.uniform(0.5, 4))))
    rings = np.cos(2 * np.pi * np.hypot(across, along) / pitch)
    pattern = (first, (first + second) / 2, first * second, np.maximum(first, second), rings)[int(rng.integers(5))]
    tone = image.mean(axis=2)
    level = rng.uniform(-0.5, 0.7) + rng.uniform(-1.5, 1.5) * (rng.random() < 0.5) * (tone - 0.5)
    alpha = np.clip((pattern - level) * _log_uniform(0.8, 8, rng) + 0.5, 0, 1) * rng.uniform(0.1, 1.0)
    alpha = (alpha * _place(tone, regions, rng))[..., None]
    if rng.random() < 0.4:  # light and shade instead of an ink
        return image * (1 + rng.choice((-1, 1)) * 0.7 * alpha)
    return image + (_colour(rng) - image) * alpha


def _place(tone: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float32 in 0..1: everywhere, or some of the regions, or light or dark parts, or a random area."""
    kind, side = int(rng.integers(4)), len(tone)
    if kind == 1:
        return (rng.random(int(regions.max()) + 1) < 0.5).astype(np.float32)[regions]
    if kind == 2:
        return np.clip(rng.choice((-1, 1)) * 5 * (tone - rng.uniform(0.3, 0.7)) + 0.5, 0, 1)
    if kind == 3:
        blobs = rng.uniform(2, 6)
        return np.clip(_log_uniform(1, 12, rng) * _noise(side, blobs, blobs, rng) + 0.5, 0, 1)
    return np.ones_like(tone)


def _contours(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lines around the regions or along steps of tone."""
    side = image.shape[0]
    labels = regions if rng.random() < 0.6 else (image.mean(axis=2) * rng.uniform(2, 7)).astype(np.int64)
    edge = np.zeros((side, side), bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    width = _log_uniform(0.8, 6, rng)
    ink = Image.fromarray(edge).convert("L")
    if width > 2:
        ink = ink.filter(ImageFilter.MaxFilter(2 * int(width / 2) + 1))
    alpha = np.asarray(ink.filter(ImageFilter.GaussianBlur(0.3 + 0.15 * width)), np.float32) / 255
    if rng.random() < 0.4:
        blobs = rng.uniform(3, 14)
        alpha = alpha * np.clip(0.6 + _noise(side, blobs, blobs, rng), 0, 1)
    colour = image * np.float32(rng.uniform(0.2, 0.7)) if rng.random() < 0.3 else _colour(rng) * rng.uniform(0.2, 1)
    return image + (colour - image) * (alpha * rng.uniform(0.4, 1.0))[..., None]


def _grain(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise at one or two scales, round or stretched along an axis: paper, cloth, dust, plaster."""
    side = image.shape[0]
    total = np.zeros((side, side, 3), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        rows, columns = (_log_uniform(3, side, rng) for _ in "yx")
        if rng.random() < 0.5:
            rows = columns
        channels = [_noise(side, rows, columns, rng) for _ in range(3 if rng.random() < 0.3 else 1)]
        total = total + np.stack(channels * (3 // len(channels)), axis=2)
    if rng.random() < 0.2:
        total = np.sign(total) * np.abs(total) ** 3 / 3  # sparse specks
    amount = _log_uniform(0.01, 0.25, rng) * _place(image.mean(axis=2), regions, rng)[..., None]
    return image * (1 + amount * total) if rng.random() < 0.5 else image + 0.6 * amount * total


def _flattened(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Regions in one colour each, or tones rounded to a few levels."""
    if rng.random() < 0.5:
        levels = rng.uniform(2, 8)
        return np.round(image * levels) / np.float32(levels)
    labels = regions.ravel()
    counts = np.maximum(np.bincount(labels), 1)[:, None]
    means = np.stack([np.bincount(labels, image[..., channel].ravel()) for channel in range(3)], 1) / counts
    means = means + rng.uniform(0, 0.25) * rng.standard_normal(means.shape)
    return image + (means.astype(np.float32)[regions] - image) * np.float32(rng.uniform(0.4, 1.0))


def _light(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gradient, a pool or drifts of light or colour."""
    side = image.shape[0]
    across, along = _axes(side, rng.uniform(0, np.pi))
    blobs = rng.uniform(1.5, 6)
    fields = (2 * across, 1 - 6 * ((across - rng.normal(0, 0.2)) ** 2 + (along - rng.normal(0, 0.2)) ** 2))
    field = (*fields, _noise(side, blobs, blobs, rng))[int(rng.integers(3))][..., None]
    if rng.random() < 0.5:
        return image * np.clip(1 + rng.uniform(0.2, 1.0) * field, 0.05, 2)
    return image + (_colour(rng) - image) * np.clip(0.5 + 0.5 * field, 0, 1) * np.float32(rng.uniform(0.2, 0.9))


def _focus(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred, or sharpened."""
    pixels = Image.fromarray((image * 255).astype(np.uint8))
    soft = np.asarray(pixels.filter(ImageFilter.GaussianBlur(_log_uniform(0.5, 3, rng))), np.float32) / 255
    return soft if rng.random() < 0.5 else image + rng.uniform(0.5, 2) * (image - soft)


# -- distortions: they move parts ------------------------------------------------------------------------------------


def _cells(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cells around random points, each shifted and shaded, perhaps with visible joints."""
    side = image.shape[0]
    number = int(_log_uniform(5, 70, rng))
    seeds = rng.uniform(-0.55, 0.55, (number, 2)).astype(np.float32)
    across, along = _axes(side, rng.uniform(0, np.pi))
    stretch = _log_uniform(0.3, 3, rng)
    distance = (across[..., None] - seeds[:, 0]) ** 2 + stretch * (along[..., None] - seeds[:, 1]) ** 2
    nearest = distance.argmin(axis=2)
    shift = np.rint(rng.normal(0, rng.uniform(0, 0.08) * side, (number, 2))).astype(np.int64)[nearest]
    rows, columns = np.indices((side, side))
    moved = image[(rows + shift[..., 0]) % side, (columns + shift[..., 1]) % side]
    tone = 1 + rng.uniform(0, 0.4) * rng.standard_normal((number, 1)) + np.zeros((number, 3))
    ramp = rng.uniform(0, 2.5) * rng.standard_normal(number)[nearest] * across
    moved = moved * (tone[nearest] + ramp[..., None])
    if rng.random() < 0.5:
        two = np.sqrt(np.partition(distance, 1, axis=2)[..., :2])
        joint = np.clip(1.3 - (two[..., 1] - two[..., 0]) * side / rng.uniform(1, 4), 0, 1)[..., None]
        moved = moved + (_colour(rng) - moved) * joint * rng.uniform(0.3, 1.0)
    return moved.astype(np.float32)


def _warped(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Displaced by smooth noise; edges wrap around."""
    side, blobs = image.shape[0], rng.uniform(2, 12)
    amount = rng.uniform(0.5, 10) / blobs
    rows, columns = np.indices((side, side))
    down, right = (np.rint(amount * _noise(side, blobs, blobs, rng)).astype(np.int64) for _ in "yx")
    return image[(rows + down) % side, (columns + right) % side]


def _torn(image: np.ndarray, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A ragged area shows another part of the picture, or a plain colour."""
    side, blobs = image.shape[0], rng.uniform(1.5, 5)
    field = _noise(side, blobs, blobs, rng) + rng.uniform(0, 0.5) * _noise(side, 6 * blobs, 6 * blobs, rng)
    down, right = rng.integers(0, side, 2)
    other = np.roll(image, (down, right), (0, 1)) if rng.random() < 0.6 else np.broadcast_to(_colour(rng), image.shape)
    height = field - rng.uniform(0, 0.8)
    torn = np.where((height > 0)[..., None], other, image)
    if rng.random() < 0.5:
        torn = np.where((np.abs(height) < rng.uniform(0.03, 0.2))[..., None], _colour(rng), torn)
    return torn


def _reduced(canvas: Image.Image) -> np.ndarray:
    return np.asarray(canvas.reduce(FINE), np.float32) / 255


Operation = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Image (side, side, 3) float32 in 0..1, regions (side, side) int64, generator → image, to be clipped."""

SURFACES: Sequence[Operation] = (
    _strokes, _strokes, _strokes, _threads, _shapes, _screen, _screen, _contours, _grain, _flattened, _light, _focus,
)  # fmt: skip
"""Strokes and screens more often than others: they are the hardest to reproduce."""
DISTORTIONS: Sequence[Operation] = (_cells, _warped, _torn)
