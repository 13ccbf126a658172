"""Pipelines of every family with random weights, small enough for a test."""

import warnings
from pathlib import Path

import torch

from wikiart_lora.tiny_base.networks import make_scheduler
from wikiart_lora.tiny_base.vocabulary import make_tokenizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers and transformers warn about their own deprecations at import
    import diffusers
    import peft  # noqa: F401
    import transformers


def tokenizer():
    return make_tokenizer(["a red lake", "a painting of a house"])


def text_encoder(vocabulary: int, length: int, projected: bool = False):
    config = transformers.CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=length, projection_dim=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config)


def vae():
    return diffusers.AutoencoderKL(
        sample_size=16, block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False,
    )  # fmt: skip


def unet(**more):
    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8, "block_out_channels": (16, 32), "layers_per_block": 1, "cross_attention_dim": 16,
            "attention_head_dim": 2, "norm_num_groups": 4, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), **more,
        }
    )  # fmt: skip


def save_sd(folder: Path, prediction: str) -> None:
    torch.manual_seed(0)
    clip = tokenizer()
    scheduler = diffusers.DDIMScheduler.from_config(make_scheduler().config, prediction_type=prediction)
    if prediction == "epsilon":
        scheduler.register_to_config(rescale_betas_zero_snr=False)
    diffusers.StableDiffusionPipeline(
        vae=vae(), text_encoder=text_encoder(len(clip), clip.model_max_length), tokenizer=clip, unet=unet(),
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def save_sdxl(folder: Path) -> None:
    torch.manual_seed(0)
    clip = tokenizer()
    length = clip.model_max_length
    diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=text_encoder(len(clip), length),
        text_encoder_2=text_encoder(len(clip), length, projected=True),
        tokenizer=clip,
        tokenizer_2=clip,
        unet=unet(
            cross_attention_dim=32, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16, transformer_layers_per_block=(1, 2),
            use_linear_projection=True, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading"),
    ).save_pretrained(folder)  # fmt: skip


def save_flux2(folder: Path) -> None:
    """FLUX.2 klein, whose pipeline reads layers 9, 18 and 27 of the text encoder; everything else is shallow."""
    torch.manual_seed(0)
    letters = sorted(__import__("tokenizers").pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    qwen = transformers.Qwen2Tokenizer(
        vocab={token: place for place, token in enumerate([*letters, *special])}, merges=[],
        unk_token="<|endoftext|>", eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    qwen.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    encoder = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=len(qwen), hidden_size=8, intermediate_size=16, num_hidden_layers=28, num_attention_heads=2,
            num_key_value_heads=1, head_dim=4, max_position_embeddings=512,
        )
    )  # fmt: skip
    autoencoder = diffusers.AutoencoderKLFlux2(
        sample_size=16, block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False,
    )  # fmt: skip
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=24, timestep_guidance_channels=16, axes_dims_rope=(2, 2, 2, 2), guidance_embeds=False,
    )  # fmt: skip
    diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=autoencoder,
        text_encoder=encoder, tokenizer=qwen, transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
