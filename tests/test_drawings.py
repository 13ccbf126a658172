"""Drawings of the pipeline and the networks show the packages as they are; works that are shown are credited."""

import csv
import importlib
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
drawings = importlib.import_module("drawings")
contact_sheet = importlib.import_module("contact_sheet")
sys.path.pop(0)


def test_drawings_are_up_to_date():
    assert drawings.main(["--check"]) == 0


def test_a_stale_drawing_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "report" / "figures").mkdir(parents=True)
    monkeypatch.setattr(drawings, "ROOT", tmp_path)
    monkeypatch.setattr(drawings, "DRAWINGS", {"pipeline": drawings.pipeline})
    assert drawings.main(["--check"]) == 1
    assert drawings.main([]) == 0
    assert drawings.main(["--check"]) == 0
    path = tmp_path / "report" / "figures" / "pipeline.svg"
    path.write_text(path.read_text().replace("Catalog", "List"))
    assert drawings.main(["--check"]) == 1
    assert path.name in capsys.readouterr().out


def test_shapes_are_those_of_the_modules_in_the_order_in_which_they_run():
    network = nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 5, 1))
    layers = drawings.trace(network, [network[2], network[0]], torch.zeros(1, 3, 12, 12))
    assert [layer.shape for layer in layers] == [(8, 6, 6), (5, 6, 6)]
    assert drawings.stages_of(layers, nn.Conv2d) == [(1, (8, 6, 6)), (1, (5, 6, 6))]


def test_a_name_that_a_package_does_not_export_is_an_error():
    with pytest.raises(SystemExit, match="nothing"):
        drawings._public(drawings.wikiart_data, "nothing")


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_nothing_is_drawn_outside_the_page(name: str):
    root = ElementTree.fromstring((ROOT / "report" / "figures" / f"{name}.svg").read_text(encoding="utf-8"))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    assert width == drawings.WIDTH
    for element in root.iter():
        if (points := element.get("points")) is not None:
            corners = [tuple(map(float, pair.split(","))) for pair in points.split()]
        elif element.tag.endswith("rect"):
            x, y, w, h = (float(element.get(key, 0)) for key in ("x", "y", "width", "height"))
            corners = [(x, y), (x + w, y + h)]
        elif element.tag.endswith("text"):
            assert float(element.get("font-size", 0)) >= drawings.SMALL - 1
            corners = [(float(element.get("x", 0)), float(element.get("y", 0)))]
        else:
            continue
        assert all(0 <= x <= width and 0 <= y <= height for x, y in corners), element.attrib


def test_a_contact_sheet_shows_styles_by_period_with_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for style in ("Cubism", "Baroque"):
        (tmp_path / "works" / style).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "works" / style / f"{style}.png")
    captions = tmp_path / "captions.csv"
    captions.write_text("file,artist,title,year\nCubism.png,A,Guitar,1912\nBaroque.png,B,Candle,1640\n")
    figures = []
    monkeypatch.setattr(contact_sheet, "png", lambda figure: figures.append(figure) or b"")
    assert contact_sheet.main([str(tmp_path / "works"), str(captions), str(tmp_path / "sheet.png")]) == 0
    first, second = figures[0].axes
    assert [axes.get_title() for axes in (first, second)] == ["Baroque", "Cubism"]
    assert first.texts[0].get_text() == "B, Candle (1640)"


def test_every_work_that_is_shown_is_credited_and_in_the_public_domain():
    with (ROOT / "report" / "works.csv").open(encoding="utf-8", newline="") as file:
        works = list(csv.DictReader(file))
    credits = (ROOT / "docs" / "CREDITS.md").read_text(encoding="utf-8")
    assert 0 < len(works) <= 24
    for work in works:
        assert int(work["died"]) < 1930
        assert f"| {work['artist']} | {work['died']} | {work['title']} | {work['year']} |" in credits
