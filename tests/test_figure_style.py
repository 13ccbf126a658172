"""Figures share one style and are legible: sizes and colours come from one module, also for colour-blind readers."""

import ast
import importlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wikiart_data.results import figures
from wikiart_data.styles import STYLES, colour_and_marker

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
report = importlib.import_module("report")
sys.path.pop(0)
STYLE_MODULES = {"results/figures.py", "wikiart_data/styles.py"}
DRAWING = [
    path
    for path in sorted([*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("benchmarks/*.py")])
    if "/".join(path.parts[-2:]) not in STYLE_MODULES and path.parent.name != "sample"  # whose colours are paint
]
SIZES = {"fontsize", "labelsize", "titlesize", "dpi"}
HEX = re.compile(r"#[0-9A-Fa-f]{6}")
# Machado, Oliveira & Fernandes 2009, severity 1; they work on linear RGB.
BLIND = {
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
}


def literal_styles(tree: ast.Module) -> Iterator[str]:
    """Type sizes given as numbers, and colours given as hex, in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in SIZES:
            numbers = [child.value for child in ast.walk(node.value) if isinstance(child, ast.Constant)]
            if any(isinstance(number, int | float) for number in numbers):
                yield f"line {node.value.lineno}: {node.arg}={ast.unparse(node.value)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and HEX.fullmatch(node.value):
            yield f"line {node.lineno}: {node.value}"


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_has_type_sizes_or_colours_of_its_own(path: Path):
    assert list(literal_styles(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_a_literal_style_is_detected():
    source = 'axes.set_title("x", fontsize=min(6.4, big), color="#8DBBDD", alpha=0.5)'
    assert list(literal_styles(ast.parse(source))) == ["line 1: fontsize=min(6.4, big)", "line 1: #8DBBDD"]


def test_the_smallest_type_can_be_read_at_900_pixels():
    for points in (figures.TEXT, figures.SMALL, figures.TINY):
        assert points / 72 * 900 / figures.WIDTH >= 9


def lab(colour: str, kind: str | None) -> np.ndarray:
    """(3,) CIE L*a*b* of a hex colour, as seen with that colour vision."""
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    if kind:
        linear = np.clip(np.array(BLIND[kind]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("kind", [None, *BLIND])
def test_colours_differ_for_every_reader(kind: str | None):
    series = {"ink", "grey", "pale", "accent", "second", "third"}
    palettes = [
        [getattr(figures, name.upper()) for name in series],
        sorted({colour_and_marker(style)[0] for style in STYLES}),
    ]
    for palette in palettes:
        for one, other in itertools.combinations(palette, 2):
            distance = np.linalg.norm(lab(one, kind) - lab(other, kind))
            assert distance > 12, f"{one} and {other} are {distance:.1f} apart"  # 2.3 is just noticeable


@pytest.mark.parametrize(
    "name",
    [
        "classify-realart",
        "imbalance-full-realart",
        "imbalance-realart",
        "rates-realart",
        "stylegen-sample",
        "lora-sample",
    ],
)
def test_all_text_is_inside_the_figures(name: str):
    drawn = dict(report.figures(ROOT / "report" / f"{name}.json"))
    assert drawn
    for figure in drawn.values():
        check_text(figure)


def test_the_recall_of_each_method_is_drawn():
    path = ROOT / "report" / "imbalance-full-realart.json"
    axes = dict(report.figures(path))["per-style"].axes[0]
    _, *marks = (collection.get_offsets() for collection in axes.collections)
    first = report.load(path)[0].per_style[0]
    for name, offsets in zip(("none", "sampler-half", "post-hoc"), marks, strict=True):
        assert offsets[0][0] == pytest.approx(100 * first.recalls[name])
    assert axes.get_yticklabels()[0].get_text().startswith("Impressionism (1,528")


def check_text(figure: Any) -> None:
    """Check that all text of a figure is inside it and legible."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert len(texts) > 10
    assert figure.get_size_inches()[0] == figures.WIDTH
    for text in texts:
        box = text.get_window_extent()
        inside = box.x0 >= -2 and box.y0 >= -2 and box.x1 <= figure.bbox.x1 + 2 and box.y1 <= figure.bbox.y1 + 2
        # Tick labels beyond the axis limits are not drawn, wherever they are.
        assert inside or not text.axes or text.get_text() in ticks_outside_limits(text.axes), text.get_text()
        assert text.get_fontsize() >= figures.TINY


def ticks_outside_limits(axes: Any) -> set[str]:
    """The labels of ticks beyond the axis limits."""
    labels = set()
    for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
        labels |= {tick.label1.get_text() for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return labels


def test_curves_differ_by_more_than_colour():
    lines = [line["linestyle"] for line in figures.LINES]
    assert len(set(lines)) == len(lines) == 3


ONE_EPOCH = {"epoch": 0, "step": 30, "loss": 2.0, "psnr": 20.0, "ssim": 0.5, "valid": 1.0, "valid_swapped": 1.1}


@pytest.mark.parametrize("package", ["autoencode", "stylegen", "lora"])
def test_learning_curves_of_one_epoch_show_their_points(package: str):
    module = importlib.import_module(f"wikiart_{package}.figures")
    arguments = [[{**ONE_EPOCH, "edges": 0.5}], *([["edges"]] if package == "stylegen" else [])]
    panels = [axes for axes in module.learning_curve(*arguments).axes if axes.lines]
    assert len(panels) >= 2
    for axes in panels:
        low, high = axes.get_xlim()
        for line in axes.lines:
            assert line.get_marker() not in ("", "None")
            assert low < line.get_xdata()[0] < high
        assert all(float(tick).is_integer() for tick in axes.get_xticks() if low <= tick <= high)


def test_the_diagonal_of_the_similarities_is_masked_and_every_style_labelled():
    embeddings_figure = importlib.import_module("wikiart_stylegen.figures").embeddings_figure
    random = np.random.default_rng(0)
    figure = embeddings_figure(np.corrcoef(random.normal(size=(6, 9))), random.normal(size=(6, 2)), STYLES[:6])
    heat_map, styles = figure.axes[:2]
    shown = heat_map.images[0].get_array()
    assert (np.ma.getmaskarray(shown) == np.eye(6, dtype=bool)).all()
    assert len({text.get_text() for text in styles.texts}) == 6
