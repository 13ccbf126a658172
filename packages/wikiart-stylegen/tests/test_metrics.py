"""Metrics of style and content against values that are known without them."""

import numpy as np
import pytest
import torch

from wikiart_stylegen.metrics import assign_target_styles, edge_correlation, retrieval


def test_edge_correlation_does_not_depend_on_colours():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 64, 64)
    assert edge_correlation(images, images) == pytest.approx(np.ones(3), abs=1e-5)
    assert edge_correlation(1 - images, images) == pytest.approx(np.ones(3), abs=1e-4)
    assert edge_correlation(images.flip(3), images).max() < 0.3


def test_retrieval_finds_inputs_and_nothing_in_unrelated_images():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(150, 3, 32, 32, generator=generator)
    assert retrieval(0.5 * images + 0.2, images).all()
    unrelated = torch.rand(150, 3, 32, 32, generator=generator)
    assert retrieval(unrelated, images).mean() < 0.08  # chance is 1 %


def test_retrieval_among_fewer_images_than_the_gallery_holds():
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert retrieval(images, images).tolist() == [True] * 3
    assert retrieval(images.roll(1, 0), images).tolist() == [False] * 3
    assert retrieval(1 - images[:1], images[:1]).tolist() == [True]  # there is no other


def test_target_styles_are_allowed_and_differ_from_the_own_style():
    labels = np.repeat(np.arange(5), 200)
    targets = assign_target_styles(labels, [0, 2, 4])
    assert not (targets == labels).any()
    assert set(targets) == {0, 2, 4}
    counts = np.bincount(targets[(labels == 1) | (labels == 3)], minlength=5)[[0, 2, 4]]
    assert abs(counts / 400 - 1 / 3).max() < 0.08
