"""The embedded base: its files, and that it follows a prompt."""

import json
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from wikiart_data.styles import STYLES
from wikiart_lora import sampling
from wikiart_lora.base_models.known import TINY
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.sampling import sample_images
from wikiart_lora.tiny_base.autoencoder import held_out_images, load_autoencoder, measure
from wikiart_lora.tiny_base.vocabulary import make_tokenizer


def test_the_embedded_base_follows_the_prompt():
    """The coat has the colour in the prompt, with the same noise."""
    colours = {"red": 0, "green": 1, "blue": 2}
    prompts = [f"a portrait of a person with short black hair in a {colour} coat" for colour in colours]
    images = sample_images(load_base("tiny"), prompts, [0, 0, 0], 64, num_inference_steps=12)
    coats = images[:, :, 52:, 20:44].mean(dim=(2, 3))
    assert [int(coat.argmax()) for coat in coats] == list(colours.values()), coats


def test_guidance_of_a_schedule_that_ends_without_signal_keeps_the_contrast(monkeypatch):
    """As in Lin et al. 2023, §3.4: the same image as that of the pipeline with their φ."""
    monkeypatch.setattr(sampling, "use_bf16", lambda device: False)  # the pipeline below is not autocast either
    base, prompt = load_base("tiny"), "a portrait of a person in a red coat"
    arguments = {"height": 64, "width": 64, "num_inference_steps": 3, "guidance_scale": 5.0, "output_type": "pt"}
    expected = base.pipeline(prompt, **arguments, guidance_rescale=0.7, generator=torch.Generator().manual_seed(0))
    image = sample_images(base, [prompt], [0], 64, 3, 5.0)
    torch.testing.assert_close(image, expected.images, rtol=1e-3, atol=1e-3)
    assert image.std() < sample_images(base, [prompt], [0], 64, 3, 5.0, guidance_rescale=0.0).std()


def test_the_embedded_base_is_small_and_holds_no_code():
    files = [file for file in TINY.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 25_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors"}
    index = json.loads((TINY / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert CLIPTokenizer.from_pretrained(TINY / "tokenizer").tokenize("a lake") == ["a</w>", "lake</w>"]
    images = sample_images(load_base("tiny"), ["a portrait of a person in a red coat"], [0], 64, num_inference_steps=2)
    assert images.isfinite().all()
    assert not any(str(Path.home()) in file.read_text() for file in files if file.suffix == ".json")


def test_the_vocabulary_has_the_words_of_the_styles_as_the_data_spells_them():
    """However they are shown: else the embedded base's vocabulary would not be made again to continue its training."""
    made, embedded = make_tokenizer([]), CLIPTokenizer.from_pretrained(TINY / "tokenizer")
    for word in {word for style in STYLES for word in style.lower().split("_")}:
        assert made.tokenize(word) == embedded.tokenize(word) == [f"{word}</w>"]


def test_the_posterior_of_the_embedded_base_is_narrow():
    """Other trainers draw latents from it."""
    fidelity, _ = measure(load_autoencoder("tiny"), held_out_images()[:8])
    assert fidelity.deviation < max(fidelity.deviations) < 0.05
