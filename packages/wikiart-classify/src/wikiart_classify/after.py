"""Methods that balance a finished network by its last layer alone: quick, and without a second training.

Logit adjustment and τ-normalisation have a strength τ that is chosen on valid: the largest balanced accuracy among
those that cost at most PRICE of top-1. The result is an ordinary network, so it is tested, exported and used like any.
"""

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_classify.losses import cross_entropy
from wikiart_classify.network import StyleNet
from wikiart_data.images.batches import Batches, DeviceImages

PRICE = 0.02
"""Share of top-1 accuracy on valid that balance may cost."""
TAUS = tuple(round(0.05 * step, 2) for step in range(41))
"""Strengths that are tried: 0 is the network as it was trained."""
HEAD_EPOCHS = 4
"""Epochs in which cRT trains the last layer (Kang et al. 2020: 10 of 100)."""


def balanced_after(
    network: StyleNet, after: str, batches: Batches, size: int, bf16: bool, lr: float = 3e-3
) -> tuple[StyleNet, dict[str, Any]]:
    """A copy of a trained network whose last layer was balanced.

    Args:
        network: trained without balancing.
        after: `crt`, `tau-norm` or `post-hoc`.
        batches: of the training pictures, labelled with styles; their `pictures` have the valid split too.
        size: side of the pictures, in pixels.
        bf16: whether the network runs in bf16.
        lr: of cRT's AdamW, falling along half a cosine.

    Returns:
        The network, and what was chosen: `tau`, or the epochs of cRT.
    """
    balanced = copy.deepcopy(network).eval()
    if after == "crt":
        retrain_head(balanced, batches, size, bf16, lr)
        return balanced, {"head_epochs": HEAD_EPOCHS}
    catalog = batches.pictures.packed.catalog
    counts = torch.from_numpy(catalog.counts("train")).float()
    labels = catalog.labels[batches.pictures.packed.rows("valid")]
    logits = views(network, batches.pictures, "valid", size, bf16)
    lengths = network.head.weight.norm(dim=1).cpu()
    tau = chosen_tau([adjusted(logits, after, tau, counts, lengths) for tau in TAUS], labels)
    apply(balanced.head, after, tau, counts)
    return balanced, {"tau": tau}


def adjusted(logits: Tensor, after: str, tau: float, counts: Tensor, lengths: Tensor) -> Tensor:
    """What the network would answer after `apply`.

    Logit adjustment subtracts τ log π (Menon et al. 2021, eq. 9); τ-normalisation divides by the length of each style's
    weights to the power τ (Kang et al. 2020, eq. 4; the bias, which they drop, is divided too).

    Args:
        logits: (V, N, C), V views of each picture.
        after: `tau-norm` or `post-hoc`.
        tau: strength; 0 changes nothing.
        counts: (C,) float, training pictures.
        lengths: (C,) of the last layer's weights.

    Returns:
        (N, C) probabilities, the mean over views.
    """
    changed = logits / lengths**tau if after == "tau-norm" else logits - tau * (counts / counts.sum()).log()
    return changed.softmax(dim=2).mean(dim=0)


@torch.no_grad()
def apply(head: nn.Linear, after: str, tau: float, counts: Tensor) -> None:
    """Write logit adjustment or τ-normalisation into a last layer, in place. Arguments as in `adjusted`."""
    if after == "tau-norm":
        lengths = head.weight.norm(dim=1) ** tau
        head.weight.div_(lengths[:, None])
        head.bias.div_(lengths)
    else:
        head.bias.sub_((tau * (counts / counts.sum()).log()).to(head.bias))


def chosen_tau(answers: list[Tensor], labels: np.ndarray) -> float:
    """The strength with the largest balanced accuracy that costs at most PRICE of top-1; the smallest such.

    Args:
        answers: for each of TAUS (N, C) probabilities.
        labels: (N,) int.
    """
    present = np.unique(labels)
    top1, balance = [], []
    for answer in answers:
        hits = answer.argmax(dim=1).numpy() == labels
        top1.append(hits.mean())
        balance.append(np.mean([hits[labels == style].mean() for style in present]))
    allowed = [place for place in range(len(answers)) if top1[place] >= top1[0] - PRICE - 1e-9]
    return TAUS[max(allowed, key=lambda place: (balance[place], -place))]


@torch.no_grad()
def views(network: nn.Module, pictures: DeviceImages, split: str, size: int, bf16: bool) -> Tensor:
    """(2, N, C) float32 on the CPU: logits of a split's pictures and of their mirror images."""
    network.eval()
    found = []
    for images in pictures.in_order(pictures.packed.rows(split), 256, size):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            found.append(torch.stack([network(images), network(images.flip(3))]).float().cpu())
    return torch.cat(found, dim=1)


def retrain_head(network: StyleNet, batches: Batches, size: int, bf16: bool, lr: float) -> None:
    """Classifier re-training (Kang et al. 2020, §4.1): a fresh last layer on frozen features, styles equally often.

    Args:
        network: changed in place; only its head is.
        batches: of the training pictures, labelled with styles.
        size: side of the pictures, in pixels.
        bf16: whether the features are computed in bf16.
        lr: at the beginning; it falls along half a cosine.
    """
    network.eval()
    torch.manual_seed(batches.seed)
    network.head.reset_parameters()
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=lr, weight_decay=0.01)
    steps = HEAD_EPOCHS * len(batches)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(HEAD_EPOCHS):
        for images, labels in batches.epoch(epoch, size, power=1.0):
            with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                features = network.features(images).float()
            targets = F.one_hot(labels, network.head.out_features).float()
            loss = cross_entropy(network.head(features), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            decay.step()
