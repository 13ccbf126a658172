"""The autoencoder conditioned on trained style embeddings.

A content encoder makes a spatial code that is poor in style; a decoder, all of whose blocks are told a style embedding,
paints it in that style. Built on the encoder and decoder of `wikiart-autoencode`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from wikiart_autoencode.network import Block, Decoder, Encoder

WIDTHS = (64, 128)
"""Channels of each stage, from the finest; the code lies at an eighth of the picture's size."""
FINEST = 32
"""Channels of the painting decoder's stage more, at half the picture's size: dots and hatching are as fine as that."""
Conditioning = Literal["film", "concat"]


class StyledBlock(Block):
    """A residual block whose normalised features are scaled and shifted by the style (FiLM, Perez et al. 2018).

    With `grain` the style also says how much noise each channel gets, out of which marks can be made that the content
    code does not place, such as dots and dabs (a noise input a layer, Karras et al. 2019, §3.2; there not by style).

    Args:
        channels: of the maps.
        style: numbers of a style vector.
        grain: whether there is any.
    """

    def __init__(self, channels: int, style: int, grain: bool = False):
        super().__init__(channels)
        self.to_scale_shift = nn.Linear(style, 2 * channels)
        nn.init.normal_(self.to_scale_shift.weight, std=0.02)
        nn.init.zeros_(self.to_scale_shift.bias)
        self.to_grain = nn.Linear(style, channels, bias=False) if grain else None
        if self.to_grain is not None:
            nn.init.normal_(self.to_grain.weight, std=0.02)

    def forward(self, x: Tensor, style: Tensor, generator: Generator | None = None) -> Tensor:
        """Maps (B, C, H, W) and style vectors (B, D) → maps of the same shape; without a generator, without grain."""
        scale, shift = self.to_scale_shift(style)[:, :, None, None].chunk(2, dim=1)
        # Mean and deviation over the picture carry most of a style (Huang & Belongie 2017): they are taken out here, so
        # that what comes in again is the style's own.
        x_hat = F.instance_norm(self.norm(x))
        x_hat = (1 + scale) * x_hat + shift
        if generator is not None and self.to_grain is not None:
            noise = torch.randn(1, 1, *x.shape[2:], generator=generator).to(x.device)
            x_hat = x_hat + self.to_grain(style)[:, :, None, None] * noise
        return x + self.conv2(F.gelu(self.conv1(x_hat)))


class ContentEncoder(Encoder):
    """Images (B, 3, S, S) → content code (B, channels, S / 8, S / 8), each channel of mean 0 and variance 1 a picture.

    Which colours and contrasts a picture has is taken out of every channel (instance normalisation, Ulyanov et al.
    2016); where things are stays in.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, channels: int = 8, blocks: int = 2):
        super().__init__(widths, channels, blocks=blocks)
        self.standard = nn.InstanceNorm2d(channels)


class StyleAutoencoder(nn.Module):
    """Content encoder, style embeddings, decoder.

    Args:
        styles: number of styles; one embedding more is the null style, the mean of all.
        channels: of the content code: the narrower, the poorer in style, and the less content is kept.
        style: numbers of a style embedding.
        conditioning: `film`: every block is told the style. `concat`, the assignment's simple version and the baseline:
            the embedding is laid beside the code at every place, and the encoder is left as it is.
        width: times the channels of every stage, rounded to multiples of 8.
        blocks: residual blocks a stage.
        grain: whether styles, with `film`, also say how much noise each block gets.
    """

    def __init__(
        self,
        styles: int,
        channels: int = 8,
        style: int = 64,
        conditioning: Conditioning = "film",
        width: float = 1.0,
        blocks: int = 2,
        grain: bool = False,
    ):
        super().__init__()
        finest, *widths = (max(8, round(width * one / 8) * 8) for one in (FINEST, *WIDTHS))
        self.conditioning, self.null = conditioning, styles
        self.embeddings = nn.Embedding(styles + 1, style)
        nn.init.normal_(self.embeddings.weight)
        if conditioning == "film":
            self.encoder: Encoder = ContentEncoder(widths, channels, blocks)
            self.decoder = Decoder(
                [finest, *widths], channels, blocks=blocks, block=lambda wide: StyledBlock(wide, style, grain), patch=2
            )
        else:
            self.encoder = Encoder(widths, channels, blocks=blocks)
            self.decoder = Decoder(widths, channels + style, blocks=blocks)

    def forward(self, images: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) in 0..1 and styles (B,) int64 → the pictures in these styles, and content codes."""
        code = self.encoder(images)
        return self.paint(code, self.embeddings(styles)), code

    def paint(self, code: Tensor, style: Tensor, grain: int | None = 0) -> Tensor:
        """Content codes (B, K, h, w) and style vectors (B, D) → images (B, 3, 8h, 8w), nearly in 0..1.

        `grain` is the seed of the blocks' noise, the same for all pictures; None leaves noise out.
        """
        if self.conditioning == "film":
            return self.decoder(code, style, None if grain is None else Generator().manual_seed(grain))
        beside = style[:, :, None, None].expand(-1, -1, *code.shape[2:])
        return self.decoder(torch.cat([code, beside], dim=1))

    def style_vector(self, styles: Tensor, strength: float = 1.0) -> Tensor:
        """Embeddings between the null style (strength 0) and a style (1), or beyond it: (B,) int64 → (B, D)."""
        null = self.embeddings.weight[self.null]
        return null + strength * (self.embeddings(styles) - null)

    def told(self) -> Tensor:
        """What each style tells the decoder: (styles, N), the scales and shifts of all blocks.

        Embeddings start as random vectors, long enough that training turns them little; what makes styles alike or
        unlike is learned where they are read. Of `concat` it is the embeddings themselves.
        """
        vectors = self.embeddings.weight[: self.null]
        blocks = [block for block in self.decoder.modules() if isinstance(block, StyledBlock)]
        return torch.cat([block.to_scale_shift(vectors) for block in blocks], dim=1) if blocks else vectors
