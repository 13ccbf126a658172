"""The map as one HTML page that works offline: pictures, similar pictures, search, lasso, export.

The script, drawing on a plain canvas, is the files of SCRIPTS concatenated. They build elements as text nodes: a file
name is never parsed as HTML. In addition, the page's Content-Security-Policy lists the hash of its script, so that no
other script or `onerror=` runs, and forbids all requests (in a folder: all but those for files beside the page).
"""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.map.columns import (
    Column,
    artist_name,
    artwork_title,
    encode_array,
    group_column,
    text_column,
    years_of_files,
)
from wikiart_autoencode.map.figures import small_groups_last
from wikiart_autoencode.map.layout import (
    SIMILAR,
    VOTERS,
    doubtful_labels,
    grid_cells,
    normalized_positions,
    similar_pictures,
    typical_spacing,
)
from wikiart_autoencode.map.thumbnails import THUMBNAIL_BYTES, encode_thumbnails, make_overview
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.packed import pack
from wikiart_data.results.templates import fill_template
from wikiart_data.styles import display_name

SCRIPTS = ("data.js", "view.js", "pictures.js", "drawing.js", "selection.js", "panel.js", "export.js", "main.js")
"""In the order in which they are concatenated."""
THUMBNAIL = 128
"""Side of the pictures that `MapContent.of_codes` reads, in pixels."""
SHEET = 500
"""Thumbnails of one file, in a folder."""
_RAMP_STEPS = 33


@dataclass(frozen=True, eq=False)
class MapContent:
    """What the map shows of n pictures."""

    points: np.ndarray
    """(n, 2) float, positions on the map."""
    codes: np.ndarray
    """(n, D) float: similar pictures are those with similar codes."""
    labels: np.ndarray
    """(n,) int in 0..len(styles)-1."""
    styles: Sequence[str]
    files: Sequence[str]
    """(n,) paths below the data folder; untrusted."""
    artists: Sequence[str]
    """(n,) as in `Catalog.artists`, '' if unknown."""
    thumbnails: np.ndarray
    """(n, h, w, 3) uint8, the pictures at any size; the page shows them at 128 pixels, or at the largest side down to
    32 at which a single file stays below 40 MB."""
    clusters: np.ndarray | None = None
    """(n,) int, −1 for noise; None: the page has no column `cluster`."""
    metadata: Mapping[str, Sequence[str]] | None = None
    """Further columns by name, (n,) texts each. `title`, `artist` and `year` replace what file names say."""

    @classmethod
    def of_codes(
        cls,
        codes: Codes,
        catalog: Catalog,
        points: np.ndarray,
        clusters: np.ndarray | None = None,
        metadata: Mapping[str, Sequence[str]] | None = None,
        *,
        cache_dir: Path | None = None,
        max_bad_fraction: float = 0.01,
    ) -> "MapContent":
        """The map of n codes, with artists and pictures from the data folder that they come from.

        Args:
            codes: of n pictures.
            catalog: of the data folder, which may hold more pictures.
            points: (n, 2) float, from `reduce_dimensions` for example.
            clusters: (n,) int, −1 for noise.
            metadata: further columns by name, (n,) texts each.
            cache_dir: where packed pictures are kept (default: the cache of the toolkit).
            max_bad_fraction: of pictures, how many may be unreadable.

        Raises:
            InputError: the catalog lacks pictures of the codes, or too many cannot be read.
            ValueError: there are not as many points, clusters or texts as codes.
        """
        files = codes.files.tolist()
        given = {"points": points, "clusters": clusters} | dict(metadata or {})
        for name, values in given.items():
            if values is not None and len(values) != len(files):
                raise ValueError(f"there are {len(files):,} codes, but {name} has {len(values):,} rows")
        row_of = {file: row for row, file in enumerate(catalog.files)}
        if missing := sum(file not in row_of for file in files):
            raise InputError(
                f"{catalog.root} lacks {missing:,} of the {len(files):,} pictures that the codes were computed from: "
                "scan the folder that they come from.",
                field="catalog",
            )
        rows = np.array([row_of[file] for file in files])
        artists = [catalog.artists[row] for row in rows]
        thumbnails = pack(catalog, THUMBNAIL, cache_dir=cache_dir, max_bad_fraction=max_bad_fraction).images[rows]
        return cls(
            points, codes.codes, codes.labels, codes.styles.tolist(), files, artists, thumbnails, clusters, metadata
        )

    @cached_property
    def columns(self) -> list[Column]:
        """Style, cluster, artist, year and those of the metadata."""
        points = normalized_positions(self.points)
        extra = dict(self.metadata or {})
        extra.pop("title", None)
        artists = extra.pop("artist", None) or list(map(artist_name, self.artists))
        years = extra.pop("year", None) or years_of_files(self.files)
        styles = tuple(self.styles)
        columns = [group_column("style", points, self.labels, list(map(display_name, styles)), styles)]
        if self.clusters is not None:
            kinds = [f"cluster {cluster}" for cluster in range(int(self.clusters.max()) + 1)]
            columns.append(group_column("cluster", points, self.clusters, kinds))
        columns.append(text_column("artist", points, artists))
        if years is not None:
            columns.append(text_column("year", points, years))
        taken = {column.name for column in columns}
        for name, texts in extra.items():
            name = printable(name)
            columns.append(text_column(f"{name} (from file)" if name in taken else name, points, texts))
        return columns

    @cached_property
    def titles(self) -> list[str]:
        """(n,) from the metadata, else from file names."""
        titles = (self.metadata or {}).get("title") or [""] * len(self.files)
        return [printable(title.strip()) or artwork_title(file) for title, file in zip(titles, self.files, strict=True)]


