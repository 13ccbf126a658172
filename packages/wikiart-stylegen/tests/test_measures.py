"""Is it the style, is it still the picture: measures against values that can be known without them."""

import numpy as np
import pytest
import torch

from wikiart_stylegen.measures import edge_correlation, found_again, wanted_styles


def test_edges_correlate_whatever_the_colours_are():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 64, 64)
    assert edge_correlation(images, images) == pytest.approx(np.ones(3), abs=1e-5)
    assert edge_correlation(1 - images, images) == pytest.approx(np.ones(3), abs=1e-4)
    assert edge_correlation(images.flip(3), images).max() < 0.3


def test_an_input_is_found_again_if_and_only_if_it_is_still_there():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(150, 3, 32, 32, generator=generator)
    assert found_again(0.5 * images + 0.2, images).all()
    strangers = torch.rand(150, 3, 32, 32, generator=generator)
    assert found_again(strangers, images).mean() < 0.08  # chance is 1 %


def test_wanted_styles_are_allowed_and_never_the_own_one():
    labels = np.repeat(np.arange(5), 200)
    wanted = wanted_styles(labels, [0, 2, 4])
    assert not (wanted == labels).any()
    assert set(wanted) == {0, 2, 4}
    counts = np.bincount(wanted[(labels == 1) | (labels == 3)], minlength=5)[[0, 2, 4]]
    assert abs(counts / 400 - 1 / 3).max() < 0.08
