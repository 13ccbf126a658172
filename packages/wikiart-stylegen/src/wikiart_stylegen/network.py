"""The autoencoder conditioned on trained style embeddings.

A content encoder turns an image into a spatial code that holds little of its style; a decoder whose blocks are all
conditioned on a style embedding paints the code in that style. Built on the encoder and decoder of
`wikiart_autoencode`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from wikiart_autoencode.network import Block, Decoder, Encoder

WIDTHS = (64, 128)
"""Channels of each stage, finest first; the code has an eighth of the image's side."""
FINEST_WIDTH = 32
"""Channels of the decoder's additional stage at half the image's side, which draws dots and hatching."""
Conditioning = Literal["film", "concat"]


class StyledBlock(Block):
    """A residual block whose normalised features are scaled and shifted by the style (FiLM, Perez et al. 2018).

    With `noise` the style also sets the amplitude of a noise input per channel, from which the block can draw marks
    that the content code does not place, such as dots and dabs (Karras et al. 2019, §3.2, where the amplitude does not
    depend on the style).

    Args:
        channels: channels of the feature maps.
        embedding_dim: length of a style vector.
        noise: whether the block has a noise input.
    """

    def __init__(self, channels: int, embedding_dim: int, noise: bool = False):
        super().__init__(channels)
        self.to_scale_shift = nn.Linear(embedding_dim, 2 * channels)
        nn.init.normal_(self.to_scale_shift.weight, std=0.02)
        nn.init.zeros_(self.to_scale_shift.bias)
        self.to_noise_scale = nn.Linear(embedding_dim, channels, bias=False) if noise else None
        if self.to_noise_scale is not None:
            nn.init.normal_(self.to_noise_scale.weight, std=0.02)

    # A decoder passes its conditions to each block, so this signature is the one in use.
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Tensor, style: Tensor, generator: Generator | None = None
    ) -> Tensor:
        """Transform feature maps.

        Args:
            x: (B, C, H, W).
            style: (B, D) style vectors.
            generator: draws the noise input; None leaves it out.

        Returns:
            (B, C, H, W).
        """
        scale, shift = self.to_scale_shift(style)[:, :, None, None].chunk(2, dim=1)
        # Mean and standard deviation over the image carry most of a style (Huang & Belongie 2017). They are removed
        # here so that the ones that follow come from the style vector alone.
        normalised = F.instance_norm(self.norm(x))
        normalised = (1 + scale) * normalised + shift
        if generator is not None and self.to_noise_scale is not None:
            noise = torch.randn(1, 1, *x.shape[2:], generator=generator).to(x.device)
            normalised = normalised + self.to_noise_scale(style)[:, :, None, None] * noise
        return x + self.conv2(F.gelu(self.conv1(normalised)))


class ContentEncoder(Encoder):
    """Images (B, 3, S, S) in [0, 1] → content codes (B, channels, S / 8, S / 8).

    Each channel of a code has mean 0 and variance 1 in every image (instance normalisation, Ulyanov et al. 2016), which
    removes global colour and contrast and keeps the layout.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, channels: int = 8, blocks: int = 2):
        super().__init__(widths, channels, blocks=blocks)
        self.standard = nn.InstanceNorm2d(channels)


class StyleAutoencoder(nn.Module):
    """Content encoder, style embeddings and conditional decoder.

    Args:
        styles: number of styles. One more embedding, the null style, stands for no particular style.
        channels: channels of the content code. Fewer channels hold less of the style, and less of the content.
        embedding_dim: length of a style embedding.
        conditioning: `film` conditions every block of the decoder on the style. `concat`, the simple baseline,
            concatenates the embedding to the code at every position and uses the plain encoder and decoder.
        width: multiplier of the channels of every stage; the products are rounded to multiples of 8.
        blocks: residual blocks per stage.
        noise: with `film`, whether styles set the amplitude of a noise input of each block.
    """

    def __init__(
        self,
        styles: int,
        channels: int = 8,
        embedding_dim: int = 64,
        conditioning: Conditioning = "film",
        width: float = 1.0,
        blocks: int = 2,
        noise: bool = False,
    ):
        super().__init__()
        finest, *widths = (max(8, round(width * channels_ / 8) * 8) for channels_ in (FINEST_WIDTH, *WIDTHS))
        self.conditioning, self.null_style = conditioning, styles
        self.embeddings = nn.Embedding(styles + 1, embedding_dim)
        nn.init.normal_(self.embeddings.weight)
        if conditioning == "film":
            self.encoder: Encoder = ContentEncoder(widths, channels, blocks)
            self.decoder = Decoder(
                [finest, *widths],
                channels,
                blocks=blocks,
                block=lambda block_channels: StyledBlock(block_channels, embedding_dim, noise),
                patch=2,
            )
        else:
            self.encoder = Encoder(widths, channels, blocks=blocks)
            self.decoder = Decoder(widths, channels + embedding_dim, blocks=blocks)

    def forward(self, images: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Repaint images.

        Args:
            images: (B, 3, S, S) float in [0, 1].
            styles: (B,) int64.

        Returns:
            The repaints (B, 3, S, S), not clamped, and the content codes (B, K, S / 8, S / 8).
        """
        code = self.encoder(images)
        return self.decode(code, self.embeddings(styles)), code

    def decode(self, code: Tensor, style: Tensor, noise_seed: int | None = 0) -> Tensor:
        """Paint content codes in given styles.

        Args:
            code: (B, K, h, w).
            style: (B, D) style vectors.
            noise_seed: seed of the blocks' noise inputs, which all images of the batch share; None leaves noise out.

        Returns:
            (B, 3, 8h, 8w), nearly in [0, 1], not clamped.
        """
        if self.conditioning == "film":
            return self.decoder(code, style, None if noise_seed is None else Generator().manual_seed(noise_seed))
        style_maps = style[:, :, None, None].expand(-1, -1, *code.shape[2:])
        return self.decoder(torch.cat([code, style_maps], dim=1))

    def style_vectors(self, styles: Tensor, strength: float = 1.0) -> Tensor:
        """Interpolate from the null style (strength 0) to a style (1), or extrapolate: (B,) int64 → (B, D)."""
        null = self.embeddings.weight[self.null_style]
        return null + strength * (self.embeddings(styles) - null)

    def modulation(self) -> Tensor:
        """The decoder's parameters under each style: (styles, N), the scales and shifts of all blocks.

        Embeddings start as random vectors that are long enough for training to rotate them little; which styles are
        similar is learned in the layers that read them. With `concat` the embeddings themselves are returned.
        """
        vectors = self.embeddings.weight[: self.null_style]
        blocks = [block for block in self.decoder.modules() if isinstance(block, StyledBlock)]
        return torch.cat([block.to_scale_shift(vectors) for block in blocks], dim=1) if blocks else vectors
