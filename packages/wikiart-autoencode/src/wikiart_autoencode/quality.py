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
    # Variances are small differences of large numbers: bf16 would lose them.
    with torch.autocast(ours.device.type, enabled=False):
        x, y = _blurred(ours), _blurred(truth)
        squares, covariance = _blurred(ours * ours + truth * truth), _blurred(ours * truth) - x * y
    means = x * x + y * y
    similarity = (2 * x * y + c1) * (2 * covariance + c2) / ((means + c1) * (squares - means + c2))
    return similarity.mean(dim=(1, 2, 3))


def _blurred(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H − 10, W − 10), by a Gaussian along each side.

    As two products with banded matrices: ten times faster on a CPU than convolutions of one channel.
    """
    return _bands(x.shape[2], x) @ x.contiguous() @ _bands(x.shape[3], x).mT


def _bands(length: int, like: Tensor) -> Tensor:
    """(length − 10, length): row t holds the window's weights, from place t on."""
    at = torch.arange(11, device=like.device, dtype=like.dtype) - 5
    kernel = torch.exp(-(at**2) / (2 * 1.5**2))
    rows = F.pad((kernel / kernel.sum()).expand(length - 10, 11), (0, length - 10))
    return rows.reshape(-1)[: (length - 10) * length].view(length - 10, length)
