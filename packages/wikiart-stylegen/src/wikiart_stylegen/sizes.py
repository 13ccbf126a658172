"""`wikiart-stylegen sizes`: one picture repainted at several sizes, to look at and as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.images.pixels import to_pil, to_tensor
from wikiart_data.results import Number, Table, print_table
from wikiart_data.styles import display_name, style_index
from wikiart_stylegen.command_options import SizesOptions
from wikiart_stylegen.commands import write_png
from wikiart_stylegen.metrics import CODE_CELL, LATTICE_SIDE, edge_correlation, lattice_amplitude
from wikiart_stylegen.transfer import StyleTransfer, read_image

TILE, LINE = 256, 24
"""Side of a detail and height of a line of text in the figure, in pixels."""


@dataclass(frozen=True)
class SizeScore:
    """What repaints of one size keep of the image's edges, and how much of the code's grid they show.

    Means over styles; `one_pass` is the network applied once at the size it can paint, enlarged bicubically. The
    lattice is None for a picture so long that the network painted its shorter side with fewer than LATTICE_SIDE pixels.
    """

    side: int
    edges: float
    edges_one_pass: float
    lattice: float | None
    lattice_one_pass: float | None


def sizes(options: SizesOptions) -> list[SizeScore]:
    """Repaint a picture at several sizes: write the middle of each as a figure, and print the scores.

    Raises:
        InputError: there is no such model or style, or a file cannot be read or written.
    """
    transfer = StyleTransfer.load(options.model, runs=options.runs, device=options.device)
    styles = options.styles or transfer.styles[:4]
    scores, details = [], []
    for side in options.sides:
        image = read_image(options.picture, side)
        repaints = [transfer.repaint(options.picture, style, side=side) for style in styles]
        details.append([_middle(repaint) for repaint in (to_pil(image), *repaints)])
        tensors = torch.stack([to_tensor(np.asarray(repaint)) for repaint in repaints])
        scores.append(score_size(transfer, image, tensors, styles))
    write_png(options.to, details_figure(details, options.sides, ["input", *map(display_name, styles)]))
    print_table(sizes_table(scores))
    echo(f"\nThe middle of each repaint, pixel by pixel: {options.to}.")
    return scores


def score_size(transfer: StyleTransfer, image: Tensor, repaints: Tensor, styles: Sequence[str]) -> SizeScore:
    """Scores of repaints of one size.

    Args:
        transfer: the network that repainted.
        image: (3, H, W) float in [0, 1], the input.
        repaints: (styles, 3, H, W) in the order of `styles`.
        styles: names of the target styles.
    """
    height, width = image.shape[1:]
    cells = [round(side / CODE_CELL) * CODE_CELL for side in transfer.painted_size(height, width)]
    small = _resize(image[None], cells)
    labels = torch.tensor([style_index(style, transfer.styles, field="--styles") for style in styles])
    one_pass = transfer.repaint_batch(small.expand(len(styles), -1, -1, -1), labels)
    enlarged = _resize(one_pass, (height, width))
    grid = max(32, max(height, width) // 8)
    images = image.expand_as(repaints)
    lattice = lattice_one_pass = None
    if min(cells) >= LATTICE_SIDE:
        smalls = small.expand_as(one_pass)
        lattice = float(lattice_amplitude(_resize(repaints, cells), smalls).mean())
        lattice_one_pass = float(lattice_amplitude(one_pass, smalls).mean())
    return SizeScore(
        side=max(height, width),
        edges=float(edge_correlation(repaints, images, grid).mean()),
        edges_one_pass=float(edge_correlation(enlarged, images, grid).mean()),
        lattice=lattice,
        lattice_one_pass=lattice_one_pass,
    )


def sizes_table(scores: Sequence[SizeScore]) -> Table:
    """The scores of all sizes; a lattice that could not be measured is a dash."""
    rows = [
        (
            f"{score.side:,} px",
            *(Number(value, digits=3) for value in (score.edges, score.edges_one_pass)),
            *(Number(value, digits=2) for value in (score.lattice, score.lattice_one_pass)),
        )
        for score in scores
    ]
    note = (
        "edges: correlation of gradient magnitudes with the input's, in cells of about 8 pixels. "
        "lattice: grey levels of 255 that repeat with the code's grid where the input is flat. one pass: the network "
        "applied once, enlarged bicubically."
    )
    if any(score.lattice is None for score in scores):
        note += f" The lattice is not measured where the network paints fewer than {LATTICE_SIDE} pixels on a side."
    return Table(
        "Repaints by size, means over styles",
        ("longer side", "edges", "edges, one pass", "lattice", "lattice, one pass"),
        tuple(rows),
        note=note,
    )


def details_figure(
    details: Sequence[Sequence[Image.Image]], sides: Sequence[int], titles: Sequence[str]
) -> Image.Image:
    """Details of images, not resampled, as a row per size and a column per style."""
    figure = Image.new("RGB", (len(titles) * TILE, LINE + len(details) * (TILE + LINE)), "white")
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(15)
    for column, title in enumerate(titles):
        draw.text((column * TILE + 4, 3), title, fill="black", font=font)
    for row, (images, side) in enumerate(zip(details, sides, strict=True)):
        top = LINE + row * (TILE + LINE)
        draw.text((4, top + 3), f"{side:,} px" if row == 0 else f"{side:,} px, detail", fill="black", font=font)
        for column, image in enumerate(images):
            figure.paste(image, (column * TILE, top + LINE))
    return figure


def _middle(image: Image.Image) -> Image.Image:
    """The middle of an image, at most TILE × TILE pixels."""
    left, top = (max(0, (side - TILE) // 2) for side in image.size)
    return image.crop((left, top, min(left + TILE, image.width), min(top + TILE, image.height)))


def _resize(images: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(images, list(size), mode="bicubic", antialias=True).clamp(0, 1)
