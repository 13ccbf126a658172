"""Pictures that no photograph is: what an autoencoder must see to draw brush marks later, without seeing a style."""

import torch
import torch.nn.functional as F
from torch import Tensor


def roughen(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change colours and add dots, streaks and hard edges, each in half of the pictures.

    Args:
        images: (B, 3, S, S) float in 0..1.
        generator: on the CPU.

    Returns:
        (B, 3, S, S) float32 in 0..1.
    """
    number, _, size, _ = images.shape

    def some(share: float) -> Tensor:
        return (torch.rand(number, 1, 1, 1, generator=generator) < share).float()

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(number, *shape, generator=generator)

    mixed = torch.eye(3) + some(0.5)[..., 0] * 0.5 * torch.randn(number, 3, 3, generator=generator)
    images = torch.einsum("bij,bjhw->bihw", mixed, images - 0.5) * between(0.6, 1.4, 1, 1, 1) + 0.5
    # Noise of a size between a pixel and an eighth of the picture, longer one way than the other, is dots or streaks.
    high, wide = (int(size / 2 ** torch.randint(0, 4, (), generator=generator)) for _ in "yx")
    marks = F.interpolate(torch.randn(number, 3, high, wide, generator=generator), (size, size), mode="bilinear")
    images = images + some(0.5) * between(0.0, 0.3, 1, 1, 1) * marks
    # Hard edges: a part of the picture is another picture's.
    field = F.interpolate(torch.randn(number, 1, 8, 8, generator=generator), (size, size), mode="bicubic")
    images = torch.where((field > 0.5) & (some(0.3) > 0), images.roll(1, 0), images)
    steps = between(3, 8, 1, 1, 1)
    images = torch.where(some(0.2) > 0, (images * steps).round() / steps, images)
    return images.clamp(0, 1)
