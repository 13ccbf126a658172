"""`study` and `study-results`: a page that asks people about repaints, in Chromium too, and what their answers say."""

import base64
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.decode import decode, square
from wikiart_data.images.packed import pack
from wikiart_data.results.statistics import wilson
from wikiart_stylegen.cli import main
from wikiart_stylegen.study.answers import rate_over_participants, read_answers, summarise
from wikiart_stylegen.study.page import StudyInfo, study_page
from wikiart_stylegen.study.trials import Trial, draw_pairs

from .conftest import STYLES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
TRIALS = 10
INFO = StudyInfo("stylegen/one", 1.0, 32, "test", 0, "0123")
HOSTILE = "</script><b onmouseover=window.hacked=1>Odd</b>"


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.html"
    assert main(write_arguments(trained, path)) == 0
    return path


def write_arguments(trained: Path, path: Path, *others: str) -> list[str]:
    arguments = ["study", str(trained), "--device", "cpu", "--trials", str(TRIALS), "--choices", "3"]
    return [*arguments, "--cache-dir", str(trained.parent / "cache"), "--to", str(path), *others]


def content_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def pixels_of(trial: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(trial["image"]))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32))
        return np.asarray(image)


def test_repaints_and_paintings_come_in_pairs_of_one_style_question_and_choices(page, paintings):
    trials = content_of(page.read_text())["trials"]
    by_source = {
        source: Counter(
            (each["kind"], each["target"], str(each["choices"])) for each in trials if each["source"] == source
        )
        for source in ("repaint", "painting")
    }
    assert by_source["repaint"] == by_source["painting"]
    assert Counter(trial["kind"] for trial in trials) == {"style": 6, "source": 4}
    for trial in trials:
        names = [name for name, _ in trial["choices"]]
        assert names == ["painting", "repaint"] if trial["kind"] == "source" else trial["target"] in names
        assert len(set(names)) == (2 if trial["kind"] == "source" else 3)
    real = {
        style: [square(decode(file, at_least=32), 32).tobytes() for file in (paintings / "test" / style).iterdir()]
        for style in STYLES
    }
    shown = [pixels_of(trial).tobytes() for trial in trials]
    assert len(set(shown)) == TRIALS
    for trial, pixels in zip(trials, shown, strict=True):
        assert (pixels in real[trial["target"]]) == (trial["source"] == "painting")


def test_the_seed_chooses_the_trials(trained, page, tmp_path):
    for name, seed in (("again", "0"), ("other", "1")):
        assert main(write_arguments(trained, tmp_path / name, "--to", f"{name}.html", "--seed", seed)) == 0
    assert Path("again.html").read_bytes() == page.read_bytes()
    assert content_of(Path("other.html").read_text())["study"] != content_of(page.read_text())["study"]


def test_no_image_is_used_twice_and_too_many_trials_are_an_error(paintings, tmp_path):
    packed = pack(scan(paintings), 32)
    allowed, random = np.arange(4), np.random.default_rng(0)
    targets, originals, inputs = draw_pairs(packed, "test", allowed, 24, random)
    assert sorted([*originals, *inputs]) == sorted(packed.rows("test"))
    assert (packed.catalog.labels[originals] == targets).all()
    assert (packed.catalog.labels[inputs] != targets).all()
    assert Counter(targets.tolist()) == dict.fromkeys(range(4), 6)
    with pytest.raises(InputError) as error:
        draw_pairs(packed, "test", allowed, 25, random)
    assert error.value.field == "--trials"


@pytest.mark.parametrize(("option", "value"), [("--trials", "7"), ("--choices", "10"), ("--to", "study.txt")])
def test_wrong_options_are_named(trained, option, value, capsys):
    assert main(["study", str(trained), option, value]) == 2
    assert option in capsys.readouterr().err


