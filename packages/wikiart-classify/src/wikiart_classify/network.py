"""The classifier: a small pre-activation residual network of plain torch modules.

Residual blocks in pre-activation order (He et al. 2016b), squeeze-and-excitation (Hu et al. 2018), average-pooled
shortcuts where the resolution halves (ResNet-D, He et al. 2019). Trained from scratch, on square images of any size.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_classify.imbalance.losses import COSINE_SCALE

PRESETS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "tiny": ((16, 32, 64), (1, 1, 1)),
    "small": ((64, 128, 256), (2, 2, 2)),
    "base": ((96, 192, 384, 512), (2, 2, 3, 2)),
}
"""Name → channels and residual blocks of each stage."""


class StyleNet(nn.Module):
    """Images to style logits.

    Args:
        styles: number of styles.
        preset: a name in PRESETS.
        width: factor on the preset's channels, which are rounded to multiples of 8.
        cosine_head: whether the last layer computes cosine similarities, as LDAM requires.
        stem: `patch`, one convolution of 4 × 4 patches, or `convolutions`, two of 3 × 3 with stride 2.
    """

    flip_averaging = True
    """Whether predictions are the mean over an image and its mirror image."""

    def __init__(
        self, styles: int, preset: str = "small", width: float = 1.0, cosine_head: bool = False, stem: str = "patch"
    ):
        super().__init__()
        preset_channels, depths = PRESETS[preset]
        widths = [max(8, round(width * channels / 8) * 8) for channels in preset_channels]
        # A stem of 4 × 4 patches: most of a convolutional network's time goes into its first, largest feature maps.
        self.stem: nn.Module = nn.Conv2d(3, widths[0], 4, stride=4, bias=False)
        if stem == "convolutions":
            self.stem = nn.Sequential(
                nn.Conv2d(3, widths[0] // 2, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(widths[0] // 2),
                nn.ReLU(),
                nn.Conv2d(widths[0] // 2, widths[0], 3, stride=2, padding=1, bias=False),
            )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (stage_channels, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(ResidualBlock(channels, stage_channels, stride))
                channels = stage_channels
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.head = CosineHead(channels, styles) if cosine_head else nn.Linear(channels, styles)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def feature_maps(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in [0, 1] → the last feature maps (B, C, h, w), not negative."""
        x = self.stem((images - 0.5) / 0.25)
        return F.relu(self.norm(self.blocks(x)))

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in [0, 1] → pooled features (B, C), the input of the last layer."""
        return self.feature_maps(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in [0, 1] → logits (B, styles)."""
        return self.head(self.features(images))


class CosineHead(nn.Linear):
    """A last layer of cosine similarities: features (B, C) → COSINE_SCALE × cosine to each style's weights."""

    def __init__(self, channels: int, styles: int):
        super().__init__(channels, styles, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Features (B, C) → logits (B, styles) in ± COSINE_SCALE."""
        return COSINE_SCALE * F.linear(F.normalize(input, dim=1), F.normalize(self.weight, dim=1))


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut: (B, in, H, W) → (B, out, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.gate = SqueezeExcite(channels_out)
        self.shortcut = nn.Sequential()
        if stride != 1:
            # Pooled first: a strided 1 × 1 convolution would discard three of four pixels.
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if channels_in != channels_out:
            self.shortcut.append(nn.Conv2d(channels_in, channels_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Shortcut plus gated branch."""
        branch = self.conv1(F.relu(self.norm1(x)))
        branch = self.conv2(F.relu(self.norm2(branch)))
        return self.shortcut(x) + self.gate(branch)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): scale each channel by a gate computed from all of them.

    (B, C, H, W) → (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        self.squeeze = nn.Linear(channels, max(8, channels // reduction))
        self.excite = nn.Linear(max(8, channels // reduction), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel by its gate in [0, 1]."""
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))).sigmoid()
        return x * gate[:, :, None, None]
