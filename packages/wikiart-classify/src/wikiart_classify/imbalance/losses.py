"""Losses against class imbalance: each a few lines, each from its paper, for soft targets.

Shapes are the same throughout: `logits` (B, C) float, `targets` (B, C) float with rows that sum to 1 (one-hot, or
mixed by MixUp and CutMix), `counts` (C,) float: training images per style. Every loss is a scalar, the mean over the
batch, and equals its paper's for one-hot targets.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_classify.imbalance.methods import DEFERRED_FROM

COSINE_SCALE = 30.0
"""Factor that turns cosine similarities into logits (Cao et al. 2019, their code)."""
COSINE_CROSS_ENTROPY = 0.1
"""Weight of the cross-entropy that is added to the cosine loss (Barz & Denzler 2020)."""


def loss_for_epoch(
    balance: str, counts: Tensor, epoch: int, epochs: int, smoothing: float, tau: float, cosine: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of an epoch: a function of logits (B, C) and soft targets (B, C).

    Args:
        balance: name of the method.
        counts: (C,) float, training images per style.
        epoch: 0-based.
        epochs: number of epochs of the run.
        smoothing: label smoothing, where the loss is a cross-entropy.
        tau: strength of logit adjustment in the loss.
        cosine: whether the cosine loss takes the place of cross-entropy, where the method changes no loss.
    """
    counts = counts.clamp(min=1)  # a style may have no image in train, as when half of the artists are left out
    deferred = epoch >= DEFERRED_FROM * epochs
    match balance:
        case "inverse":
            weights = inverse_weights(counts)
            return lambda logits, targets: weighted_cross_entropy(logits, targets, weights, smoothing)
        case "effective":
            weights = effective_weights(counts)
            return lambda logits, targets: weighted_cross_entropy(logits, targets, weights, smoothing)
        case "drw" if deferred:
            weights = effective_weights(counts)
            return lambda logits, targets: weighted_cross_entropy(logits, targets, weights, smoothing)
        case "focal":
            return focal
        case "logit-adjustment":
            return lambda logits, targets: logit_adjusted(logits, targets, counts, tau, smoothing)
        case "balanced-softmax":
            return lambda logits, targets: balanced_softmax(logits, targets, counts, smoothing)
        case "ldam-drw":
            deferred_weights = effective_weights(counts) if deferred else None
            return lambda logits, targets: ldam(logits, targets, counts, deferred_weights)
        case "glmc":
            weights, fraction = inverse_weights(counts), (epoch / epochs) ** 2
            weights = weights / weights.mean()  # as in their code, which trains a second head for the weighted loss
            return lambda logits, targets: cumulative_loss(logits, targets, weights, fraction, smoothing)
        case _ if cosine:
            return lambda logits, targets: cosine_loss(logits, targets, smoothing)
        case _:
            return lambda logits, targets: cross_entropy(logits, targets, smoothing)


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, §7)."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def partial_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy whose rows of `targets` may sum to anything; a row of zeros (label unknown) adds no gradient."""
    known = targets.sum(dim=1, keepdim=True)
    targets = (1 - smoothing) * targets + smoothing * known / logits.shape[1]
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in which the target of each style is multiplied by `weights` (C,).

    The targets are weighted first and smoothed then. torch weights the smoothed targets, so that every image would
    be pushed towards the rarest styles, a hundred times harder than towards its own.
    """
    return partial_cross_entropy(logits, targets * weights, smoothing)


def focal(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss: the loss of each class is scaled by (1 − p)^γ (Lin et al. 2017, eq. 4, without α)."""
    log_p = logits.log_softmax(dim=1)
    return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()


