"""`wikiart-data show`: a contact sheet."""

import random

from PIL import Image, ImageDraw, ImageFont

from wikiart_data.cli.options import ShowOptions
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_data.images.manifest import SPLITS
from wikiart_data.styles import canonical_name, display_name


def show(options: ShowOptions) -> None:
    """Write a contact sheet.

    Raises:
        InputError: the data cannot be used, a style is unknown, a number is not above 0, or the file cannot be
            written.
    """
    if options.split not in SPLITS:
        raise InputError(f"--split {options.split}: expected train, valid or test.")
    if options.columns < 1 or options.size < 1:
        raise InputError(f"--columns {options.columns} --size {options.size}: expected at least 1 of each.")
    catalog = scan(find_data(options.data, options.cache_dir), cache_dir=options.cache_dir)
    wanted = tuple(canonical_name(style) for style in options.styles) or catalog.styles
    if unknown := sorted(set(wanted) - set(catalog.styles)):
        raise InputError(f"--styles {', '.join(unknown)}: {catalog.root} has {', '.join(catalog.styles)}.")
    sheet = contact_sheet(catalog, options.split, wanted, options.columns, options.size, options.seed)
    try:
        sheet.save(options.target)
    except (OSError, ValueError) as error:
        raise InputError(f"{options.target} cannot be written ({error}); name a .png or .jpg file.") from error
    echo(f"{len(wanted)} styles written to {options.target}.")


def contact_sheet(
    catalog: Catalog, split: str, styles: tuple[str, ...], columns: int, size: int, seed: int
) -> Image.Image:
    """A row a style: its name, then up to `columns` pictures squashed to squares of `size` pixels."""
    font = ImageFont.load_default(max(10, size // 8))
    margin = max(int(font.getlength(display_name(style))) for style in styles) + 12
    sheet = Image.new("RGB", (margin + columns * size, len(styles) * size), "white")
    draw = ImageDraw.Draw(sheet)
    for place, style in enumerate(styles):
        top = place * size
        draw.text((6, top + size // 2), display_name(style), fill="black", font=font, anchor="lm")
        rows = catalog.rows(split)[catalog.labels[catalog.rows(split)] == catalog.styles.index(style)]
        # Bytes, because a folder's name may hold some that are no text.
        dice = random.Random(f"{seed}-{style}".encode("utf-8", "surrogateescape"))
        shuffled = dice.sample(rows.tolist(), len(rows))
        for column, picture in enumerate(_readable_pictures(catalog, shuffled, columns, size)):
            sheet.paste(picture, (margin + column * size, top))
    return sheet


def _readable_pictures(catalog: Catalog, rows: list[int], number: int, size: int) -> list[Image.Image]:
    found: list[Image.Image] = []
    for row in rows:
        if len(found) == number:
            break
        try:
            picture = decode(catalog.root / catalog.files[row], at_least=size)
        except BadPictureError:
            continue
        found.append(picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0))
    return found
