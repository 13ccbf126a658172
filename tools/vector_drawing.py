"""A vector drawing made of boxes, text and arrows, in colours for light and dark pages."""

from collections.abc import Sequence
from xml.etree import ElementTree

WIDTH = 640
"""Pixels; a browser shows a drawing at most this wide."""
TYPE, SMALL = 17, 16
"""Pixels: names, and shapes and notes."""
_STYLE = """
text { font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d0d7de }
.box { fill: #ddf4ff; stroke: #0969da }
.code { fill: #fff1e5; stroke: #bc4c00 }
.plain { fill: #f6f8fa; stroke: #818b98 }
.line { fill: none; stroke: #59636e; stroke-width: 1.6 }
.style { fill: none; stroke: #bc4c00; stroke-width: 1.6 }
.head { fill: #59636e } .style-head { fill: #bc4c00 }
.note { fill: #59636e } .name { font-weight: 600 }
.mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .page { fill: #0d1117; stroke: #3d444d }
  .box { fill: #0c2d4f; stroke: #4493f8 }
  .code { fill: #4a2410; stroke: #db6d28 }
  .plain { fill: #212830; stroke: #656c76 }
  .line { stroke: #9198a1 } .style { stroke: #db6d28 }
  .head { fill: #9198a1 } .style-head { fill: #db6d28 }
  .note { fill: #9198a1 }
}
"""


class Drawing:
    """An SVG image WIDTH pixels wide, made of boxes, text and arrows.

    Args:
        height: in pixels.
        title: what the drawing shows, for those who cannot see it.
    """

    def __init__(self, height: int, title: str):
        box = f"0 0 {WIDTH} {height}"
        sizes = {"width": str(WIDTH), "height": str(height), "viewBox": box, "role": "img"}
        self.root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **sizes})
        ElementTree.SubElement(self.root, "title").text = title
        ElementTree.SubElement(self.root, "style").text = _STYLE
        self._add("rect", "page", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=6)

    def _add(self, tag: str, kind: str, **attributes: float | str) -> ElementTree.Element:
        values = {
            key.replace("_", "-"): f"{value:g}" if isinstance(value, float | int) else value
            for key, value in attributes.items()
        }
        return ElementTree.SubElement(self.root, tag, {"class": kind, **values})

    def text(self, x: float, y: float, words: str, kind: str = "", size: int = TYPE, anchor: str = "middle") -> None:
        """Write `words` with the baseline at `y`."""
        self._add("text", kind, x=x, y=y, font_size=size, text_anchor=anchor).text = words

    def box(self, x: float, y: float, width: float, height: float, lines: Sequence[str], kind: str = "box") -> None:
        """A box with its upper left corner at (x, y); of its `lines` the first is a name, the others are notes."""
        self._add("rect", kind, x=x, y=y, width=width, height=height, rx=5)
        baseline = y + height / 2 - 11 * (len(lines) - 1) + 6
        for index, line in enumerate(lines):
            self.text(x + width / 2, baseline + 22 * index, line, "note" if index else "", SMALL if index else TYPE)

    def arrow(self, *points: tuple[float, float], kind: str = "line") -> None:
        """A line through `points`, with a head at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        along = ((x1 - x0) / length, (y1 - y0) / length)
        neck = (x1 - 9 * along[0], y1 - 9 * along[1])
        side = (-5 * along[1], 5 * along[0])
        corners = [(x1, y1), (neck[0] + side[0], neck[1] + side[1]), (neck[0] - side[0], neck[1] - side[1])]
        self.line(*points[:-1], neck, kind=kind)
        self._add("polygon", "style-head" if kind == "style" else "head", points=_points(corners))

    def line(self, *points: tuple[float, float], kind: str = "line") -> None:
        """A line through `points`."""
        self._add("polyline", kind, points=_points(points))

    def svg(self) -> str:
        """The image as the text of a file."""
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
