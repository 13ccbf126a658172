#!/usr/bin/env python3
"""A contact sheet of paintings, each with its style, artist, title and year.

    tools/contact_sheet.py FOLDER CAPTIONS TARGET

FOLDER has a folder for each style; CAPTIONS is a CSV file with the columns file (name without folder), artist, title
and year; TARGET is a .png or .jpg file. Styles are in the order of their periods.
"""

import io
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wikiart_data.images.decode import decode
from wikiart_data.images.load import read_captions
from wikiart_data.images.manifest import pictures_in
from wikiart_data.results.figures import TINY, WIDTH, canvas, png, styled
from wikiart_data.styles import display_name, period_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6
TEXT_HEIGHT = 0.58
"""Inches for the style above a picture and three lines below."""
LETTERS = 24
"""Letters of the smallest type that fit under a picture."""


@styled
def contact_sheet(pictures: Sequence[Image.Image], styles: Sequence[str], captions: Sequence[str]) -> "Figure":
    """Paintings with their style above and artist, title and year below.

    Args:
        pictures: N images.
        styles: N names.
        captions: N texts.
    """
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    cell = WIDTH / columns
    height = cell + TEXT_HEIGHT
    figure, grid = canvas(rows * height, rows=rows, columns=columns)
    figure.set_layout_engine("none")  # it would make room for the longest text, and the pictures small
    for (row, column), axes in np.ndenumerate(grid):
        top = (rows - row) * height - 0.2
        axes.set_position(
            (
                (column * cell + 0.05) / WIDTH,
                (top - (cell - 0.1)) / (rows * height),
                (cell - 0.1) / WIDTH,
                (cell - 0.1) / (rows * height),
            )
        )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture, style, caption in zip(grid.flat, pictures, styles, captions, strict=False):
        axes.imshow(picture, interpolation="lanczos")
        # Squares, whatever the picture's shape, so that rows and columns line up.
        side = max(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        axes.set(xlim=(left, left + side), ylim=(top + side, top))
        axes.set_title(display_name(style), fontsize=TINY, loc="center", pad=2)
        axes.text(
            0.5, -0.02, textwrap.fill(caption, LETTERS), transform=axes.transAxes, fontsize=TINY, ha="center", va="top"
        )
    return figure


def main(arguments: Sequence[str]) -> int:
    """Write the sheet; returns the exit status."""
    if len(arguments) != 3:
        print(__doc__)
        return 2
    folder, captions, target = map(Path, arguments)
    files = pictures_in([folder])
    styles = list(dict.fromkeys(file.parent.name for file in files))
    rank = {styles[index]: place for place, index in enumerate(period_order(styles))}
    files.sort(key=lambda file: (rank[file.parent.name], file.name))
    figure = contact_sheet(
        [decode(file) for file in files], [file.parent.name for file in files], read_captions(captions, files)
    )
    content = png(figure)
    if target.suffix == ".png":
        target.write_bytes(content)
    else:
        Image.open(io.BytesIO(content)).convert("RGB").save(target, quality=88)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
