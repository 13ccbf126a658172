"""Augmentation of whole batches on the device: a random resized crop as two matrix products, colour jitter, mixing.

The random numbers of crops and light come from one seed per step and are drawn for the whole batch over all processes,
so the batch does not depend on how many processes share it. Mixing blends each picture with its neighbour in the whole
batch: processes exchange what they mix.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wikiart_data.training.processes import previous_in_batch, world_size


@dataclass(frozen=True)
class Augment:
    """How much a training picture may change."""

    crop: tuple[float, float] = (0.35, 1.0)
    """Smallest and largest fraction of the picture's area that a crop keeps."""
    ratio: float = 4 / 3
    """Largest aspect ratio of a crop, and the inverse of the smallest, in the squashed picture."""
    flip: float = 0.5
    """Probability that a picture is mirrored."""
    brightness: float = 0.1
    """Largest change of brightness: a number uniform in ±brightness is added to every pixel."""
    contrast: float = 0.1
    """Largest change of contrast: distances from the picture's mean are multiplied by 1 ± contrast."""


NO_AUGMENTATION = Augment(crop=(1.0, 1.0), ratio=1.0, flip=0.0, brightness=0.0, contrast=0.0)
"""Only resizes."""

CPU_CHUNK = 32
"""Pictures that a CPU crops at a time. For the products of a larger batch the allocator asks the system for new memory
in every step, which takes as long as computing them; small ones are reused (64 pictures are too many already)."""


def random_boxes(number: int, augment: Augment, generator: torch.Generator) -> Tensor:
    """Draw crops: (number, 5) float32 of left, top, width, height as fractions, and whether to mirror (0 or 1)."""
    uniform = torch.rand(number, 5, generator=generator)
    low, high = augment.crop
    area = low + (high - low) * uniform[:, 0]
    side = area.sqrt()
    # A box that fills nearly all of the picture cannot be stretched far: the limits keep both sides within it.
    stretch = torch.exp((uniform[:, 1] * 2 - 1) * math.log(augment.ratio) / 2).clamp(side, 1 / side)
    width, height = (side * stretch).clamp(max=1.0), (side / stretch).clamp(max=1.0)
    left, top = uniform[:, 2] * (1 - width), uniform[:, 3] * (1 - height)
    mirrored = (uniform[:, 4] < augment.flip).float()
    return torch.stack([left, top, width, height, mirrored], dim=1)


def resized_crops(images: Tensor, boxes: Tensor, size: int, products: torch.dtype = torch.float32) -> Tensor:
    """Cut a box out of each picture and resize it to a square, antialiased.

    Linear resampling is separable: one matrix mixes rows, another mixes columns. With the matrices of all pictures
    stacked, the whole batch is two batched matrix products, which run fast on CPUs and GPUs alike. The first product is
    computed transposed, so that the second reads its input in order and nothing is copied between them.

    Args:
        images: (B, H, W, 3), any dtype.
        boxes: (B, 5) as `random_boxes` draws them.
        size: side of the result, in pixels.
        products: dtype of the matrix products. bf16 is three times faster on CPUs that support it, and its mean error
            is a quarter of one grey level of 255, below what JPEG loses.

    Returns:
        (B, 3, size, size) float32 in the range of `images`, laid out channels-last.
    """
    number, height, width, channels = images.shape
    shape, device = (number, channels, size, size), images.device
    crops = torch.empty(shape, dtype=torch.float32, device=device, memory_format=torch.channels_last)
    chunk = CPU_CHUNK if device.type == "cpu" else number
    for start in range(0, number, chunk):
        part = images[start : start + chunk]
        left, top, box_width, box_height, mirrored = boxes[start : start + chunk].to(device).unbind(1)
        down = _resampling(top, box_height, torch.zeros_like(mirrored), height, size).to(products)
        across = _resampling(left, box_width, mirrored, width, size).to(products)
        pixels = part.reshape(len(part), height, width * channels).to(products)
        rows = torch.bmm(pixels.mT, down.mT).view(len(part), width, channels * size)  # (b, W, 3 · y)
        columns = torch.bmm(rows.mT, across.mT).view(len(part), channels, size, size)  # (b, 3, y, x)
        # The dtype first, the layout when copying: changing both at once is five times slower.
        crops[start : start + chunk] = columns.float()
    return crops


