"""The evaluation of an adapter: what is measured, on which images, and each measure on known numbers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.judge import Judge, JudgeInfo
from wikiart_data.results.statistics import proportion
from wikiart_data.sample import MARK
from wikiart_lora import evaluation
from wikiart_lora.cli import main
from wikiart_lora.metrics import balanced_proportion, diversity, memorisation
from wikiart_lora.model_card import model_card
from wikiart_lora.options import EvaluateOptions
from wikiart_lora.real_images import HeldOut, choose_held_out
from wikiart_lora.score import Measures, Score, compare_with_targets, has_targets
from wikiart_lora.tiny_base import scene_probe
from wikiart_lora.tiny_base.scene_probe import scene_accuracy, train_scene_probe


def colour_judge() -> Judge:
    """A judge that tells the three colours apart."""

    class ByColour(torch.nn.Module):
        def forward(self, images):
            means = images.mean(dim=(2, 3))
            return (20 * means).softmax(dim=1), means

    info = JudgeInfo(
        ("Baroque", "Cubism", "Ukiyo_e"), 16, seed=0, network="by colour", top1=1.0, top3=1.0, split="test"
    )
    return Judge(info, ByColour())


def test_evaluation_with_a_judge(trained, monkeypatch, capsys):
    monkeypatch.setattr(evaluation.Judge, "load", lambda folder, device: colour_judge())
    arguments = ["--judge", "judge", "--images-per-style", "3", "--num-inference-steps", "1"]
    assert main(["evaluate", str(trained), *arguments]) == 0
    assert "top-1" in capsys.readouterr().out
    content = json.loads((trained / "score/result.json").read_text())
    score = Score.from_json(content)
    assert (score.n, score.training["steps"], score.rows["real"].top1.value) == (9, 3, 1.0)
    assert score.split == "test"
    for name in ("base", "adapted"):
        row = score.rows[name]
        assert row.top1.interval[0] <= row.top1.value <= row.top1.interval[1]
        assert row.top1.n == 9
        assert row.kid is not None
        assert row.diversity is not None
    assert {row.style for row in score.per_style} == {"Baroque", "Cubism", "Ukiyo_e"}
    assert all(row.adapted.kid is not None for row in score.per_style)
    assert score.targets == {}  # the aims are those of another base
    assert score.drift.scene is None  # no sample set
    assert score.drift.kid.value != score.drift.kid_of_base.value
    assert [row[0] for row in content["tables"][1]["rows"]] == ["base", "with the adapter"]
    for figure in ("score", "before-after", "nearest"):
        assert (trained / f"score/figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    rows = {row[0]: row for row in content["tables"][0]["rows"]}
    assert rows["adapted"][1]["value"] == score.rows["adapted"].top1.value
    assert rows["chance"][1]["value"] == pytest.approx(1 / 3)
    card = model_card(trained)
    assert "| base |" in card
    assert "| rank | 3 |" in card


def test_evaluation_without_a_judge(trained, capsys):
    score = evaluation.evaluate(EvaluateOptions(trained, images_per_style=2, num_inference_steps=1, device="cpu"))
    assert "There is no judge" in capsys.readouterr().out
    assert score.judge is None
    assert score.rows["adapted"].top1 is None
    assert score.rows["adapted"].diversity.value > 0
    assert score.memorisation["adapted"].painted.value > 0
    assert Score.from_json(json.loads((trained / "score/result.json").read_text())).rows == score.rows
    installed = replace(score, git_commit=None)  # a copy that is in no repository
    assert Score.from_json(json.loads(json.dumps(installed.to_json()))) == installed
    assert "| adapted |" in model_card(trained)
    (trained / "score/result.json").write_text('{"per_style": []}')
    assert "| adapted |" not in model_card(trained)


def test_other_settings_have_a_score_of_their_own(trained):
    sampling = {"images_per_style": 1, "num_inference_steps": 1, "device": "cpu"}
    for settings in ({}, {"split": "valid", "strength": 0.5}):
        evaluation.evaluate(EvaluateOptions(trained, **sampling, **settings))
    folders = ("score", "score-valid-0.5")
    whole, half = (json.loads((trained / folder / "result.json").read_text()) for folder in folders)
    assert (whole["strength"], half["strength"]) == (1.0, 0.5)
    assert (whole["split"], half["split"]) == ("test", "valid")
    assert "strength" not in whole["tables"][0]["title"]
    assert half["tables"][0]["title"].endswith("strength 0.5")
    differences = [score["memorisation"]["adapted"]["painted"]["value"] for score in (whole, half)]
    assert differences[0] != differences[1]


def test_aims_are_those_of_tiny_on_the_sample_set(tmp_path):
    assert not has_targets("tiny", tmp_path)
    (tmp_path / MARK).touch()
    assert has_targets("tiny", tmp_path)
    assert not has_targets("sd15", tmp_path)
    torch.manual_seed(0)
    near = memorisation(torch.randn(5, 12), torch.randn(5, 12), torch.randn(5, 12))
    rows = {name: Measures(proportion(np.array([True, False])), None) for name in ("base", "adapted")}
    targets = compare_with_targets(rows, near, None)
    assert (targets["hit rate"].value, targets["hit rate"].reached) == (0.5, True)
    assert targets["hit rate, times the base's"].reached is False
    assert targets["images nearer to a training image than 95 % of held-out ones"].aim == 0.06


def keep(catalog: Catalog, *wanted: tuple[str, int, int]) -> Catalog:
    """The catalog with only so many images (split, style, number) in valid and test."""
    splits = catalog.splits.copy()
    splits[splits != "train"] = ""
    for split, style, number in wanted:
        splits[np.flatnonzero((catalog.splits == split) & (catalog.labels == style))[:number]] = split
    return replace(catalog, splits=splits)


def test_a_rare_style_is_compared_with_valid_and_then_with_all_styles(paintings):
    catalog = scan(paintings)
    both = keep(catalog, ("test", 2, 2), ("valid", 2, 2))
    assert choose_held_out(both, "test", [2]) == HeldOut("test", all_styles=False)
    assert choose_held_out(both, "valid", [2]) == HeldOut("valid", all_styles=False)
    rare = keep(catalog, ("test", 2, 1), ("valid", 2, 2))
    assert choose_held_out(rare, "test", [2]) == HeldOut("valid", all_styles=False)
    others = keep(catalog, ("test", 0, 2), ("valid", 2, 1))
    assert choose_held_out(others, "test", [2]) == HeldOut("test", all_styles=True)
    with pytest.raises(InputError) as error:
        choose_held_out(keep(catalog, ("test", 0, 1), ("valid", 2, 1)), "test", [2])
    assert error.value.field == str(catalog.root)


def test_an_adapter_of_a_rare_style_is_evaluated(trained_on_one_style, paintings, tmp_path, monkeypatch, capsys):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    for split in ("valid", "test"):
        for file in sorted((root / split / "Ukiyo_e").iterdir())[1:]:
            file.unlink()
    monkeypatch.setattr(evaluation.Judge, "load", lambda folder, device: colour_judge())
    monkeypatch.setattr(evaluation, "sample_images", lambda base, texts, seeds, size, *_, **__: noise(len(texts), size))
    arguments = ["--data", str(root), "--judge", "judge", "--images-per-style", "2"]
    assert main(["evaluate", str(trained_on_one_style), *arguments]) == 0
    score = Score.from_json(json.loads((trained_on_one_style / "score/result.json").read_text()))
    assert (score.split, score.real_of_all_styles, score.styles) == ("test", True, 1)
    assert score.rows["real"].top1.value == 1.0
    assert score.rows["adapted"].kid is None  # there are too few images of the style
    assert score.memorisation["adapted"].held_out.n > 1
    assert "of all styles" in " ".join(capsys.readouterr().out.split())


def noise(number: int, size: int) -> torch.Tensor:
    return torch.rand(number, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_too_few_held_out_images_are_refused_before_training(options, paintings, tmp_path, capsys):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    shutil.rmtree(root / "test")
    for file in sorted((root / "valid").rglob("*.jpg"))[1:]:
        file.unlink()
    assert main([*options, "--data", str(root), "--score", "2"]) == 2
    assert str(root) in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_split_decides_which_real_images_and_titles_are_used(trained, paintings, tmp_path, monkeypatch, capsys):
    splits, prompts = [], []

    def read(catalog, rows, size, **options):
        splits.extend({catalog.splits[row] for row in rows})
        return read_real_images(catalog, rows, size, **options)

    def sample(base, texts, seeds, size, *more, **options):
        prompts.extend(texts)
        return torch.rand(len(texts), 3, size, size)

    read_real_images = evaluation.read_real_images
    monkeypatch.setattr(evaluation, "read_real_images", read)
    monkeypatch.setattr(evaluation, "sample_images", sample)
    without_test = tmp_path / "paintings"
    shutil.copytree(paintings, without_test)
    shutil.rmtree(without_test / "test")
    cases = (([], "test"), (["--split", "valid"], "valid"), (["--data", str(without_test)], "valid"))
    for options, split in cases:
        splits.clear()
        prompts.clear()
        assert main(["evaluate", str(trained), "--images-per-style", "1", *options]) == 0
        assert splits == ["train", split]
        assert prompts
        assert all(prompt.endswith(f"lake {split}") for prompt in prompts)
        assert f"Real images: of {split}." in " ".join(capsys.readouterr().out.split())
        folder = "score-valid" if options == ["--split", "valid"] else "score"
        assert json.loads((trained / folder / "result.json").read_text())["split"] == split


def test_metrics_on_known_numbers():
    torch.manual_seed(0)
    assert diversity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-9)
    assert diversity(torch.eye(4)) == pytest.approx(1)
    train, held_out = torch.randn(50, 12), torch.randn(50, 12)
    copied = memorisation(train[:20] + 0.001, train, held_out)
    assert copied.painted.value < 0.01
    assert copied.closer.value == 1.0
    assert memorisation(torch.randn(50, 12), train, held_out).closer.value < 0.2


def test_styles_count_equally_in_a_balanced_proportion():
    hits, labels = np.array([True] * 90 + [False] * 10), np.array([0] * 90 + [1] * 10)
    estimate = balanced_proportion(hits, labels)
    assert (estimate.value, estimate.n) == (0.5, 100)
    assert estimate.interval == (0.5, 0.5)  # no style has a variance
    mixed = balanced_proportion(np.arange(100) % 2 == 0, labels)
    assert mixed.interval[0] < mixed.value == 0.5 < mixed.interval[1]


def test_drift_is_measured_on_prompts_without_a_style():
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(24, 3, 16, 16, generator=generator)
    kinds = np.arange(24) % 2
    prompts = evaluation.Prompts(np.zeros(24), ("",) * 24, ("",) * 24, kinds, tuple(range(24)))
    brightness = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    same = evaluation.measure_drift({"base": base, "adapted": base}, prompts, colour_judge(), brightness)
    assert same.kid == same.kid_of_base
    assert same.scene == same.scene_of_base
    darker = evaluation.measure_drift({"base": base, "adapted": base / 2}, prompts, colour_judge(), None)
    assert darker.kid.value > 10 * abs(darker.kid_of_base.value)
    assert evaluation.measure_drift({}, prompts, None, None) is None


def test_the_scene_probe_generalises_to_new_scenes(monkeypatch):
    from wikiart_data.sample import SCENES, paint, scene

    def render(first_seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = [paint(scene(kind, first_seed + seed), "photograph", 32) for seed in range(16) for kind in SCENES]
        kinds = torch.arange(len(SCENES)).repeat(16)
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, kinds

    monkeypatch.setattr(scene_probe, "STEPS", 40)  # instead of 240: 89 % right instead of 90
    probe = train_scene_probe(*render(0))
    images, kinds = render(500)
    assert scene_accuracy(probe, images, kinds.numpy()).value > 0.5
