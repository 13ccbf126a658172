"""tools/report.py: the tables of REPORT.md come from JSON, and a stale one is noticed."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from wikiart_data.results import Number, Table, json_text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
report, documents = importlib.import_module("report"), importlib.import_module("documents")
sys.path.pop(0)

KEPT = sorted((ROOT / "report").glob("*.json"))
ORIGIN = {"git_commit": None, "versions": {}, "device": "cpu (2 threads)", "processes": 1}


def metrics(top1: float | None, note: str = "") -> Table:
    interval = (0.3, 0.5) if top1 is None else (top1 - 0.1, top1 + 0.1)
    rows = (("top-1", Number(top1, "%", interval=interval)), ("images", Number(200)))
    return Table("Metrics", ("", "test"), rows, note)


def result_of(seed: int, top1: float | None = 0.4, seconds: int = 100) -> dict[str, Any]:
    """A kept result of one seed."""
    cost = Table("Training", ("", "value"), (("time", Number(seconds, "s")),))
    by_style = Table("By style", ("style", "recall"), (("Cubism", Number(0.5, "%")),), folded=True)
    return {"seed": seed, **ORIGIN, "tables": [metrics(top1), by_style, cost]}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an empty report."""
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "report" / "figures").mkdir(parents=True)
    (tmp_path / "REPORT.md").write_text("before\n<!-- table x -->\nstale\n<!-- end -->\nafter\n")
    (tmp_path / "README.md").write_text("A toolkit.\n")
    return tmp_path


def write_kept(repository: Path, content: Any) -> Path:
    path = repository / "report" / "x.json"
    path.write_text(json_text(content))
    return path


def test_several_seeds_are_shown_as_mean_and_standard_deviation(repository: Path):
    seeds = [result_of(2, 0.40, 99), result_of(0, 0.44), result_of(1, 0.48)]
    lines = report.table(write_kept(repository, seeds)).splitlines()
    assert "| top-1 | 44.0 ± 4.0 % (34.0–54.0) |" in lines
    assert "| images | 200 |" in lines
    assert "| time | 99 |" in lines  # cost is the first run's, which had the machine to itself
    assert "3 seeds (0, 1, 2)" in lines[0]
    assert not any("Cubism" in line for line in lines)


def test_evaluations_of_several_seeds_are_averaged_table_by_table(repository: Path):
    folders = []
    for seed, top1 in ((0, 0.4), (3, 0.5)):
        folder = repository / f"score-{seed}"
        folder.mkdir()
        aims = Table("Aims", ("", "reached"), (("top-1", "yes" if seed else "no"),))
        content = {"seed": 0, "training": {"seed": seed}, "tables": [metrics(top1), metrics(top1 / 2), aims]}
        (folder / "result.json").write_text(json_text(content))
        folders.append(folder)
    report.keep("x", folders)
    first, second, aims = documents.all_tables(repository / "report" / "x.json")
    assert (first.rows[0][1].value, first.rows[0][1].std) == (pytest.approx(0.45), pytest.approx(0.0707, abs=1e-4))
    assert second.rows[0][1].value == pytest.approx(0.225)
    assert "seeds (0, 3)" in first.title
    assert aims.rows == (("top-1", "no"),)
    assert "seed 0" in aims.title
    assert report.table(repository / "report" / "x.json").count("**Metrics") == 2


def test_a_number_that_one_seed_lacks_has_no_mean(repository: Path):
    lines = report.table(write_kept(repository, [result_of(0), result_of(1, None)])).splitlines()
    assert "| top-1 | – |" in lines


def test_tables_of_other_rows_have_no_mean():
    other = Table("Metrics", ("", "test"), (("top-3", Number(0.1, "%")),))
    with pytest.raises(SystemExit):
        report.over_seeds([metrics(0.5), other], [0, 1])


def test_one_seed_is_named(repository: Path):
    lines = report.table(write_kept(repository, [result_of(7)])).splitlines()
    assert "seed 7" in lines[0]
    assert "| top-1 | 40.0 % (30.0–50.0) |" in lines


def test_a_comparison_shows_its_tables_that_are_not_folded(repository: Path):
    folded = Table("Details", ("", "x"), (("hidden", Number(1)),), folded=True)
    text = report.table(write_kept(repository, {"tables": [metrics(0.5), metrics(0.6, "A note."), folded]}))
    assert text.count("**Metrics**") == 2
    assert "A note." in text
    assert "hidden" not in text