def resize(images: Tensor, size: int, *, flip: bool = False) -> Tensor:
    """Resize whole pictures to squares, antialiased.

    Args:
        images: (B, H, W, 3), any dtype.
        size: side of the result, in pixels.
        flip: mirror them horizontally as well.

    Returns:
        (B, 3, size, size) float32 in the range of `images`, laid out channels-last. Float images that have this size
        already are returned as a view of them.
    """
    if images.shape[1:3] == (size, size) and not flip:
        return images.permute(0, 3, 1, 2).float()
    boxes = torch.zeros(len(images), 5, device=images.device)  # made there: copying them would wait for the device
    boxes[:, 2:4].fill_(1.0)
    boxes[:, 4].fill_(float(flip))
    return resized_crops(images, boxes, size)


def _resampling(start: Tensor, extent: Tensor, mirrored: Tensor, length: int, size: int) -> Tensor:
    """(B, size, length) float32: row t holds the weights of the source pixels for target pixel t.

    The filter is a triangle as wide as the step between target pixels, never narrower than a source pixel: bilinear
    when enlarging, antialiased when reducing (as `antialias=True` in torchvision).
    """
    target = torch.arange(size, device=start.device, dtype=torch.float32).expand(len(start), size)
    target = torch.where(mirrored[:, None] > 0.5, size - 1 - target, target)
    step = extent[:, None] * (length / size)
    centre = start[:, None] * length + (target + 0.5) * step - 0.5
    source = torch.arange(length, device=start.device, dtype=torch.float32)
    weights = (source - centre[..., None]).abs_().div_(step[..., None].clamp(min=1.0)).neg_().add_(1.0).clamp_(min=0.0)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def random_light(number: int, augment: Augment, generator: torch.Generator) -> Tensor:
    """Draw changes of light: (number, 2) float32 of the brightness to add and the factor of the contrast."""
    uniform = torch.rand(number, 2, generator=generator) * 2 - 1
    return torch.stack([augment.brightness * uniform[:, 0], 1 + augment.contrast * uniform[:, 1]], dim=1)


def colour_jitter(images: Tensor, light: Tensor) -> Tensor:
    """Change brightness and contrast of each picture, in place.

    Args:
        images: (B, 3, H, W) float in 0..1.
        light: (B, 2) as `random_light` draws it, on the same device.

    Returns:
        The same tensor, clamped to 0..1.
    """
    brightness, contrast = light.view(-1, 2, 1, 1, 1).unbind(1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return images.sub_(mean).mul_(contrast).add_(mean + brightness).clamp_(0.0, 1.0)


def mixup_cutmix(
    images: Tensor, labels: Tensor, classes: int, seed: int, *, mixup: float = 0.2, cutmix: float = 1.0, prob: float
) -> tuple[Tensor, Tensor]:
    """Blend pictures of a batch with their neighbours: MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019).

    In several processes the neighbours are those of the whole batch, of which each process holds every `world`-th
    picture.

    Args:
        images: (B, 3, H, W) float.
        labels: (B,) int64.
        classes: number of styles.
        seed: of this step; it decides between MixUp, CutMix and neither.
        mixup: parameter of the Beta distribution of MixUp's weight; 0 disables MixUp.
        cutmix: parameter of the Beta distribution of CutMix's area; 0 disables CutMix.
        prob: probability that a step is mixed.

    Returns:
        Images (B, 3, H, W) and soft targets (B, classes) float32.
    """
    from torchvision.transforms import v2

    kinds = [
        kind(alpha=alpha, num_classes=classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator: seed it for a moment
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs' generators too
        if not kinds or torch.rand(()) >= prob:
            return images, torch.nn.functional.one_hot(labels, classes).float()
        chosen = kinds[int(torch.randint(len(kinds), ()))]
        if world_size() == 1:
            mixed, targets = chosen(images, labels)
        else:
            # torchvision blends a picture with the one before it: put it there.
            pairs = [
                torch.stack([previous_in_batch(tensor), tensor], dim=1).flatten(0, 1) for tensor in (images, labels)
            ]
            mixed, targets = (mixed[1::2] for mixed in chosen(*pairs))
    return mixed.contiguous(memory_format=torch.channels_last), targets
