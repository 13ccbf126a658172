"""Stable Diffusion 1.5's published configuration with random weights: for measuring time and memory without a download.

The sizes are those of the `config.json` files of the published model; the vocabulary of the tokenizer is that of the
base `tiny`, since none can be downloaded. Neither time nor memory depends on it.
"""

from pathlib import Path
from typing import Any

import torch


def save(folder: Path, *, small: bool = False) -> Path:
    """Write a diffusers pipeline in half precision, and return its folder.

    Args:
        folder: where to.
        small: whether to shrink every network, for a test on a CPU; written in single precision.
    """
    import diffusers
    import transformers

    from wikiart_lora.tiny_base.vocabulary import make_tokenizer

    torch.manual_seed(0)
    tokenizer = make_tokenizer(["a painting of a lake"])
    tokenizer.model_max_length = 77
    unet, vae, text = _small() if small else _published()
    networks = {
        "unet": diffusers.UNet2DConditionModel(**unet),  # pyright: ignore[reportPrivateImportUsage]
        "vae": diffusers.AutoencoderKL(**vae),  # pyright: ignore[reportPrivateImportUsage]
        "text_encoder": transformers.CLIPTextModel(transformers.CLIPTextConfig(**text)),
    }
    if not small:
        networks = {name: network.to(torch.float16) for name, network in networks.items()}
    scheduler = diffusers.PNDMScheduler(  # pyright: ignore[reportPrivateImportUsage]
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    diffusers.StableDiffusionPipeline(  # pyright: ignore[reportPrivateImportUsage]
        **networks,
        tokenizer=tokenizer,
        scheduler=scheduler,  # pyright: ignore[reportArgumentType]
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def _published() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    unet = {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    }
    vae = {
        "sample_size": 512,
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    text = {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "projection_dim": 768,
        "bos_token_id": 0,  # those of the tokenizer here
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    return unet, vae, text


def _small() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    unet, vae, text = _published()
    unet |= {
        "norm_num_groups": 4,
        "sample_size": 8,
        "block_out_channels": (32, 32, 32, 32),
        "layers_per_block": 1,
        "cross_attention_dim": 16,
    }
    vae |= {"norm_num_groups": 4, "sample_size": 64, "block_out_channels": (32, 32, 32, 32), "layers_per_block": 1}
    text |= {"vocab_size": 2048, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    return unet, vae, text | {"num_attention_heads": 2, "projection_dim": 16}
