"""The autoencoder: an encoder, a decoder mirrored from it, and between them a code of few numbers.

Two forms share everything but the last layer: a spatial code is a small map (a 16 × 16 × 4 code of a 128-pixel picture
is 48 times fewer numbers than its pixels), a vector code is one row of numbers for the whole picture.

Residual blocks with normalisation over channels (Liu et al. 2022, ConvNeXt), patches of 4 × 4 pixels at both ends
(pixel shuffle, Shi et al. 2016). `wikiart-stylegen` extends Encoder and Decoder: a decoder hands whatever conditions
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
"""Residual blocks a stage."""
CODE_CHANNELS = 4
"""Of a spatial code."""


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each place; (B, C, H, W) → the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Mean 0 and variance 1 over C, then each channel's own scale and offset."""
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


class Block(nn.Module):
    """(B, C, H, W) → the same: normalise, 3 × 3, GELU, 3 × 3, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.bias)
        # A block begins as nearly the identity, so that depth costs no stability.
        nn.init.normal_(self.conv2.weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the input."""
        return x + self.conv2(F.gelu(self.conv1(self.norm(x))))


class Encoder(nn.Module):
    """Images (B, 3, S, S) float in 0..1 → code.

    Spatial: (B, channels, S / f, S / f) with f = 4 · 2^(stages − 1). Vector: (B, code).

    Args:
        widths: channels of each stage, from the finest.
        channels: of the spatial code.
        code: numbers of a vector code; None makes a spatial one.
        size: side of the pictures a vector code is made for, in pixels.
        blocks: residual blocks a stage.
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
        for place, width in enumerate(widths):
            if place:
                stages.append(nn.Conv2d(widths[place - 1], width, 2, stride=2))
            stages += [Block(width) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages, ChannelNorm(widths[-1]))
        # Code numbers of variance 1, without scale or offset of their own: they can be stored in 8 bits, none can be
        # lost by shrinking, and a linear bottleneck cannot run away.
        if code is None:
            self.to_code = nn.Conv2d(widths[-1], channels, 1)
            self.standard: nn.Module = nn.BatchNorm2d(channels, affine=False)
        else:
            side = size // factor(widths)
            self.to_code = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * side * side, code))
            self.standard = nn.BatchNorm1d(code, affine=False)

    def maps(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in 0..1 → (B, C, S / f, S / f), the features that the code is made of."""
        return self.stages(self.stem((images - 0.5) / 0.25))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in 0..1 → code, float32."""
        return self.standard(self.to_code(self.maps(images)).float())


class Decoder(nn.Module):
    """Code → images (B, 3, S, S), nearly in 0..1 (not clamped, so that the loss reaches all of them).

    Args:
        widths: as the encoder's, from the finest; the decoder begins at the coarsest.
        channels: of the spatial code.
        code: numbers of a vector code; None means a spatial one.
        size: side of the pictures of a vector code, in pixels.
        blocks: residual blocks a stage.
        block: makes a block of a number of channels; what it is called with beside `x` is passed through `forward`.
        patch: side of the patches that the last layer writes, in pixels; half of it with one stage more is finer.
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
        if code is None:
            self.from_code: nn.Module = nn.Conv2d(channels, widths[-1], 3, padding=1)
        else:
            side = size // factor(widths, patch)
            shape = (widths[-1], side, side)
            self.from_code = nn.Sequential(nn.Linear(code, widths[-1] * side * side), nn.Unflatten(1, shape))
        stages = []
        for place, width in reversed(list(enumerate(widths))):
            stage = [block(width) for _ in range(blocks)]
            if place:
                stage.append(Upsample(width, widths[place - 1]))
            stages += stage
        self.stages = nn.ModuleList(stages)
        self.norm = ChannelNorm(widths[0])
        self.patch = patch
        self.to_pixels = nn.Conv2d(widths[0], 3 * patch * patch, 3, padding=1)

    def forward(self, code: Tensor, *conditions: Tensor) -> Tensor:
        """Code, as the encoder makes it → images (B, 3, S, S); every block gets `conditions`, if there are any."""
        x = self.from_code(code)
        for stage in self.stages:
            x = stage(x) if isinstance(stage, Upsample) else stage(x, *conditions)
        return 0.5 + 0.25 * F.pixel_shuffle(self.to_pixels(self.norm(x)), self.patch)


class Upsample(nn.Module):
    """(B, in, H, W) → (B, out, 2H, 2W): a 1 × 1 convolution to four times `out`, shuffled into place."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Double both sides."""
        return F.pixel_shuffle(self.conv(x), 2)


class Autoencoder(nn.Module):
    """Encoder and decoder.

    Args:
        code: numbers of a vector code; None makes a spatial one of `channels` channels at an eighth of the size.
        channels: of the spatial code.
        size: side of the pictures, in pixels; a spatial autoencoder takes any multiple of 8.
        width: times the channels of every stage, rounded to multiples of 8.
        blocks: residual blocks a stage.
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
        widths = [max(8, round(width * one / 8) * 8) for one in WIDTHS["spatial" if code is None else "vector"]]
        self.encoder = Encoder(widths, channels, code, size, blocks)
        self.decoder = Decoder(widths, channels, code, size, blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) in 0..1 → reconstructions of the same shape, and their code."""
        code = self.encoder(images)
        return self.decoder(code), code


def factor(widths: Sequence[int], patch: int = PATCH) -> int:
    """How many times smaller the coarsest maps are than the picture, along a side."""
    return patch * 2 ** (len(widths) - 1)
