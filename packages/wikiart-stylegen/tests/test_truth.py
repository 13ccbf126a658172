"""The truth of the sample set: the same scene by the painter of another style."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import scan
from wikiart_data.images.decode import square
from wikiart_data.images.packed import pack
from wikiart_data.sample import paint, scene_of
from wikiart_data.sample.build import SIZE, build_sample_set
from wikiart_stylegen.measures import wanted_styles
from wikiart_stylegen.truth import against_truth


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    build_sample_set(folder / "sample", fraction=0.05, workers=1)
    return pack(scan(folder / "sample", cache_dir=folder / "cache"), 32, cache_dir=folder / "cache")


def test_the_truth_is_the_same_scene_in_the_wanted_style(packed):
    rows = packed.rows("valid")[::9]
    images = torch.cat(list(DeviceImages(packed).in_order(rows, 64, 32)))
    own = packed.catalog.labels[rows]
    in_own, in_other = (against_truth(packed, rows, images, styles, 0.5 * images) for styles in (own, (own + 9) % 27))
    assert in_own["unchanged"]["psnr"] > in_other["unchanged"]["psnr"] + 2  # a painter of that style has painted it
    assert in_own["mean picture"]["psnr"] < in_own["another painter"]["psnr"]
    shown = np.unique(own)
    assert [row["style"] for row in in_own["per_style"]] == [packed.catalog.styles[style] for style in shown]
    counted = sum(row["painted"]["psnr"] > row["unchanged"]["psnr"] for row in in_own["per_style"])
    assert in_own["closer"] == counted < len(shown)


def test_a_painter_of_the_wanted_style_is_closer_than_the_input(packed):
    rows = packed.rows("valid")
    images = torch.cat(list(DeviceImages(packed).in_order(rows, 64, 32)))
    styles = wanted_styles(packed.catalog.labels[rows], list(range(27)))
    scenes = [scene_of(Path(packed.catalog.files[row])) for row in rows]
    by_hand = [paint(scene, packed.catalog.styles[style], SIZE) for scene, style in zip(scenes, styles, strict=True)]
    painted = torch.from_numpy(np.stack([square(Image.fromarray(one), 32) for one in by_hand]))
    found = against_truth(packed, rows, images, styles, painted.permute(0, 3, 1, 2).float() / 255)
    for name in ("painted", "another painter"):
        assert found[name]["psnr"] > found["unchanged"]["psnr"] + 1
        assert found[name]["ssim"] > found["unchanged"]["ssim"] + 0.05
    assert found["closer"] > found["styles"] / 2
