"""How good a reconstruction is: MSE on 0..1, PSNR and SSIM, a picture at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mse(ours: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of each picture: (B, 3, H, W) twice, in 0..1 → (B,)."""
    return (ours - truth).square().mean(dim=(1, 2, 3))


def psnr(ours: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture, in dB, peak 1: (B, 3, H, W) twice → (B,). A perfect one gets 100."""
    return -10 * mse(ours, truth).clamp(min=1e-10).log10()


def ssim(ours: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each picture (Wang et al. 2004), mean over places and colours.

    Gaussian window of 11 × 11, σ = 1.5, K = (0.01, 0.03), places whose window lies in the picture.

    Args:
        ours: (B, 3, H, W) float in 0..1, H and W at least 11.
        truth: the same.

    Returns:
        (B,) in -1..1.
    """
    c1, c2 = 0.01**2, 0.03**2
    channels = ours.shape[1]
    both = torch.cat([ours, truth, ours * ours, truth * truth, ours * truth], dim=1)
    x, y, xx, yy, xy = _blurred(both).split(channels, dim=1)
    covariance, variances = xy - x * y, xx - x * x + yy - y * y
    similarity = (2 * x * y + c1) * (2 * covariance + c2) / ((x * x + y * y + c1) * (variances + c2))
    return similarity.mean(dim=(1, 2, 3))


def _blurred(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H − 10, W − 10), by a Gaussian in two passes."""
    at = torch.arange(11, device=x.device, dtype=x.dtype) - 5
    kernel = torch.exp(-(at**2) / (2 * 1.5**2))
    kernel = kernel / kernel.sum()
    batch, channels = x.shape[:2]
    x = x.reshape(batch * channels, 1, *x.shape[2:])
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, 11)), kernel.view(1, 1, 11, 1))
    return x.view(batch, channels, *x.shape[2:])
