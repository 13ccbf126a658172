"""Output fits a terminal of 80 columns, and in a file has no control characters."""

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wikiart_data.console import console

ROOT = Path(__file__).resolve().parent.parent


def read_report(name: str) -> Any:
    return json.loads((ROOT / "report" / f"{name}.json").read_text(encoding="utf-8"))


def code_comparison(result: Any) -> tuple[Any]:
    from wikiart_autoencode.clustering.comparison import CodeComparison

    return (CodeComparison.from_json(result),)


def scores_on_test(result: Any) -> tuple[Any, str]:
    from wikiart_classify.scores import Scores

    return Scores.from_json(result[0]["test"]), "test"


def method_comparison(result: Any) -> tuple[Any]:
    from wikiart_classify.comparison import Comparison

    return (Comparison.from_json(result),)


def style_transfer_tables(result: Any) -> tuple[Any]:
    from wikiart_stylegen.results import EvaluationResult

    return (EvaluationResult.from_json(result).tables(),)


def first_seed(results: list[dict]) -> tuple:
    return (results[0],)


PRINTED = [
    ("wikiart_classify.tables:print_scores", "classify-realart", scores_on_test),
    ("wikiart_classify.tables:print_comparison", "imbalance-realart", method_comparison),
    ("wikiart_classify.tables:print_comparison", "models-realart", method_comparison),
    ("wikiart_classify.tables:print_comparison", "artists-realart", method_comparison),
    ("wikiart_autoencode.clustering.comparison:print_tables", "codes-realart", code_comparison),
    ("wikiart_stylegen.results:print_tables", "stylegen-sample", style_transfer_tables),
    ("wikiart_lora.score:print_score", "lora-sample", first_seed),
]


@pytest.mark.parametrize(("printer", "name", "arguments"), PRINTED, ids=[name for _, name, _ in PRINTED])
def test_tables_fit_80_columns_without_cut_cells(printer: str, name: str, arguments: Callable, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(console, "_width", None)
    module, _, function = printer.partition(":")
    result = read_report(name)
    with console.capture() as output:
        getattr(importlib.import_module(module), function)(*arguments(result))
    lines = output.get().splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 80
    assert "…" not in output.get(), "a cell is cut off"


@pytest.fixture
def art(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of small pictures of three styles; runs and packs go into the test's own folder."""
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wikiart_data.console.PLAIN_INTERVAL_S", 0.0)  # every step of a long job prints its line
    rng = np.random.default_rng(0)
    for split, number in (("train", 8), ("valid", 2), ("test", 2)):
        for shade, style in enumerate(("Baroque", "Cubism", "Ukiyo_e")):
            folder = tmp_path / "art" / split / style
            folder.mkdir(parents=True)
            for count in range(number):
                pixels = rng.integers(60 * shade, 60 * shade + 90, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"painter-{count}_{split}-{count}.png")
    return "art"


@pytest.mark.parametrize(
    ("program", "arguments", "page"),
    [
        ("wikiart_data.cli.main", "stats --data art", None),
        ("wikiart_classify.cli", "--data art --model tiny --size 16 --epochs 2 --name one", "classify/one"),
        (
            "wikiart_autoencode.cli",
            "--data art --size 32 --width 0.125 --epochs 1 --batch-size 8 --name one",
            "autoencode/one",
        ),
        (
            "wikiart_stylegen.cli",
            "--data art --size 32 --width 0.125 --blocks 1 --epochs 2 --warmup-epochs 1 --batch-size 8 --name one",
            "stylegen/one",
        ),
    ],
    ids=["data", "classify", "autoencode", "stylegen"],
)
def test_output_in_a_file_is_plain_text_and_ends_with_the_page(
    art: str, program: str, arguments: str, page: str | None, capsys, tmp_path: Path
):
    assert importlib.import_module(program).main(arguments.split()) == 0
    captured = capsys.readouterr()
    output = captured.out + captured.err
    assert len(output.splitlines()) > 4
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", output), "control characters"
    assert not re.search(r"[▏▎▍▌▋▊▉█━╸╺]", output), "a bar"
    if page:
        assert f"runs/{page}/" in "\n".join(captured.out.splitlines()[-3:])
        assert "figures" in (tmp_path / "runs" / page / "index.html").read_text(encoding="utf-8")
