"""Losses of the generator and of the discriminators.

Shapes throughout: images (B, 3, S, S) float in [0, 1].
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a discriminator: real patches above 1, repainted ones below −1 (Lim & Ye 2017).

    Args:
        real: (B, h, w) logits of real images.
        fake: (B, h, w) logits of repaints.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """Hinge loss of the generator: minus the mean logit of repainted patches (B, h, w)."""
    return -fake.mean()


def style_statistics_loss(statistics: Tensor, target: Tensor, spread: Tensor) -> Tensor:
    """Squared distance of feature statistics from those of the target style (AdaIN, Huang & Belongie 2017, eq. 13).

    Args:
        statistics: (B, T) of the repaints.
        target: (B, T), the means over real images of the target styles.
        spread: (T,) standard deviation of each statistic over real images, the unit of distance.
    """
    return ((statistics - target) / (spread + 1e-3)).square().clamp(max=25).mean()


def content_cycle_loss(code: Tensor, code_of_repaint: Tensor) -> Tensor:
    """Mean absolute difference of two content codes (B, K, h, w) (Zhu et al. 2017, in code space).

    `code` is detached: the loss changes the repaint, not the code of the input.
    """
    return (code_of_repaint - code.detach()).abs().mean()


def edge_maps(images: Tensor) -> Tensor:
    """Edges of an image relative to its mean edge: (B, 3, S, S) → (B, 2, S/2 − 2, S/2 − 2).

    Sobel gradients of the grey image at half the resolution, divided by the image's mean gradient: a style may sharpen
    or soften everything, but not move it.
    """
    grey = F.avg_pool2d(images.float().mean(dim=1, keepdim=True), 2)
    gradients = F.conv2d(grey, _sobel_kernels(images.device))
    magnitude = gradients.square().sum(dim=1, keepdim=True).add(1e-6).sqrt()
    return gradients.abs() / magnitude.mean(dim=(2, 3), keepdim=True)


@functools.cache
def _sobel_kernels(device: torch.device) -> Tensor:
    """(2, 1, 3, 3) float32; copied to a device once, since the host waits for such a copy."""
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=device) / 8
    return torch.stack([sobel, sobel.T])[:, None]


def edge_loss(repaints: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of `edge_maps`."""
    return (edge_maps(repaints) - edge_maps(images)).abs().mean()


def domain_confusion_loss(logits: Tensor) -> Tensor:
    """KL divergence of the uniform distribution from a probe's prediction (B, C): 0 when it knows nothing.

    Minimised by the encoder, so that the style cannot be read from the content code (Tzeng et al. 2015).
    """
    return -logits.log_softmax(dim=1).mean() - math.log(logits.shape[1])
