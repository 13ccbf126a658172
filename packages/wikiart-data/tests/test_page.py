"""The page of a folder of results: what is on it, that names stay text, and that it needs no other file."""

import base64
import io
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.results import gallery
from wikiart_data.results.curves import curve, curves
from wikiart_data.results.figures import canvas, png, styled
from wikiart_data.results.folder import write_figure, write_results
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.page import page, renew_page, write_page
from wikiart_data.results.serialization import json_text
from wikiart_data.results.tables import Number, Table

HOSTILE = "<img src=x onerror=alert(1)>\"'&\n{{ title }}"
VOID = {"meta", "link", "img", "br", "path", "circle", "polyline"}
TABLE = Table("Test split", ("metric", "value"), (("top-1", Number(0.5, "%", interval=(0.35, 0.65))),), note="A note.")
BY_STYLE = Table("By style", ("style", "recall"), (("Ukiyo-e", Number(0.25, "%")),), folded=True)


@styled
def drawn(height: float = 1.0):
    """A line that <rises>.

    Not part of the caption.
    """
    figure, ((axes,),) = canvas(height)
    axes.plot([0, 1])
    return figure


class Page(HTMLParser):
    """Tags, which must be closed in order, with their attributes; and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(path: Path) -> Page:
    """A page whose tags balance, which loads nothing from a network, and whose links all lead to files."""
    text = path.read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    assert parsed.attributes("script") == []
    assert not re.search(r"https?:|url\(|@import|//", re.sub(r"base64,[^\"]*", "", text))
    for _, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            target = attributes.get(name)
            if target is not None and not target.startswith("data:"):
                assert (path.parent / Path(unquote_to_bytes(target).decode("utf-8", "surrogateescape"))).exists()
    assert all(attributes["alt"] for attributes in parsed.attributes("img"))
    return parsed


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that is not finished: two epochs, no result."""
    folder = tmp_path / "runs" / "classify" / "one"
    folder.mkdir(parents=True)
    record = {
        "part": "classify",
        "title": "A classifier",
        "program": "wikiart-classify",
        "next_commands": ["wikiart-classify predict PICTURE --model RUN"],
        "config": {"lr": 0.02, "batch_size": 64, "name": HOSTILE, "split": None, "styles": []},
        "styles": ["Baroque", HOSTILE, "Ukiyo_e"],
        "data": {"root": HOSTILE, "fingerprint": "1d26", "train": 1234, "valid": 5, "test": 6, "valid_was_cut": True},
        "seed": 3,
        "git_commit": "abc+",
        "versions": {"torch": "2.15.0"},
        "device": "cpu (2 threads)",
        "command": ["wikiart-classify", "--name", "my run"],
        "started": "2026-01-02T03:04:05+0000",
    }
    (folder / "run.json").write_text(json.dumps(record))
    lines = [{"epoch": epoch, "loss": 3.0 - epoch, "top1": 0.25 + epoch / 8, "clock": 1.0} for epoch in (0, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 2, "lo')
    (folder / "last.safetensors").write_bytes(b"x" * 2048)
    return folder


def test_an_unfinished_run_shows_its_curves_and_how_to_resume_it(run: Path):
    shown = read(write_page(run))
    assert "classify/one" in shown.text
    assert "2 epochs so far" in shown.text
    assert f"wikiart-classify --resume {run}" in shown.text
    assert "predict PICTURE" not in shown.text
    assert "wikiart-classify --name 'my run'" in shown.text
    labels = [svg["aria-label"] for svg in shown.attributes("svg")]
    assert labels == ["loss: 3 in epoch 1, 2 in epoch 2", "top-1: 25.0 % in epoch 1, 37.5 % in epoch 2"]


def test_an_unfinished_run_of_a_version_that_kept_no_program_has_a_page(run: Path):
    record = json.loads((run / "run.json").read_text())
    del record["program"]
    (run / "run.json").write_text(json.dumps(record))
    shown = read(write_page(run))
    assert "2 epochs so far" in shown.text
    assert "--resume" not in shown.text


@pytest.mark.parametrize(("steps", "text"), [([150, 300], "300 steps so far"), ([1], "1 step so far")])
def test_a_run_that_logs_steps_counts_steps(run: Path, steps: list[int], text: str):
    lines = [{"epoch": place, "step": step, "loss": 1.0 - place / 4} for place, step in enumerate(steps)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = read(write_page(run))
    assert text in shown.text
    assert f"step {steps[-1]}" in shown.attributes("svg")[0]["aria-label"]


def test_a_finished_run_shows_tables_figures_options_styles_and_provenance(run: Path):
    write_results(run, {"seconds": 61.0}, [TABLE, BY_STYLE], {"curve": drawn()})
    shown = read(run / "index.html")
    for text in ("Test split", "50.0", "35.0–65.0", "A note.", "Ukiyo-e", "25.0"):
        assert text in shown.text
    for text in ("A classifier", "--batch-size", "64", "Ukiyo-e", "1d26", "abc+", "2.15.0", "1,234 train", "2 kB"):
        assert text in shown.text
    assert f"wikiart-classify predict PICTURE --model {run}" in shown.text
    assert "--resume" not in shown.text
    assert "notice" not in [attributes.get("class") for attributes in shown.attributes("p")]
    text = (run / "index.html").read_text()
    assert re.search(r"<details>\s*<summary>By style</summary>", text)
    assert re.search(r"<h3>Test split</h3>", text)
    (image,) = shown.attributes("img")
    assert image["alt"] == "Curve. A line that <rises>."
    content = base64.b64decode(image["src"].partition("base64,")[2])
    assert content == (run / "figures" / "curve.png").read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        assert (str(picture.width), str(picture.height)) == (image["width"], image["height"])


def test_the_page_says_where_labels_are_from_and_that_there_is_no_test_split(run: Path):
    record = json.loads((run / "run.json").read_text())
    record["data"] |= {"test": 0, "source": "paintings:labels.csv:artist", "notes": ["From labels.csv.", "No test."]}
    (run / "run.json").write_text(json.dumps(record))
    shown = read(write_page(run))
    for text in ("no test split", "paintings:labels.csv:artist", "From labels.csv. No test."):
        assert text in shown.text


def test_names_are_text_whatever_they_hold(run: Path):
    write_results(run, {}, [Table(HOSTILE, ("", HOSTILE), ((HOSTILE, HOSTILE),), HOSTILE)], {})
    (run / "figures" / "<b>&\"'{{ title }}\udce9.png").write_bytes(png(drawn()))
    (run / "<i>#?.html").write_text("x")
    shown = read(write_page(run))
    assert shown.text.count("<img src=x onerror=alert(1)>") >= 8
    assert "{{ title }}" in shown.text
    assert [image["alt"] for image in shown.attributes("img")] == ["<b>&\"'{{ title }}\\udce9. A line that <rises>."]
    assert not {"b onerror", "i#?"} & {tag for tag, _ in shown.tags}


def test_results_inside_a_run_are_on_its_page(run: Path):
    write_results(run, {}, [], {})
    write_results(run / "evaluation", {"title": "Style transfer, evaluated"}, [TABLE], {"hits": drawn()})
    assert not (run / "evaluation" / "index.html").exists()
    shown = read(run / "index.html")
    for text in ("Style transfer, evaluated", "35.0–65.0"):
        assert text in shown.text
    assert [image["alt"] for image in shown.attributes("img")] == ["Hits. A line that <rises>."]
    (run / "map.html").write_text("x")
    renew_page(run)
    assert "map.html" in [link["href"] for link in read(run / "index.html").attributes("a")]
    renew_page(run / "figures")
    assert not (run / "figures" / "index.html").exists()


def test_of_a_series_of_figures_the_last_is_shown_and_the_others_are_folded(run: Path):
    write_results(run, {}, [], {f"epoch-{number:03d}": drawn() for number in (5, 10, 15)})
    text = (run / "index.html").read_text()
    before, folded = text.split("<details>", 1)
    assert re.findall(r'href="figures/([^"]*)"', before) == ["epoch-015.png"]
    assert re.findall(r'href="figures/([^"]+)"', folded) == ["epoch-005.png", "epoch-010.png"]


def test_figures_without_room_in_the_page_are_shown_from_their_files(run: Path, monkeypatch):
    monkeypatch.setattr(gallery, "EMBEDDED_BYTES", 2 * len(png(drawn())))
    write_results(run, {}, [], {"a": drawn(1.0), "b": drawn(1.01), "c": drawn(1.02)})
    sources = [image["src"] for image in read(run / "index.html").attributes("img")]
    assert [source.startswith("data:") for source in sources] == [True, False, False]
    assert sources[1:] == ["figures/b.png", "figures/c.png"]


def test_a_comparison_shows_its_title_command_and_runs(run: Path, tmp_path: Path):
    folder = tmp_path / "runs"
    write_page(run)
    result = {"title": "Models compared", "command": "wikiart-classify compare models", "options": {"seeds": 2}}
    write_results(folder, result, [TABLE], {})
    shown = read(folder / "index.html")
    for text in ("Models compared", "wikiart-classify compare models", "--seeds", "not finished", "35.0–65.0"):
        assert text in shown.text
    assert "classify/one/index.html" in [link["href"] for link in shown.attributes("a")]


@pytest.mark.parametrize(
    ("result", "named"),
    [
        ("", "result.json"),
        ("[]", "result.json"),
        ("\xff", "result.json"),
        ('{"test": 3}', "tables"),
        ('{"tables": 5}', "tables"),
        ('{"tables": [{"title": "x", "rows": []}]}', "columns"),
        ('{"tables": [{"title": "x", "columns": ["", "a"], "rows": [["b"]], "note": "", "folded": false}]}', "tables"),
    ],
)
def test_a_result_that_cannot_be_read_is_named_on_the_page(result: str, named: str, run: Path):
    (run / "result.json").write_text(result, encoding="latin-1")
    text = write_page(run).read_text(encoding="utf-8")
    assert named in "".join(re.findall(r'<p class="notice">(.*?)</p>', text))


def test_a_missing_title_is_named_on_the_page(run: Path, tmp_path: Path):
    write_results(tmp_path / "comparison", {}, [TABLE], {})
    assert "title" in "".join(
        re.findall(r'<p class="notice">(.*?)</p>', (tmp_path / "comparison/index.html").read_text())
    )


def test_damaged_figures_and_metrics_are_left_out(run: Path):
    (run / "metrics.jsonl").write_bytes(b'{"epoch": 0, "loss": NaN, "x": "y"}\n\xff\xfe')
    (run / "figures").mkdir()
    (run / "figures" / "broken.png").write_bytes(b"\x89PNG no more")
    shown = read(write_page(run))
    assert shown.attributes("img") == shown.attributes("svg") == []


def test_results_hold_no_nan(run: Path):
    table = Table("", ("", "x"), (("a", Number(math.nan)),))
    write_results(run, {"ece": math.nan, "losses": [math.inf, 1.0]}, [table], {})
    content = json.loads((run / "result.json").read_text(), parse_constant=pytest.fail)
    assert (content["ece"], content["losses"]) == (None, [None, 1.0])
    assert content["tables"] == json.loads(json_text([table]))


def test_metrics_hold_no_nan(start: Callable):
    run = start(name="one")
    run.write_log(0, "", ece=math.nan, loss=1.0)
    line = json.loads((run.folder / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert (line["ece"], line["loss"]) == (None, 1.0)
    assert [svg["aria-label"].split(":")[0] for svg in read(run.folder / "index.html").attributes("svg")] == ["loss"]


def test_a_curve_keeps_its_ends_however_long_it_is():
    found = curve("loss", [{"epoch": epoch, "loss": float(epoch % 7)} for epoch in range(5000)])
    assert found is not None
    assert len(found.points) < 1000
    assert (found.points[0][0], found.points[-1][0]) == pytest.approx((4.0, 196.0))
    assert curves([]) == curves([{"epoch": 0, "loss": float("inf"), "stage": "x"}]) == []
    assert len(curves([{"epoch": 0, "loss": 1.0}])[0].points) == 1


def test_metrics_are_read_up_to_the_first_damaged_line(tmp_path: Path):
    (tmp_path / "m").write_text('{"epoch": 0}\n{"epoch": "1"}\n{"epoch": 2}\n')
    assert read_metrics(tmp_path / "m") == [{"epoch": 0}]
    assert read_metrics(tmp_path / "none") == []


def test_a_figure_carries_its_caption(tmp_path: Path):
    write_figure(tmp_path / "x.PNG", drawn())
    with Image.open(tmp_path / "x.PNG") as picture:
        assert picture.info["Description"] == "A line that <rises>."
        assert picture.width == 1080
        assert np.asarray(picture.convert("L")).min() < 128


def test_every_epoch_renews_the_page(start: Callable):
    run = start(name="one")
    run.write_log(0, "", loss=1.0)
    assert "1 epoch so far" in page(run.folder)
    assert read(run.folder / "index.html").attributes("svg")
    run.finish({}, [TABLE], {"curve": drawn()})
    assert "35.0–65.0" in read(run.folder / "index.html").text


def test_a_figure_is_written_as_png_only(tmp_path: Path):
    with pytest.raises(InputError) as error:
        write_figure(tmp_path / "x.jpg", drawn())
    assert error.value.field == "--to"
    assert list(tmp_path.iterdir()) == []
