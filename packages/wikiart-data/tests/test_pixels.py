"""Pixels of 8 bits and images of numbers from 0 to 1."""

import numpy as np
import pytest
import torch

from wikiart_data.images.pixels import to_pil, to_pixels, to_tensor


@pytest.mark.parametrize("shape", [(5, 7, 3), (2, 5, 7, 3)])
def test_every_pixel_survives_both_ways(shape: tuple[int, ...]):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    images = to_tensor(pixels)
    assert images.shape == (*shape[:-3], 3, 5, 7)
    assert images.dtype == torch.float32
    assert np.array_equal(to_pixels(images), pixels)


def test_pixels_are_rounded_to_the_nearest():
    image = torch.tensor([0.0, 0.49, 0.51, 254.49, 254.51, 255.0]).div(255).reshape(1, 2, 3).expand(3, 2, 3)
    assert to_pixels(image)[..., 0].ravel().tolist() == [0, 0, 1, 254, 255, 255]


def test_a_pillow_image_is_upright():
    image = torch.zeros(3, 5, 7)
    image[0, 0, 6] = 1.0  # red, top right
    picture = to_pil(image)
    assert (picture.mode, picture.size) == ("RGB", (7, 5))
    assert picture.getpixel((6, 0)) == (255, 0, 0)
