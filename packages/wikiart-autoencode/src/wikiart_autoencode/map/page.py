"""The map as one web page: works offline, shows each painting under the pointer, isolates, searches, lists a lasso.

The points are drawn by bokeh on WebGL. Everything around them (legend, search, card, list) is `map.js`, which builds
its elements as text nodes: a file name is never read as HTML. As a second lock the page's own content policy lists the
digests of its three scripts, so that no other script or `onerror=` runs, and forbids every request.
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
from wikiart_data.console import escape_html, printable
from wikiart_data.images.names import artwork_of
from wikiart_data.results.figures import GREY
from wikiart_data.results.page import filled
from wikiart_data.styles import colour_and_marker, display_name

THUMBNAIL_BYTES = 17_000_000
"""Room in the page for the thumbnails; with 15,000 pictures it stays below 25 MB."""
_SIDES = (128, 112, 96, 80, 64, 48, 32)  # multiples of JPEG's 16-pixel blocks: others are padded up to them
_QUALITY = 60
_PROBES = 200
_MARKERS = {"o": "circle", "s": "square", "^": "triangle", "X": "plus"}  # bokeh's; map.js turns the plus by 45°
_SMALL_WORDS = {"van", "von", "der", "den", "de", "da", "del", "della", "di", "du", "la", "le", "ter", "ten", "y"}


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
        points: (n, 2) float, places on the map.
        labels: (n,) int in 0..len(styles)-1.
        styles: the class list.
        clusters: (n,) int, -1 for noise; or None, and the page offers no colouring by cluster.
        files: (n,) names of the pictures, of which titles are read.
        artists: (n,) as in `Catalog.artists`, '' where not known.
        thumbnails: (n, h, w, 3) uint8 in 0..255, the pictures at any size; the page shows them at the largest of
            128 .. 32 pixels at which all fit in 17 MB (64 for 15,000 paintings, 128 for up to about 4,000).
        title: over the map.

    Returns:
        The longer side of the thumbnails in the page, in pixels.

    Raises:
        InputError: the file cannot be written.
    """
    from wikiart_data.files import write_bytes  # imports torch

    side, head, scans = embed_thumbnails(thumbnails)
    names = sorted(set(map(artist_shown, artists)))
    place = {name: number for number, name in enumerate(names)}
    data = {
        "points": _base64(points.astype("<f4")),
        "order": _base64(small_groups_last(labels).astype("<i4")),
        "colourings": [_colouring("style", points, labels, [display_name(style) for style in styles], tuple(styles))],
        "artists": names,
        "artist": [place[artist_shown(artist)] for artist in artists],
        "titles": [title_shown(file) for file in files],
        "files": [printable(file) for file in files],
        "head": head,
    }
    if clusters is not None:
        kinds = tuple(f"cluster {cluster}" for cluster in range(int(clusters.max()) + 1))
        data["colourings"].append(_colouring("cluster", points, clusters, list(kinds), kinds))
    scripts = [_bokeh(), f"const PLOT = {_safe_json(_plot(len(points)))};", _beside("page.js")]
    allowed = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    parts = {
        "TITLE": escape_html(title),
        "POLICY": f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:",
        "CSS": _beside("page.css"),
        "DATA": _safe_json(data),
        "THUMBNAILS": "\n".join(scans),
        "BOKEH": scripts[0],
        "PLOT": scripts[1],
        "SCRIPT": scripts[2],
    }
    write_bytes(path, filled(_beside("page.html"), parts).encode())
    return side


def artist_shown(artist: str) -> str:
    """`vincent-van-gogh` as a person writes it: `Vincent van Gogh`; '' stays ''."""
    if " " in artist or artist != artist.lower():  # from artists.csv, written by a person
        return printable(artist)
    words = [word if word in _SMALL_WORDS else word.capitalize() for word in artist.split("-")]
    return printable(" ".join(words))


def title_shown(file: str) -> str:
    """`…/claude-monet_water-lilies-1916.jpg` as a person writes it: `Water lilies 1916`."""
    stem = artwork_of(file)
    title = stem.partition("_")[2] or stem
    title = title.replace("-", " ").replace("_", " ").strip()
    return printable(title[:1].upper() + title[1:])


