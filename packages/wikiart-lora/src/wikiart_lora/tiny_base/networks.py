"""The networks of `tiny`: those of Stable Diffusion, each some thousand times smaller."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

SIZE = 64
"""Side of the images, in pixels."""
LATENT = 16
"""Side of the latents: a quarter of the images', so that brush marks are kept."""
TEXT_WIDTH = 128
"""Width of the text encoder."""


def make_vae(channels: int, width: int) -> Any:
    """An AutoencoderKL (Rombach et al. 2022): (B, 3, 64, 64) in [-1, 1] → (B, channels, 16, 16).

    Args:
        channels: of the latents.
        width: channels of the outermost level; the two inner ones have twice and four times as many.
    """
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    return AutoencoderKL(
        sample_size=SIZE,
        block_out_channels=(width, 2 * width, 4 * width),  # pyright: ignore[reportArgumentType]  (annotated as tuples of length 1)
        down_block_types=("DownEncoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


class PatchCritic(nn.Module):
    """Whether each patch of an image is real (Isola et al. 2017): (B, 3, S, S) → (B, 1, S / 4, S / 4) logits.

    Its first layer keeps the resolution: brush marks are few pixels wide.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU(0.2)),
                _critic_layer(width, 2 * width),
                _critic_layer(2 * width, 4 * width),
            ]
        )
        self.last = nn.Conv2d(4 * width, 1, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (B, 3, S, S) in [-1, 1] → logits, and the features of every layer."""
        features = []
        for layer in self.layers:
            images = layer(images)
            features.append(images)
        return self.last(images), features


def _critic_layer(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2))


def make_text_encoder(vocabulary: int, length: int, end: int) -> Any:
    """A CLIP text encoder: (B, length) tokens → (B, length, TEXT_WIDTH).

    Args:
        vocabulary: number of tokens.
        length: of a caption, in tokens.
        end: index of the token that ends a caption and pads it.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=length,
            projection_dim=TEXT_WIDTH,
            bos_token_id=0,
            eos_token_id=end,
            pad_token_id=end,
        )
    )


def make_unet(channels: int, widths: Sequence[int]) -> Any:
    """A UNet2DConditionModel of (B, channels, 16, 16) latents. Attention is at 8 × 8 and 4 × 4, where it is cheap.

    Args:
        channels: of the latents.
        widths: channels of the three levels.
    """
    from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # in diffusers' UNet this is the number of heads
        norm_num_groups=8,
    )


def make_scheduler() -> Any:
    """The noise schedule: v-prediction, and zero signal at the last timestep.

    Images with few, large areas of one colour need both: if the last timestep still shows the mean colour, the network
    never learns to choose one (Lin et al. 2023, §3.1 and 3.2).
    """
    from diffusers import DDIMScheduler  # pyright: ignore[reportPrivateImportUsage]

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )
