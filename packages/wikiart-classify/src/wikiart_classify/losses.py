"""Losses against class imbalance: each a few lines, each from its paper, all for soft targets.

Shapes are the same throughout: `logits` (B, C) float, `targets` (B, C) float with rows that sum to 1 (one-hot, or
blended by MixUp and CutMix), `counts` (C,) float: training pictures of each style. Every loss is a scalar, the mean
over the batch, and equals its paper's for one-hot targets.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COSINE_SCALE = 30.0
"""What cosines are multiplied by to make logits (Cao et al. 2019, their code)."""


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, §7)."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def partial_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy where a row of `targets` may sum to anything: what is unknown teaches nothing."""
    known = targets.sum(dim=1, keepdim=True)
    targets = (1 - smoothing) * targets + smoothing * known / logits.shape[1]
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def weighted(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in which a style's share of the target counts `weights` (C,) times.

    Smoothing spreads a share of what the picture counts evenly over the styles. To weigh that share once more, as
    torch does, would ask of every picture to be of the rarest styles, a hundred times more than of its own.
    """
    return partial_cross_entropy(logits, targets * weights, smoothing)


def focal(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss: what is already likely counts (1 − p)^γ as much (Lin et al. 2017, eq. 4, without α)."""
    log_p = logits.log_softmax(dim=1)
    return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()


def logit_adjusted(logits: Tensor, targets: Tensor, counts: Tensor, tau: float = 1.0, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits + τ log π, π the share of each style in training (Menon et al. 2021, eq. 10).

    A frequent style starts ahead, so the network itself must not prefer it: without the offset, in testing, it
    estimates what a balanced world would say. Labels are smoothed towards π^τ, which is evenly in that balanced world;
    evenly here would put every rare style ahead in testing, by the logarithm of how much rarer it is than the others.
    """
    head_start = tau * (counts / counts.sum()).log()
    targets = (1 - smoothing) * targets + smoothing * head_start.softmax(dim=0)
    return F.cross_entropy(logits + head_start, targets)


def balanced_softmax(logits: Tensor, targets: Tensor, counts: Tensor, smoothing: float = 0.0) -> Tensor:
    """Softmax over n_c exp(logit_c) (Ren et al. 2020, eq. 4). This is logit adjustment with τ = 1."""
    return logit_adjusted(logits, targets, counts, smoothing=smoothing)


def ldam(logits: Tensor, targets: Tensor, counts: Tensor, weights: Tensor | None = None, margin: float = 0.5) -> Tensor:
    """Label-distribution-aware margins: a rare style must win by more (Cao et al. 2019, eq. 12 and 13).

    The margin of style c is proportional to n_c^(-1/4), the rarest style's is `margin`. For a blended target the loss
    is the blend of the losses.

    Args:
        logits: (B, C) = COSINE_SCALE × cosines, from a head that compares directions only.
        targets: (B, C).
        counts: (C,).
        weights: (C,) of each style, for deferred re-weighting.
        margin: of the rarest style, in cosine.
    """
    margins = COSINE_SCALE * margin * (counts.min() / counts) ** 0.25
    lowered = logits[:, None] - margins.diag()  # (B, C, C): in row c the logit of style c is lowered by its margin
    losses = -lowered.log_softmax(dim=2).diagonal(dim1=1, dim2=2)
    if weights is not None:
        losses = losses * weights
    return (targets * losses).sum(dim=1).mean()


def inverse_weights(counts: Tensor) -> Tensor:
    """(C,) weights 1 / n_c, scaled so that a training picture's mean weight is 1."""
    return _scaled(1 / counts, counts)


def effective_weights(counts: Tensor, beta: float | None = None) -> Tensor:
    """(C,) weights 1 / effective number of pictures, (1 − β^n) / (1 − β), mean weight 1 (Cui et al. 2019, eq. 2).

    Args:
        counts: (C,).
        beta: default (N − 1) / N with N the mean number of pictures a style: the paper's volume of a style's data, of
            which there is no better guess. β = 0.9999 would be inverse weights again on sets of a few thousand.
    """
    beta = 1 - 1 / max(2.0, float(counts.mean())) if beta is None else beta
    effective = -torch.expm1(counts.double() * math.log(beta)).float() / (1 - beta)
    return _scaled(1 / effective, counts)


def _scaled(weights: Tensor, counts: Tensor) -> Tensor:
    return weights * counts.sum() / (weights * counts).sum()
