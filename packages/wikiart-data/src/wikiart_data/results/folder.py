"""What any folder of results gets, a run's or a comparison's: figures, result.json, and a page that shows both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.results.figures import png
from wikiart_data.results.page import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_results(folder: Path, result: Mapping[str, Any], figures: "Mapping[str, Figure]") -> None:
    """Write figures/*.png, result.json and index.html; a folder inside a run's shows up on the run's page.

    result.json comes after the figures: where it is, they are.

    Raises:
        InputError: the folder cannot be made or written.
    """
    write_figures(folder, figures)
    write_bytes(folder / "result.json", (json.dumps(result, indent=1) + "\n").encode())
    write_page(folder)


def write_figures(folder: Path, figures: "Mapping[str, Figure]") -> None:
    """Write figures/*.png.

    Raises:
        InputError: the folder cannot be made or written.
    """
    place = folder / "figures"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(place, error) from error
    for name, figure in figures.items():
        write_bytes(place / f"{name}.png", png(figure))


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure where a user wants it.

    Raises:
        InputError: the file is called otherwise than .png, or cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--to {path}: a file that ends in .png is written.")
    write_bytes(path, png(figure))
