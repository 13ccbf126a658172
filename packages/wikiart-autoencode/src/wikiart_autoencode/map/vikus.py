"""The map as tables for VIKUS Viewer (github.com/cpietsch/vikus-viewer): `data.csv` and `tsne.csv`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from wikiart_autoencode.map.layout import normalized_positions
from wikiart_autoencode.map.page import MapContent
from wikiart_data.console import printable
from wikiart_data.files import csv_bytes, not_written, write_bytes
from wikiart_data.images.names import stem_of


def write_vikus(folder: Path, content: MapContent) -> None:
    """Write `data.csv` and `tsne.csv`.

    VIKUS needs `id`, `keywords` and `year`, and takes further columns whose names begin with `_`. An id is the file's
    name without ending, as VIKUS looks for `<id>.jpg`; of several pictures with one name the later ones are numbered.

    Args:
        folder: where to write; it is made.
        content: of the map. Keywords are style, cluster and artist; positions are scaled to 0..1.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error
    ids = _unique([printable(stem_of(file)) for file in content.files])
    texts = {column.name: column.texts for column in content.columns}
    years = texts.pop("year", [""] * len(ids))
    keywords = [texts[name] for name in ("style", "cluster", "artist") if name in texts]
    words = [",".join(word.replace(",", " ") for word in row if word) for row in zip(*keywords, strict=True)]
    files = [printable(file) for file in content.files]
    extra = {"title": content.titles, "file": files} | texts
    header = ["id", "keywords", "year", *(f"_{name.replace(' ', '_')}" for name in extra)]
    write_bytes(folder / "data.csv", csv_bytes(header, zip(ids, words, years, *extra.values(), strict=True)))
    points = normalized_positions(content.points).round(5).tolist()
    rows = ((identity, x, y) for identity, (x, y) in zip(ids, points, strict=True))
    write_bytes(folder / "tsne.csv", csv_bytes(["id", "x", "y"], rows))


def _unique(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique
