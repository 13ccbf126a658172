"""`wikiart-stylegen evaluate`: every figure next to its baselines."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.judge import Judge
from wikiart_data.results.serialization import to_plain
from wikiart_data.training.checkpoints import read_model, write_model
from wikiart_stylegen import EvaluateOptions, StyleTransfer, evaluate
from wikiart_stylegen.cli import main
from wikiart_stylegen.evaluation import measure
from wikiart_stylegen.ground_truth import GroundTruth, StyleTruth, TruthScore
from wikiart_stylegen.judging import JudgedImages, compare_at_same_mix
from wikiart_stylegen.results import EvaluationResult
from wikiart_stylegen.targets import choose_target_styles

from .conftest import STYLES


@pytest.fixture(scope="module")
def evaluation(trained, judge, tmp_path_factory) -> Path:
    """The folder of an evaluation."""
    arguments = ["evaluate", str(trained), "--judge", str(judge), "--second-judge", str(judge), "--device", "cpu"]
    assert main([*arguments, "--cache-dir", str(tmp_path_factory.mktemp("cache"))]) == 0
    return trained / "evaluation"


def test_the_result_holds_every_kind_of_image_and_its_baselines(evaluation):
    result = EvaluationResult.from_json(json.loads((evaluation / "result.json").read_text()))
    variants = result.variants
    assert set(variants) == {"mismatched", "matched", "shuffled", "null", "unchanged", "colour_transfer", "real"}
    assert (result.n, result.styles) == (48, 4)
    # The judge goes by colour, of which these images' styles are made; an input never has the colour of another style.
    assert variants["real"].top1.value > 0.9
    assert variants["unchanged"].top1.value < 0.1
    assert variants["colour_transfer"].top1.value > 0.9
    assert variants["unchanged"].ssim.value == pytest.approx(1, abs=1e-4)
    assert variants["unchanged"].retrieval.value == 1
    assert 0 <= result.leakage.probe_top1 <= 1
    assert result.sensitivity.style_change.value > 0
    at_strength = {row.strength: row.score for row in result.strengths}
    assert at_strength[1.0].top1 == variants["mismatched"].top1
    assert {row.style for row in result.kid} == set(STYLES)
    assert {row.style for row in result.per_style} == set(STYLES)
    assert result.all_styles.styles == STYLES
    assert result.all_styles.repaints == variants["mismatched"].top1
    assert result.nearest_training.held_out_median > 0
    # The second judge is the first one here: it must say the same.
    assert result.second_judge.top1 == {name: score.top1 for name, score in variants.items()}
    assert result.second_judge.all_styles == result.all_styles
    assert (result.training.seed, result.training.epochs, result.training.conditioning) == (0, 5, "film")


def test_the_files_of_an_evaluation(evaluation):
    assert (evaluation / "figures/evaluation.png").read_bytes().startswith(b"\x89PNG")
    with (evaluation / "nearest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert all(row["nearest_training_image"].startswith("train/") for row in rows)
    titles = [table["title"] for table in json.loads((evaluation / "result.json").read_text())["tables"]]
    assert len(titles) == 6
    page = (evaluation.parent / "index.html").read_text(encoding="utf-8")
    assert all(title in page for title in titles)


def test_target_styles_need_enough_training_images(trained, judge, capsys):
    assert main(["evaluate", str(trained), "--judge", str(judge), "--min-train-images", "25"]) == 2
    assert "--min-train-images" in capsys.readouterr().err


def test_a_judge_of_other_styles_is_rejected(trained, judge, tmp_path):
    about = json.loads((judge / "judge.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.pt2").write_bytes((judge / "model.pt2").read_bytes())
    (tmp_path / "other" / "judge.json").write_text(json.dumps({**about, "styles": [*STYLES[:3], "Rococo"]}))
    with pytest.raises(InputError) as error:
        evaluate(EvaluateOptions(model=trained, judge=tmp_path / "other", device="cpu"))
    assert error.value.field == str(tmp_path / "other")


def without_training_images(packed: PackedImages, label: int, **splits: list[int]) -> PackedImages:
    """The images of a pack without the training images of a style; of the named splits, only some rows are left."""
    catalog = packed.catalog
    left_out = (catalog.splits == "train") & (catalog.labels == label)
    for split, rows in splits.items():
        left_out |= (catalog.splits == split) & ~np.isin(np.arange(len(catalog)), rows)
    return replace(packed, catalog=replace(catalog, splits=np.where(left_out, "", catalog.splits)))


def test_one_image_and_a_style_without_training_images(trained, judge, paintings):
    packed = pack(scan(paintings), 32)
    row = next(row for row in packed.rows("test") if packed.catalog.labels[row] == 0)
    packed = without_training_images(packed, 0, test=[row])
    one_judge = Judge.load(judge)
    options = EvaluateOptions(model=trained, judge=judge, device="cpu")
    result, nearest = measure(StyleTransfer.load(trained, "cpu"), one_judge, packed, options, second_judge=one_judge)
    assert (result.n, result.styles) == (1, 3)
    assert "real" not in result.variants  # the image is of no target style
    assert set(result.second_judge.top1) == set(result.variants)
    assert {row.style for row in result.per_style} <= set(STYLES[1:])
    assert result.tables()[0].rows[-1][-1].value == 1  # the chance of finding the only image
    assert EvaluationResult.from_json(to_plain(result)) == result
    assert len(nearest.splitlines()) == 2


def test_target_styles_have_training_images(paintings):
    packed = without_training_images(pack(scan(paintings), 32), 2)
    for fewest in (None, 1, 24):
        assert choose_target_styles(packed, fewest).tolist() == [0, 1, 3]
    for label in (0, 1):
        packed = without_training_images(packed, label)
    with pytest.raises(InputError) as error:
        choose_target_styles(packed, None)
    assert error.value.field == str(paintings)


@pytest.mark.parametrize("change", [{"styles": STYLES[::-1]}, {"size": 64}, {"artist_half": "second"}])
def test_a_baseline_of_other_styles_size_or_artists_is_rejected(trained, judge, tmp_path, change):
    tensors, metadata = read_model(trained / "model.safetensors")
    other = {"styles": STYLES, **json.loads(metadata["config"]), **change}
    other = {"styles": json.dumps(other.pop("styles")), "config": json.dumps(other)}
    write_model(tmp_path / "model.safetensors", tensors, other)
    with pytest.raises(InputError) as error:
        evaluate(EvaluateOptions(model=trained, judge=judge, baseline=tmp_path, device="cpu"))
    assert error.value.field == "--baseline"


def judged(targets: list[int], predictions: list[int]) -> JudgedImages:
    probabilities = torch.nn.functional.one_hot(torch.tensor(predictions), 3).float()
    return JudgedImages("", torch.empty(0), np.array(targets), probabilities, torch.empty(0))


def test_the_same_mix_weights_real_styles_by_the_targets_and_leaves_out_what_is_never_recognised():
    # Real paintings: style 0 recognised in 3 of 4, style 1 in 1 of 2, style 2 in none of 2.
    real = judged([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 0, 0, 1])
    repaints = judged([0, 1, 1, 1, 2, 2], [0, 1, 1, 0, 2, 2])
    colours = judged([0, 1, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0])
    everything, recognised, unrecognised = compare_at_same_mix(repaints, colours, real, ("a", "b", "c"), 0)
    assert unrecognised == ("c",)
    assert everything.styles == ("a", "b", "c")
    assert everything.repaints.value == pytest.approx(5 / 6)
    assert everything.real.value == pytest.approx((1 * 0.75 + 3 * 0.5 + 2 * 0) / 6)
    assert recognised.styles == ("a", "b")
    assert recognised.repaints.value == pytest.approx(3 / 4)
    assert recognised.colour_transfer.value == pytest.approx(1 / 4)
    assert recognised.real.value == pytest.approx((1 * 0.75 + 3 * 0.5) / 4)
    low, high = recognised.real.interval
    assert low < recognised.real.value < high


def test_wins_against_the_ground_truth_by_hand():
    def style(repaint: float, inputs: float, painter: float) -> StyleTruth:
        scores = {"repaint": repaint, "input": inputs, "another painter": painter}
        return StyleTruth("", 1, {kind: TruthScore(value, -value) for kind, value in scores.items()})

    truth = GroundTruth({}, (style(3, 1, 2), style(2, 1, 3), style(1, 2, 3)))
    assert truth.closer_than_input("repaint", "psnr") == 2
    assert truth.closer_than_input("repaint", "ssim") == 1
    assert [truth.wins(kind, "psnr") for kind in ("repaint", "input", "another painter")] == [1, 0, 2]
    assert [truth.wins(kind, "ssim") for kind in ("repaint", "input", "another painter")] == [1, 2, 0]
