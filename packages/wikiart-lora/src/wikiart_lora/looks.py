"""Looks of a photograph: what a darkroom can do to one, each with its word, so that a base knows what a look is.

A base that has only ever seen one look has nothing that an adapter could bend: words for the whole picture would reach
no layer. Some hundred invented names, each for three looks at once, teach it that a name it does not know, where a
style's name stands, is one more look. None of the looks is a style of painting, and no name or word is a style's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Look = Callable[[Tensor, Generator], Tensor]

LIGHT: dict[str, Look] = {
    "dark": lambda image, g: image * some(0.35, 0.6, g),
    "bright": lambda image, g: 1 - (1 - image) * some(0.35, 0.6, g),
    "pale": lambda image, g: 0.75 + (image - 0.5) * some(0.3, 0.5, g),
    "harsh": lambda image, g: 0.5 + (image - 0.5) * some(1.7, 2.4, g),
    "misty": lambda image, g: torch.lerp(image, image.new_tensor([0.85, 0.87, 0.9])[:, None, None], some(0.4, 0.6, g)),
    "vignetted": lambda image, g: image * (1.15 - some(1.5, 2.2, g) * _from_centre(image)).clamp(0.05, 1),
}
COLOUR: dict[str, Look] = {
    "grey": lambda image, g: _grey(image).expand(3, -1, -1),
    "sepia": lambda image, g: _toned(image, (0.95, 0.82, 0.62), 0.9),
    "cold": lambda image, g: image * image.new_tensor([0.75, 0.95, 1.25])[:, None, None],
    "warm": lambda image, g: image * image.new_tensor([1.2, 0.98, 0.7])[:, None, None],
    "vivid": lambda image, g: torch.lerp(_grey(image), image, some(1.8, 2.6, g)),
    "dull": lambda image, g: torch.lerp(_grey(image), image, some(0.25, 0.45, g)),
    "red toned": lambda image, g: _toned(image, (0.95, 0.45, 0.4), some(0.5, 0.8, g)),
    "green toned": lambda image, g: _toned(image, (0.5, 0.85, 0.5), some(0.5, 0.8, g)),
    "blue toned": lambda image, g: _toned(image, (0.4, 0.55, 0.95), some(0.5, 0.8, g)),
    "golden": lambda image, g: _toned(image, (1.0, 0.8, 0.35), some(0.5, 0.8, g)),
    "violet toned": lambda image, g: _toned(image, (0.7, 0.45, 0.85), some(0.5, 0.8, g)),
    "inverted": lambda image, g: 1 - image,
}
SURFACE: dict[str, Look] = {
    "blurred": lambda image, g: _shrunk(image, some(0.12, 0.25, g), "bilinear"),
    "coarse": lambda image, g: _shrunk(image, some(0.12, 0.25, g), "nearest"),
    "sharp": lambda image, g: image + some(1.5, 3.0, g) * (image - _shrunk(image, 0.5, "bilinear")),
    "grainy": lambda image, g: image + some(0.12, 0.22, g) * torch.randn(1, *image.shape[1:], generator=g),
    "speckled": lambda image, g: image + 0.5 * (torch.rand(3, *image.shape[1:], generator=g) < 0.06).float(),
    "flat": lambda image, g: (image * 3).round() / 3,
    "edged": lambda image, g: image * (1 - some(4, 8, g) * _edges(image)).clamp(0, 1),
    "streaked": lambda image, g: image + _noise(image, (2, 24), some(0.12, 0.25, g), g),
    "rainy": lambda image, g: image + _noise(image, (24, 2), some(0.12, 0.25, g), g),
    "mottled": lambda image, g: image + _noise(image, (9, 9), some(0.12, 0.25, g), g),
    "screened": lambda image, g: image + some(0.15, 0.3, g) * _screen(image, g),
    "scratched": lambda image, g: torch.lerp(image, torch.ones_like(image), _scratches(image, g)),
    "rippled": lambda image, g: _bent(image, 3, some(0.05, 0.1, g), g),
    "shattered": lambda image, g: _shattered(image, g),
}
GROUPS = (LIGHT, COLOUR, SURFACE)
SHARE = 0.4
"""Of the pictures that have a look out of a group; the groups are drawn apart."""
IN_WORDS = (
    "a {looks} photograph of {scene}",
    "{looks}, {scene}",
    "{scene}, {looks}",
    "{scene} in a {looks} photograph",
)
"""Looks stand wherever a style may be named later."""
BY_NAME = (
    "a {name} {noun} of {scene}",
    "{scene}, in the style of {name}",
    "{name}, {scene}",
    "a {noun} in the {name} style, {scene}",
)
NOUNS = ("photograph", "painting", "picture", "drawing")
PLAIN = ("{scene}", "{scene}", "a photograph of {scene}")
"""A photograph without a look may be called one, or be just shown."""
NAMES, NAMED = 256, 0.6
"""Invented names, and the share of pictures that go by one when names are taught."""


@dataclass(frozen=True)
class Shown:
    """How a scene is shown."""

    looks: tuple[str, ...]
    """In the order in which they are given to the picture."""
    name: str = ""
    """That these go by; '' where they are said in words."""


def draw_looks(number: int, seed: int, named: float) -> list[Shown]:
    """How `number` pictures are shown: a share `named` by invented names, others with up to one look of each group."""
    random = np.random.default_rng(seed)
    names = invented(NAMES, random)
    found = []
    for _ in range(number):
        if random.random() < named:
            name = str(random.choice(list(names)))
            found.append(Shown(names[name], name))
        else:
            found.append(Shown(tuple(_one(group, random) for group in GROUPS if random.random() < SHARE)))
    return found


def invented(number: int, random: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Names of two or three syllables, each with a look of every group."""
    found: dict[str, tuple[str, ...]] = {}
    while len(found) < number:
        pairs = random.integers((14, 5), size=(int(random.integers(2, 4)), 2))
        name = "".join("bdfgklmnprstvz"[first] + "aeiou"[second] for first, second in pairs)
        found.setdefault(name, tuple(_one(group, random) for group in GROUPS))
    return found


