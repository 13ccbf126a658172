"""Repaints of images of any size: without the grid of the code and without borders, with the edges of the image."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_stylegen.metrics import CODE_CELL

MARGIN = 4 * CODE_CELL
"""Pixels by which an image is continued at its borders, where the zero padding of convolutions shows in a repaint."""
SHIFTS = ((0, 0), (2, 4), (4, 2), (6, 6))
"""Vertical and horizontal shifts in pixels, spread over one cell of the code's grid."""
RADIUS, EPSILON = 4, 1e-3
"""Radius of the windows in pixels of the small repaint, and the variance (of luminance in [0, 1]) below which a window
counts as flat."""
TEXTURE_RADIUS, TEXTURE_VARIANCE = 2, 4e-3
"""Windows and variance below which the image's own detail counts as texture, which a repaint replaces."""
EDGE_RADIUS, EDGE_VARIANCE = 2, 2e-3
"""Windows and variance at which brush marks have half their strength, as they would double an edge."""


def average_over_shifts(repaint: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Repaint an image as the mean of repaints under small shifts (cycle spinning, Coifman & Donoho 1995).

    Each position of the code paints a square of pixels, and repaints show that grid as a lattice on flat areas and as
    steps on slanted edges. A shift of the image moves the edges and not the grid, so the mean shows less of it. The
    image is mirrored beyond its borders, and what is painted there is cut off.

    Args:
        repaint: (B, 3, H, W) float in [0, 1] → the same shape, for sides that are multiples of 8.
        image: (3, h, w) float in [0, 1], of any size.

    Returns:
        (3, h, w).
    """
    height, width = image.shape[1:]
    sides = [-(-(side + 2 * MARGIN + CODE_CELL) // CODE_CELL) * CODE_CELL for side in (height, width)]
    shifted = []
    for shift in SHIFTS:
        rows, columns = (
            _mirrored(length, MARGIN + offset, side).to(image.device)
            for length, offset, side in zip((height, width), shift, sides, strict=True)
        )
        shifted.append(image[:, rows[:, None], columns])
    repaints = [
        painted[:, MARGIN + top : MARGIN + top + height, MARGIN + left : MARGIN + left + width]
        for painted, (top, left) in zip(repaint(torch.stack(shifted)), SHIFTS, strict=True)
    ]
    return torch.stack(repaints).mean(dim=0)


def guided_upsampling(repaint: Tensor, image: Tensor) -> Tensor:
    """Enlarge a repaint so that its edges are those of the image at full size.

    Within a window a repaint is roughly a linear function of the image's luminance (guided filter, He et al. 2013).
    That function, found at the small size and applied to the luminance at full size, is sharp where the image is (fast
    guided filter, He & Sun 2015). The luminance is smoothed within its edges first, so that the photograph's noise and
    texture do not come back. What is not such a function, above all the brush marks, is enlarged smoothly and added,
    except at edges: there it holds the blur of the small repaint, which would show as a halo.

    Args:
        repaint: (B, 3, h, w) float in [0, 1].
        image: (B, 3, H, W), what was repainted, at full size.

    Returns:
        (B, 3, H, W), not clamped.
    """
    ratio = max(1, round(image.shape[2] / repaint.shape[2]))
    full_guide = _smooth_texture(luminance(image), TEXTURE_RADIUS * ratio)
    guide = F.interpolate(full_guide, repaint.shape[2:], mode="bicubic", antialias=True)
    mean_guide, mean_repaint = _window_mean(guide, RADIUS), _window_mean(repaint, RADIUS)
    covariance = _window_mean(guide * repaint, RADIUS) - mean_guide * mean_repaint
    slope = covariance / (_variance(guide, RADIUS) + EPSILON)
    offset = _window_mean(mean_repaint - slope * mean_guide, RADIUS)
    slope = _window_mean(slope, RADIUS)
    marks = repaint - (slope * guide + offset)
    marks = marks * _window_mean(EDGE_VARIANCE / (EDGE_VARIANCE + _variance(guide, EDGE_RADIUS)), 1)
    slope, offset = (F.interpolate(part, image.shape[2:], mode="bilinear") for part in (slope, offset))
    return slope * full_guide + offset + F.interpolate(marks, image.shape[2:], mode="bicubic")


def luminance(images: Tensor) -> Tensor:
    """Rec. 709 luma: (B, 3, H, W) → (B, 1, H, W)."""
    return (images * images.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(dim=1, keepdim=True)


def _smooth_texture(guide: Tensor, radius: int) -> Tensor:
    """A guided filter of a map (B, 1, H, W) by itself: flat where its variance is small, unchanged at edges."""
    mean, variance = _window_mean(guide, radius), _variance(guide, radius)
    slope = variance / (variance + TEXTURE_VARIANCE)
    return _window_mean(slope, radius) * guide + _window_mean(mean - slope * mean, radius)


def _variance(maps: Tensor, radius: int) -> Tensor:
    return (_window_mean(maps * maps, radius) - _window_mean(maps, radius).square()).clamp(min=0)


def _window_mean(maps: Tensor, radius: int) -> Tensor:
    """Mean over windows of 2 · radius + 1 pixels, mirrored at the border: (B, C, h, w) → the same shape."""
    radius = min(radius, min(maps.shape[2:]) - 1)
    padded = F.pad(maps, [radius] * 4, mode="reflect")
    # One axis after the other: a wide window costs as little as two thin ones.
    return F.avg_pool2d(F.avg_pool2d(padded, (2 * radius + 1, 1), stride=1), (1, 2 * radius + 1), stride=1)


def _mirrored(length: int, before: int, total: int) -> Tensor:
    """Indices (total,) of a line of `length` pixels that is mirrored at both ends, as often as needed."""
    position = torch.arange(-before, total - before).abs() % max(1, 2 * (length - 1))
    return torch.minimum(position, (2 * (length - 1) - position).abs())
