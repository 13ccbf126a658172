"""The page of a folder of results: what is on it, that names stay text, and that it needs nothing beside it."""

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from wikiart_data.results import gallery
from wikiart_data.results.curves import curve, curves
from wikiart_data.results.figures import canvas, png, styled
from wikiart_data.results.folder import write_figure, write_results
from wikiart_data.results.guessed_tables import facts, guessed_tables
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.page import page, renew_page, write_page
from wikiart_data.results.tables import Table

EVIL = "<img src=x onerror=alert(1)>\"'&\n%%MAIN%%"
VOID = {"meta", "link", "img", "br", "path", "circle", "polyline"}
SPLIT = {"n": 40, "top1": 0.5, "top1_interval": [0.35, 0.65], "majority": 0.2, "few": None, "few_styles": 2}


@styled
def drawn(height: float = 1.0):
    """A line that <rises>, for nobody.

    More about it.
    """
    figure, ((axes,),) = canvas(height)
    axes.plot([0, 1])
    return figure


class Reading(HTMLParser):
    """Tags that are opened and closed in order, every link and source, and the text."""

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

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [about for name, about in self.tags if name == tag]


def read(path: Path) -> Reading:
    """The page, whole: tags balance, nothing is asked of a network, and every file that is named is there."""
    text = path.read_text(encoding="utf-8")
    reading = Reading()
    reading.feed(text)
    reading.close()
    assert reading.open == []
    assert reading.of("script") == []
    assert not re.search(r"https?:|url\(|@import|//", re.sub(r"base64,[^\"]*", "", text))
    for _, about in reading.tags:
        assert not any(name.startswith("on") for name in about)
        for name in ("src", "href"):
            target = about.get(name)
            if target is not None and not target.startswith("data:"):
                assert (path.parent / Path(unquote_to_bytes(target).decode("utf-8", "surrogateescape"))).exists()
    assert all(about["alt"] for about in reading.of("img"))
    return reading


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that is going on: two epochs, no result."""
    folder = tmp_path / "runs" / "classify" / "one"
    folder.mkdir(parents=True)
    record = {
        "part": "classify",
        "config": {"lr": 0.02, "batch_size": 64, "name": EVIL, "split": None, "styles": []},
        "styles": ["Baroque", EVIL, "Ukiyo_e"],
        "data": {"root": EVIL, "fingerprint": "1d26", "train": 1234, "valid": 5, "test": 6, "valid_was_cut": True},
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


def test_an_unfinished_run_shows_its_progress_and_how_to_go_on(run: Path):
    reading = read(write_page(run))
    assert "classify/one" in reading.text
    assert "not finished, 2 epochs so far" in reading.text
    assert f"wikiart-classify --resume {run}" in reading.text
    assert "wikiart-classify --name 'my run'" in reading.text
    labels = [about["aria-label"] for about in reading.of("svg")]
    assert labels == ["loss in training: 3 in epoch 1, 2 in epoch 2", "top-1, %: 25.0 in epoch 1, 37.5 in epoch 2"]


def test_a_run_that_counts_steps_is_told_in_steps(run: Path):
    lines = [{"epoch": place, "step": 150 * (place + 1), "loss": 1.0 - place / 4} for place in (0, 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reading = read(write_page(run))
    assert "not finished, 300 steps so far" in reading.text
    assert [about["aria-label"] for about in reading.of("svg")] == ["loss in training: 1 in step 150, 0.75 in step 300"]


def test_a_finished_run_shows_figures_result_options_styles_and_where_it_came_from(run: Path):
    result = {"valid": SPLIT, "test": SPLIT | {"n": 80}, "train_seconds": 61.0}
    write_results(run, result, guessed_tables(result), {"curve": drawn()})
    reading = read(run / "index.html")
    for told in ("test, 80 pictures", "50.0", "35.0–65.0", "always the most frequent style", "20.0", "61", "1234"):
        assert told.replace("1234", "1,234 train") in reading.text
    for told in ("--batch-size", "64", "Ukiyo e", "1d26", "abc+", "2.15.0", "cut out of train", "2.0 kB"):
        assert told.replace("2.0 kB", "2 kB") in reading.text
    assert f"wikiart-classify predict PICTURE --model {run}" in reading.text
    assert "--resume" not in reading.text
    (image,) = reading.of("img")
    assert image["alt"] == "Curve. A line that <rises>, for nobody."
    content = base64.b64decode(image["src"].partition("base64,")[2])
    assert content == (run / "figures" / "curve.png").read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        assert (str(picture.width), str(picture.height)) == (image["width"], image["height"])


def test_names_are_read_as_text_whatever_they_hold(run: Path):
    evil = Table(EVIL, ("", EVIL), ((EVIL, EVIL),))
    write_results(run, {"kind": EVIL}, [evil], {})
    odd = run / "figures" / "<b>&\"'%%CSS%%\udce9.png"
    odd.write_bytes(png(drawn()))
    (run / "<i>#?.html").write_text("x")
    reading = read(write_page(run))
    assert reading.text.count("<img src=x onerror=alert(1)>") >= 4
    assert "%%MAIN%%" in reading.text
    assert [about["alt"] for about in reading.of("img")] == ["<b>&\"'%%css%%\\udce9. A line that <rises>, for nobody."]
    assert not {"b onerror", "i#?"} & {tag for tag, _ in reading.tags}


def test_what_a_later_command_adds_is_on_the_page(run: Path):
    write_results(run, {"psnr": 20.0}, [], {})
    share = {"value": 0.5, "interval": [0.4, 0.6], "n": 9}
    proof = {"kind": "proof", "rows": {"a": {"label": "repainted", "top1": share}}, "chance": {"top1": 0.04}}
    write_results(run / "proof", proof, guessed_tables(proof), {"proof": drawn()})
    assert not (run / "proof" / "index.html").exists()
    reading = read(run / "index.html")
    for told in ("Is it the style", "repainted", "50.0 (40.0–60.0)", "chance"):
        assert told in reading.text
    (run / "map.html").write_text("x")
    renew_page(run)
    assert "Open the map" in read(run / "index.html").text
    renew_page(run / "figures")
    assert not (run / "figures" / "index.html").exists()


def test_of_a_figure_drawn_again_and_again_the_last_is_shown_and_the_others_folded(run: Path):
    write_results(run, {}, [], {f"epoch-{number:03d}": drawn() for number in (5, 10, 15)})
    text = (run / "index.html").read_text()
    before, _, earlier = text.partition("<summary>On the way</summary>")
    assert re.findall(r'href="figures/([^"]*)"', before) == ["epoch-015.png"]
    assert re.findall(r'href="figures/([^"]+)"', earlier) == ["epoch-005.png", "epoch-010.png"]


def test_figures_without_room_in_the_page_are_shown_from_their_files(run: Path, monkeypatch):
    monkeypatch.setattr(gallery, "EMBEDDED_BYTES", 2 * len(png(drawn())))
    write_results(run, {}, [], {"a": drawn(1.0), "b": drawn(1.01), "c": drawn(1.02)})
    sources = [about["src"] for about in read(run / "index.html").of("img")]
    assert [source.startswith("data:") for source in sources] == [True, False, False]
    assert sources[1:] == ["figures/b.png", "figures/c.png"]


def test_a_comparison_lists_its_runs(run: Path, tmp_path: Path):
    folder = tmp_path / "runs"
    write_page(run)
    rows = [{"label": "none", "runs": [{"top1": 0.4}, {"top1": 0.5}]}, {"label": "other", "runs": [{"top1": 0.3}] * 2}]
    result = {"kind": "models", "command": "wikiart-classify compare models", "n": 9, "split": "test", "rows": rows}
    result |= {"majority": 0.2, "seeds": [0, 1]}
    write_results(folder, result, guessed_tables(result), {})
    reading = read(folder / "index.html")
    for told in ("45.0 ± 7.1", "30.0 ± 0.0", "always the most frequent style", "compare models", "not finished"):
        assert told in reading.text
    assert "classify/one/index.html" in [about["href"] for about in reading.of("a")]


@pytest.mark.parametrize(
    "result", ["", "[]", '{"test": 3, "rows": 5, "per_style": {}}', '{"rows": {}, "codes": []}', "\xff"]
)
def test_what_cannot_be_read_is_left_out(result: str, run: Path):
    (run / "result.json").write_text(result, encoding="latin-1")
    (run / "metrics.jsonl").write_bytes(b'{"epoch": 0, "loss": NaN, "x": "y"}\n\xff\xfe')
    (run / "figures").mkdir()
    (run / "figures" / "broken.png").write_bytes(b"\x89PNG no more")
    reading = read(write_page(run))
    assert reading.of("img") == reading.of("svg") == []


def test_measures_stand_beside_shuffled_labels():
    table, *_ = guessed_tables(
        {"measures": {"ami": 0.0642, "ami_permuted": [0.001, 0.002], "silhouette": None}, "n": 7}
    )
    assert table.columns == ("", "value", "shuffled labels")
    assert table.rows == (("AMI", "0.064", "0.001 ± 0.002"),)
    assert facts({"n": 12345, "tau": 0.5, "epochs": True, "method": "hdbscan"}) == {
        "method": "hdbscan",
        "strength chosen on valid, τ": "0.5",
        "pictures": "12,345",
    }


def test_baselines_are_marked_and_styles_counted():
    table, *_ = guessed_tables({"test": SPLIT})
    names = [row[0] for row in table.rows]
    assert "always the most frequent style, %" in names
    assert "recall, few, %" not in " ".join(names)  # None in the only split: no row


def test_a_curve_keeps_its_ends_however_long_it_is():
    drawn = curve("loss", [{"epoch": epoch, "loss": float(epoch % 7)} for epoch in range(5000)])
    points = re.search(r'points="([^"]*)"', drawn)[1].split()
    assert len(points) < 1000
    assert (float(points[0].split(",")[0]), float(points[-1].split(",")[0])) == (4.0, 196.0)
    assert curves([]) == curves([{"epoch": 0, "loss": float("inf"), "stage": "x"}]) == ""
    assert "circle" in curve("loss", [{"epoch": 0, "loss": 1.0}])


def test_metrics_are_read_as_far_as_they_are_whole(tmp_path: Path):
    (tmp_path / "m").write_text('{"epoch": 0}\n{"epoch": "1"}\n{"epoch": 2}\n')
    assert read_metrics(tmp_path / "m") == [{"epoch": 0}]
    assert read_metrics(tmp_path / "none") == []


def test_a_figure_carries_what_it_shows(tmp_path: Path):
    write_figure(tmp_path / "x.PNG", drawn())
    with Image.open(tmp_path / "x.PNG") as picture:
        assert picture.info["Description"] == "A line that <rises>, for nobody."
        assert picture.width == 1080
        assert np.asarray(picture.convert("L")).min() < 128


def test_every_epoch_renews_the_page(start: Callable):
    run = start(name="one")
    run.write_log(0, "", loss=1.0)
    assert "not finished, 1 epoch so far" in page(run.folder)
    assert read(run.folder / "index.html").of("svg")
    result = {"test": SPLIT}
    run.finish(result, guessed_tables(result), {"curve": drawn()})
    assert "35.0–65.0" in read(run.folder / "index.html").text
