"""What is done with a trained adapter: pictures, grids, files for others, the card, the score."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wikiart_data.judge import Judge, JudgeInfo
from wikiart_data.training.checkpoints import read_model
from wikiart_lora import card as cards
from wikiart_lora import evaluate as scoring
from wikiart_lora.adapter import load_adapter, set_strength
from wikiart_lora.cli import main
from wikiart_lora.config import EvaluateConfig
from wikiart_lora.families import encode_text
from wikiart_lora.measures import diversity, memorisation
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import open_base
from wikiart_lora.probe import train_probe


@pytest.fixture(scope="module")
def trained(sd, paintings, tmp_path_factory) -> Path:
    """A finished run with adapters in UNet and text encoder, large enough to be seen."""
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["--base", str(sd), "--data", str(paintings), "--runs", str(folder), "--name", "one", "--rank", "3"]
    arguments += [
        "--alpha",
        "6",
        "--steps",
        "3",
        "--batch-size",
        "4",
        "--size",
        "16",
        "--device",
        "cpu",
        "--lr",
        "0.05",
    ]
    arguments += [
        "--targets",
        "all",
        "--text-encoder",
        "attention",
        "--rslora",
        "--ema",
        "0",
        "--cache-dir",
        str(folder / "cache"),
        "--sampling",
        "1",
    ]
    assert main(arguments) == 0
    return folder / "lora" / "one"


def test_damaged_weights_are_refused(trained, tmp_path, capsys):
    whole = (trained / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for damaged in (whole[: header + 40], whole[:-3] + bytes([whole[-3] ^ 64]) + whole[-2:]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        assert main(["generate", str(tmp_path), "--prompt", "a lake", "--device", "cpu"]) == 2
        said = capsys.readouterr().err
        assert "damaged" in said or "truncated" in said
        assert "Traceback" not in said


def pictures_with(sd: Path, file: Path) -> torch.Tensor:
    base = open_base(str(sd))
    load_adapter(base, file)
    return paint(base, ["a red lake", "a house"], [1, 2], 16, sampling=2)


@pytest.mark.parametrize("kind", ["peft", "kohya"])
def test_exported_files_load_back_and_paint_the_same(trained, sd, kind):
    assert main(["export", str(trained), "--format", kind, "--to", "out/styles.safetensors"]) == 0
    ours = pictures_with(sd, trained / "model.safetensors")
    base = open_base(str(sd))
    plain = paint(base, ["a red lake", "a house"], [1, 2], 16, sampling=2)
    assert (ours - plain).abs().max() > 0.02
    torch.testing.assert_close(pictures_with(sd, Path("out/styles.safetensors")), ours, rtol=1e-3, atol=2e-3)
    assert "load_lora_weights" in Path("out/styles.md").read_text()
    assert main(["export", str(trained), "--format", kind, "--to", "out/styles.safetensors"]) == 2


def test_words_of_their_own_load_back_as_peft_alone(sd, options, capsys):
    words = ["--text-encoder", "words", "--optimizer", "muon", "--steps", "3", "--ema", "0", "--name", "words"]
    assert main([*options, *words, "--base", str(sd)]) == 0
    assert main(["export", "runs/lora/words", "--format", "kohya", "--to", "x.safetensors"]) == 2
    assert "no place for embeddings" in capsys.readouterr().err
    assert main(["export", "runs/lora/words", "--format", "peft", "--to", "x.safetensors"]) == 0
    tensors, _ = read_model(Path("x.safetensors"))
    name = "text_encoder.text_model.embeddings.token_embedding.lora_embedding_A"
    assert tensors[name].abs().sum() > 0  # it was 0, and it learned
    base = open_base(str(sd))
    load_adapter(base, Path("x.safetensors"))
    loaded = dict(base.pipeline.text_encoder.named_parameters())
    assert torch.equal(loaded["embeddings.token_embedding.lora_embedding_A.default"], tensors[name])
    with torch.no_grad():
        for strength in (0.0, 1.0):
            set_strength(base, strength)
            plain = answer_of(open_base(str(sd)))
            assert torch.equal(answer_of(base), plain) == (strength == 0)


def answer_of(base):
    return encode_text(base, ["a ukiyo e painting"])["embeds"]


def test_kohya_is_for_unets(flux2, options, capsys):
    assert main([*options, "--base", str(flux2), "--steps", "1", "--name", "flow"]) == 0
    assert main(["export", "runs/lora/flow", "--format", "kohya", "--to", "x.safetensors"]) == 2
    assert "format peft" in capsys.readouterr().err


def test_pictures_know_their_prompt_and_strength_matters(trained):
    for strength in ("0", "1"):
        arguments = ["generate", str(trained), "--style", "ukiyo-e", "--prompt", "a lake", "-n", "2", "--sampling", "2"]
        assert main([*arguments, "--seed", "7", "--strength", strength, "--to", strength]) == 0
    with Image.open("1/001.png") as picture:
        assert picture.info["prompt"] == "a ukiyo e painting of a lake"
        assert picture.info["seed"] == "8"
        assert picture.size == (16, 16)
        after = np.asarray(picture).copy()
    with Image.open("0/001.png") as picture:
        assert not np.array_equal(np.asarray(picture), after)


def test_a_grid_of_styles_and_strengths(trained, capsys):
    assert main(["grid", str(trained), "--strengths", "0.5", "1", "--sampling", "1", "--to", "grid.png"]) == 0
    assert "3 styles × 3 strengths" in capsys.readouterr().out
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG")
    assert main(["grid", str(trained), "--styles", "Pop_Art"]) == 2
    assert main(["generate", str(trained), "--side", "17"]) == 2


def a_judge() -> Judge:
    """Tells the three plain colours apart."""

    class ByColour(torch.nn.Module):
        def forward(self, images):
            means = images.mean(dim=(2, 3))
            return (20 * means).softmax(dim=1), means

    info = JudgeInfo(
        ("Baroque", "Cubism", "Ukiyo_e"), 16, seed=0, network="by colour", width=1.0, top1=1.0, top3=1.0, split="test"
    )
    return Judge(info, ByColour())


def test_the_score_with_a_judge(trained, monkeypatch, capsys):
    monkeypatch.setattr(scoring.Judge, "load", lambda folder, device: a_judge())
    assert main(["evaluate", str(trained), "--judge", "judge", "--pictures", "3", "--sampling", "1"]) == 0
    told = capsys.readouterr().out
    assert "top-1" in told
    result = json.loads((trained / "score/result.json").read_text())
    assert result["n"] == 9
    assert result["training"]["steps"] == 3
    assert result["rows"]["real"]["top1"]["value"] == 1.0
    for name in ("base", "adapted"):
        row = result["rows"][name]
        assert row["top1"]["interval"][0] <= row["top1"]["value"] <= row["top1"]["interval"][1]
        assert row["top1"]["n"] == 9
        assert {"kid", "diversity"} <= row.keys()
    assert {entry["style"] for entry in result["per_style"]} == {"Baroque", "Cubism", "Ukiyo_e"}
    assert all("kid" in entry["adapted"] for entry in result["per_style"])
    assert "hit rate" in result["targets"]
    for figure in ("score", "before-after", "nearest"):
        assert (trained / f"score/figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    text = cards.card(trained)
    assert "| base |" in text
    assert "| rank | 3 |" in text


def test_without_a_judge_the_rest_is_scored(trained, capsys):
    result = scoring.score(EvaluateConfig(trained, pictures=2, sampling=1, device="cpu"))
    assert "no judge" in capsys.readouterr().out
    assert "top1" not in result["rows"]["adapted"]
    assert result["rows"]["adapted"]["diversity"]["value"] > 0
    assert result["memorisation"]["adapted"]["painted"]["value"] > 0


def test_a_push_without_network_is_a_sentence(trained, capsys):
    assert main(["export", str(trained), "--to", "a.safetensors", "--push-to-hub", "somebody/styles"]) == 2
    assert "could not be pushed" in capsys.readouterr().err


def test_the_measures_on_numbers_known_beforehand():
    torch.manual_seed(0)
    assert diversity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-9)
    assert diversity(torch.eye(4)) == pytest.approx(1)
    train, held = torch.randn(50, 12), torch.randn(50, 12)
    copied = memorisation(train[:20] + 0.001, train, held)
    assert copied["painted"]["value"] < 0.01
    assert copied["closer"]["value"] == 1.0
    fresh = memorisation(torch.randn(50, 12), train, held)
    assert fresh["closer"]["value"] < 0.2


def test_the_probe_tells_scenes_apart():
    from wikiart_data.sample import SCENES, paint, scene

    def some(first: int) -> tuple[torch.Tensor, torch.Tensor]:
        made = [paint(scene(kind, first + seed), "photograph", 32) for seed in range(16) for kind in SCENES]
        kinds = torch.arange(len(SCENES)).repeat(16)
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255, kinds

    probe = train_probe(*some(0), *some(500))
    assert probe.on_valid["value"] > 0.5
