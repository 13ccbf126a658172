"""Operations on the whole surface: gold grounds, borders, bands, torn posters; and distortion of forms."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from wikiart_data.sample.colour import blurred, field, grid, hexed, luminance, mix, turned
from wikiart_data.sample.marks import strokes


def bend(layers, rng, *, wobble=0.0, waves=4, stretch=1.0, sway=0.0):
    """Distort forms: `wobble` and `sway` are fractions of the side, `stretch` above 1 makes things taller."""
    if not wobble and stretch == 1.0 and not sway:
        return layers
    size = layers.size
    y, x = grid(size)
    fx, fy, _ = layers.focus
    # Taller is mostly narrower about the focus, so that nothing leaves the picture at the top.
    x = fx + (x - fx) * stretch
    y = fy + (y - fy) / (1 + 0.35 * (stretch - 1))
    if wobble:
        x, y = x + wobble * (2 * field(rng, size, waves) - 1), y + wobble * (2 * field(rng, size, waves) - 1)
    if sway:
        x = x + sway * np.sin(2 * np.pi * (y * 0.9 + 0.1))
    # The picture is mirrored at its edges: repeating the outermost pixels would leave streaks.
    px, py = (np.clip(1 - np.abs(1 - np.abs(v)), 0, 1 - 0.5 / size) for v in (x, y))
    px, py = (px * size).astype(np.int32), (py * size).astype(np.int32)
    index = py * size + px
    flat = layers.colour.reshape(-1, 3)[index]
    take = {name: getattr(layers, name).ravel()[index] for name in ("regions", "depth", "texture")}
    return replace(layers, colour=flat, **take)


def gold(image, layers, rng, *, halo=0.7, tooling=24):
    """Gold leaf with rows of punched dots instead of the background, and a halo around the focus."""
    size = layers.size
    y, x = grid(size)
    leaf = mix(hexed("b98a2c"), hexed("e6c566"), field(rng, size, 5, octaves=2))
    dots = np.maximum(np.cos(2 * np.pi * tooling * x) * np.cos(2 * np.pi * tooling * y), 0) ** 2
    leaf = leaf * (0.94 + 0.22 * dots * (np.minimum(x, np.minimum(y, 1 - x)) < 0.09))[..., None]
    image = np.where((layers.depth > 0.87)[..., None], leaf, image)
    fx, fy, radius = layers.focus
    far = np.hypot(x - fx, y - fy) / (radius * 1.05)
    ring = (far < 1) * (layers.depth > 0.4) * halo
    rays = 0.9 + 0.2 * np.sin(24 * np.arctan2(y - fy, x - fx)) * (far > 0.6)
    image = mix(image, hexed("edd078") * rays[..., None], ring.astype(np.float32))
    return image * (1 - 0.5 * halo * (np.abs(far - 1) < 0.04) * (layers.depth > 0.4))[..., None]


def ornament(image, layers, rng, *, border=0.08, colours=("3f5a48", "7a3b2e", "c9a24a"), disc=0.5):
    """A poster's frame of whiplash tendrils under an arch, and a disc of mosaic behind the focus."""
    size = layers.size
    y, x = grid(size)
    fx, fy, radius = layers.focus
    tone, other = (hexed(c) for c in rng.choice(colours, 2, replace=False))
    far = np.hypot(x - fx, y - fy) / (radius * 1.7)
    behind = layers.depth > 0.6
    petals = 0.5 + 0.5 * np.sin(18 * np.arctan2(y - fy, x - fx))
    image = mix(image, mix(hexed("e8d9ae"), tone, petals), disc * behind * ((far > 0.82) & (far < 1)))
    image = (
        image * (1 - 0.7 * behind * (np.abs(far - 1) < 0.03) - 0.7 * behind * (np.abs(far - 0.82) < 0.025))[..., None]
    )
    rim = np.minimum(np.minimum(x, 1 - x), 1 - y)
    arch = np.where(y < 0.3, 0.5 - np.hypot((x - 0.5), (0.3 - y) * 1.45), rim)
    frame = np.minimum(rim, arch)
    along = np.where(x < y, y, x) if rng.random() < 0.5 else x + y
    tendril = np.abs(frame - border * (0.5 + 0.33 * np.sin(2 * np.pi * 4 * along))) < 0.012
    inside = mix(np.broadcast_to(tone, image.shape), other * 1.15, tendril.astype(np.float32))
    image = np.where((frame < border)[..., None], inside, image)
    return image * (1 - 0.85 * (np.abs(frame - border) < 0.010))[..., None]


