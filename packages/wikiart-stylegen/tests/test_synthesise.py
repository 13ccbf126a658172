"""`synthesise`: a data folder of repaints that wikiart-classify can train on."""

import errno
from collections import Counter
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
