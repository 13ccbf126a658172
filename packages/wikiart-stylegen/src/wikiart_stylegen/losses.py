"""What makes a mismatched pair of picture and style meaningful: be in that style, and be of that picture.

Shapes throughout: images (B, 3, S, S) float in 0..1, styles (B,) int64.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: real patches above 1, painted ones below −1 (Lim & Ye 2017). Patches (B, h, w)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_painter(fake: Tensor) -> Tensor:
    """What the painter minimises: patches that the critic takes for real ones of the wanted style. (B, h, w)."""
    return -fake.mean()


def statistics_distance(ours: Tensor, wanted: Tensor, spread: Tensor) -> Tensor:
    """How far feature statistics are from a style's (as in AdaIN, Huang & Belongie 2017, eq. 13).

    Args:
        ours: (B, T) of the painted pictures.
        wanted: (B, T), the mean over real pictures of the wanted styles.
        spread: (T,) deviation of each statistic over real pictures: distances are counted in these.
    """
    return ((ours - wanted) / (spread + 1e-3)).square().clamp(max=25).mean()


def content_cycle(code: Tensor, again: Tensor) -> Tensor:
    """The painted picture's content code is the input's (Zhu et al. 2017, in code space); codes of variance 1."""
    return (again - code.detach()).abs().mean()


def edges(images: Tensor) -> Tensor:
    """Where a picture has edges, not how strong: (B, 3, S, S) → (B, 2, S/2 − 2, S/2 − 2).

    Gradients of the grey picture at half the resolution, divided by the picture's mean gradient: a style may sharpen or
    soften everything, but not move it.
    """
    grey = F.avg_pool2d(images.float().mean(dim=1, keepdim=True), 2)
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=images.device) / 8
    found = F.conv2d(grey, torch.stack([kernel, kernel.T])[:, None])
    size = found.square().sum(dim=1, keepdim=True).add(1e-6).sqrt()
    return found.abs() / size.mean(dim=(2, 3), keepdim=True)


def edge_distance(ours: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of `edges`."""
    return (edges(ours) - edges(images)).abs().mean()


def hidden(logits: Tensor) -> Tensor:
    """How far a probe's answers (B, C) are from knowing nothing: KL divergence of the uniform answer from theirs."""
    return -logits.log_softmax(dim=1).mean() - math.log(logits.shape[1])


def other_styles(styles: Tensor, number: int, generator: torch.Generator, share: slice = slice(None)) -> Tensor:
    """For each picture another style than its own, all equally likely.

    Args:
        styles: (b,) int64 in 0..number − 1: of this process's share of the batch.
        number: of styles.
        generator: draws for the whole batch.
        share: which of the whole batch's numbers belong to `styles`.

    Returns:
        (b,) int64.
    """
    world = share.step or 1
    shift = torch.randint(1, number, (len(styles) * world,), generator=generator)[share].to(styles.device)
    return (styles + shift) % number
