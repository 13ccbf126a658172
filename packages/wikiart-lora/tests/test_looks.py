"""Looks of a photograph, and the words for them."""

import pytest
import torch

from wikiart_data.styles import STYLES, readable
from wikiart_lora.looks import GROUPS, NAMED, NAMES, Shown, described, developed, draw_looks
from wikiart_lora.scenes import photographs, scenes

EVERY = [name for group in GROUPS for name in group]


@pytest.mark.parametrize("look", EVERY)
def test_a_look_changes_a_picture_and_keeps_its_range(look):
    image = photographs(scenes(2))[1].permute(2, 0, 1).float() / 255
    found = developed(image, [look], torch.Generator().manual_seed(0))
    assert found.shape == image.shape
    assert 0 <= found.min() <= found.max() <= 1
    assert (found - image).abs().mean() > 0.005
    assert torch.equal(found, developed(image, [look], torch.Generator().manual_seed(0)))


def test_no_look_leaves_the_picture():
    image = torch.rand(3, 64, 64)
    assert torch.equal(developed(image, (), torch.Generator()), image)


def test_no_style_is_among_the_words():
    said = {word for shown in draw_looks(2000, 0, NAMED) for word in (*" ".join(shown.looks).split(), shown.name)}
    styles = {word for style in STYLES for word in readable(style).lower().split()}
    assert not said & styles


def test_a_name_stands_for_the_same_looks_everywhere():
    drawn = draw_looks(4000, 0, NAMED)
    assert drawn == draw_looks(4000, 0, NAMED)
    assert drawn != draw_looks(4000, 1, NAMED)
    named = [shown for shown in drawn if shown.name]
    assert abs(len(named) / len(drawn) - NAMED) < 0.03
    meaning = {shown.name: shown.looks for shown in named}
    assert len(meaning) == NAMES
    assert all(meaning[shown.name] == shown.looks for shown in named)


def test_captions_say_the_scene_and_how_it_is_shown():
    for turn in range(16):
        assert "grey flat" in described("a lake", Shown(("grey", "flat")), turn)
        by_name = described("a lake", Shown(("grey", "flat"), "bako"), turn)
        assert "bako" in by_name
        assert "grey" not in by_name
        assert "a lake" in by_name
        assert described("a lake", Shown(()), turn) in ("a lake", "a photograph of a lake")
