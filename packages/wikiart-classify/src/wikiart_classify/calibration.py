"""Temperature scaling: probabilities that are as high as the accuracy, by one number chosen on valid."""

import numpy as np
import torch
from torch import Tensor

from wikiart_classify.classifier import tta_logits
from wikiart_classify.network import StyleNet
from wikiart_data.images.batches import DeviceImages

TEMPERATURES = tuple(round(1.02**power, 4) for power in range(-116, 117))
"""Temperatures to choose from: 0.1 to 10, in steps of 2 %."""


@torch.no_grad()
def calibrate_head(network: StyleNet, images: DeviceImages, size: int, bf16: bool) -> float:
    """Divide a network's logits by the temperature with the smallest negative log-likelihood on valid, in place.

    Temperature scaling (Guo et al. 2017, §4.2), folded into the last layer. Adding to logits, as logit adjustment does,
    spoils their calibration: probabilities stay as high as they were, and the accuracy falls.

    Args:
        network: its head is linear, not one of cosines.
        images: hold the valid split.
        size: side of the images, in pixels.
        bf16: whether the network runs in bf16.

    Returns:
        The temperature.
    """
    packed = images.packed
    temperature = choose_temperature(
        tta_logits(network, images, "valid", size, bf16), packed.catalog.labels[packed.rows("valid")]
    )
    network.head.weight.div_(temperature)
    network.head.bias.div_(temperature)
    return temperature


def choose_temperature(logits: Tensor, labels: np.ndarray) -> float:
    """The temperature of TEMPERATURES whose probabilities have the smallest negative log-likelihood.

    Args:
        logits: (V, N, C), V views of each image; probabilities are the mean over views.
        labels: (N,) int.
    """
    return min(TEMPERATURES, key=lambda temperature: _negative_log_likelihood(logits, labels, temperature))


def calibrated_nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean negative log-likelihood after the temperature that makes it smallest.

    It compares networks by what they tell apart, whatever their confidence, which one number corrects.

    Args:
        probabilities: (N, C) float.
        labels: (N,) int.
    """
    logits = torch.from_numpy(probabilities).clamp(min=1e-30).log()[None]
    return _negative_log_likelihood(logits, labels, choose_temperature(logits, labels))


def _negative_log_likelihood(logits: Tensor, labels: np.ndarray, temperature: float) -> float:
    probabilities = (logits / temperature).softmax(dim=2).mean(dim=0)
    true = probabilities[torch.arange(len(labels)), torch.from_numpy(labels)]
    return -float(true.clamp(min=1e-30).log().mean())