def embed_thumbnails(pictures: np.ndarray) -> tuple[int, str, list[str]]:
    """Pictures as small JPEG files whose common beginning is stored once.

    JPEG files of one size and quality share their first 623 bytes (tables), half of such a small file. `head` in
    base64 is padded to whole groups of three bytes, with the 0xFF that JPEG permits before any marker, so that head
    and rest can be joined as text: `data:image/jpeg;base64,` + head + rest.

    Args:
        pictures: (n, h, w, 3) uint8 in 0..255.

    Returns:
        Longer side in pixels; head in base64; (n,) rests in base64.
    """
    rows = np.unique(np.linspace(0, len(pictures) - 1, _PROBES).astype(int))
    longest = max(pictures.shape[1:3])
    for side in [min(longest, _SIDES[0]), *(side for side in _SIDES[1:] if side < longest)]:
        probes = [_jpeg(pictures[row], side) for row in rows]
        shared = _shared(probes)
        if (np.mean([len(probe) for probe in probes]) - shared) * 4 / 3 * len(pictures) < THUMBNAIL_BYTES:
            break
    whole = [_jpeg(picture, side) for picture in pictures]
    shared = _shared(whole)
    head = whole[0][:2] + b"\xff" * (-shared % 3) + whole[0][2:shared]
    return side, base64.b64encode(head).decode(), [base64.b64encode(one[shared:]).decode() for one in whole]


def _shared(contents: list[bytes]) -> int:
    """How many bytes at their beginning all share; what the first and the last in order share, all do."""
    first, last = min(contents), max(contents)
    differ = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(differ, len(first))


def _jpeg(picture: np.ndarray, side: int) -> bytes:
    """(h, w, 3) uint8 as a JPEG of at most `side` × `side` pixels."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    image = Image.fromarray(picture)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BICUBIC)
    content = BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _colouring(
    kind: str, points: np.ndarray, groups: np.ndarray, names: list[str], order: tuple[str, ...]
) -> dict[str, Any]:
    """One way to colour the points: the group of each, and the name, look, size and middle of every group."""
    entries = []
    for group, name in enumerate(names):
        own = points[groups == group]
        colour, marker = colour_and_marker(order[group], order)
        middle = trimmed_centre(own).tolist() if len(own) else None
        entries.append({"name": name, "colour": colour, "marker": _MARKERS[marker], "n": len(own), "middle": middle})
    if (groups < 0).any():
        noise = {"name": "noise", "colour": GREY, "marker": "circle", "n": int((groups < 0).sum()), "middle": None}
        groups = np.where(groups < 0, len(entries), groups)
        entries.append(noise)
    return {"kind": kind, "groups": entries, "of": _base64(groups.astype("<i4"))}


def _plot(number: int) -> dict[str, Any]:
    """The bokeh document: two layers of points, faded and shown, which map.js fills. It holds no text of ours."""
    from bokeh.embed import json_item
    from bokeh.models import BoxSelectTool, ColumnDataSource, LassoSelectTool, PanTool, Range1d, WheelZoomTool
    from bokeh.plotting import figure

    pan, wheel = PanTool(name="pan"), WheelZoomTool(name="wheel", zoom_on_axis=False)
    lasso, box = LassoSelectTool(name="lasso", continuous=False), BoxSelectTool(name="box", continuous=False)
    plot = figure(
        name="map",
        # WebGL, because bokeh's plain canvas redraws 15,000 markers too slowly to pan with.
        output_backend="webgl",
        sizing_mode="stretch_both",
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
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
    for name, alpha, part in (("faded", 0.16, 0.8), ("shown", 0.85, 1.0)):
        source = ColumnDataSource(dict(columns), name=name)
        layer = plot.scatter(
            "x",
            "y",
            source=source,
            marker="marker",
            angle="angle",
            size=size * part,
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
    """Bokeh's own scripts, only the two of its seven parts that draw points."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-gl"]).js_raw)


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode()


def _safe_json(value: Any) -> str:
    r"""JSON that can stand inside a script element: no name can close it, for `<` is written `\u003c`."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _beside(name: str) -> str:
    return package_files("wikiart_autoencode.map").joinpath(name).read_text(encoding="utf-8")
