"""Scenes and painters: deterministic, all different, with the composition preserved and true captions."""

import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from wikiart_data.sample import PHOTOGRAPH, RENDERINGS, SCENES, Scene, caption, contact_sheet, paint, scene
from wikiart_data.sample.table import PALETTES, TABLE
from wikiart_data.styles import STYLES

# Styles that do not depict things, or distort them on purpose.
ABSTRACT = {"Abstract_Expressionism", "Action_painting", "Color_Field_Painting", "Minimalism", "New_Realism"}
BENT = {"Mannerism_Late_Renaissance"}
FIGURATIVE = [style for style in STYLES if style not in ABSTRACT | BENT]


def _digest() -> str:
    digest = hashlib.sha256()
    for i, style in enumerate(RENDERINGS):
        digest.update(paint(Scene(SCENES[i % 6], i), style, 48, "ada-morrand").tobytes())
    for kind in SCENES:
        digest.update(caption(Scene(kind, 5)).encode())
    return digest.hexdigest()


def test_same_bytes_in_another_process_with_another_hash_seed():
    code = "import test_sample_paint; print(test_sample_paint._digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == _digest()


@pytest.mark.parametrize("size", [16, 33, 96])
def test_every_rendering_is_an_rgb_picture_of_the_requested_size(size):
    for i, style in enumerate(RENDERINGS):
        picture = paint(Scene(SCENES[i % 6], i), style, size)
        assert picture.shape == (size, size, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 1, f"{style} at {size} is one flat colour"


def test_all_renderings_of_a_scene_differ():
    pictures = {style: paint(Scene("figures", 9), style, 64).astype(int) for style in RENDERINGS}
    for first in RENDERINGS:
        for second in RENDERINGS[RENDERINGS.index(first) + 1 :]:
            assert np.abs(pictures[first] - pictures[second]).mean() > 4, (first, second)


def test_the_table_has_a_row_for_each_style_and_its_palettes_exist():
    assert tuple(TABLE) == STYLES
    assert {name for row in TABLE.values() for name in row.palettes.split()} <= set(PALETTES)
    assert RENDERINGS[-1] == PHOTOGRAPH
    assert PHOTOGRAPH not in STYLES


def test_photograph_is_the_plain_scene():
    layers = Scene("city", 3).render(64)
    assert np.abs(paint(Scene("city", 3), PHOTOGRAPH, 64) / 255 - layers.colour).max() <= 0.5 / 255 + 1e-6


def test_artists_differ_within_a_style_and_are_reproducible():
    picture, same, other = (paint(Scene("portrait", 2), "Realism", 64, who) for who in ("ada-x", "ada-x", "bo-y"))
    assert (picture == same).all()
    assert (picture != other).any()


def _masses(picture: np.ndarray) -> np.ndarray:
    """Colour masses on an 8 × 8 grid, each channel standardised, as one vector of length 192."""
    side = picture.shape[0] // 8
    coarse = picture.reshape(8, side, 8, side, 3).mean((1, 3))
    return ((coarse - coarse.mean((0, 1))) / (coarse.std((0, 1)) + 1e-6)).ravel() / np.sqrt(192)


def _edges(picture: np.ndarray) -> np.ndarray:
    """Strength of edges on a 16 × 16 grid, standardised, as one vector of length 256."""
    grey = picture.mean(-1)
    strength = np.hypot(*np.gradient(grey))
    side = grey.shape[0] // 16
    coarse = strength.reshape(16, side, 16, side).mean((1, 3)).ravel()
    return (coarse - coarse.mean()) / (coarse.std() + 1e-6) / 16


def test_composition_is_preserved():
    scenes = [Scene(kind, seed) for kind in SCENES for seed in (21, 22)]
    plain = [paint(s, PHOTOGRAPH, 64) for s in scenes]
    masses, edges = np.stack([_masses(p) for p in plain]), np.stack([_edges(p) for p in plain])
    recovered = {}
    for style in STYLES:
        painted = [paint(s, style, 64) for s in scenes]
        alike = np.stack([_masses(p) for p in painted]) @ masses.T
        alike += np.stack([_edges(p) for p in painted]) @ edges.T
        recovered[style] = float((alike.argmax(1) == np.arange(len(scenes))).mean())
    lost = {style: rate for style, rate in recovered.items() if style in FIGURATIVE and rate < 0.75}
    assert not lost, f"the scene is recognised too rarely among {len(scenes)}: {lost}"
    assert np.mean([recovered[style] for style in FIGURATIVE]) > 0.9
    assert np.mean([recovered[style] for style in ABSTRACT]) > 3 / len(scenes), recovered


def test_captions_are_plain_sentences_and_mostly_all_different():
    captions = [caption(Scene(kind, seed)) for kind in SCENES for seed in range(40)]
    for text in captions:
        assert re.fullmatch(r"[a-z, ]+", text), text
        assert "nothing else" not in text
        assert not re.search(r"\ba [aeio]", text), text
    assert len(set(captions)) > 0.9 * len(captions)


@pytest.mark.parametrize("kind", SCENES)
def test_captions_count_what_can_be_seen(kind):
    """An independent count, out of the picture: each thing named has a region of its own in the rendered scene."""
    from wikiart_data.sample.scenes import _stage

    numbers = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    for seed in range(12):
        here = Scene(kind, seed)
        names = [thing.name for thing in _stage(here).things]
        area = np.bincount(here.render(128).regions.ravel(), minlength=len(names))
        for noun in {name for name in names if name}:
            visible = sum(area[i] > 0 for i, name in enumerate(names) if name == noun)
            clear = sum(area[i] > 60 for i, name in enumerate(names) if name == noun)
            stem = re.escape(noun)
            counted = re.search(
                rf"\b(a|an|two|three|four|five|six|seven) {stem}(?:e?s)?(?=,| and | on | in | under |$)", caption(here)
            )
            count = numbers[counted[1]] if counted else 0
            assert clear <= count <= visible, (here, noun, caption(here))


def test_sun_in_the_caption_is_in_the_picture():
    seen = 0
    for seed in range(60):
        here = Scene("landscape", seed)
        layers, text = here.render(96), caption(here)
        if "under a red sun" in text:
            x, y, _ = layers.focus
            red, green, blue = layers.colour[int(y * 96), int(x * 96)]
            assert red > 1.5 * green, text
            assert red > 1.5 * blue, text
            seen += 1
    assert seen > 2


def test_scenes_of_a_kind_vary():
    for kind in SCENES:
        pictures = np.stack([paint(Scene(kind, seed), PHOTOGRAPH, 32).ravel() for seed in range(8)]).astype(float)
        apart = np.abs(pictures[:, None] - pictures[None]).mean(-1)[~np.eye(8, dtype=bool)]
        assert apart.min() > 8, kind


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scene("seascape", 1), "no scene of kind 'seascape'"),
        (lambda: scene("city", -1), "0 or more"),
        (lambda: paint(Scene("city", 1), "Cubismo", 64), "no style 'Cubismo'"),
        (lambda: paint(Scene("city", 1), "Cubism", 8), "at least 16"),
    ],
)
def test_invalid_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_contact_sheet_shows_every_style():
    sheet = contact_sheet(24, seed=1, styles=(*STYLES[:3], PHOTOGRAPH), across=2)
    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet)
    plain = paint(Scene("landscape", 1), PHOTOGRAPH, 24)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (24, 24, 3))[:, :, 0]
    assert (np.abs(windows.astype(np.int16) - plain).max((2, 3, 4)) == 0).any()