def write_map(path: Path | str, content: MapContent, title: str, *, folder: bool = False) -> int:
    """Write the page, atomically.

    Args:
        path: of the page, such as `map.html`.
        content: what it shows.
        title: above the map.
        folder: write the thumbnails, at 128 pixels, into files of 500 in the folder `<stem>-pictures` beside the page;
            it loads those that are in sight. For more pictures than one file of 40 MB can hold.

    Returns:
        The longer side of the page's thumbnails, in pixels.

    Raises:
        InputError: a file cannot be written.
    """
    from wikiart_data.files import write_bytes

    path = Path(path)
    thumbnails = encode_thumbnails(content.thumbnails, None if folder else THUMBNAIL_BYTES)
    sheets = ["\n".join(thumbnails.bodies[start : start + SHEET]) for start in range(0, len(thumbnails.bodies), SHEET)]
    overview = make_overview(content.thumbnails)
    data = page_data(content) | {
        "head": thumbnails.header,
        "sheet": SHEET,
        "folder": f"{path.stem}-pictures" if folder else None,
        "overview": {"jpeg": overview.jpeg, "side": overview.side, "columns": overview.columns},
    }
    script = "(async () => {\n" + "\n".join(map(_asset, (f"scripts/{name}" for name in SCRIPTS))) + "\n})();"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # `file:` is needed for a page that is opened from a disk; names on the page cannot add elements anyway.
    sources = f"'sha256-{digest}'" + (" 'self' file:" if folder else "")
    # Title and policy are escaped; the template marks the rest as safe: ours, base64, or JSON without `<`.
    page = fill_template(
        "wikiart_autoencode.map",
        "page.html",
        title=title,
        policy=f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:",
        css=_asset("page.css"),
        data=_script_json(data),
        sheets=[] if folder else sheets,
        script=script,
    )
    if folder:
        _write_sheets(path.with_name(f"{path.stem}-pictures"), sheets)
    write_bytes(path, page.encode())
    return thumbnails.side


def page_data(content: MapContent) -> dict[str, Any]:
    """Everything the page knows but the pictures."""
    number = len(content.files)
    points = normalized_positions(content.points)
    cells = grid_cells(content.points)
    nearest = similar_pictures(content.codes, VOTERS)
    doubtful = [
        [doubt.row, doubt.style, doubt.own, doubt.other, doubt.voters]
        for doubt in doubtful_labels(nearest, content.labels)
    ]
    columns = [column.as_json() for column in content.columns]
    similar = nearest[:, :SIMILAR]
    grid = normalized_positions(cells.astype(float))
    return {
        "points": encode_array(points, "<f4"),
        "spacing": typical_spacing(points),
        "grid": encode_array(grid, "<f4"),
        "gridSpacing": 1 / max(1, int(cells.max())),
        "order": encode_array(small_groups_last(content.labels), "<i4"),
        "similar": encode_array(similar, "<i4"),
        "similarPerPicture": similar.shape[1],
        "doubtful": doubtful,
        "columns": columns,
        "ramp": _ramp(),
        "titles": content.titles,
        "files": [printable(file) for file in content.files],
        "number": number,
    }


def _write_sheets(folder: Path, sheets: Sequence[str]) -> None:
    """Scripts and not images: an image from a disk would forbid the page to export a contact sheet."""
    from wikiart_data.files import not_written, write_bytes

    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise not_written(folder, error) from error
    for index, sheet in enumerate(sheets):
        write_bytes(folder / f"{index}.js", f"receiveSheet({index}, {json.dumps(sheet)});".encode())


def _ramp() -> list[str]:
    """Colours of increasing numbers: viridis without its lightest end, which is hard to see on white."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.88, _RAMP_STEPS))]


def _script_json(value: Any) -> str:
    r"""JSON for a script element: no name can close the element, because `<` is written `\u003c`."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return package_files("wikiart_autoencode.map").joinpath(name).read_text(encoding="utf-8")