def logit_adjusted(logits: Tensor, targets: Tensor, counts: Tensor, tau: float = 1.0, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits + τ log π, with π the training frequency of each style (Menon et al. 2021, eq. 10).

    The offset favours frequent styles during training only; without it, at test time, the network estimates the
    posterior under a uniform prior. Labels are smoothed towards π^τ, which is uniform under that prior; uniform
    smoothing would raise each rare style at test time by the logarithm of how much rarer it is than the others.
    """
    offset = tau * (counts / counts.sum()).log()
    targets = (1 - smoothing) * targets + smoothing * offset.softmax(dim=0)
    return F.cross_entropy(logits + offset, targets)


def balanced_softmax(logits: Tensor, targets: Tensor, counts: Tensor, smoothing: float = 0.0) -> Tensor:
    """Softmax over n_c exp(logit_c) (Ren et al. 2020, eq. 4): logit adjustment with τ = 1."""
    return logit_adjusted(logits, targets, counts, smoothing=smoothing)


def ldam(logits: Tensor, targets: Tensor, counts: Tensor, weights: Tensor | None = None, margin: float = 0.5) -> Tensor:
    """Label-distribution-aware margin loss: rarer styles need a larger margin (Cao et al. 2019, eq. 12 and 13).

    The margin of style c is proportional to n_c^(-1/4); the rarest style's is `margin`. For a mixed target the loss
    is the mix of the losses.

    Args:
        logits: (B, C), COSINE_SCALE times cosine similarities.
        targets: (B, C).
        counts: (C,).
        weights: (C,) per style, for deferred re-weighting.
        margin: of the rarest style, in cosine similarity.
    """
    margins = COSINE_SCALE * margin * (counts.min() / counts) ** 0.25
    lowered = logits[:, None] - margins.diag()  # (B, C, C): row c lowers the logit of style c by its margin
    losses = -lowered.log_softmax(dim=2).diagonal(dim1=1, dim2=2)
    if weights is not None:
        losses = losses * weights
    return (targets * losses).sum(dim=1).mean()


def cumulative_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, fraction: float, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy that becomes one weighted by style (C,) as `fraction` grows from 0 to 1 (Du et al. 2023)."""
    plain = cross_entropy(logits, targets, smoothing)
    return plain.lerp(weighted_cross_entropy(logits, targets, weights, smoothing), fraction)


def consistency_loss(predicted: Tensor, projected: Tensor) -> Tensor:
    """Negative cosine similarity of two views' features, with a stopped gradient (Chen & He 2021; Du et al. 2023).

    Args:
        predicted: (2B, D) of the predictor: first the one view of every image, then the other.
        projected: (2B, D) of the projector, in the same order.
    """
    return -F.cosine_similarity(predicted, projected.detach().roll(len(projected) // 2, dims=0), dim=1).mean()


def cosine_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """1 − cosine of logits and targets, plus COSINE_CROSS_ENTROPY times cross-entropy (Barz & Denzler 2020).

    It is the cosine for one-hot targets. A mixed target is not scaled to length 1, so that its loss is the mix of the
    losses of its styles.

    Meant for small data sets: its gradient vanishes as the direction is right, however short the vector is.
    """
    cosine = 1 - (F.normalize(logits, dim=1) * targets).sum(dim=1).mean()
    return cosine + COSINE_CROSS_ENTROPY * cross_entropy(logits, targets, smoothing)


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with a teacher's probabilities (B, C) as targets (Hinton et al. 2015, at temperature 1)."""
    return F.cross_entropy(logits, teacher)


def inverse_weights(counts: Tensor) -> Tensor:
    """(C,) weights 1 / n_c, scaled so that the mean weight of a training image is 1."""
    return _scaled(1 / counts, counts)


def effective_weights(counts: Tensor, beta: float | None = None) -> Tensor:
    """(C,) weights 1 / effective number of images, (1 − β^n) / (1 − β), mean weight 1 (Cui et al. 2019, eq. 2).

    Args:
        counts: (C,).
        beta: default (N − 1) / N with N the mean number of images per style, as an estimate of the paper's volume of
            a class. β = 0.9999 would give inverse weights again on data sets of a few thousand images.
    """
    beta = 1 - 1 / max(2.0, float(counts.mean())) if beta is None else beta
    effective = -torch.expm1(counts.double() * math.log(beta)).float() / (1 - beta)
    return _scaled(1 / effective, counts)


def _scaled(weights: Tensor, counts: Tensor) -> Tensor:
    return weights * counts.sum() / (weights * counts).sum()
