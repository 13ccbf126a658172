"""`wikiart-data show`: a contact sheet."""

import random

from PIL import Image, ImageDraw, ImageFont

from wikiart_data.cli.options import ShowOptions
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import style_key
from wikiart_data.styles import display_name

MOST_PIXELS = 100_000_000
"""Largest contact sheet, in pixels."""


def show(options: ShowOptions) -> None:
    """Write a contact sheet.

    Raises:
        InputError: the data cannot be used, a style is unknown, a number is not above 0, the sheet would be too
            large, or the file cannot be written.
    """
    if options.split not in SPLITS:
        raise InputError(f"--split {options.split}: expected train, valid or test.", field="--split")
    for option, value in (("--columns", options.columns), ("--size", options.size)):
        if value < 1:
            raise InputError(f"{option} {value}: expected at least 1.", field=option)
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    catalog = scan(root, cache_dir=options.cache_dir)
    names = {style_key(style): style for style in catalog.styles}
    if unknown := sorted(style for style in options.styles if style_key(style) not in names):
        raise InputError(
            f"--styles {', '.join(unknown)}: {catalog.root} has {', '.join(catalog.styles)}.", field="--styles"
        )
    styles = tuple(names[style_key(style)] for style in options.styles) or catalog.styles
    if options.columns * len(styles) * options.size**2 > MOST_PIXELS:
        raise InputError(
            f"The sheet would have {options.columns} × {len(styles)} pictures of {options.size} × {options.size} "
            "pixels, too many for one file: choose --styles, or lower --columns or --size.",
            field="--size",
        )
    sheet = contact_sheet(catalog, options.split, styles, options.columns, options.size, options.seed)
    try:
        sheet.save(options.target)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{options.target} cannot be written ({error}); name a .png or .jpg file.", field=options.target
        ) from error
    echo(f"{len(styles)} styles written to {options.target}.")


def contact_sheet(
    catalog: Catalog, split: str, styles: tuple[str, ...], columns: int, size: int, seed: int
) -> Image.Image:
    """One row per style: its name, then up to `columns` pictures squashed to squares of `size` pixels."""
    font = ImageFont.load_default(max(10, size // 8))
    margin = max(int(font.getlength(display_name(style))) for style in styles) + 12
    sheet = Image.new("RGB", (margin + columns * size, len(styles) * size), "white")
    draw = ImageDraw.Draw(sheet)
    for row, style in enumerate(styles):
        top = row * size
        draw.text((6, top + size // 2), display_name(style), fill="black", font=font, anchor="lm")
        pictures = catalog.rows(split)[catalog.labels[catalog.rows(split)] == catalog.styles.index(style)]
        # Bytes, because a folder's name may hold some that are not text.
        generator = random.Random(f"{seed}-{style}".encode("utf-8", "surrogateescape"))
        shuffled = generator.sample(pictures.tolist(), len(pictures))
        for column, picture in enumerate(_readable_pictures(catalog, shuffled, columns, size)):
            sheet.paste(picture, (margin + column * size, top))
    return sheet


def _readable_pictures(catalog: Catalog, rows: list[int], number: int, size: int) -> list[Image.Image]:
    pictures: list[Image.Image] = []
    for row in rows:
        if len(pictures) == number:
            break
        try:
            picture = decode(catalog.root / catalog.files[row], at_least=size)
        except BadPictureError:
            continue
        pictures.append(picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0))
    return pictures
