"""Repaints of large images: the style at the trained size, the edges of the image at its own."""

import torch.nn.functional as F
from torch import Tensor

RADIUS, EPSILON = 4, 1e-3
"""Radius of the windows in pixels of the small repaint, and the variance (of luminance in [0, 1]) below which a window
counts as flat."""


def guided_upsampling(repaint: Tensor, small: Tensor, image: Tensor) -> Tensor:
    """Enlarge a repaint so that its edges follow those of the image at full size.

    Within a window a repaint is roughly a linear function of the image's luminance (guided filter, He et al. 2013).
    That function, found at the small size and applied to the luminance at full size, is sharp where the image is (fast
    guided filter, He & Sun 2015). What is not such a function, above all the brush marks, is enlarged smoothly and
    added. Where the repaint is flat or shows something else than the image, the function is constant: the
    photograph's noise and texture do not come back.

    Args:
        repaint: (B, 3, h, w) float in [0, 1].
        small: (B, 3, h, w), what was repainted.
        image: (B, 3, H, W), the same at full size.

    Returns:
        (B, 3, H, W), not clamped.
    """
    guide, full_guide = luminance(small), luminance(image)
    mean_guide, mean_repaint = _window_mean(guide), _window_mean(repaint)
    variance = _window_mean(guide * guide) - mean_guide * mean_guide
    slope = (_window_mean(guide * repaint) - mean_guide * mean_repaint) / (variance + EPSILON)
    slope, offset = _window_mean(slope), _window_mean(mean_repaint - slope * mean_guide)
    marks = repaint - (slope * guide + offset)
    slope, offset = (F.interpolate(part, image.shape[2:], mode="bilinear") for part in (slope, offset))
    return slope * full_guide + offset + F.interpolate(marks, image.shape[2:], mode="bicubic")


def luminance(images: Tensor) -> Tensor:
    """Rec. 709 luma: (B, 3, H, W) → (B, 1, H, W)."""
    return (images * images.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(dim=1, keepdim=True)


def _window_mean(maps: Tensor) -> Tensor:
    """Mean over windows of 2 · RADIUS + 1 pixels, mirrored at the border: (B, C, h, w) → the same shape."""
    radius = min(RADIUS, min(maps.shape[2:]) - 1)
    padded = F.pad(maps, [radius] * 4, mode="reflect")
    return F.avg_pool2d(padded, 2 * radius + 1, stride=1)
