"""The shapes of `tiny`: everything that Stable Diffusion has, each some thousand times smaller."""

from typing import Any

from torch import nn

SIZE = 64
"""Side of the pictures, in pixels."""
LATENT = 16
"""Side of the latents: a quarter of the pictures', so that a brush mark survives."""
CHANNELS = 4
"""Of the latents, as Stable Diffusion has it. 8 keep more of the brush marks, but after as many steps less of the scene
(LOG.md)."""
WORDS = 128
"""Numbers a token of the text encoder."""


def make_vae() -> nn.Module:
    """An AutoencoderKL: (B, 3, 64, 64) in -1..1 → (B, CHANNELS, 16, 16)."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=SIZE,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


def make_text_encoder(vocabulary: int, length: int, end: int) -> nn.Module:
    """A CLIP text encoder: (B, length) tokens → (B, length, WORDS).

    Args:
        vocabulary: number of tokens.
        length: of a caption, in tokens.
        end: the token that ends a caption and pads it.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=WORDS,
            intermediate_size=3 * WORDS,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=length,
            projection_dim=WORDS,
            bos_token_id=0,
            eos_token_id=end,
            pad_token_id=end,
        )
    )


def make_unet() -> nn.Module:
    """A UNet2DConditionModel of (B, CHANNELS, 16, 16) latents. Attention is where it is cheap, at 8 × 8 and 4 × 4."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(48, 96, 112),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WORDS,
        attention_head_dim=4,  # diffusers' old name for the number of heads, kept by it for Stable Diffusion's files
        norm_num_groups=8,
    )


def make_scheduler() -> Any:
    """The noise that training adds and sampling takes away: v-prediction, and the last step is noise alone.

    Pictures of few, large areas of one colour need both: with a last step that still shows the mean colour, a base
    never learns to choose one (Lin et al. 2023, §3.1 and 3.2).
    """
    from diffusers import DDIMScheduler

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
