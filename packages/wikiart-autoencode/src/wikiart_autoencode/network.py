"""The network: an encoder, a decoder that mirrors it, and between them a code of few dimensions.

Two forms share everything but the last layer: a spatial code is a small feature map (16 × 16 × 4 for an image of 128
pixels, 48 times fewer numbers than its pixels), a vector code is one row of numbers for the whole image.

Residual blocks with layer normalisation over channels (Liu et al. 2022, ConvNeXt), patches of 4 × 4 pixels at both ends
(pixel shuffle, Shi et al. 2016). `wikiart-stylegen` extends Encoder and Decoder: a decoder passes whatever conditions
it is called with to each of its blocks.
"""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 4
"""Side of the patches that the first layer reads and the last one writes, in pixels."""
WIDTHS: dict[str, tuple[int, ...]] = {"spatial": (64, 128), "vector": (64, 128, 192, 256)}
"""Channels of each stage, from the finest; each stage after the first halves the resolution."""
BLOCKS = 2
"""Residual blocks per stage."""
CODE_CHANNELS = 4
"""Channels of a spatial code."""


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each position; (B, C, H, W) → the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over C, then apply each channel's scale and offset."""
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


class Block(nn.Module):
    """Residual block, (B, C, H, W) → the same: normalise, 3 × 3 convolution, GELU, 3 × 3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)
        # Near zero: every block starts as nearly the identity, which keeps deep stacks stable.
        nn.init.normal_(self.conv2.weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual branch to the input."""
        return x + self.conv2(F.gelu(self.conv1(self.norm(x))))


class Encoder(nn.Module):
    """Images (B, 3, S, S) float in [0, 1] → code.

    Spatial: (B, channels, S / f, S / f) with f = 4 · 2^(stages − 1). Vector: (B, code).

    Args:
        widths: channels of each stage, from the finest.
        channels: of the spatial code.
        code: dimensions of a vector code; None or 0 gives a spatial one.
        size: side of the images for a vector code, in pixels.
        blocks: residual blocks per stage.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS["spatial"],
        channels: int = CODE_CHANNELS,
        code: int | None = None,
        size: int = 128,
        blocks: int = BLOCKS,
    ):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], PATCH, stride=PATCH)
        stages: list[nn.Module] = []
        for stage, width in enumerate(widths):
            if stage:
                stages.append(nn.Conv2d(widths[stage - 1], width, 2, stride=2))
            stages += [Block(width) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages, ChannelNorm(widths[-1]))
        # Every dimension of the code has variance 1, without a learned scale or offset: codes can be stored in 8 bits,
        # no dimension can collapse by shrinking, and a linear bottleneck cannot diverge.
        if not code:
            self.to_code = nn.Conv2d(widths[-1], channels, 1)
            self.standard: nn.Module = nn.BatchNorm2d(channels, affine=False)
        else:
            side = size // factor(widths)
            self.to_code = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * side * side, code))
            self.standard = nn.BatchNorm1d(code, affine=False)

    def maps(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] → (B, C, S / f, S / f), the features that the code is computed from."""
        return self.stages(self.stem((images - 0.5) / 0.25))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] → code, float32."""
        return self.standard(self.to_code(self.maps(images)).float())


class Decoder(nn.Module):
    """Code → images (B, 3, S, S), nearly in [0, 1] (not clamped, so that every pixel has a gradient).

    Args:
        widths: as the encoder's, from the finest; the decoder starts with the coarsest.
        channels: of the spatial code.
        code: dimensions of a vector code; None or 0 means a spatial one.
        size: side of the images of a vector code, in pixels.
        blocks: residual blocks per stage.
        block: makes a block for a number of channels; it is called with `x` and the conditions given to `forward`.
        patch: side of the patches that the last layer writes, in pixels; half of it with one more stage is finer.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS["spatial"],
        channels: int = CODE_CHANNELS,
        code: int | None = None,
        size: int = 128,
        blocks: int = BLOCKS,
        block: Callable[[int], nn.Module] = Block,
        patch: int = PATCH,
    ):
        super().__init__()
        if not code:
            self.from_code: nn.Module = nn.Conv2d(channels, widths[-1], 3, padding=1)
        else:
            side = size // factor(widths, patch)
            shape = (widths[-1], side, side)
            self.from_code = nn.Sequential(nn.Linear(code, widths[-1] * side * side), nn.Unflatten(1, shape))
        stages = []
        for stage, width in reversed(list(enumerate(widths))):
            layers = [block(width) for _ in range(blocks)]
            if stage:
                layers.append(Upsample(width, widths[stage - 1]))
            stages += layers
        self.stages = nn.ModuleList(stages)
        self.norm = ChannelNorm(widths[0])
        self.patch = patch
        self.to_pixels = nn.Conv2d(widths[0], 3 * patch * patch, 3, padding=1)

    def forward(self, code: Tensor, *conditions: Tensor) -> Tensor:
        """Code, as the encoder returns it → images (B, 3, S, S); `conditions`, if any, go to every block."""
        x = self.from_code(code)
        for stage in self.stages:
            x = stage(x) if isinstance(stage, Upsample) else stage(x, *conditions)
        return 0.5 + 0.25 * F.pixel_shuffle(self.to_pixels(self.norm(x)), self.patch)


class Upsample(nn.Module):
    """(B, in, H, W) → (B, out, 2H, 2W): a 1 × 1 convolution to 4 · out channels and a pixel shuffle."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Double both sides."""
        return F.pixel_shuffle(self.conv(x), 2)


class AutoencoderNet(nn.Module):
    """Encoder and decoder.

    Args:
        code: dimensions of a vector code; None or 0 gives a spatial code of `channels` channels at 1/8 of the size.
        channels: of the spatial code.
        size: side of the images, in pixels; a spatial autoencoder takes any multiple of 8.
        width: multiplies the channels of every stage, rounded to multiples of 8.
        blocks: residual blocks per stage.
    """

    def __init__(
        self,
        code: int | None = None,
        channels: int = CODE_CHANNELS,
        size: int = 128,
        width: float = 1.0,
        blocks: int = BLOCKS,
    ):
        super().__init__()
        widths = [max(8, round(width * channels / 8) * 8) for channels in WIDTHS["vector" if code else "spatial"]]
        self.encoder = Encoder(widths, channels, code, size, blocks)
        self.decoder = Decoder(widths, channels, code, size, blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) in [0, 1] → reconstructions of the same shape, and their code."""
        code = self.encoder(images)
        return self.decoder(code), code


def factor(widths: Sequence[int], patch: int = PATCH) -> int:
    """How many times smaller the coarsest feature map is than the image, along a side."""
    return patch * 2 ** (len(widths) - 1)
