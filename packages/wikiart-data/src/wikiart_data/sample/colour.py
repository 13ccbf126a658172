"""Operations on colour and light: pure functions on (H, W, 3) float32 pictures in 0..1.

The operations of the style table have one signature, `operation(image, layers, rng, **settings) -> image`, where
`layers` is the rendered scene. Lengths are fractions of the side, so a style looks the same at every size.
"""

import numpy as np
from PIL import Image, ImageFilter

LUMA = np.array([0.30, 0.59, 0.11], np.float32)


def luminance(image):
    """Luminance of colours: (..., 3) → (...)."""
    return image[..., 0] * LUMA[0] + image[..., 1] * LUMA[1] + image[..., 2] * LUMA[2]


def to_bytes(image) -> np.ndarray:
    """Floats in 0..1 as uint8, rounded."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def blurred(image, radius: float):
    """Gaussian blur of (H, W) or (H, W, 3), edges extended; `radius` is a fraction of the side. 8 bits make it fast."""
    soft = Image.fromarray(to_bytes(image)).filter(ImageFilter.GaussianBlur(radius * image.shape[0]))
    return np.asarray(soft, np.float32) * np.float32(1 / 255)


def field(rng, size: int, cells, octaves: int = 1):
    """Smooth noise (size, size) in 0..1, with about `cells` blobs per side (a number, or rows and columns)."""
    rows, columns = cells if isinstance(cells, tuple) else (cells, cells)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        shape = (max(2, int(rows * 2**octave)), max(2, int(columns * 2**octave)))
        coarse = Image.fromarray(rng.random(shape, np.float32))
        total += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) * 0.5**octave
    return np.clip(total / (2 - 0.5 ** (octaves - 1)), 0, 1)


def grid(size: int):
    """Two (size, size) float32 arrays: y and x of the centre of every pixel, in 0..1."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(steps[:, None], (size, size)), np.broadcast_to(steps, (size, size))


def mix(image, other, alpha):
    """Blend `other` over `image` with opacity `alpha` (a number, or (H, W))."""
    alpha = alpha[..., None] if isinstance(alpha, np.ndarray) else np.float32(alpha)
    return image + (other - image) * alpha


