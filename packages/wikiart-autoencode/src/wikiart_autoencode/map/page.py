"""The map as one HTML page that works offline: thumbnails on hover, isolating styles, search, lasso selection.

Bokeh draws the points with WebGL. Everything around them (legend, search, card, list) is `page.js`, which builds its
elements as text nodes: a file name is never parsed as HTML. In addition, the page's Content-Security-Policy lists the
hashes of its three scripts, so that no other script or `onerror=` runs, and forbids all requests.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files as package_files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from wikiart_autoencode.map.figures import small_groups_last, trimmed_centre
from wikiart_data.console import printable
from wikiart_data.images.names import artwork_of
from wikiart_data.results.figures import GREY
from wikiart_data.results.templates import fill_template
from wikiart_data.styles import colour_and_marker, display_name

THUMBNAIL_BYTES = 17_000_000
"""Space for thumbnails; with 15,000 pictures the page stays below 25 MB."""
_SIDES = (128, 112, 96, 80, 64, 48, 32)  # multiples of JPEG's 16-pixel blocks: others are padded up to them
_JPEG_QUALITY = 60
_SAMPLE = 200
_MARKERS = {"o": "circle", "s": "square", "^": "triangle", "X": "plus"}  # Bokeh's; page.js rotates the plus by 45°
_PARTICLES = {"van", "von", "der", "den", "de", "da", "del", "della", "di", "du", "la", "le", "ter", "ten", "y"}


def write_map(
    path: Path,
    points: np.ndarray,
    labels: np.ndarray,
    styles: Sequence[str],
    clusters: np.ndarray | None,
    files: Sequence[str],
    artists: Sequence[str],
    thumbnails: np.ndarray,
    title: str,
) -> int:
    """Write the page, atomically.

    Args:
        path: of the page, such as `map.html`.
        points: (n, 2) float, positions on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
        clusters: (n,) int, −1 for noise; or None, and the page does not offer colours by cluster.
        files: (n,) file names of the pictures, from which titles are derived.
        artists: (n,) as in `Catalog.artists`, '' if unknown.
        thumbnails: (n, h, w, 3) uint8, the pictures at any size; the page shows them at the largest side from 128 to
            32 pixels at which all fit into 17 MB (64 for 15,000 paintings, 128 for up to about 4,000).
        title: above the map.

    Returns:
        The longer side of the page's thumbnails, in pixels.

    Raises:
        InputError: the file cannot be written.
    """
    from wikiart_data.files import write_bytes

    side, header, bodies = encode_thumbnails(thumbnails)
    names = sorted(set(map(artist_name, artists)))
    index_of = {name: index for index, name in enumerate(names)}
    data = {
        "points": _base64(points.astype("<f4")),
        "order": _base64(small_groups_last(labels).astype("<i4")),
        "colourings": [_colouring("style", points, labels, [display_name(style) for style in styles], tuple(styles))],
        "artists": names,
        "artist": [index_of[artist_name(artist)] for artist in artists],
        "titles": [artwork_title(file) for file in files],
        "files": [printable(file) for file in files],
        "head": header,
    }
    if clusters is not None:
        kinds = tuple(f"cluster {cluster}" for cluster in range(int(clusters.max()) + 1))
        data["colourings"].append(_colouring("cluster", points, clusters, list(kinds), kinds))
    scripts = [_bokeh(), f"const PLOT = {_script_json(_plot(len(points)))};", _asset("page.js")]
    hashes = " ".join(f"'sha256-{_base64(hashlib.sha256(script.encode()).digest())}'" for script in scripts)
    # Title and policy are escaped; the template marks the rest as safe: ours, base64, or JSON without `<`.
    page = fill_template(
        "wikiart_autoencode.map",
        "page.html",
        title=title,
        policy=f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:",
        css=_asset("page.css"),
        data=_script_json(data),
        thumbnails="\n".join(bodies),
        scripts=scripts,
    )
    write_bytes(path, page.encode())
    return side


def artist_name(artist: str) -> str:
    """`vincent-van-gogh` as `Vincent van Gogh`; '' stays ''."""
    if " " in artist or artist != artist.lower():  # from artists.csv, already written out
        return printable(artist)
    words = [word if word in _PARTICLES else word.capitalize() for word in artist.split("-")]
    return printable(" ".join(words))


def artwork_title(file: str) -> str:
    """`…/claude-monet_water-lilies-1916.jpg` as `Water lilies 1916`."""
    stem = artwork_of(file)
    title = stem.partition("_")[2] or stem
    title = title.replace("-", " ").replace("_", " ").strip()
    return printable(title[:1].upper() + title[1:])


def encode_thumbnails(pictures: np.ndarray) -> tuple[int, str, list[str]]:
    """Encode pictures as small JPEG files whose common header is stored once.

    JPEG files of one size and quality share their first 623 bytes (tables), half of such a small file. The header is
    padded to a multiple of three bytes, with the 0xFF that JPEG permits before any marker, so that base64 texts can be
    concatenated: `data:image/jpeg;base64,` + header + body.

    Args:
        pictures: (n, h, w, 3) uint8.

    Returns:
        The longer side in pixels, the header in base64, and the n bodies in base64.
    """
    rows = np.unique(np.linspace(0, len(pictures) - 1, _SAMPLE).astype(int))
    longest = max(pictures.shape[1:3])
    side = min(longest, _SIDES[0])
    for smaller in [side for side in _SIDES[1:] if side < longest]:
        sample = [_jpeg(pictures[row], side) for row in rows]
        body = np.mean([len(file) for file in sample]) - _common_prefix(sample)
        if body * 4 / 3 * len(pictures) < THUMBNAIL_BYTES:
            break
        side = smaller
    encoded = [_jpeg(picture, side) for picture in pictures]
    shared = _common_prefix(encoded)
    header = encoded[0][:2] + b"\xff" * (-shared % 3) + encoded[0][2:shared]
    return side, _base64(header), [_base64(file[shared:]) for file in encoded]


def _common_prefix(contents: list[bytes]) -> int:
    """Length of the common prefix: that of the first and the last in lexicographic order."""
    first, last = min(contents), max(contents)
    differences = (index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(differences, len(first))


def _jpeg(picture: np.ndarray, side: int) -> bytes:
    """(h, w, 3) uint8 as a JPEG of at most `side` × `side` pixels."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    image = Image.fromarray(picture)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BICUBIC)
    file = BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _colouring(
    kind: str, points: np.ndarray, groups: np.ndarray, names: list[str], order: tuple[str, ...]
) -> dict[str, Any]:
    """One colouring of the points: the group of each, and the name, colour, marker, size and centre of every group."""
    entries = []
    for group, name in enumerate(names):
        own = points[groups == group]
        colour, marker = colour_and_marker(order[group], order)
        centre = trimmed_centre(own).tolist() if len(own) else None
        entries.append({"name": name, "colour": colour, "marker": _MARKERS[marker], "n": len(own), "centre": centre})
    if (groups < 0).any():
        noise = {"name": "noise", "colour": GREY, "marker": "circle", "n": int((groups < 0).sum()), "centre": None}
        groups = np.where(groups < 0, len(entries), groups)
        entries.append(noise)
    return {"kind": kind, "groups": entries, "of": _base64(groups.astype("<i4"))}


