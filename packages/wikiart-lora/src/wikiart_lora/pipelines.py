"""Opening a base: a diffusers pipeline from a folder or the hub, safetensors only, never code from elsewhere."""

import json
import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from wikiart_data.acquire.hub import reach_hub
from wikiart_data.errors import InputError
from wikiart_lora.bases import BASES

FAMILIES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "Flux2KleinPipeline": "flux2",
}
"""What a pipeline calls itself → how it is trained here."""
SMALL = 128
"""Up to this side in pixels, attention on a CPU is written out."""


@dataclass(frozen=True)
class Base:
    """An opened pipeline, and what kind it is."""

    name: str
    """As the user named it."""
    family: str
    """sd, sdxl or flux2."""
    pipeline: Any
    """Of diffusers, on the device."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that is adapted: a UNet or a transformer."""
        return self.pipeline.transformer if self.family == "flux2" else self.pipeline.unet

    @property
    def denoiser_name(self) -> str:
        """What the pipeline calls it."""
        return "transformer" if self.family == "flux2" else "unet"

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        """By the names that the pipeline gives them."""
        names = ("text_encoder", "text_encoder_2")
        return {name: getattr(self.pipeline, name) for name in names if getattr(self.pipeline, name, None) is not None}

    @property
    def side(self) -> int:
        """Side of the pictures the base was made for, in pixels."""
        sample = getattr(self.denoiser.config, "sample_size", None) or getattr(
            self.pipeline, "default_sample_size", 128
        )
        return int(sample) * int(self.pipeline.vae_scale_factor)

    @property
    def multiple(self) -> int:
        """Sides of pictures are multiples of this many pixels, so that every level of the network halves evenly."""
        levels = len(getattr(self.denoiser.config, "block_out_channels", (0, 0)))
        return int(self.pipeline.vae_scale_factor) * 2 ** (levels - 1)

    def fitting(self, side: int) -> int:
        """The side in pixels that is nearest to a wanted one and can be had."""
        return max(self.multiple, round(side / self.multiple) * self.multiple)


def open_base(name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Base:
    """Load a base.

    Args:
        name: a short name of `BASES`, a folder, or a name on the hub.
        device: where to.
        dtype: of the weights. The autoencoder stays in float32, for SDXL's overflows in less.

    Raises:
        InputError: it is not there, cannot be loaded, or is of a family that is not supported.
    """
    import diffusers
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    place = BASES[name].place if name in BASES else name
    is_local = Path(place).expanduser().is_dir()
    if name == "tiny" and not is_local:
        raise InputError(
            f"The embedded base tiny is not in this installation ({place}): make it with wikiart-lora pretrain, and "
            "name the folder base of that run with --base DIR."
        )
    if is_local:
        place = str(Path(place).expanduser())
    elif Path(place).is_absolute() or place.startswith((".", "~")) or place.count("/") != 1:
        raise InputError(
            f"--base {name}: there is no such folder, and it is no name on the hub (owner/model). "
            f"Short names: {', '.join(BASES)}."
        )
    how: dict[str, Any] = {"local_files_only": is_local or not hub_is_near()}
    with quiet_loading():
        try:
            index = diffusers.DiffusionPipeline.load_config(place, **how)
            kind = index["_class_name"]
            kind = kind[0] if isinstance(kind, list) else kind
            if kind not in FAMILIES:
                raise InputError(
                    f"--base {name} is a {kind}, which cannot be trained here; there are {', '.join(FAMILIES)}."
                )
            if "safety_checker" in index:
                how |= {"safety_checker": None, "requires_safety_checker": False}
            pipeline = getattr(diffusers, kind).from_pretrained(place, torch_dtype=dtype, use_safetensors=True, **how)
        except InputError:
            raise
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError, KeyError) as error:
            first = " ".join(str(error).split())[:160]
            if is_local:
                raise InputError(f"--base {name} is no diffusers pipeline with safetensors files: {first}") from error
            raise InputError(
                f"--base {name} cannot be fetched from the hub ({type(error).__name__}): check the name and the "
                "network (and, for a gated model, its licence and `hf auth login`); or download it where there is a "
                "network with `hf download`, and name the folder with --base DIR; `--base tiny` needs no network."
            ) from error
    # Said at every use of a base, about code that is not ours.
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")  # autocast and RMS norms
    warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    pipeline.vae.to(torch.float32)
    for module in pipeline.components.values():
        if isinstance(module, nn.Module):
            module.eval().requires_grad_(False)
    base = Base(name, FAMILIES[kind], pipeline)
    if base.family != "flux2":
        base.denoiser.to(memory_format=torch.channels_last)
        if torch.device(device).type == "cpu" and base.side <= SMALL:
            plain_attention(base.denoiser, *base.text_encoders.values())
    return base


def read_autoencoder(name: str, vae: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a base's autoencoder, in float32.

    Args:
        name: a short name of `BASES` that is a folder, or a folder.
        vae: what they are for.

    Raises:
        InputError: there are none, or they are of an autoencoder of another shape.
    """
    from safetensors.torch import load_file

    place = Path(BASES[name].place if name in BASES else name).expanduser()
    try:
        weights = load_file(place / "vae" / "diffusion_pytorch_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"--autoencoder {name} holds no base that pretrain has made.") from error
    wanted = {key: value.shape for key, value in vae.state_dict().items()}
    if {key: value.shape for key, value in weights.items()} != wanted:
        raise InputError(f"--autoencoder {name} is of another shape than tiny's autoencoder.")
    return {key: value.float() for key, value in weights.items()}


def plain_attention(denoiser: nn.Module, *text_encoders: nn.Module) -> None:
    """Let attention be written out as products and a softmax.

    On a CPU the fused kernel is a fifth to a half slower going back, on maps as small as tiny's (torch 2.15). On large
    maps it saves memory, and it stays.
    """
    from diffusers.models.attention_processor import AttnProcessor

    denoiser.set_attn_processor(AttnProcessor())
    for encoder in text_encoders:
        encoder.set_attn_implementation("eager")


def hub_is_near() -> bool:
    """Whether the hub's name is known here: without a network, what was fetched before is found without retries."""
    try:
        reach_hub()
    except OSError:
        return False
    return True


class quiet_loading(warnings.catch_warnings):
    """While a pipeline is loaded or saved: no bars, and no warnings that are of no concern to who runs a command."""

    def __enter__(self) -> None:
        """Silence diffusers and transformers."""
        import diffusers
        import transformers

        super().__enter__()
        warnings.simplefilter("ignore")
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()


def fingerprint(*modules: nn.Module) -> str:
    """8 hex digits over every weight, its name, type and shape, and over the configuration."""
    crc = 0
    for module in modules:
        config = getattr(module, "config", {})
        shown = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        shown = {key: value for key, value in shown.items() if not key.startswith("_")}
        crc = zlib.crc32(json.dumps(shown, sort_keys=True, default=str).encode(), crc)
        for name, tensor in sorted(module.state_dict().items()):
            crc = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), crc)
            whole = tensor.detach().cpu().contiguous().flatten()
            crc = zlib.crc32(whole.view(torch.uint8).numpy() if whole.numel() else b"", crc)
    return f"{crc:08x}"
