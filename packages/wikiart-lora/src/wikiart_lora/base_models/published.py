"""The published sizes of the known bases: their networks without weights, to count the memory that they need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from wikiart_lora.base_models.known import BASES
from wikiart_lora.base_models.loading import BaseModel, Geometry


@dataclass(frozen=True)
class Published:
    """What the `config.json` files of a base say, as far as sizes depend on it; the rest is diffusers' default."""

    family: str
    denoiser: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoders: Mapping[str, Mapping[str, Any]]
    """Their configurations by name of the class."""
    tokens: int
    """Length of a caption."""
    text_width: int
    """Width of its embeddings."""


_VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4,
}  # fmt: skip
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
_CLIP_G = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
    "projection_dim": 1280,
}  # fmt: skip
_QWEN3_4B = {
    "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True,
}  # fmt: skip

_SD15 = Published(
    "sd", {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}, _VAE, {"CLIPTextModel": _CLIP_L},
    77, 768,
)  # fmt: skip
_SD2: dict[str, Any] = {
    "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True,
}  # fmt: skip
_SDXL = {
    "block_out_channels": (320, 640, 1280), "layers_per_block": 2, "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20), "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
_SDXL_TEXT = {"CLIPTextModel": _CLIP_L, "CLIPTextModelWithProjection": _CLIP_G}
_KLEIN = {
    "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "attention_head_dim": 128,
    "joint_attention_dim": 7680, "in_channels": 128, "guidance_embeds": False,
}  # fmt: skip

PUBLISHED = {
    "sd15": _SD15,
    "sd21": Published("sd", {**_SD2, "sample_size": 96}, _VAE, {"CLIPTextModel": _CLIP_H}, 77, 1024),
    "sd-turbo": Published("sd", {**_SD2, "sample_size": 64}, _VAE, {"CLIPTextModel": _CLIP_H}, 77, 1024),
    "sdxl": Published("sdxl", {**_SDXL, "sample_size": 128}, _VAE, _SDXL_TEXT, 77, 2048),
    "sdxl-turbo": Published("sdxl", {**_SDXL, "sample_size": 64}, _VAE, _SDXL_TEXT, 77, 2048),
    "klein": Published("flux2", _KLEIN, {}, {"Qwen3ForCausalLM": _QWEN3_4B}, 512, 7680),
}


class _Pipeline:
    """What `families` uses of a diffusers pipeline, around networks that have no tokenizer and no scheduler."""

    def __init__(self, family: str, denoiser: Any, vae: Any, text_encoders: list[Any]):
        from diffusers import Flux2KleinPipeline  # pyright: ignore[reportPrivateImportUsage]

        self.vae, self.vae_scale_factor = vae, 2 ** (len(vae.config.block_out_channels) - 1)
        self.text_encoder, self.text_encoder_2 = (*text_encoders, None)[:2]
        if family == "flux2":
            self.transformer = denoiser
            for name in (
                "_pack_latents", "_patchify_latents", "_unpatchify_latents", "_prepare_text_ids", "_prepare_latent_ids",
            ):  # fmt: skip
                setattr(self, name, getattr(Flux2KleinPipeline, name))
        else:
            self.unet = denoiser


def published_base(name: str) -> BaseModel:
    """A known base by its published sizes and with the types that training uses on a GPU.

    Its weights are random: call it where tensors have no storage, as within `FakeTensorMode`.
    """
    import diffusers
    import transformers

    published, size = PUBLISHED[name], BASES[name].size
    is_flux = published.family == "flux2"
    denoiser_class = "Flux2Transformer2DModel" if is_flux else "UNet2DConditionModel"
    vae_class = "AutoencoderKLFlux2" if is_flux else "AutoencoderKL"
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        denoiser = getattr(diffusers, denoiser_class)(**published.denoiser)
        encoders: list[nn.Module] = []
        for kind, sizes in published.text_encoders.items():
            network = getattr(transformers, kind)
            encoders.append(network(network.config_class(**sizes)))
        torch.set_default_dtype(torch.float32)
        vae = getattr(diffusers, vae_class)(**published.vae)
    finally:
        torch.set_default_dtype(before)
    for network in (denoiser, vae, *encoders):
        network.eval().requires_grad_(False)
    pipeline = _Pipeline(published.family, denoiser, vae, encoders)
    geometry = Geometry(size, 8 if is_flux else 64)
    return BaseModel(name, published.family, pipeline, geometry, torch.device("cpu"), dtype=torch.bfloat16)