def _plot(number: int) -> Any:
    """The Bokeh document: two layers of points, faded and shown, which page.js fills."""
    from bokeh.embed import json_item
    from bokeh.models import BoxSelectTool, ColumnDataSource, LassoSelectTool, PanTool, Range1d, WheelZoomTool
    from bokeh.plotting import figure

    pan, wheel = PanTool(name="pan"), WheelZoomTool(name="wheel", zoom_on_axis=False)
    lasso, box = LassoSelectTool(name="lasso", continuous=False), BoxSelectTool(name="box", continuous=False)
    plot = figure(
        name="map",
        # WebGL: Bokeh's plain canvas redraws 15,000 markers too slowly to pan.
        output_backend="webgl",
        sizing_mode="stretch_both",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        tools=[pan, wheel, lasso, box],
        active_drag=pan,
        active_scroll=wheel,
        toolbar_location=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=0,
    )
    plot.axis.visible = plot.grid.visible = False
    size = float(np.clip(430 / np.sqrt(number), 4.5, 10))
    columns = {"x": [], "y": [], "colour": [], "marker": [], "angle": []}
    for name, alpha, scale in (("faded", 0.16, 0.8), ("shown", 0.85, 1.0)):
        source = ColumnDataSource(dict(columns), name=name)
        layer = plot.scatter(
            "x",
            "y",
            source=source,
            marker="marker",
            angle="angle",
            size=size * scale,
            fill_color="colour",
            fill_alpha=alpha,
            line_color=None,
            nonselection_fill_alpha=0.12,
            nonselection_line_alpha=0,
            name=f"{name} points",
        )
        if name == "shown":
            lasso.renderers = box.renderers = [layer]
    return json_item(plot)


def _bokeh() -> str:
    """Bokeh's own scripts, only the two of its seven components that draw points."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-gl"]).js_raw)


def _base64(content: np.ndarray | bytes) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.tobytes()).decode()


def _script_json(value: Any) -> str:
    r"""JSON for a script element: no name can close the element, because `<` is written `\u003c`."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return package_files("wikiart_autoencode.map").joinpath(name).read_text(encoding="utf-8")
