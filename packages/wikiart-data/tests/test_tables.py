"""Tables of results: what a number shows, three renderings of one description, and JSON that is read back."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from wikiart_data.errors import InputError
from wikiart_data.results import (
    Number,
    Table,
    from_plain,
    html_table,
    json_text,
    markdown_table,
    print_table,
    to_plain,
)

HOSTILE = "<img src=x onerror=alert(1)>|\"'&[bold]\n# x"
MIXED = Table(
    "Test split, 1,198 images",
    ("metric", "ours", "baseline model"),
    (
        ("top-1", Number(0.515, "%", interval=(0.48, 0.55)), Number(0.386, "%")),
        ("PSNR", Number(25.614, "dB", 2), None),
        ("parameters", Number(2_830_000), Number(None)),
    ),
    note="Intervals hold 95 %.",
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(0.515, "%", interval=(0.48, 0.55)), "51.5 % (48.0–55.0)"),
        (Number(0.515, "%", std=0.005), "51.5 ± 0.5 %"),
        (Number(0.064, digits=3, baseline=0.001), "0.064 (baseline 0.001)"),
        (Number(0.5, "%", 0, (0.4, 0.6), baseline=0.2), "50 % (40–60; baseline 20)"),
        (Number(0.109, "%", interval=(0.09, 0.129), signed=True), "+10.9 % (+9.0, +12.9)"),
        (Number(-0.5, digits=2, interval=(-1.0, 0.25)), "-0.50 (-1.00, 0.25)"),
        (Number(2_830_000), "2,830,000"),
        (Number(3, "epochs", std=0.5), "3 ± 0.5 epochs"),
        (Number(1, "%", 0), "100 %"),
        (Number(-0.0001, "%"), "0.0 %"),
        (Number(None, "%", interval=(0.1, 0.2)), "–"),
        (Number(math.nan), "–"),
        (Number(math.inf, "s"), "–"),
        (Number(1.0, "s", interval=(math.nan, 2.0), std=math.nan), "1.0 s"),
    ],
)
def test_a_number_shows_its_unit_and_its_uncertainty(number: Number, text: str):
    assert str(number) == text


def test_a_unit_that_a_column_shares_moves_to_its_heading():
    table = Table("", ("style", "recall", "", "note"), (("a", Number(0.5, "%"), Number(1.5, "s"), "x"),))
    assert table.headings() == ("style", "recall (%)", "s", "note")
    assert MIXED.headings() == MIXED.columns
    assert "| a | 50.0 | 1.5 | x |" in markdown_table(table).splitlines()


@pytest.mark.parametrize("cells", [("a",), ("a", 1, "b"), (Number(1), "a", "b"), ("a", "b", "c", "d")])
def test_a_row_that_does_not_fit_its_columns_is_refused(cells: tuple):
    with pytest.raises((TypeError, ValueError), match="Sizes"):
        Table("Sizes", ("", "x", "y"), (cells,))


def test_markdown_has_one_cell_per_column_and_escapes_names():
    lines = markdown_table(MIXED).splitlines()
    assert [line for line in lines if line.startswith("|")] == lines[2:7]
    assert lines[4] == "| top-1 | 51.5 % (48.0–55.0) | 38.6 % |"
    hostile = markdown_table(Table(HOSTILE, (HOSTILE, "x"), ((HOSTILE, "1"),), note=HOSTILE))
    assert "<img" not in hostile
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in hostile.splitlines() if line.startswith("| ")} == {3}


def test_html_shows_every_cell_and_reads_names_as_text():
    html = html_table(MIXED)
    assert html.count("<tr>") == 4
    assert html.count("<td>") == 6
    assert "38.6 %" in html
    assert "Intervals hold 95 %." in html
    hostile = html_table(Table(HOSTILE, (HOSTILE, "x"), ((HOSTILE, "1"),), note=HOSTILE))
    assert "<img" not in hostile
    assert "onerror=alert(1)&gt;" in hostile
    assert MIXED._repr_html_() == html


def cells_of(table: Table) -> list[str]:
    return [str(cell) for row in table.rows for cell in row if cell is not None]


@pytest.mark.parametrize("columns", [1, 4, 6, 12])
def test_a_terminal_table_fits_80_columns_and_loses_no_cell(columns: int, capsys: pytest.CaptureFixture):
    names = ("top-1", "balanced accuracy", "macro-F1", "expected calibration error")
    row = tuple(Number(0.1 + place / 50, "%", interval=(0.05, 0.999)) for place in range(columns))
    rows = tuple((f"{method} with [bold] a rather long name of a method", *row) for method in "abc")
    headings = ("method", *(f"{names[place % 4]} {place}" for place in range(columns)))
    print_table(Table("Methods", headings, rows, note="word " * 30))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.startswith("Methods\n")
    for place in range(columns):
        assert printed.count(f" {10 + 2 * place}.0") == 3
    assert printed.count("(5.0–99.9)") == 3 * columns
    assert "[bold]" in re.sub(r"\s+", " ", printed)


def test_a_title_alone_can_be_printed(capsys: pytest.CaptureFixture):
    print_table(Table("Nothing to compare", ("",), ()))
    assert capsys.readouterr().out == "Nothing to compare\n"


@pytest.mark.parametrize("table", [MIXED, Table("", ("a",), (), folded=True)])
def test_a_table_is_read_back_from_json(table: Table):
    assert Table.from_json(json.loads(json_text(table))) == table


def test_a_number_that_is_not_finite_is_written_as_null():
    table = Table("", ("", "x"), (("a", Number(math.nan, interval=(math.inf, 1.0), std=math.nan)),))
    content = json.loads(json_text(table), parse_constant=pytest.fail)
    assert content["rows"] == [["a", {"value": None, "interval": [None, 1.0]}]]
    assert str(Table.from_json(content).rows[0][1]) == "–"


@pytest.mark.parametrize("key", ["title", "columns", "rows", "note", "folded"])
def test_a_missing_key_of_a_table_is_an_error(key: str):
    content = MIXED.to_json()
    del content[key]
    with pytest.raises(InputError) as error:
        Table.from_json(content)
    assert error.value.field == key


@pytest.mark.parametrize("cell", [{}, {"value": "x"}, {"value": 1, "colour": 2}, {"value": True}, 3, [1]])
def test_a_cell_that_is_none_is_an_error(cell: object):
    with pytest.raises(InputError):
        Table.from_json({**Table("", ("", "x"), ()).to_json(), "rows": [["a", cell]]})


@dataclass(frozen=True)
class Split:
    n: int
    top1: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Outcome:
    seed: int
    test: Split
    splits: dict[str, Split]
    losses: tuple[float, ...]
    folder: Path
    seconds: float | None
    names: list[str] = field(default_factory=list)
    curve: dict[int, float] = field(default_factory=dict)


OUTCOME = Outcome(
    1, Split(9, 0.5, (0.4, 0.6)), {"valid": Split(3, 0.1)}, (1.5, 1.0), Path("x/y"), None, ["a"], {2: 0.5}
)


def test_a_result_is_read_back_from_its_json():
    content = json.loads(json_text(OUTCOME, indent=1))
    assert from_plain(Outcome, {**content, "tables": []}) == OUTCOME
    assert content["folder"] == "x/y"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": None}, "seed"),
        ({"seed": True}, "seed"),
        ({"test": {"n": 9}}, "top1"),
        ({"test": 3}, "test"),
        ({"losses": [1.0, "x"]}, "losses"),
        ({"splits": {"valid": {"n": 1.5, "top1": 0.1}}}, "n"),
    ],
)
def test_a_result_of_another_shape_is_refused_by_field(change: dict, name: str):
    with pytest.raises(InputError) as error:
        from_plain(Outcome, {**to_plain(OUTCOME), **change})
    assert error.value.field == name


def test_json_is_strict_and_takes_numpy():
    values = {"a": np.float32(0.5), "b": np.arange(2), "c": np.float64("nan"), 3: (np.int64(7), -math.inf)}
    assert json_text(values) == '{"a": 0.5, "b": [0, 1], "c": null, "3": [7, null]}'
    with pytest.raises(TypeError):
        json_text({"a": object()})
