"""What a method against imbalance does in training: its loss in each epoch, and how balanced MixUp blends."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wikiart_classify import losses
from wikiart_classify.methods import LATE

BLEND = 0.2
"""α of balanced MixUp (Galdran et al. 2021 try 0.1 to 0.3)."""


def loss_in(
    balance: str, counts: Tensor, epoch: int, epochs: int, smoothing: float, tau: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of an epoch: a function of logits (B, C) and soft targets (B, C).

    Args:
        balance: the method.
        counts: (C,) float, training pictures of each style.
        epoch: which one, of `epochs`.
        epochs: of the run.
        smoothing: label smoothing, where the paper's loss is a cross-entropy.
        tau: strength of logit adjustment in the loss.
    """
    late = epoch >= LATE * epochs
    match balance:
        case "inverse":
            weights = losses.inverse_weights(counts)
            return lambda logits, targets: losses.weighted(logits, targets, weights, smoothing)
        case "effective":
            weights = losses.effective_weights(counts)
            return lambda logits, targets: losses.weighted(logits, targets, weights, smoothing)
        case "drw" if late:
            weights = losses.effective_weights(counts)
            return lambda logits, targets: losses.weighted(logits, targets, weights, smoothing)
        case "focal":
            return losses.focal
        case "logit-adjustment":
            return lambda logits, targets: losses.logit_adjusted(logits, targets, counts, tau, smoothing)
        case "balanced-softmax":
            return lambda logits, targets: losses.balanced_softmax(logits, targets, counts, smoothing)
        case "ldam-drw":
            late_weights = losses.effective_weights(counts) if late else None
            return lambda logits, targets: losses.ldam(logits, targets, counts, late_weights)
        case _:
            return lambda logits, targets: losses.cross_entropy(logits, targets, smoothing)


def blend_balanced(
    images: Tensor, labels: Tensor, balanced: tuple[Tensor, Tensor], classes: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Balanced MixUp (Galdran et al. 2021, eq. 3): natural pictures with a share λ ~ Beta(α, 1) of balanced ones.

    Args:
        images: (B, 3, H, W), drawn as the styles come.
        labels: (B,) int64.
        balanced: images and labels of the same shapes, drawn with every style equally often.
        classes: number of labels.
        seed: of this step; it draws λ, one for the batch.

    Returns:
        Images (B, 3, H, W) and soft targets (B, classes) float32.
    """
    # If U is uniform in 0..1, U^(1/α) has the distribution Beta(α, 1).
    uniform = torch.rand((), generator=torch.Generator().manual_seed(seed)).item()
    share = uniform ** (1 / BLEND)
    ours, theirs = (F.one_hot(some, classes).float() for some in (labels, balanced[1]))
    return images.lerp(balanced[0], share), ours.lerp(theirs, share)
