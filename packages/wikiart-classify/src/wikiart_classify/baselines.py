"""Baselines: the course's network and that of a public solution of its task, trained as their authors did.

Both take raw values 0..255, accept one image size only, and predict without the mirror image.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class InClass(nn.Module):
    """The network of the course's lecture: one 4 × 4 kernel, and a linear layer on its whole feature map.

    Conv 3→1, 4 × 4 → MaxPool 4 → BatchNorm → Linear 300 → Dropout 0.01 → ReLU → Linear.

    Args:
        styles: number of styles.
        size: side of the images, in pixels.
    """

    flip_averaging = False

    def __init__(self, styles: int, size: int):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 4, padding=2)
        self.pool = nn.MaxPool2d(4, padding=2)
        side = (size + 1 + 4 - 4) // 4 + 1  # the convolution adds one pixel, the padding of the pool four
        self.norm = nn.BatchNorm1d(side * side)
        self.hidden = nn.Linear(side * side, 300)
        self.dropout = nn.Dropout(0.01)
        self.head = nn.Linear(300, styles)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, size, size) float in [0, 1] → features (B, 300), the input of the last layer."""
        x = self.pool(self.conv(images * 255.0)).flatten(1)
        return F.relu(self.dropout(self.hidden(self.norm(x))))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, size, size) float in [0, 1] → logits (B, styles)."""
        return self.head(self.features(images))


class ThreeBlock(nn.Module):
    """A public solution of the task: three blocks of Conv 4 × 4, BatchNorm, ReLU (not in the third) and MaxPool 4.

    Channels 16, 32, 64, then Linear 300 → ReLU → Dropout 0.3 → Linear.

    Args:
        styles: number of styles.
        size: side of the images, in pixels; at least 127, below which the third pooling has no output.
    """

    flip_averaging = False

    def __init__(self, styles: int, size: int):
        super().__init__()
        self.blocks = nn.Sequential(
            *(nn.Conv2d(3, 16, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(4)),
            *(nn.Conv2d(16, 32, 4), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(4)),
            *(nn.Conv2d(32, 64, 4), nn.BatchNorm2d(64), nn.MaxPool2d(4)),
        )
        side = size
        for _ in range(3):
            side = (side - 3) // 4
        self.hidden = nn.Linear(64 * side * side, 300)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(300, styles)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, size, size) float in [0, 1] → features (B, 300), the input of the last layer."""
        return self.dropout(F.relu(self.hidden(self.blocks(images * 255.0).flatten(1))))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, size, size) float in [0, 1] → logits (B, styles)."""
        return self.head(self.features(images))
