"""The figures of a folder of results in its page: embedded, with what each shows beside it and as its text."""

import base64
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from wikiart_data.console import escape_html

EMBEDDED_BYTES = 7_000_000
"""Room in the page for figures, as text; further ones are shown from their files."""
_SERIES = re.compile(r"(.*?)-?(\d+)")
"""A figure drawn again and again on the way: `epoch-005`, `step-000100`."""


def link(folder: Path, path: Path) -> str:
    """From a folder's page to a file below the folder: relative, so that the folder can be moved."""
    return quote(os.fsencode(path.relative_to(folder)))


class Gallery:
    """The figures of a folder: embedded while there is room, the last of a series shown, earlier ones kept back."""

    def __init__(self, folder: Path):
        self.folder, self.room = folder, EMBEDDED_BYTES
        self.kept_back: list[Path] = []

    def gallery(self, folder: Path) -> str:
        """Figures of one folder, flat ones first."""
        shown: dict[str, Path] = {}
        for path in sorted([*folder.glob("*.png"), *(folder / "figures").glob("*.png")]):
            series = _SERIES.fullmatch(path.stem)
            key = series[1] if series else path.stem
            if key in shown:
                self.kept_back.append(shown[key])
            shown[key] = path
        opened = sorted(filter(None, map(_opened, shown.values())), key=lambda one: (one.height / one.width, one.path))
        return self._figures(opened)

    def earlier(self) -> str:
        """The figures that `gallery` kept back."""
        return self._figures(list(filter(None, map(_opened, self.kept_back))))

    def _figures(self, opened: "Sequence[_Figure]") -> str:
        if not opened:
            return ""
        return "\n".join(['<div class="figures">', *map(self._figure, opened), "</div>"])

    def _figure(self, one: "_Figure") -> str:
        target = link(self.folder, one.path)
        source = target
        if len(one.content) * 4 // 3 <= self.room:
            encoded = base64.b64encode(one.content).decode()
            self.room -= len(encoded)
            source = f"data:image/png;base64,{encoded}"
        title = one.path.stem.replace("-", " ").replace("_", " ").capitalize()
        about = f"{title}. {one.about}".strip()
        return (
            f'<figure><a class="plate" href="{target}"><img src="{source}" width="{one.width}" height="{one.height}" '
            f'alt="{escape_html(about)}"></a>'
            f"<figcaption><b>{escape_html(title)}.</b> {escape_html(one.about)}</figcaption></figure>"
        )


@dataclass(frozen=True)
class _Figure:
    path: Path
    content: bytes
    width: int
    height: int
    about: str


def _opened(path: Path) -> _Figure | None:
    """A figure with its size and what was written into it of what it shows; None if it is no picture."""
    from PIL import Image

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            return _Figure(path, content, *image.size, str(image.info.get("Description", "")))
    except (OSError, ValueError, SyntaxError):
        return None