def test_rendering_fills_a_table_and_is_stable(repository: Path):
    write_kept(repository, [result_of(0)])
    assert report.main(["--check"]) == 1
    assert report.main([]) == 0
    text = (repository / "REPORT.md").read_text()
    assert "| top-1 | 40.0 %" in text
    assert "stale" not in text
    assert text.startswith("before\n<!-- table x -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert report.main(["--check"]) == 0
    assert "Cubism" in (repository / "report" / "TABLES.md").read_text()


CHOICE = '<!-- table x of="0" columns="test" rows="images" title="Short" note="" -->'


def test_rows_and_columns_of_a_table_are_chosen(repository: Path):
    write_kept(repository, {"tables": [metrics(0.5, "A note.")]})
    (repository / "REPORT.md").write_text(f"{CHOICE}\n<!-- end -->\n")
    assert report.main([]) == 0
    assert (repository / "REPORT.md").read_text() == (
        f"{CHOICE}\n**Short**\n\n|  | test |\n|---|---|\n| images | 200 |\n<!-- end -->\n"
    )


@pytest.mark.parametrize("choice", ['rows="nothing"', 'columns="nothing"', 'colums="test"'])
def test_a_choice_that_does_not_exist_is_an_error(choice: str, repository: Path):
    write_kept(repository, {"tables": [metrics(0.5)]})
    (repository / "REPORT.md").write_text(f"<!-- table x {choice} -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match=r"nothing|colums"):
        report.main([])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('cell("x", "top-1", "test")', "44.0"),
        ('interval(cell("x", "top-1", "test"))', "34.0–54.0"),
        ('kept("x")[1].seed', "0"),
        ("points(0.0312)", "+3.1"),
        ("thousands(1234.0)", "1,234"),
        ("minutes(90)", "2"),
    ],
)
def test_a_number_in_a_sentence_is_filled_in(expression: str, expected: str, repository: Path):
    write_kept(repository, [result_of(2, 0.40), result_of(0, 0.44), result_of(1, 0.48)])
    (repository / "REPORT.md").write_text(f"It is <!-- = {expression} -->99.9<!-- --> %.\n")
    assert report.main(["--check"]) == 1
    assert report.main([]) == 0
    assert (repository / "REPORT.md").read_text() == f"It is <!-- = {expression} -->{expected}<!-- --> %.\n"
    assert report.main(["--check"]) == 0


@pytest.mark.parametrize("expression", ['cell("x", "nothing", "test")', 'percent(kept("x").nothing)', "1 +"])
def test_an_expression_without_a_value_is_an_error(expression: str, repository: Path):
    write_kept(repository, {"tables": [metrics(0.5)]})
    (repository / "REPORT.md").write_text(f"<!-- = {expression} -->1<!-- -->\n")
    with pytest.raises(SystemExit, match=r"nothing|evaluated"):
        report.main([])


@pytest.mark.parametrize("sentence", ["top-1 is 51.5", "it is 5 % better", "of 1,198 pictures"])
def test_a_measurement_typed_by_hand_fails_the_check(sentence: str, repository: Path, capsys: pytest.CaptureFixture):
    (repository / "REPORT.md").write_text(sentence + "\n")
    assert report.main([]) == 0
    capsys.readouterr()
    assert report.main(["--check"]) == 1
    assert sentence in capsys.readouterr().out


def test_code_links_and_versions_are_no_measurements():
    assert report.typed_numbers("`--lr 0.5` [x](a/1.5) Stable Diffusion 1.5 95 % interval\n```\n--tau 0.5\n```\n") == []


