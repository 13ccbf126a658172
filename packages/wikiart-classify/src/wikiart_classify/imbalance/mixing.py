"""Mixing an instance-sampled batch with a more balanced one: balanced MixUp, CMO and the two views of GLMC.

Shapes are the same throughout: `images` (B, 3, H, W) float and `labels` (B,) int64, sampled with every image equally
likely; `balanced`, images and labels of the same shapes, sampled with the method's `second_power`; `seed` of the step.
Results are images and soft targets (·, classes) float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MIXUP_ALPHA = 0.2
"""α of balanced MixUp (Galdran et al. 2021 try 0.1 to 0.3)."""
CMO_PROBABILITY = 0.5
"""Probability that CMO mixes a batch (Park et al. 2022, their code)."""
Batch = tuple[Tensor, Tensor]


def balanced_mixup(images: Tensor, labels: Tensor, balanced: Batch, classes: int, seed: int) -> Batch:
    """Balanced MixUp (Galdran et al. 2021, eq. 3): blend both batches.

    λ ~ Beta(α, 1), the weight of the balanced batch, is one number for all its images.
    """
    # If U is uniform on [0, 1], U^(1/α) follows Beta(α, 1).
    return _blend(images, labels, balanced, classes, _uniform(seed, 1).item() ** (1 / MIXUP_ALPHA))


def cmo(images: Tensor, labels: Tensor, balanced: Batch, classes: int, seed: int) -> Batch | None:
    """Context-rich minority oversampling (CMO, Park et al. 2022): rare images as patches on frequent backgrounds.

    Returns:
        The mixed batch; None where this step is not mixed by CMO.
    """
    chance, *box = _uniform(seed, 4).tolist()
    return _paste(images, labels, balanced, classes, box) if chance < CMO_PROBABILITY else None


def two_views(images: Tensor, labels: Tensor, balanced: Batch, classes: int, seed: int) -> Batch:
    """The two views of GLMC (Du et al. 2023): the batches blended (MixUp), then one pasted on the other (CutMix).

    λ ~ Beta(1, 1) is the same for both, up to the patch's clipping at the border.

    Returns:
        Images (2B, 3, H, W) and soft targets (2B, classes).
    """
    box = _uniform(seed, 3).tolist()
    views = _blend(images, labels, balanced, classes, box[0]), _paste(images, labels, balanced, classes, box)
    mixed, targets = (torch.cat(parts) for parts in zip(*views, strict=True))
    return mixed.contiguous(memory_format=torch.channels_last), targets


def _uniform(seed: int, number: int) -> Tensor:
    return torch.rand(number, generator=torch.Generator().manual_seed(seed))


def _blend(images: Tensor, labels: Tensor, balanced: Batch, classes: int, weight: float) -> Batch:
    targets, balanced_targets = (F.one_hot(part, classes).float() for part in (labels, balanced[1]))
    return images.lerp(balanced[0], weight), targets.lerp(balanced_targets, weight)


def _paste(images: Tensor, labels: Tensor, balanced: Batch, classes: int, box: list[float]) -> Batch:
    """Paste a patch of the balanced images (CutMix, Yun et al. 2019): `box` is its area and centre as fractions."""
    area, across, down = box
    height, width = images.shape[2:]
    half = area**0.5 / 2
    left, right = (round(width * min(1.0, max(0.0, across + side))) for side in (-half, half))
    top, bottom = (round(height * min(1.0, max(0.0, down + side))) for side in (-half, half))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = balanced[0][:, :, top:bottom, left:right]
    weight = (bottom - top) * (right - left) / (height * width)
    targets, balanced_targets = (F.one_hot(part, classes).float() for part in (labels, balanced[1]))
    return mixed, targets.lerp(balanced_targets, weight)
