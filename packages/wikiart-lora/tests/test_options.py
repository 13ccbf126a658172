"""What is refused before any work is done, and what options made in Python are converted to."""

import math
from pathlib import Path

import pytest

import wikiart_lora
from wikiart_data.errors import InputError
from wikiart_lora import evaluation
from wikiart_lora.base_models.loading import read_geometry
from wikiart_lora.config import TrainOptions, resolve_config
from wikiart_lora.options import EvaluateOptions, ExportOptions, GenerateOptions, GridOptions
from wikiart_lora.tiny_base.config import (
    AutoencoderOptions,
    EvaluateAutoencoderOptions,
    EvaluateBaseOptions,
    NarrowOptions,
)


@pytest.mark.parametrize(
    ("options", "values", "field"),
    [
        (GridOptions, {"strengths": (0.5, math.nan)}, "--strengths"),
        (GridOptions, {"strengths": (1e9,)}, "--strengths"),
        (GridOptions, {"to": "styles.jpg"}, "--to"),
        (GridOptions, {"styles": "Cubism"}, "--styles"),
        (TrainOptions, {"alpha": 0.0}, "--alpha"),
        (GenerateOptions, {"prompt": 3}, "--prompt"),
        (EvaluateOptions, {"split": "train"}, "--split"),
        (ExportOptions, {"overwrite": 1}, "--overwrite"),
        (AutoencoderOptions, {"steps": 1.5}, "--steps"),
        (NarrowOptions, {"deviation": "small"}, "--deviation"),
        (EvaluateBaseOptions, {"num_scenes": "many"}, "--num-scenes"),
        (EvaluateBaseOptions, {"to": "scenes"}, "--to"),
        (EvaluateAutoencoderOptions, {"to": Path("x.jpeg")}, "--to"),
    ],
)
def test_options_of_every_command_are_checked(options, values, field):
    with pytest.raises(InputError) as error:
        options(**values)
    assert error.value.field == field


def test_text_becomes_a_path_where_the_option_is_one():
    assert EvaluateOptions(model="runs/x").model == Path("runs/x")
    assert ExportOptions(to="x.safetensors").to == Path("x.safetensors")


def test_an_image_size_that_the_base_does_not_take_is_refused(sd, paintings):
    multiple = read_geometry(str(sd)).multiple
    with pytest.raises(InputError) as error:
        resolve_config(TrainOptions(base=str(sd), size=16 + multiple // 2), paintings)
    assert error.value.field == "--size"
    assert resolve_config(TrainOptions(base=str(sd), size=16 + multiple), paintings).size == 16 + multiple
    assert resolve_config(TrainOptions(base=str(sd)), paintings).size == read_geometry(str(sd)).side


def test_the_evaluation_is_public():
    assert wikiart_lora.evaluate is evaluation.evaluate  # no module of that name hides it
    assert wikiart_lora.EvaluateOptions is EvaluateOptions
