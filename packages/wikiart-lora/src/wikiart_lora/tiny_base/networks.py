"""The networks of `tiny`: those of Stable Diffusion, each some thousand times smaller."""

from typing import Any

SIZE = 64
"""Side of the images, in pixels."""
LATENT = 16
"""Side of the latents: a quarter of the images', so that brush marks are kept."""
CHANNELS = 4
"""Channels of the latents, as in Stable Diffusion. 8 keep more of the brush marks, but less of the scene after the same
number of steps (LOG.md)."""
TEXT_WIDTH = 128
"""Width of the text encoder."""


def make_vae() -> Any:
    """An AutoencoderKL: (B, 3, 64, 64) in [-1, 1] → (B, CHANNELS, 16, 16)."""
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    return AutoencoderKL(
        sample_size=SIZE,
        block_out_channels=(16, 32, 64),  # pyright: ignore[reportArgumentType]  (annotated as tuples of length 1)
        down_block_types=("DownEncoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


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


def make_unet() -> Any:
    """A UNet2DConditionModel of (B, CHANNELS, 16, 16) latents. Attention is at 8 × 8 and 4 × 4, where it is cheap."""
    from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(48, 96, 112),
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
