"""Augmentation of whole batches on the device: a random resized crop as two matrix products, light, and mixing.

Every random number of crops and light comes from one seed a step and is drawn for the whole batch over all processes,
so a batch is the same whichever way it is dealt out. Mixing then blends each picture with its neighbour in its own
process's share: the kind and strength are the same everywhere, the neighbours depend on the number of processes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """How much a training picture may change."""

    crop: tuple[float, float] = (0.35, 1.0)
    """Smallest and largest share of the area that a crop keeps."""
    ratio: float = 4 / 3
    """A crop's sides are in a proportion of 1/ratio to ratio, in the squashed picture."""
    flip: float = 0.5
    """Share of pictures that are mirrored."""
    brightness: float = 0.1
    """Added to every pixel, uniform in ±brightness."""
    contrast: float = 0.1
    """Distance from the picture's mean is multiplied by 1 ± contrast."""


NO_AUGMENTATION = Augment(crop=(1.0, 1.0), ratio=1.0, flip=0.0, brightness=0.0, contrast=0.0)
"""Only resizes."""

AT_ONCE = 32
"""Pictures that a CPU crops at once. The memory of a large batch's products is new from the system each time, and takes
as long to get as the products to compute; that of fewer is used again (with 64 only now and then)."""


def random_boxes(number: int, augment: Augment, generator: torch.Generator) -> Tensor:
    """Draw crops: (number, 5) float32 of left, top, width, height in 0..1 and whether to mirror (0 or 1)."""
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

    Linear resampling is separable: rows are mixed by one matrix, columns by another. With each picture's two matrices
    stacked, the whole batch is two batched matrix products, which is what both CPUs and GPUs do best. The first product
    is taken transposed, so that what the second sums over lies where it needs it and nothing is moved between them.

    Args:
        images: (B, H, W, 3), any dtype.
        boxes: (B, 5) as `random_boxes` draws them.
        size: side of the result, in pixels.
        products: type in which the matrices are multiplied. bf16 is three times faster on CPUs that have it, and off by
            a quarter of one grey level of 255 in the mean, which is less than what JPEG leaves.

    Returns:
        (B, 3, size, size) float32 in the range of `images`, laid out channels-last.
    """
    number, height, width, channels = images.shape
    shape, place = (number, channels, size, size), images.device
    crops = torch.empty(shape, dtype=torch.float32, device=place, memory_format=torch.channels_last)
    at_once = AT_ONCE if place.type == "cpu" else number
    for start in range(0, number, at_once):
        some = images[start : start + at_once]
        left, top, box_width, box_height, mirrored = boxes[start : start + at_once].to(place).unbind(1)
        down = _resampling(top, box_height, torch.zeros_like(mirrored), height, size).to(products)
        across = _resampling(left, box_width, mirrored, width, size).to(products)
        pixels = some.reshape(len(some), height, width * channels).to(products)
        rows = torch.bmm(pixels.mT, down.mT).view(len(some), width, channels * size)  # (b, W, 3 · y)
        columns = torch.bmm(rows.mT, across.mT).view(len(some), channels, size, size)  # (b, 3, y, x)
        crops[start : start + at_once] = columns.float()  # a type first: both at once is five times slower
    return crops


def _resampling(start: Tensor, extent: Tensor, mirrored: Tensor, length: int, size: int) -> Tensor:
    """(B, size, length) float32: row t holds the weights of the source pixels that make target pixel t.

    A triangle as wide as the step between target pixels, never narrower than one source pixel: bilinear when
    enlarging, antialiased when reducing (as `antialias=True` in torchvision).
    """
    target = torch.arange(size, device=start.device, dtype=torch.float32).expand(len(start), size)
    target = torch.where(mirrored[:, None] > 0.5, size - 1 - target, target)
    step = extent[:, None] * (length / size)
    centre = start[:, None] * length + (target + 0.5) * step - 0.5
    source = torch.arange(length, device=start.device, dtype=torch.float32)
    weights = (source - centre[..., None]).abs_().div_(step[..., None].clamp(min=1.0)).neg_().add_(1.0).clamp_(min=0.0)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def colour_jitter(images: Tensor, augment: Augment, generator: torch.Generator, share: slice = slice(None)) -> Tensor:
    """Change brightness and contrast a little, picture by picture, in place.

    Args:
        images: (b, 3, H, W) float in 0..1: this process's share of the batch.
        augment: how much.
        generator: draws for the whole batch.
        share: which of the whole batch's numbers belong to `images`.

    Returns:
        The same tensor, clamped to 0..1.
    """
    world = share.step or 1
    uniform = torch.rand(len(images) * world, 2, generator=generator)[share].to(images.device) * 2 - 1
    light, contrast = (augment.brightness * uniform[:, 0]), 1 + augment.contrast * uniform[:, 1]
    shape = (-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return images.sub_(mean).mul_(contrast.view(shape)).add_(mean + light.view(shape)).clamp_(0.0, 1.0)


def mixup_cutmix(
    images: Tensor, labels: Tensor, classes: int, seed: int, *, mixup: float = 0.2, cutmix: float = 1.0, share: float
) -> tuple[Tensor, Tensor]:
    """Blend pictures of a batch with their neighbours: MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019).

    Args:
        images: (B, 3, H, W) float.
        labels: (B,) int64.
        classes: number of styles.
        seed: of this step; MixUp or CutMix is chosen by it, and in a share of steps neither.
        mixup: Beta parameter of MixUp's blend; 0 leaves MixUp out.
        cutmix: Beta parameter of CutMix's area; 0 leaves CutMix out.
        share: of steps that are mixed, in 0..1.

    Returns:
        Images (B, 3, H, W) and soft targets (B, classes) float32.
    """
    from torchvision.transforms import v2

    kinds = [
        kind(alpha=alpha, num_classes=classes) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha
    ]
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator: lend it a seeded one
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs' generators too
        if not kinds or torch.rand(()) >= share:
            return images, torch.nn.functional.one_hot(labels, classes).float()
        chosen = kinds[int(torch.randint(len(kinds), ()))]
        mixed, targets = chosen(images, labels)
    return mixed.contiguous(memory_format=torch.channels_last), targets