@in_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_all_trials_are_answered_by_keyboard_and_saved(page, tmp_path, capsys, width, scheme):
    from playwright.sync_api import sync_playwright

    content = content_of(page.read_text())
    requests, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        sheet = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        sheet.on("request", lambda request: requests.append(request.url))
        sheet.on("console", lambda message: complaints.append(message.text))
        sheet.on("pageerror", lambda error: complaints.append(str(error)))
        sheet.set_default_timeout(60_000)
        sheet.goto(page.as_uri())
        sheet.locator("#participant:focus").wait_for()
        sheet.keyboard.type("Anna <b>B.</b>")
        sheet.keyboard.press("Enter")
        keys = []
        for number in range(TRIALS):
            sheet.locator("#position", has_text=f"Picture {number + 1} of {TRIALS}").wait_for()
            sheet.locator("#text:focus").wait_for()  # the picture is there
            assert sheet.locator("#picture").get_attribute("alt") == f"Picture {number + 1}"
            assert sheet.locator("#answers li").count() == 0
            assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")
            sheet.keyboard.press("9")  # no such choice
            keys.append(number % sheet.locator("#choices input").count())
            sheet.keyboard.press(str(keys[-1] + 1))
            outline = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
            assert sheet.evaluate(outline) == "solid"
            sheet.keyboard.press("Enter")
        sheet.locator("#end").wait_for()
        assert sheet.locator("#answers li").count() == TRIALS
        assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")
        sheet.locator("#comment").fill("Was it you?")
        sheet.locator("#save").focus()
        with sheet.expect_download() as download:
            sheet.keyboard.press("Enter")
        download.value.save_as(tmp_path / "answers.json")
        brightness = sheet.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
        browser.close()
    assert (brightness > 200) == (scheme == "light")
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
    assert complaints == []
    saved = json.loads((tmp_path / "answers.json").read_text())
    assert (saved["participant"], saved["comment"]) == ("Anna <b>B.</b>", "Was it you?")

    def question(trial: dict[str, Any]) -> tuple[str, ...]:
        choices = [choice if isinstance(choice, str) else choice[0] for choice in trial["choices"]]
        return trial["kind"], trial["source"], trial["target"], *choices

    assert Counter(map(question, saved["trials"])) == Counter(map(question, content["trials"]))
    assert [trial["answer"] for trial in saved["trials"]] == [
        trial["choices"][key] for trial, key in zip(saved["trials"], keys, strict=True)
    ]
    for trial in saved["trials"]:
        assert trial["correct"] == (trial["answer"] == trial["target" if trial["kind"] == "style" else "source"])
        assert trial["ms"] > 0
    assert main(["study-results", str(tmp_path / "answers.json"), "--to", "results"]) == 0
    result = json.loads(Path("results/result.json").read_text())
    named = sum(trial["answer"] == "painting" for trial in saved["trials"] if trial["source"] == "repaint")
    taken = next(rate for rate in result["rates"] if rate["label"].startswith("repaints taken"))
    assert taken["answers"] == {"value": named / 2, "interval": list(wilson(named, 2)), "n": 2}
    assert "<b>B.</b>" not in Path("results/index.html").read_text()


