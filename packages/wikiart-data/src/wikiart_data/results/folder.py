"""What every folder of results gets, a run's or a comparison's: figures, result.json, and a page that shows both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.results.figures import png
from wikiart_data.results.page import write_page
from wikiart_data.results.serialization import json_text, to_plain
from wikiart_data.results.tables import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from matplotlib.figure import Figure


def write_results(
    folder: Path,
    result: "DataclassInstance | Mapping[str, Any]",
    tables: Sequence[Table],
    figures: "Mapping[str, Figure]",
) -> None:
    """Write figures/*.png, result.json and index.html; a folder inside a run's folder is shown on the run's page.

    result.json is written after the figures: where it exists, they are complete.

    Args:
        folder: where to write; it is made.
        result: its fields are result.json's. A folder that is not a run's needs a field `title`; fields `command`,
            `options` and `device` are shown too if they exist.
        tables: result.json's `tables`, which the page shows in this order.
        figures: by file name, without `.png`.

    Raises:
        InputError: the folder cannot be made or written.
    """
    write_figures(folder, figures)
    content = {**to_plain(result), "tables": list(tables)}
    write_bytes(folder / "result.json", (json_text(content, indent=1) + "\n").encode())
    write_page(folder)


def write_figures(folder: Path, figures: "Mapping[str, Figure]") -> None:
    """Write figures/*.png below `folder`; the keys are the file names, without `.png`.

    Raises:
        InputError: the folder cannot be made or written.
    """
    target = folder / "figures"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(target, error) from error
    for name, figure in figures.items():
        write_bytes(target / f"{name}.png", png(figure))


def write_figure(path: Path, figure: "Figure") -> None:
    """Write one figure as a PNG file, at the path that a user gave with `--to`.

    Args:
        path: ends in `.png`; its folder exists.
        figure: a figure of matplotlib; its label is kept as the file's description (see `figures.styled`).

    Raises:
        InputError: the path does not end in .png, or it cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--to {path}: the file name must end in .png.", field="--to")
    write_bytes(path, png(figure))