@pytest.mark.parametrize("name", report.DOCUMENTS)
def test_no_marker_ends_a_paragraph_or_a_cell(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.findall(r"^<!-- = .*", text, re.MULTILINE)
    assert not re.findall(r"^\|.*<!-- = [^>]*\|[^>]*-->", text, re.MULTILINE)


def test_the_report_is_read_in_ten_minutes():
    text = re.sub(
        r"<!--.*?-->|<details>.*?</details>|^```.*?^```", "", (ROOT / "REPORT.md").read_text(), flags=re.S | re.M
    )
    assert len(text.split()) <= 2600


def test_recall_at_the_mix_of_the_targets_weights_styles_by_their_repaints():
    recalls = [{"style": "a", "recall": 1.0}, {"style": "b", "recall": None}, {"style": "c", "recall": 0.5}]
    targets = [
        {"style": "a", "repaints": {"n": 1}},
        {"style": "b", "repaints": {"n": 2}},
        {"style": "c", "repaints": {"n": 1}},
    ]
    assert report.recall_at_mix(recalls, targets) == pytest.approx(1.5 / 4)


def test_a_table_without_its_json_is_an_error(repository: Path):
    with pytest.raises(SystemExit, match=r"x\.json"):
        report.main([])


def write_run(folder: Path, seed: int = 0) -> Path:
    """A run's folder with a result and a figure."""
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "recall.png").write_bytes(b"png")
    config = {"data": "/home/me/art", "runs": "/home/me/runs", "name": None, "size": 32, "cache_dir": "/home/me/cache"}
    record = {"seed": seed, **ORIGIN, "config": config, "data": {"root": "/home/me/art", "fingerprint": "ab"}}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json_text({"tables": result_of(seed)["tables"]}))
    return folder


def test_kept_runs_name_no_path_of_this_machine(repository: Path):
    report.keep("x", [write_run(repository / "a", 1), write_run(repository / "b", 2)])
    text = (repository / "report" / "x.json").read_text()
    assert "/home/me" not in text
    first, second = json.loads(text)
    assert (first["options"], first["data_fingerprint"], first["seed"]) == ({"size": 32}, "ab", 1)
    assert second["seed"] == 2
    assert (repository / "report" / "figures" / "x-recall.png").read_bytes() == b"png"


def test_a_kept_comparison_is_rendered_and_names_no_path(repository: Path):
    folder = repository / "compare-imbalance"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "frontier.png").write_bytes(b"png")
    options = {"size": 128, "data": "/home/me/art", "cache_dir": "/home/me/cache"}
    (folder / "result.json").write_text(json_text({"title": "x", "options": options, "tables": [metrics(0.5)]}))
    assert report.main(["keep", "x", str(folder)]) == 0
    assert "| top-1 | 50.0 %" in (repository / "REPORT.md").read_text()
    assert json.loads((repository / "report" / "x.json").read_text())["options"] == {"size": 128}
    assert (repository / "report" / "figures" / "x-frontier.png").read_bytes() == b"png"
    with pytest.raises(SystemExit):
        report.keep("y", [folder, write_run(repository / "run")])


TYPED = [path for path in KEPT if (kind := report.kind_of(path)) and kind.tables]


@pytest.mark.parametrize("path", TYPED, ids=lambda path: path.stem)
def test_kept_tables_are_those_of_the_kept_results(path: Path, repository: Path):
    copy = repository / "report" / path.name
    copy.write_bytes(path.read_bytes())
    report.retable(repository / "report")
    assert copy.read_text() == path.read_text()
    assert report.table(copy).count("|---") >= 2


def test_unknown_arguments_print_the_usage(capsys: pytest.CaptureFixture):
    assert report.main(["--chekc"]) == 2
    assert "--check" in capsys.readouterr().out


def test_every_figure_that_its_json_alone_makes_is_redrawn(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wikiart_data.results.figures.png", lambda figure: str(figure).encode())  # test_figure_style.py
    for path in KEPT:
        (repository / "report" / path.name).write_bytes(path.read_bytes())
    figures = repository / "report" / "figures"
    for path in (ROOT / "report" / "figures").glob("*.png"):
        (figures / path.name).write_bytes(b"")
    assert report.main(["draw"]) == 0
    assert {path.name for path in figures.iterdir()} == {
        path.name for path in (ROOT / "report" / "figures").glob("*.png")
    }
    drawn = {path.name for path in figures.iterdir() if path.read_bytes()}
    kinds = {name.rsplit("-", 1)[1] for name in drawn}
    assert kinds == {
        "ami.png",
        "confusion.png",
        "evaluation.png",
        "frontier.png",
        "rates.png",
        "recall.png",
        "score.png",
        "style.png",
    }


def test_a_kept_figure_that_no_page_shows_fails_the_check(repository: Path, capsys: pytest.CaptureFixture):
    report.keep("x", [write_run(repository / "a")])
    assert report.main([]) == 0
    assert report.main(["--check"]) == 1
    assert "x-recall.png" in capsys.readouterr().out
    (repository / "docs").mkdir()
    (repository / "docs" / "recall.md").write_text("![Recall](../report/figures/x-recall.png)\n")
    assert report.main(["--check"]) == 0