@in_chromium
def test_the_order_is_shuffled_and_names_of_styles_are_text(tmp_path):
    from playwright.sync_api import sync_playwright

    random = np.random.default_rng(0)
    trials = [
        Trial("style", "repaint", HOSTILE, (HOSTILE, "Cubism"), random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        for _ in range(20)
    ]
    (tmp_path / "study.html").write_text(study_page(trials, INFO))
    orders = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        for _ in range(2):
            sheet = browser.new_page()
            sheet.set_default_timeout(60_000)
            sheet.goto((tmp_path / "study.html").as_uri())
            sheet.locator("#participant:focus").wait_for()
            sheet.keyboard.press("Enter")
            pictures = []
            for number in range(20):
                sheet.locator("#position", has_text=f"Picture {number + 1} of").wait_for()
                sheet.locator("#text:focus").wait_for()
                pictures.append(sheet.locator("#picture").get_attribute("src"))
                sheet.keyboard.press("Enter")  # nothing is chosen: the page stays
                sheet.keyboard.press("1")
                sheet.keyboard.press("Enter")
            sheet.locator("#end").wait_for()
            assert sheet.locator("main b b, main [onmouseover]").count() == 0
            assert HOSTILE in sheet.locator("#answers").inner_text()
            orders.append(pictures)
        browser.close()
    assert len(set(orders[0])) == 20
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def answer(kind: str, source: str, answered: str, target: str = "Cubism", ms: int = 1000) -> dict[str, Any]:
    choices = ["Baroque", "Cubism", "Rococo", "Ukiyo_e"] if kind == "style" else ["painting", "repaint"]
    correct = answered == (target if kind == "style" else source)
    shown = {"kind": kind, "source": source, "target": target, "choices": choices}
    return {**shown, "answer": answered, "correct": correct, "ms": ms}


def write_sheet(path: str, trials: list[dict[str, Any]], **others: Any) -> Path:
    info = {**vars(INFO)}
    sheet = {
        "format": "wikiart-stylegen study 1",
        "study": "s",
        "info": info,
        "session": path,
        "participant": "",
        "comment": "",
    }
    Path(path).write_text(json.dumps({**sheet, "trials": trials, **others}))
    return Path(path)


def test_rates_of_two_participants(capsys):
    first = [answer("style", "repaint", "Cubism"), answer("style", "repaint", "Rococo", ms=3000)]
    first += [answer("source", "repaint", "painting"), answer("source", "painting", "painting", target="Rococo")]
    second = [answer("style", "repaint", "Cubism"), answer("style", "repaint", "Cubism")]
    second += [answer("source", "repaint", "repaint"), answer("source", "painting", "repaint", target="Rococo")]
    write_sheet("a.json", first)
    write_sheet("b.json", second, participant="Bea")
    write_sheet("c.json", second, session="b.json")  # saved twice
    assert main(["study-results", ".", "--to", "results"]) == 0
    result = json.loads(Path("results/result.json").read_text())
    rates = {rate["label"]: rate for rate in result["rates"]}
    assert [len(result["participants"]), result["participants"][1]["name"]] == [2, "Bea"]
    style, by_hand = rates["style of repaints recognised"], rates["repaints taken for painted by hand"]
    assert style["answers"] == {"value": 0.75, "interval": list(wilson(3, 4)), "n": 4}
    assert (style["chance"], style["participants"]["value"], style["participants"]["n"]) == (0.25, 0.75, 2)
    assert (by_hand["answers"]["value"], by_hand["chance"]) == (0.5, 0.5)
    assert rates["source recognised"]["answers"]["value"] == 0.5
    assert "style of paintings recognised" not in rates  # nobody was asked
    per_style = {row["style"]: row for row in result["per_style"]}
    assert per_style["Cubism"]["recognised_repaints"]["value"] == 0.75
    assert per_style["Rococo"]["by_hand_paintings"]["value"] == 0.5
    assert per_style["Rococo"]["recognised_repaints"] is None
    output, html = capsys.readouterr().out, Path("results/index.html").read_text()
    assert "2 participants" in output
    for table in result["tables"]:
        assert table["title"] in html


def test_one_participant_has_no_interval_over_participants():
    result = summarise(read_answers([write_sheet("a.json", [answer("style", "repaint", "Cubism")])]))
    assert result.rates[0].participants is None


def test_answers_of_one_person_that_are_alike_widen_the_interval():
    alike = rate_over_participants([[True] * 10] * 5 + [[False] * 10] * 5)
    mixed = rate_over_participants([[True, False] * 5] * 10)
    low, high = wilson(50, 100)
    assert alike.interval[0] < 0.25 < 0.75 < alike.interval[1]
    assert mixed.interval[0] == pytest.approx(low, abs=0.02)
    assert mixed.interval[1] == pytest.approx(high, abs=0.02)
    many = rate_over_participants([[True, False, True, False]] * 500)
    assert many.interval == pytest.approx(wilson(1000, 2000), abs=1e-3)
    assert rate_over_participants([[True] * 4] * 3).interval[1] == pytest.approx(1)
    assert rate_over_participants([[True], []]) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "other"},
        {"trials": []},
        {"trials": "none"},
        {"session": None},
        {"trials": [{**answer("style", "repaint", "Cubism"), "correct": False}]},
        {"trials": [{**answer("style", "repaint", "Cubism"), "answer": "Fauvism", "correct": False}]},
        {"trials": [{**answer("style", "repaint", "Cubism"), "kind": "colour"}]},
        {"trials": [{**answer("source", "repaint", "repaint"), "ms": -1}]},
        {"study": "another"},
    ],
)
def test_files_that_hold_no_answers_of_this_study_are_named(damage):
    good = write_sheet("good.json", [answer("source", "repaint", "repaint")])
    bad = write_sheet("bad.json", **{"trials": [answer("source", "repaint", "repaint")], **damage})
    with pytest.raises(InputError) as error:
        read_answers([good, bad])
    assert error.value.field == "bad.json"


def test_files_that_hold_no_json_or_are_missing_are_named(capsys):
    Path("list.json").write_text("[]")
    Path("text.json").write_bytes(b"\xff not JSON")
    for path in ("list.json", "text.json", "missing.json"):
        with pytest.raises(InputError) as error:
            read_answers([Path(path)])
        assert error.value.field == path
    Path("empty").mkdir()
    with pytest.raises(InputError) as error:
        read_answers([Path("empty")])
    assert error.value.field == "files"
    assert main(["study-results", "missing.json"]) == 2
    assert "missing.json" in capsys.readouterr().err
