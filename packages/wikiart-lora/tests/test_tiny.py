"""The embedded base: its files, and the command that pretrains it."""

import json
from pathlib import Path

import torch

from wikiart_lora.base_models.known import TINY
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cli import main
from wikiart_lora.sampling import sample_images

QUICK = ["--num-scenes", "12", "--vae-steps", "2", "--steps", "2", "--batch-size", "2", "--device", "cpu"]


def test_a_resumed_pretraining_ends_with_the_same_weights(monkeypatch):
    from safetensors.torch import load_file

    from wikiart_data.training.training_run import TrainingRun

    assert main(["pretrain", *QUICK, "--precision", "fp32", "--name", "whole"]) == 0
    for stop_after in (1, 3):  # in each stage
        steps = iter([False] * (stop_after - 1) + [True])
        with monkeypatch.context() as patch:
            patch.setattr(TrainingRun, "_should_stop", lambda *_, steps=steps: next(steps))
            assert main(["pretrain", *QUICK, "--precision", "fp32", "--name", "interrupted", "--overwrite"]) == 143
        assert main(["pretrain", "--resume", "runs/lora-pretrain/interrupted"]) == 0
        for part in ("vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model", "text_encoder/model"):
            first, second = (
                load_file(f"runs/lora-pretrain/{name}/base/{part}.safetensors") for name in ("whole", "interrupted")
            )
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first)
    base = load_base("runs/lora-pretrain/whole/base")
    assert base.family == "sd"
    assert sample_images(base, ["a portrait"], [0], 64, num_inference_steps=1).shape == (1, 3, 64, 64)


def test_the_embedded_base_follows_the_prompt():
    """The coat has the colour in the prompt, with the same noise."""
    colours = {"red": 0, "green": 1, "blue": 2}
    prompts = [f"a portrait of a person with short black hair in a {colour} coat" for colour in colours]
    images = sample_images(load_base("tiny"), prompts, [0, 0, 0], 64, num_inference_steps=12)
    coats = images[:, :, 52:, 20:44].mean(dim=(2, 3))
    assert [int(coat.argmax()) for coat in coats] == list(colours.values()), coats


def test_the_embedded_base_is_small_and_holds_no_code():
    files = [file for file in TINY.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors"}
    index = json.loads((TINY / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    from transformers import CLIPTokenizer

    assert CLIPTokenizer.from_pretrained(TINY / "tokenizer").tokenize("a lake") == ["a</w>", "lake</w>"]
    images = sample_images(load_base("tiny"), ["a portrait of a person in a red coat"], [0], 64, num_inference_steps=2)
    assert images.isfinite().all()
    assert not any(str(Path.home()) in file.read_text() for file in files if file.suffix == ".json")
