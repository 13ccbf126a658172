"""Whether a base paints what a caption says."""

import numpy as np
import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.sample.scenes import caption
from wikiart_lora.cli import main
from wikiart_lora.tiny_base import base_quality, scene_probe
from wikiart_lora.tiny_base.base_quality import COATS, coat_colours, evaluate_base
from wikiart_lora.tiny_base.config import EvaluateBaseOptions


def test_coats_are_counted_on_renderings_and_on_what_the_base_paints(monkeypatch, tmp_path):
    """A base is simulated that paints everything red."""
    monkeypatch.setattr(base_quality, "PROBE_SCENES", 96)
    monkeypatch.setattr(scene_probe, "STEPS", 40)

    def paint(base, prompts, seeds, *_, **__):
        portraits = [next(base_quality._portraits_in(colour)) for colour in COATS]
        assert prompts[-3:] == [caption(scene) for scene in portraits]
        assert all(f"{colour} coat" in prompt for colour, prompt in zip(COATS, prompts[-3:], strict=True))
        assert seeds == list(range(5, 5 + len(prompts)))
        red = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
        return red.expand(len(prompts), 3, 64, 64)

    monkeypatch.setattr(base_quality, "sample_images", paint)
    options = EvaluateBaseOptions(num_scenes=12, num_coats=3, to=tmp_path / "x.png", seed=5, device="cpu")
    quality = evaluate_base(options)
    assert quality.coats.value == pytest.approx(1 / 3)
    assert quality.coats_rendered.value == 1.0
    assert quality.scenes.value == pytest.approx(1 / 6)  # all images are alike, so one kind of six is right
    assert quality.scenes_rendered.value > 0.3
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_coat_has_the_colour_of_its_largest_channel_whatever_the_wall():
    images = torch.full((3, 3, 64, 64), 0.5)
    images[:, 1] = 0.9  # a green wall
    for index in range(3):
        images[index, :, 50:, 18:46] = 0.2
        images[index, index, 50:, 18:46] = 0.4
    assert np.array_equal(coat_colours(images), [0, 1, 2])


def test_a_base_of_other_sizes_is_refused(sd):
    with pytest.raises(InputError) as caught:
        evaluate_base(EvaluateBaseOptions(base=str(sd)))
    assert caught.value.field == "--base"
    assert main(["evaluate-base", "--num-coats", "1"]) == 2
