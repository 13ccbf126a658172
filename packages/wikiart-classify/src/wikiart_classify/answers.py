"""What a network answers to pictures, and what the answers on a split are worth."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_classify.scores import scores
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages


def evaluate(network: nn.Module, pictures: DeviceImages, split: str, size: int, bf16: bool) -> dict[str, Any]:
    """All figures of `scores` on one split."""
    return scores_on(answers_on(network, pictures, split, size, bf16), pictures.packed, split)


@torch.no_grad()
def answers_on(network: nn.Module, pictures: DeviceImages, split: str, size: int, bf16: bool) -> np.ndarray:
    """(n, styles) float32: the network's probabilities for a split's pictures."""
    network.eval()
    rows = pictures.packed.rows(split)
    return torch.cat(
        [probabilities(network, images, bf16).cpu() for images in pictures.in_order(rows, 256, size)]
    ).numpy()


def scores_on(answers: np.ndarray, packed: PackedImages, split: str) -> dict[str, Any]:
    """All figures of `scores` for probabilities (n, styles) on a split."""
    catalog = packed.catalog
    return scores(answers, catalog.labels[packed.rows(split)], catalog.styles, catalog.counts("train"))


def probabilities(network: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Images (B, 3, H, W) in 0..1 → (B, styles) float32: the mean over a picture and its mirror image.

    A network whose `mirrored` is False looks once.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        once = network(images).float().softmax(dim=1)
        if not network.mirrored:
            return once
        return (once + network(images.flip(3)).float().softmax(dim=1)) / 2
