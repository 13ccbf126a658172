"""`synthesise`: a data folder of repaints that wikiart-classify can train on."""

import errno
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import pack
from wikiart_stylegen import StyleTransfer
from wikiart_stylegen import synthesise as synthesise_module
from wikiart_stylegen.cli import main
from wikiart_stylegen.command_options import SynthesiseOptions
from wikiart_stylegen.synthesise import choose_inputs, synthesise

from .conftest import STYLES


def test_the_folder_has_the_counts_of_train_and_the_real_test_images(trained, paintings):
    assert main(["synthesise", str(trained), "--to", "repaints", "--device", "cpu"]) == 0
    made, real = scan(Path("repaints")), scan(paintings)
    assert made.styles == STYLES
    assert made.counts("train").tolist() == real.counts("train").tolist()
    for split in ("valid", "test"):
        assert [made.files[row] for row in made.rows(split)] == [real.files[row] for row in real.rows(split)]
    assert {made.artists[row] for row in made.rows("train")} == {""}


@pytest.mark.parametrize("folders", [("",), ("Train", "val", "Testing")])
def test_the_real_images_are_linked_whatever_the_splits_are_called(trained, paintings, folders):
    for style, number in zip(STYLES, (12, 12, 12, 9), strict=True):
        for position, file in enumerate(sorted((paintings / "train" / style).iterdir())[:number]):
            folder = Path("data", folders[position % len(folders)], style.lower())
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file.name).symlink_to(file)
    real = scan("data")
    fewest = int(real.counts("train").min())
    for name, most, styles in (("all", None, STYLES), ("rare", fewest, STYLES[3:])):
        synthesise(
            SynthesiseOptions(
                model=trained, data="data", to=name, kind="paintings", max_train_images=most, device="cpu"
            )
        )
        made = scan(name)
        assert made.styles == styles
        for split in ("valid", "test"):
            names, expected = (
                [(catalog.styles[catalog.labels[row]], Path(catalog.files[row]).name) for row in catalog.rows(split)]
                for catalog in (made, real)
            )
            assert names == [(style, file) for style, file in expected if style in styles]
            assert names


def test_real_images_of_one_name_are_all_linked(trained, paintings):
    for split in ("train", "test"):
        for number, style in enumerate((*STYLES, "ukiyo-e")):
            Path("data", split, style).mkdir(parents=True)
            file = sorted((paintings / split / STYLES[min(number, 3)]).iterdir())[number]
            Path("data", split, style, "one.jpg").symlink_to(file)
    synthesise(SynthesiseOptions(model=trained, data="data", kind="paintings", device="cpu"))
    made = scan("repaints")
    assert made.counts("test").tolist() == [1, 1, 1, 2]


def test_nothing_is_made_of_a_style_without_training_images(paintings):
    packed = pack(scan(paintings), 32)
    catalog = packed.catalog
    without = (catalog.splits == "train") & (catalog.labels == 1)
    packed = replace(packed, catalog=replace(catalog, splits=np.where(without, "", catalog.splits)))
    _, targets = choose_inputs(packed, SynthesiseOptions(kind="colour-transfer", per_style=2))
    assert targets.tolist() == [0, 0, 2, 2, 3, 3]


def test_paintings_are_the_training_images_at_the_size_of_the_network(trained, paintings):
    options = SynthesiseOptions(model=trained, to=Path("real"), kind="paintings", device="cpu")
    synthesise(options)
    packed = pack(scan(paintings), StyleTransfer.load(trained).config.size)
    rows, labels = choose_inputs(packed, options)
    assert sorted(rows) == packed.rows("train").tolist()
    assert (packed.catalog.labels[rows] == labels).all()
    for number in (0, 40, 95):
        file = Path(f"real/train/{STYLES[labels[number]]}/paintings-{number:06d}.jpg")
        difference = np.asarray(Image.open(file)).astype(float) - packed.images[rows[number]]
        assert np.abs(difference).mean() < 6  # as far as JPEG changes it


def test_a_judge_keeps_what_it_recognises(trained, judge):
    options = SynthesiseOptions(model=trained, kind="colour-transfer", per_style=5, device="cpu")
    everything = synthesise(options)
    assert everything == dict.fromkeys(STYLES, 5)
    weak = SynthesiseOptions(model=trained, to=Path("weak"), per_style=5, strength=0.0, judge=judge, device="cpu")
    assert sum(synthesise(weak).values()) < 20  # the null style is recognised as one style at most
    with pytest.raises(InputError) as error:
        synthesise(options)
    assert error.value.field == "--to"


def test_inputs_are_of_other_styles_and_none_is_taken_twice(paintings):
    packed = pack(scan(paintings), 32)
    rows, targets = choose_inputs(packed, SynthesiseOptions(per_style=72))
    assert Counter(targets.tolist()) == dict.fromkeys(range(4), 72)
    assert (packed.catalog.labels[rows] != targets).all()
    assert all(len(np.unique(rows[targets == label])) == 72 for label in range(4))  # 72 of 72 others
    with pytest.raises(InputError) as error:
        choose_inputs(packed, SynthesiseOptions(max_train_images=3))
    assert error.value.field == "--max-train-images"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interruption_leaves_no_folder(trained, monkeypatch, interruption):
    options = SynthesiseOptions(model=trained, to=Path("stopped"), kind="paintings", per_style=2, device="cpu")
    save = synthesise_module._save

    def stop_at_the_fifth_image(image, path):
        if len(list(path.parent.parent.glob("*/*.jpg"))) == 4:
            raise interruption
        save(image, path)

    monkeypatch.setattr(synthesise_module, "_save", stop_at_the_fifth_image)
    with pytest.raises((KeyboardInterrupt, InputError)):
        synthesise(options)
    monkeypatch.setattr(synthesise_module, "_save", save)
    assert [path for path in Path().iterdir() if "stopped" in path.name] == []
    assert synthesise(options) == dict.fromkeys(STYLES, 2)  # the same command works again
    assert len(list(Path("stopped/train").glob("*/*.jpg"))) == 2 * len(STYLES)
