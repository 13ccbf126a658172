"""The embedded base: its files, and the command that makes it."""

import json
from pathlib import Path

import torch

from wikiart_lora.bases import TINY
from wikiart_lora.cli import main
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import open_base

QUICK = ["--pictures", "12", "--vae-steps", "2", "--steps", "2", "--batch-size", "2", "--device", "cpu"]


def test_pretraining_goes_on_where_it_was_broken(monkeypatch):
    from safetensors.torch import load_file

    from wikiart_data.training.legacy_run import Run

    assert main(["pretrain", *QUICK, "--precision", "fp32", "--name", "whole"]) == 0
    for break_after in (1, 3):  # in each stage
        steps = iter([False] * (break_after - 1) + [True])
        with monkeypatch.context() as patch:
            patch.setattr(Run, "should_stop", lambda run, steps=steps: next(steps))
            assert main(["pretrain", *QUICK, "--precision", "fp32", "--name", "broken", "--overwrite"]) == 143
        assert main(["pretrain", "--resume", "runs/lora-pretrain/broken"]) == 0
        for part in ("vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model", "text_encoder/model"):
            first, second = (
                load_file(f"runs/lora-pretrain/{name}/base/{part}.safetensors") for name in ("whole", "broken")
            )
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first)
    base = open_base("runs/lora-pretrain/whole/base")
    assert base.family == "sd"
    assert paint(base, ["a portrait"], [0], 64, sampling=1).shape == (1, 3, 64, 64)


def test_the_embedded_base_paints_what_it_is_asked_for():
    """The coat has the colour that was asked for: scenes are read from captions, whatever the noise."""
    asked = {"red": 0, "green": 1, "blue": 2}
    prompts = [f"a portrait of a person with short black hair in a {colour} coat" for colour in asked]
    images = paint(open_base("tiny"), prompts, [0, 0, 0], 64, sampling=12)
    coats = images[:, :, 52:, 20:44].mean(dim=(2, 3))
    assert [int(coat.argmax()) for coat in coats] == list(asked.values()), coats


def test_the_embedded_base_is_small_and_plain():
    files = [file for file in TINY.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors"}
    index = json.loads((TINY / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    from transformers import CLIPTokenizer

    assert CLIPTokenizer.from_pretrained(TINY / "tokenizer").tokenize("a lake") == ["a</w>", "lake</w>"]
    images = paint(open_base("tiny"), ["a portrait of a person in a red coat"], [0], 64, sampling=2)
    assert images.isfinite().all()
    assert not any(str(Path.home()) in file.read_text() for file in files if file.suffix == ".json")