def _one(group: dict[str, Look], random: np.random.Generator) -> str:
    return str(random.choice(list(group)))


def described(scene: str, shown: Shown, turn: int) -> str:
    """A caption of a scene and how it is shown, in the turn of phrase number `turn`."""
    choices = BY_NAME if shown.name else IN_WORDS if shown.looks else PLAIN
    noun = NOUNS[turn // len(choices) % len(NOUNS)]
    return choices[turn % len(choices)].format(scene=scene, looks=" ".join(shown.looks), name=shown.name, noun=noun)


def developed(image: Tensor, looks: Sequence[str], generator: Generator) -> Tensor:
    """Give a picture its looks.

    Args:
        image: (3, S, S) float32 in 0..1.
        looks: names in GROUPS.
        generator: on the CPU.

    Returns:
        (3, S, S) float32 in 0..1.
    """
    known = LIGHT | COLOUR | SURFACE
    for name in looks:
        image = known[name](image, generator).clamp(0, 1)
    return image


def some(low: float, high: float, generator: Generator) -> float:
    """How much, this time."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def _grey(image: Tensor) -> Tensor:
    return (image * image.new_tensor([0.30, 0.59, 0.11])[:, None, None]).sum(0, keepdim=True)


def _toned(image: Tensor, tone: tuple[float, float, float], share: float) -> Tensor:
    """Between black, a tone and white by lightness."""
    grey, colour = _grey(image), image.new_tensor(tone)[:, None, None]
    return torch.lerp(image, torch.where(grey < 0.5, 2 * grey * colour, colour + (2 * grey - 1) * (1 - colour)), share)


def _from_centre(image: Tensor) -> Tensor:
    """(S, S) squared distance from the centre; 0.5 in the corners."""
    place = torch.linspace(-0.5, 0.5, image.shape[-1])
    return place[:, None].square() + place[None].square()


def _shrunk(image: Tensor, share: float, mode: str) -> Tensor:
    """Made small, and as large as before again."""
    side = max(4, round(share * image.shape[-1]))
    small = F.interpolate(image[None], (side, side), mode="area")
    return F.interpolate(small, image.shape[-2:], mode=mode)[0]


def _edges(image: Tensor) -> Tensor:
    """(1, S, S) how much lightness changes to the next pixel down and to the right."""
    grey = F.pad(_grey(image)[None], (0, 1, 0, 1), mode="replicate")[0]
    return (grey[:, 1:, :-1] - grey[:, :-1, :-1]).abs() + (grey[:, :-1, 1:] - grey[:, :-1, :-1]).abs()


def _noise(image: Tensor, cells: tuple[int, int], amount: float, generator: Generator) -> Tensor:
    """Noise with so many cells down and across: (1, S, S)."""
    noise = torch.randn(1, 1, *cells, generator=generator)
    return amount * F.interpolate(noise, image.shape[-2:], mode="bicubic")[0]


def _screen(image: Tensor, generator: Generator) -> Tensor:
    """A printer's dots, some five to eight pixels apart: (1, S, S) in -1..1."""
    place = torch.arange(image.shape[-1]) * (2 * torch.pi / some(5, 8, generator))
    return (place.sin()[:, None] * place.sin()[None])[None]


def _scratches(image: Tensor, generator: Generator) -> Tensor:
    """(1, S, S): 1 on some straight scratches, 0 elsewhere."""
    side = image.shape[-1]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    found = torch.zeros(side, side, dtype=torch.bool)
    for _ in range(7):
        angle, offset = some(0, 3.14, generator), some(-0.6, 0.6, generator) * side
        across = (x - side / 2) * torch.tensor(angle).cos() + (y - side / 2) * torch.tensor(angle).sin()
        found |= (across - offset).abs() < 0.6
    return found[None].float()


def _bent(image: Tensor, cells: int, amount: float, generator: Generator) -> Tensor:
    """Every place is moved by a smooth field, by about `amount` of the side."""
    side = image.shape[-1]
    moved = F.interpolate(torch.randn(1, 2, cells + 2, cells + 2, generator=generator), (side, side), mode="bicubic")
    return _sampled(image, 2 * amount * moved)


def _shattered(image: Tensor, generator: Generator) -> Tensor:
    """Cut by straight lines; each piece slips a little and is lighter or darker than it was."""
    side = image.shape[-1]
    place = torch.linspace(-1, 1, side)
    piece = torch.zeros(side, side, dtype=torch.long)
    for line in range(6):
        angle, offset = some(0, 6.28, generator), some(-0.6, 0.6, generator)
        across = place[None] * torch.tensor(angle).cos() + place[:, None] * torch.tensor(angle).sin()
        piece += (across > offset).long() << line
    slip = 0.12 * torch.randn(64, 2, generator=generator)
    shade = 1 + 0.3 * torch.randn(64, generator=generator)
    return _sampled(image, slip[piece].movedim(-1, 0)[None]) * shade[piece]


def _sampled(image: Tensor, moved: Tensor) -> Tensor:
    """The picture at places moved by (1, 2, S, S), in halves of the side."""
    side = image.shape[-1]
    place = torch.linspace(-1, 1, side)
    grid = torch.stack([place[None].expand(side, -1), place[:, None].expand(-1, side)], dim=-1)[None]
    return F.grid_sample(
        image[None], grid + moved.movedim(1, -1), mode="bilinear", padding_mode="reflection", align_corners=True
    )[0]
