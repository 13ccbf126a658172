"""Between pixels of 8 bits, as files hold them, and images of numbers from 0 to 1, as networks take and give them."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Pixels (…, H, W, 3) uint8 → (…, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(pixels.copy()).movedim(-1, -3).float() / 255


def to_pixels(images: Tensor) -> np.ndarray:
    """Images (…, 3, H, W) float in [0, 1], on the CPU → (…, H, W, 3) uint8, rounded to the nearest."""
    return (images * 255).round().byte().movedim(-3, -1).numpy()


def to_pil(image: Tensor) -> Image.Image:
    """An image (3, H, W) float in [0, 1], on the CPU → an RGB image of Pillow's."""
    return Image.fromarray(to_pixels(image))