def hexed(code: str) -> np.ndarray:
    """`d4a017` as (3,) float32 in 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def grade(image, layers, rng, *, palette, pull, contrast=1.0, key=1.0, saturation=1.0, hue=0.0):
    """Contrast, key (gamma: below 1 is brighter), saturation and hue (radians), then a pull towards a palette.

    All of it is one lookup table of 13³ colours, which costs a fraction of computing every pixel.
    """
    steps = np.linspace(0, 1, 13, dtype=np.float32)
    table = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)[..., ::-1].reshape(-1, 3)
    table = np.clip((table**key - 0.5) * contrast + 0.5, 0, 1)
    grey = luminance(table)[:, None]
    table = grey + (table - grey) * saturation
    if hue:
        table = turned(table, hue)
    distance = ((table[:, None] - palette[None]) ** 2).sum(-1)
    weight = np.exp(-distance * 22)
    nearest = (weight[..., None] * palette[None]).sum(1) / (weight.sum(1)[:, None] + 1e-9)
    table = np.clip(mix(table, nearest, pull), 0, 1)
    graded = Image.fromarray(to_bytes(image)).filter(ImageFilter.Color3DLUT(13, table.ravel().tolist()))
    return np.asarray(graded, np.float32) * np.float32(1 / 255)


def turned(colours, angle):
    """Rotate the hue of colours (..., 3) by an angle (a number or (...)) at constant luminance."""
    grey = luminance(colours)
    u, v = colours[..., 2] - grey, colours[..., 0] - grey
    cos, sin = np.cos(angle), np.sin(angle)
    blue, red = u * cos - v * sin + grey, u * sin + v * cos + grey
    green = (grey - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return np.stack([red, green, blue], -1)


def cangiante(image, layers, rng, *, angle):
    """Cangiante: lights and shades of one thing differ in hue, not only in tone."""
    shade = luminance(layers.colour) - blurred(luminance(layers.colour), 0.1)
    return np.clip(turned(image, np.clip(-angle * 6 * shade, -abs(angle), abs(angle))), 0, 1)


def soften(image, layers, rng, *, radius, amount=1.0):
    """Sfumato: edges are blurred, those of far things more."""
    return mix(image, blurred(image, radius), np.clip(amount * (0.5 + 0.5 * layers.depth), 0, 1))


def crisp(image, layers, rng, *, amount, radius=0.012):
    """Sharpened edges (unsharp masking)."""
    return np.clip(image + amount * (image - blurred(image, radius)), 0, 1)


def bloom(image, layers, rng, *, amount, radius=0.06):
    """Light areas bleed over their edges."""
    glow = blurred(np.clip(image - 0.35, 0, 1), radius)
    return 1 - (1 - image) * (1 - np.clip(amount * glow, 0, 1))


def haze(image, layers, rng, *, colour, amount):
    """Aerial perspective: far things take on the colour of the distance."""
    return mix(image, hexed(colour), amount * layers.depth**2)


def chiaroscuro(image, layers, rng, *, reach, shadow=("1a110b",), floor=0.08):
    """One slanting light on the subject; the rest is nearly black."""
    y, x = grid(layers.size)
    fx, fy, _ = layers.focus
    lx, ly = layers.light
    along, across = (x - fx) * lx + (y - fy) * ly, (x - fx) * ly - (y - fy) * lx
    pool = np.exp(-((across / reach) ** 2) - (np.where(along > 0, along * 0.75, along * 1.2) / reach) ** 2)
    pool = np.clip(floor + 1.15 * pool * (1.1 - 0.45 * layers.depth), 0, 1)
    dark = hexed(shadow[int(rng.integers(len(shadow)))])
    return mix(dark * (0.7 + 0.6 * luminance(image)[..., None]), image * 1.2, np.minimum(pool, 1))


def vignette(image, layers, rng, *, amount, colour="140f0c"):
    """Darker corners."""
    y, x = grid(layers.size)
    return mix(image, hexed(colour), amount * np.clip(2.2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2), 0, 1))


def glow(image, layers, rng, *, colours, amount, reach=0.35):
    """A light around the focus."""
    y, x = grid(layers.size)
    fx, fy, _ = layers.focus
    alpha = amount * np.exp(-((x - fx) ** 2 + (y - fy) ** 2) / reach**2)
    return mix(image, np.maximum(image, hexed(colours[int(rng.integers(len(colours)))])), alpha)


def storm(image, layers, rng, *, amount):
    """Far, open parts become light and dark clouds."""
    drift = field(rng, layers.size, (5, 3), octaves=4)
    wild = np.clip((drift - 0.5) * 3.2, -1, 1) * amount * np.clip(layers.depth * 1.6 - 0.75, 0, 1)
    return np.clip(image * (1 + wild[..., None]) + 0.12 * np.maximum(wild, 0)[..., None], 0, 1)


def flatten(image, layers, rng, *, amount, tones=0, hue=0.0, lift=0.0):
    """Each thing in one flat colour, or two (`tones=2`: light and shade); hues vary by thing, light tones lifted."""
    labels = layers.regions.ravel().astype(np.int64)
    if tones == 2:
        labels = 2 * labels + (luminance(layers.colour) > blurred(luminance(layers.colour), 0.12)).ravel()
    count = np.bincount(labels)
    flat = np.stack([np.bincount(labels, image[..., c].ravel()) for c in range(3)], -1) / np.maximum(count, 1)[:, None]
    if hue:
        flat = turned(flat, rng.normal(0, hue, len(flat)))
    if lift:
        grey = luminance(flat)[:, None]
        flat = grey + lift * grey * (1 - grey) + (flat - grey) * (1 + lift)
    return mix(image, np.clip(flat, 0, 1).astype(np.float32)[labels].reshape(image.shape), amount)


def posterise(image, layers, rng, *, levels):
    """Tones rounded to a few levels."""
    return np.round(image * levels) / np.float32(levels)


def reproduce(image, layers, rng):
    """A reproduction's lighting, exposure, fading and grain: exact colours must not identify a style."""
    y, x = grid(layers.size)
    exposure, contrast, saturation, warm = rng.normal(0, (0.2, 0.1, 0.16, 0.05)).astype(np.float32)
    falloff = rng.normal(0, 0.12, 2).astype(np.float32)
    lamp = 1 + falloff[0] * (x - 0.5) + falloff[1] * (y - 0.5)
    image = (np.clip(image, 0, 1) ** np.exp(exposure) - 0.5) * (1 + contrast) + 0.5
    grey = luminance(image)[..., None]
    image = grey + (image - grey) * np.exp(saturation)
    image = image * lamp[..., None] * np.array([1 + warm, 1, 1 - warm], np.float32)
    grain = rng.standard_normal(image.shape[:2], np.float32) * np.float32(rng.uniform(0.006, 0.02))
    return image + grain[..., None]
