"""Options of commands that are made in Python: converted and checked as on the command line, before any work."""

from pathlib import Path

import pytest

from wikiart_data.errors import InputError
from wikiart_stylegen.command_options import (
    DemoOptions,
    EmbeddingsOptions,
    EvaluateOptions,
    GridOptions,
    RepaintOptions,
    SizesOptions,
    SynthesiseOptions,
    WalkOptions,
)
from wikiart_stylegen.study.options import StudyOptions, StudyResultsOptions

NEEDED = {
    RepaintOptions: {"picture": "a.jpg", "style": "Cubism"},
    SizesOptions: {"picture": "a.jpg"},
    WalkOptions: {"picture": "a.jpg", "first": "Cubism", "last": "Rococo"},
    GridOptions: {"pictures": ["a.jpg"]},
    StudyResultsOptions: {"files": ["a.json"]},
}


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (EvaluateOptions, {"max_images": "600"}),
        (SynthesiseOptions, {"kind": "drawings"}),
        (StudyOptions, {"trials": "30"}),
        (StudyResultsOptions, {"files": "a.json"}),
        (RepaintOptions, {"strength": "1"}),
        (SizesOptions, {"styles": "Cubism"}),
        (WalkOptions, {"side": "256"}),
        (GridOptions, {"styles": "Cubism"}),
        (DemoOptions, {"port": "7860"}),
        (EmbeddingsOptions, {"model": 1}),
    ],
)
def test_values_of_another_type_are_refused(options, bad):
    (name,) = bad
    with pytest.raises(InputError) as error:
        options(**{**NEEDED.get(options, {}), **bad})
    assert error.value.field == f"--{name.replace('_', '-')}"


def test_paths_may_be_given_as_text():
    assert EvaluateOptions(model="runs/stylegen/001", judge="judge").model == Path("runs/stylegen/001")
    assert GridOptions(pictures=["a.jpg"], to="b.png") == GridOptions(pictures=(Path("a.jpg"),), to=Path("b.png"))
    assert StudyResultsOptions(files=["a.json"]).files == (Path("a.json"),)


@pytest.mark.parametrize("options", [RepaintOptions, SizesOptions, GridOptions, EmbeddingsOptions])
def test_the_name_of_a_png_file_is_checked_before_any_work(options):
    with pytest.raises(InputError) as error:
        options(**NEEDED.get(options, {}), to=Path("out.jpg"))
    assert error.value.field == "--to"