def bokashi(image, layers, rng, *, amount, colours=("12305e", "1d3f73", "7c2f33")):
    """Bokashi, the wiped gradations of a woodblock print, along the top and the bottom."""
    y, _ = grid(layers.size)
    band = np.clip(1 - y / rng.uniform(0.12, 0.3), 0, 1)
    image = mix(image, hexed(colours[int(rng.integers(len(colours)))]), amount * band * (layers.depth > 0.8))
    return mix(image, hexed(colours[0]), 0.5 * amount * np.clip((y - 0.8) / 0.2, 0, 1) * (layers.depth > 0.3))


def seal(image, layers, rng, *, chance=0.8):
    """A red seal and a title slip in an upper corner."""
    if rng.random() > chance:
        return image
    size = layers.size
    y, x = grid(size)
    left = 0.05 if rng.random() < 0.5 else 0.87
    u, v = (x - left) / 0.085, (y - 0.05) / 0.27
    slip = (u > 0) & (u < 1) & (v > 0) & (v < 1)
    words = (np.abs(u - 0.5) < 0.28) & (field(rng, size, (size // 4, size // 3)) > 0.52)
    image = np.where(slip[..., None], np.where(words[..., None], hexed("2a2320"), hexed("e2cf9f")), image)
    red = (np.abs(u - 0.5) < 0.42) & (v > 1.08) & (v < 1.38)
    return np.where(red[..., None], mix(hexed("b3302a"), hexed("e2cf9f"), 0.6 * words), image)


def leaves(image, layers, rng, *, length=0.06, width=0.024):
    """Leaves painted one by one over textured things."""
    leafy = np.clip(1.6 * layers.texture, 0, 0.95)
    lighter = np.clip(image * 1.28 + 0.03, 0, 1)
    for source, lean in ((image * 0.62, 0.9), (lighter, -0.9)):
        image = strokes(
            image, layers, rng, length=length, width=width, angle=lean - 0.5 * np.pi, spread=0.25, cover=0.75,
            where=leafy, source=source, bristle=0, relief=0, stray=0.03,
        )  # fmt: skip
    return image


def bands(image, layers, rng, *, softness, margin=(0.05, 0.12), strength=1.35):
    """The scene reduced to two to four soft bands of colour, one above the other."""
    size = layers.size
    rows = image.mean(1)
    jump = np.abs(rows[size // 12 :] - rows[: -(size // 12)]).sum(-1)
    cuts, free = [], np.ones_like(jump, bool)
    free[: size // 10] = free[-size // 10 :] = False
    for _ in range(int(rng.integers(1, 4))):
        if not free.any():
            break
        cut = int(np.argmax(np.where(free, jump, -1)))
        free[max(0, cut - size // 6) : cut + size // 6] = False
        cuts.append(cut + size // 24)
    y, x = grid(size)
    inset = rng.uniform(*margin)
    ground = image.mean((0, 1))
    ground_ = np.broadcast_to(ground * 0.85, image.shape).astype(np.float32)
    edges = [0, *sorted(cuts), size]
    for top, bottom in pairwise(edges):
        band = image[top:bottom, size // 8 : -size // 8]
        colour = band.mean((0, 1)) * 0.6 + 0.4 * band.reshape(-1, 3)[int(rng.integers(band.shape[0] * band.shape[1]))]
        colour = np.clip(ground + (colour - ground) * strength + 0.02, 0, 1)
        high, low = top / size + inset * 0.6, bottom / size - inset * 0.2 - (bottom == size) * inset * 0.4
        rim = np.minimum(np.minimum(x - inset, 1 - inset - x), np.minimum(y - high, low - y))
        rim = rim + 0.025 * (field(rng, size, 10, octaves=2) - 0.5)
        ground_ = mix(ground_, colour, 0.93 * np.clip(rim / softness + 0.5, 0, 1))
    return ground_ * (0.92 + 0.16 * field(rng, size, 7, octaves=3))[..., None]


def masses(image, layers, rng, *, count=3, quiet=0.6, stripes=0.3):
    """A few large flat shapes with hard edges: the bounding boxes of the largest things and nothing else."""
    size = layers.size
    area = np.bincount(layers.regions.ravel())
    ground = image[layers.regions == int(area.argmax())].mean(0)
    plain = np.broadcast_to(ground, image.shape).astype(np.float32)
    y, x = grid(size)
    for number in np.argsort(-area)[1 : 1 + int(count)]:
        rows, columns = np.nonzero(layers.regions == number)
        if area[number] < 0.02 * size * size:
            continue
        (top, bottom), (left, right) = (np.quantile(v / size, (0.06, 0.94)) for v in (rows, columns))
        colour = mix(image[rows, columns].mean(0), ground, quiet)
        colour = colour + np.sign(luminance(colour) - luminance(ground) + 1e-3) * 0.09
        shape = (x > left) & (x < right) & (y > top) & (y < bottom)
        plain = np.where(shape[..., None], colour, plain)
    if rng.random() < stripes:
        pitch = rng.uniform(0.05, 0.1)
        t = (x if rng.random() < 0.5 else y) / pitch
        plain = plain * (1 - 0.22 * (np.abs(t - np.floor(t) - 0.5) < 0.13))[..., None]
    return np.clip(plain, 0, 1)


def torn(image, layers, rng, *, sheets=4, print_=0.6):
    """Torn posters: ragged white edges, with other pictures and large letters underneath."""
    size = layers.size
    y, x = grid(size)
    ragged = 0.05 * field(rng, size, 26, octaves=3)
    for _ in range(int(sheets)):
        shape = field(rng, size, (3, 4)) + ragged - rng.uniform(0.62, 0.72)
        kind = rng.random()
        if kind < print_:
            dx, dy = rng.integers(-size // 4, size // 4, 2)
            other = turned(np.roll(image, (dy, dx), (0, 1)), rng.uniform(1, 5))
            if rng.random() < 0.6:
                u, v = (x + rng.random()) * rng.uniform(3, 6), (y + rng.random()) * rng.uniform(2, 4)
                tall = (v % 1 > 0.25) & (u % 1 < rng.uniform(0.35, 0.6)) & ((v * 4 % 1 > 0.4) | (u % 1 < 0.2))
                letters = hexed(("15130f", "c8281e", "f2eee4", "e7b921")[int(rng.integers(4))])
                other = np.where(tall[..., None], letters, other)
        else:
            other = np.broadcast_to(hexed(("d9d2c0", "8a8478", "b7322a", "2f5c94")[int(rng.integers(4))]), image.shape)
        image = np.where((shape > 0)[..., None], other, image)
        rim = (np.abs(shape + 0.012) < 0.017) | (np.abs(shape) < 0.008)
        image = np.where(rim[..., None], hexed("ece8dd") * (0.9 + 2 * ragged[..., None]), image)
        image = image * (1 - 0.4 * np.exp(-(((shape + 0.035) / 0.012) ** 2)))[..., None]
    return np.clip(image, 0, 1)


def curls(image, layers, rng, *, amount, colour="fff3e6"):
    """Light, curled brush strokes, as of rocaille and foliage."""
    light = mix(np.clip(image * 1.1 + 0.08, 0, 1), hexed(colour), 0.3)
    touched = strokes(
        image, layers, rng, length=0.075, width=0.017, spread=1.6, curve=0.9, cover=0.3, source=light, bristle=0.05,
    )  # fmt: skip
    return mix(image, touched, amount)


def veil(image, layers, rng, *, colours, amount):
    """Mist, thicker at the bottom and over far things."""
    y, _ = grid(layers.size)
    mist = np.clip(field(rng, layers.size, (4, 2), octaves=3) * 0.9 + 0.4 * y - 0.25 + 0.3 * layers.depth, 0, 1)
    return mix(image, hexed(colours[int(rng.integers(len(colours)))]), amount * mist)


def motes(image, layers, rng, *, count):
    """Bright specks in front of everything."""
    bright = np.clip(turned(image, rng.normal(0, 0.5)) * 1.25 + 0.22, 0, 1)
    specks = strokes(
        image, layers, rng, length=0.02, width=0.02, cover=count, source=bright, stray=0.12, bristle=0, relief=0,
    )  # fmt: skip
    return mix(image, blurred(specks, 0.004), 0.8)


def brocade(image, layers, rng, *, amount, pitch=0.055):
    """A woven pattern on cloth."""
    y, x = grid(layers.size)
    u, v = x / pitch, y / pitch
    pattern = np.sin(2 * np.pi * u + 1.3 * np.sin(2 * np.pi * v)) * np.sin(2 * np.pi * v)
    cloth = ((layers.texture > 0.15) & (layers.texture < 0.45) & (layers.depth < 0.46)).astype(np.float32)
    return np.clip(image * (1 + amount * pattern * cloth)[..., None], 0, 1)


def simplified(image, layers, rng, *, radius):
    """Blurred to its large masses."""
    return blurred(image, radius)
