"""The ground truth of the sample set: the same scene by painters of the target style."""

from dataclasses import replace
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
from wikiart_stylegen.ground_truth import compare_with_truth
from wikiart_stylegen.metrics import assign_target_styles


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    build_sample_set(folder / "sample", fraction=0.05, workers=1)
    return pack(scan(folder / "sample", cache_dir=folder / "cache"), 32, cache_dir=folder / "cache")


def test_the_truth_is_the_same_scene_in_the_target_style(packed):
    rows = packed.rows("valid")[::9]
    images = torch.cat(list(DeviceImages(packed).in_order(rows, 64, 32)))
    own = packed.catalog.labels[rows]
    candidates = {"repaint": 0.5 * images, "input": images}
    in_own = compare_with_truth(packed, rows, own, candidates)
    in_other = compare_with_truth(packed, rows, (own + 9) % 27, candidates)
    # The input is by a painter of its own style.
    assert in_own.scores["input"].psnr > in_other.scores["input"].psnr + 2
    assert in_own.scores["mean picture"].psnr < in_own.scores["another painter"].psnr
    assert [row.style for row in in_own.per_style] == [packed.catalog.styles[label] for label in np.unique(own)]
    assert in_own.closer_than_input("repaint", "psnr") < len(in_own.per_style)


def test_styles_without_training_images_are_no_targets_and_not_needed(packed):
    catalog, rows = packed.catalog, packed.rows("valid")[:2]
    without = (catalog.splits == "train") & (catalog.labels == 26)
    packed = replace(packed, catalog=replace(catalog, splits=np.where(without, "", catalog.splits)))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    comparison = compare_with_truth(packed, rows, np.array([3, 4]), {"input": images})
    assert np.isfinite(comparison.scores["mean picture"].psnr)


def test_a_painter_of_the_target_style_is_closer_than_the_input(packed):
    rows = packed.rows("valid")
    images = torch.cat(list(DeviceImages(packed).in_order(rows, 64, 32)))
    labels = assign_target_styles(packed.catalog.labels[rows], list(range(27)))
    scenes = [scene_of(Path(packed.catalog.files[row])) for row in rows]
    paintings = [paint(scene, packed.catalog.styles[label], SIZE) for scene, label in zip(scenes, labels, strict=True)]
    pixels = torch.from_numpy(np.stack([square(Image.fromarray(painting), 32) for painting in paintings]))
    candidates = {"repaint": pixels.permute(0, 3, 1, 2).float() / 255, "input": images}
    comparison = compare_with_truth(packed, rows, labels, candidates)
    for kind in ("repaint", "another painter"):
        assert comparison.scores[kind].psnr > comparison.scores["input"].psnr + 1
        assert comparison.scores[kind].ssim > comparison.scores["input"].ssim + 0.05
    assert comparison.closer_than_input("repaint", "psnr") > len(comparison.per_style) / 2
