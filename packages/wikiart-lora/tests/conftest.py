"""Small data folders, small pipelines of every family with random weights, and no network."""

import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from wikiart_lora.tiny_base.networks import make_scheduler
from wikiart_lora.tiny_base.vocabulary import make_tokenizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers and transformers warn about their own deprecations at import
    import diffusers
    import peft  # noqa: F401
    import transformers

COUNTS = {"Baroque": 12, "Cubism": 8, "Ukiyo_e": 6}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection fails at once: no test may reach for the hub."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("the tests have no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture(autouse=True)
def _without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the steps between two figures: only tests with `figures` do it."""
    if "figures" not in request.fixturenames:
        for function in ("before_and_after", "learning_curve"):
            monkeypatch.setattr(f"wikiart_lora.training.{function}", lambda *_: Figure(figsize=(1, 1)))


@pytest.fixture
def figures() -> None:
    """Draw the figures of training in this test."""


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three styles, each a colour with noise; titles in the file names, and not all images are square."""
    root = tmp_path_factory.mktemp("paintings")
    random = np.random.default_rng(0)
    for split, share in (("train", 1.0), ("valid", 0.5), ("test", 0.5)):
        for place, (style, count) in enumerate(COUNTS.items()):
            folder = root / split / style
            folder.mkdir(parents=True)
            for number in range(int(count * share)):
                colour = np.array([[220, 60, 60], [60, 200, 60], [60, 60, 220]])[place]
                shape = (24, 40, 3) if number % 3 == 2 else (24, 24, 3)
                pixels = (colour + random.normal(0, 25, shape)).clip(0, 255).astype(np.uint8)
                name = f"painter-{number % 3}_a-red-lake-{split}-{number}.jpg"
                Image.fromarray(pixels).save(folder / name, quality=90)
    return root


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


@pytest.fixture(scope="session")
def sd(made_once: Callable[..., Path]) -> Path:
    return made_once("sd", lambda folder: save_sd(folder, "epsilon"))


@pytest.fixture(scope="session")
def sd_v(made_once: Callable[..., Path]) -> Path:
    return made_once("sd-v", lambda folder: save_sd(folder, "v_prediction"))


@pytest.fixture(scope="session")
def sdxl(made_once: Callable[..., Path]) -> Path:
    return made_once("sdxl", save_sdxl)


@pytest.fixture(scope="session")
def flux2(made_once: Callable[..., Path]) -> Path:
    return made_once("flux2", save_flux2)


@pytest.fixture
def options(paintings: Path, sd: Path) -> list[str]:
    """Options of a run that takes seconds."""
    return [
        "--base", str(sd), "--data", str(paintings), "--batch-size", "4", "--steps", "4", "--rank", "2", "--size", "16",
        "--device", "cpu", "--precision", "fp32", "--ema", "0.5", "--lr", "0.01", "--num-inference-steps", "1",
        "--save-every", "4",
    ]  # fmt: skip
