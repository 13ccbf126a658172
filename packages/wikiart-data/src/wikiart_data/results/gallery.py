"""The figures of a folder of results for its page: embedded as text, each with the sentence that it carries."""

import base64
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

EMBEDDED_BYTES = 7_000_000
"""Room for figures in the page, as base64; further ones are shown from their files."""
_SERIES = re.compile(r"(.*?)-?(\d+)")
"""A figure that is drawn anew during the run: `epoch-005`, `step-000100`."""


@dataclass(frozen=True)
class FigureFile:
    """A PNG file and what the page shows of it."""

    path: Path
    content: bytes
    width: int
    height: int
    caption: str
    """The sentence in the file's metadata, see `figures.styled`."""
    href: str
    """From the page to the file."""
    source: str
    """The file as a data URL, or `href` where the page has no more room."""

    @property
    def title(self) -> str:
        """The file's name as a heading: `Before after`."""
        return self.path.stem.replace("-", " ").replace("_", " ").capitalize()


class Gallery:
    """The figures of one page: embedded while there is room; of a series, the last is shown and earlier ones folded.

    Args:
        folder: the page's folder.
    """

    def __init__(self, folder: Path):
        self.folder, self._room = folder, EMBEDDED_BYTES
        self._earlier: list[Path] = []

    def figures(self, folder: Path) -> list[FigureFile]:
        """The figures of a folder, wide ones first."""
        latest: dict[str, Path] = {}
        for path in sorted([*folder.glob("*.png"), *(folder / "figures").glob("*.png")]):
            series = _SERIES.fullmatch(path.stem)
            name = series[1] if series else path.stem
            if name in latest:
                self._earlier.append(latest[name])
            latest[name] = path
        return self._opened(latest.values())

    def earlier(self) -> list[FigureFile]:
        """The earlier figures of every series that `figures` has met."""
        return self._opened(self._earlier)

    def _opened(self, paths: Iterable[Path]) -> list[FigureFile]:
        opened = [figure for figure in (_open(self.folder, path) for path in paths) if figure is not None]
        opened.sort(key=lambda figure: (figure.height / figure.width, figure.path))
        return [self._embedded(figure) for figure in opened]

    def _embedded(self, figure: FigureFile) -> FigureFile:
        from dataclasses import replace

        from markupsafe import Markup

        if len(figure.content) * 4 // 3 > self._room:
            return figure
        encoded = base64.b64encode(figure.content).decode()
        self._room -= len(encoded)
        return replace(figure, source=Markup("data:image/png;base64,") + Markup(encoded))


def link(folder: Path, path: Path) -> str:
    """From a folder's page to a file below the folder: relative, so that the folder can be moved."""
    return quote(os.fsencode(path.relative_to(folder)))


def _open(folder: Path, path: Path) -> FigureFile | None:
    """A figure with its size and its caption; None if it cannot be read as an image."""
    from PIL import Image

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            caption = str(image.info.get("Description", ""))
            href = link(folder, path)
            return FigureFile(path, content, *image.size, caption, href, href)
    except (OSError, ValueError, SyntaxError):
        return None
