"""Post-hoc methods: balance a trained network by its last layer alone, without training it again.

Logit adjustment and τ-normalisation have a strength τ, which is chosen on valid: the one with the largest balanced
accuracy among those that cost at most MAX_TOP1_LOSS of top-1 accuracy. Then the logits are divided by a temperature
that is chosen on valid as well. The result is an ordinary network.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_classify.calibration import calibrate_head
from wikiart_classify.classifier import tta_logits
from wikiart_classify.imbalance.losses import cross_entropy
from wikiart_classify.imbalance.methods import PostHoc
from wikiart_classify.network import StyleNet
from wikiart_data.images.batches import Batches

MAX_TOP1_LOSS = 0.02
"""Top-1 accuracy on valid, as a fraction, that a larger balanced accuracy may cost."""
TAUS = tuple(round(0.05 * step, 2) for step in range(41))
"""Strengths to choose from; 0 leaves the network unchanged."""
HEAD_EPOCHS = 4
"""Epochs in which cRT trains the last layer (Kang et al. 2020: 10 of 100)."""


@dataclass(frozen=True)
class Balanced:
    """A network whose last layer was balanced, and the choice that was made."""

    network: StyleNet
    tau: float | None = None
    """Strength of logit adjustment or τ-normalisation."""
    head_epochs: int | None = None
    """Epochs of cRT."""
    temperature: float | None = None
    """What the balanced logits were divided by."""


def balance_head(
    network: StyleNet, method: PostHoc, batches: Batches, size: int, bf16: bool, lr: float = 3e-3
) -> Balanced:
    """A copy of a trained network with a balanced last layer.

    Args:
        network: trained without balancing.
        method: `crt`, `tau-norm` or `post-hoc`.
        batches: of the training images, labelled with styles; their `pictures` also hold the valid split.
        size: side of the images, in pixels.
        bf16: whether the network runs in bf16.
        lr: initial learning rate of cRT's AdamW.
    """
    balanced = copy.deepcopy(network).eval()
    if method == "crt":
        retrain_head(balanced, batches, size, bf16, lr)
        temperature = calibrate_head(balanced, batches.pictures, size, bf16)
        return Balanced(balanced, head_epochs=HEAD_EPOCHS, temperature=temperature)
    catalog = batches.pictures.packed.catalog
    counts = torch.from_numpy(catalog.counts("train")).float()
    labels = catalog.labels[batches.pictures.packed.rows("valid")]
    logits = tta_logits(network, batches.pictures, "valid", size, bf16)
    norms = network.head.weight.norm(dim=1).cpu()
    tau = choose_tau([adjusted_probabilities(logits, method, tau, counts, norms) for tau in TAUS], labels)
    adjust_head(balanced.head, method, tau, counts)
    temperature = calibrate_head(balanced, batches.pictures, size, bf16)
    return Balanced(balanced, tau=tau, temperature=temperature)


def adjusted_probabilities(logits: Tensor, method: PostHoc, tau: float, counts: Tensor, norms: Tensor) -> Tensor:
    """The probabilities that a network would predict after `adjust_head`.

    Logit adjustment subtracts τ log π (Menon et al. 2021, eq. 9); τ-normalisation divides by the norm of each style's
    weights to the power τ (Kang et al. 2020, eq. 4; the bias, which they drop, is divided too).

    Args:
        logits: (V, N, C), V views of each image.
        method: `tau-norm` or `post-hoc`.
        tau: strength; 0 changes nothing.
        counts: (C,) float, training images per style.
        norms: (C,) norms of the last layer's weights.

    Returns:
        (N, C) probabilities, the mean over views.
    """
    adjusted = logits / norms**tau if method == "tau-norm" else logits - tau * _log_frequencies(counts)
    return adjusted.softmax(dim=2).mean(dim=0)


@torch.no_grad()
def adjust_head(head: nn.Linear, method: PostHoc, tau: float, counts: Tensor) -> None:
    """Fold logit adjustment or τ-normalisation into a last layer, in place; see `adjusted_probabilities`."""
    if method == "tau-norm":
        scale = head.weight.norm(dim=1) ** tau
        head.weight.div_(scale[:, None])
        head.bias.div_(scale)
    else:
        head.bias.sub_((tau * _log_frequencies(counts)).to(head.bias))


def _log_frequencies(counts: Tensor) -> Tensor:
    """(C,) log π, from training images per style (C,)."""
    counts = counts.clamp(min=1)  # a style may have no image in train, as when half of the artists are left out
    return (counts / counts.sum()).log()


def choose_tau(predictions: list[Tensor], labels: np.ndarray) -> float:
    """The strength with the largest balanced accuracy that costs at most MAX_TOP1_LOSS; the smallest such.

    Args:
        predictions: (N, C) probabilities at each of TAUS.
        labels: (N,) int, the true styles.
    """
    present = np.unique(labels)
    top1, balanced = [], []
    for probabilities in predictions:
        correct = probabilities.argmax(dim=1).numpy() == labels
        top1.append(correct.mean())
        balanced.append(np.mean([correct[labels == style].mean() for style in present]))
    allowed = [index for index in range(len(predictions)) if top1[index] >= top1[0] - MAX_TOP1_LOSS - 1e-9]
    return TAUS[max(allowed, key=lambda index: (balanced[index], -index))]


def retrain_head(network: StyleNet, batches: Batches, size: int, bf16: bool, lr: float) -> None:
    """Classifier re-training (cRT, Kang et al. 2020, §4.1): a new last layer on frozen features, balanced sampling.

    Args:
        network: changed in place, in its head only.
        batches: of the training images, labelled with styles.
        size: side of the images, in pixels.
        bf16: whether the features are computed in bf16.
        lr: initial learning rate of AdamW, which decays along half a cosine.
    """
    network.eval()
    torch.manual_seed(batches.seed)
    network.head.reset_parameters()
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, HEAD_EPOCHS * len(batches))
    for epoch in range(HEAD_EPOCHS):
        for images, labels in batches.epoch(epoch, size, power=1.0):
            with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                features = network.features(images).float()
            targets = F.one_hot(labels, network.head.out_features).float()
            loss = cross_entropy(network.head(features), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
