"""Loading a base model: a diffusers pipeline from a folder or the hub, safetensors only, never remote code."""

import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from wikiart_data.acquire.hub import reach_hub
from wikiart_data.errors import InputError
from wikiart_data.training.device import use_bf16
from wikiart_lora.base_models.known import BASES

FAMILIES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "Flux2KleinPipeline": "flux2",
}
"""Class of a pipeline → its family."""
UNFUSED_ATTENTION_SIDE = 128
"""Up to this side in pixels, attention on a CPU is computed without the fused kernel."""


@dataclass(frozen=True)
class Geometry:
    """Which image sizes a base takes, in pixels."""

    side: int
    """Side of the images it was trained on."""
    multiple: int
    """Sides are multiples of this, so that every level of the network halves evenly."""

    def nearest_side(self, side: int) -> int:
        """The valid side nearest to a given one."""
        return max(self.multiple, round(side / self.multiple) * self.multiple)


@dataclass(frozen=True)
class BaseModel:
    """A loaded pipeline and its family."""

    name: str
    """As given by the user."""
    family: str
    """sd, sdxl or flux2."""
    pipeline: Any
    """The diffusers pipeline, on the device."""
    geometry: Geometry

    @property
    def denoiser(self) -> Any:
        """The network that is adapted: a UNet or a transformer."""
        return self.pipeline.transformer if self.family == "flux2" else self.pipeline.unet

    @property
    def denoiser_name(self) -> str:
        """What the pipeline calls the denoiser."""
        return "transformer" if self.family == "flux2" else "unet"

    @property
    def text_encoders(self) -> dict[str, Any]:
        """The text encoders, by the names that the pipeline gives them."""
        names = ("text_encoder", "text_encoder_2")
        return {name: getattr(self.pipeline, name) for name in names if getattr(self.pipeline, name, None) is not None}

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return self.denoiser.device


def load_base(name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> BaseModel:
    """Load a base model.

    Args:
        name: a short name of `BASES`, a folder, or a name on the hub.
        device: where to put it.
        dtype: of the weights. The autoencoder stays in float32: SDXL's overflows in half precision.

    Raises:
        InputError: it does not exist, cannot be loaded, or is of a family that is not supported.
    """
    diffusers: Any = import_module("diffusers")
    with _reading(name) as (location, options):
        index = diffusers.DiffusionPipeline.load_config(location, **options)
        kind = _pipeline_class(name, index)
        if "safety_checker" in index:
            options |= {"safety_checker": None, "requires_safety_checker": False}
        pipeline_class = getattr(diffusers, kind)
        pipeline = pipeline_class.from_pretrained(location, torch_dtype=dtype, use_safetensors=True, **options)
    # Warnings of diffusers and torch at every use of a base, about code that is not ours.
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")  # autocast and RMS norms
    warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    pipeline.vae.to(torch.float32)
    for module in pipeline.components.values():
        if isinstance(module, nn.Module):
            module.eval().requires_grad_(False)
    family = FAMILIES[kind]
    base = BaseModel(name, family, pipeline, _geometry(family, _denoiser_config(pipeline), pipeline.vae.config))
    if family != "flux2":
        base.denoiser.to(memory_format=torch.channels_last)
        if torch.device(device).type == "cpu" and base.geometry.side <= UNFUSED_ATTENTION_SIDE:
            use_unfused_attention(base.denoiser, *base.text_encoders.values())
    return base


def read_geometry(name: str) -> Geometry:
    """The image sizes of a base, read from its configuration files; no weights are loaded.

    Raises:
        InputError: it does not exist, cannot be read, or is of a family that is not supported.
    """
    diffusers: Any = import_module("diffusers")
    with _reading(name) as (location, options):
        index = diffusers.DiffusionPipeline.load_config(location, **options)
        family = FAMILIES[_pipeline_class(name, index)]
        part = "transformer" if family == "flux2" else "unet"
        denoiser, vae = (
            diffusers.AutoencoderKL.load_config(location, subfolder=folder, **options) for folder in (part, "vae")
        )
    return _geometry(family, denoiser, vae)


def _geometry(family: str, denoiser: Any, vae: Any) -> Geometry:
    """From the configurations of denoiser and autoencoder; what they leave out has diffusers' default."""
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    levels = 2 if family == "flux2" else len(denoiser["block_out_channels"])
    latent_side = denoiser.get("sample_size") or 128  # what diffusers' pipelines assume where a file says nothing
    return Geometry(int(latent_side) * scale, scale * 2 ** (levels - 1))


def _denoiser_config(pipeline: Any) -> Any:
    return (getattr(pipeline, "unet", None) or pipeline.transformer).config


def _pipeline_class(name: str, index: Any) -> str:
    kind = index["_class_name"]
    kind = kind[0] if isinstance(kind, list) else kind
    if kind not in FAMILIES:
        raise InputError(
            f"--base {name} is a {kind}, which is not supported; supported are {', '.join(FAMILIES)}.", field="--base"
        )
    return kind


@contextmanager
def _reading(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where a base is, and the options of diffusers' loaders for it; their errors become sentences."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    location = BASES[name].location if name in BASES else name
    is_local = Path(location).expanduser().is_dir()
    if name == "tiny" and not is_local:
        raise InputError(
            f"The embedded base tiny is missing from this installation ({location}): make it with wikiart-lora "
            "pretrain, and pass the folder base of that run with --base DIR.",
            field="--base",
        )
    if is_local:
        location = str(Path(location).expanduser())
    elif Path(location).is_absolute() or location.startswith((".", "~")) or location.count("/") != 1:
        raise InputError(
            f"--base {name}: there is no such folder, and it is no name on the hub (owner/model). "
            f"Short names: {', '.join(BASES)}.",
            field="--base",
        )
    with quiet_loading():
        try:
            yield location, {"local_files_only": is_local or not hub_is_reachable()}
        except InputError:
            raise
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:160]
            if is_local:
                raise InputError(
                    f"--base {name} is no diffusers pipeline with safetensors files: {reason}", field="--base"
                ) from error
            raise InputError(
                f"--base {name} cannot be fetched from the hub ({type(error).__name__}): check the name and the "
                "network (and, for a gated model, its licence and `hf auth login`); or download it where there is a "
                "network with `hf download`, and pass the folder with --base DIR; `--base tiny` needs no network.",
                field="--base",
            ) from error


def load_autoencoder_weights(name: str, vae: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a base's autoencoder, in float32.

    Args:
        name: a short name of `BASES` that is a folder, or a folder.
        vae: the autoencoder they are for.

    Raises:
        InputError: there are none, or they are of an autoencoder of another shape.
    """
    from safetensors.torch import load_file

    folder = Path(BASES[name].location if name in BASES else name).expanduser()
    try:
        weights = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"--autoencoder {name} holds no base that pretrain has written.", field="--autoencoder"
        ) from error
    expected = {key: value.shape for key, value in vae.state_dict().items()}
    if {key: value.shape for key, value in weights.items()} != expected:
        raise InputError(f"--autoencoder {name} has another shape than the autoencoder of tiny.", field="--autoencoder")
    return {key: value.float() for key, value in weights.items()}


def use_unfused_attention(denoiser: Any, *text_encoders: Any) -> None:
    """Compute attention as products and a softmax.

    On a CPU the backward pass of the fused kernel is a fifth to a half slower on maps as small as tiny's (torch 2.15).
    On large maps the fused kernel saves memory and stays.
    """
    from diffusers.models.attention_processor import AttnProcessor

    denoiser.set_attn_processor(AttnProcessor())
    for encoder in text_encoders:
        encoder.set_attn_implementation("eager")


def hub_is_reachable() -> bool:
    """Whether the hub's name can be resolved; without a network, cached files are then used without retries."""
    try:
        reach_hub()
    except OSError:
        return False
    return True


@contextmanager
def quiet_loading() -> Iterator[None]:
    """While a pipeline is loaded or saved: no progress bars, and no warnings about code that is not ours."""
    diffusers: Any = import_module("diffusers")
    transformers: Any = import_module("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_progress_bar()
        yield


def fingerprint(*modules: nn.Module) -> str:
    """8 hex digits over every weight, its name, type and shape, and over the configuration."""
    crc = 0
    for module in modules:
        config: Any = getattr(module, "config", {})
        settings = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        settings = {key: value for key, value in settings.items() if not key.startswith("_")}
        crc = zlib.crc32(json.dumps(settings, sort_keys=True, default=str).encode(), crc)
        for name, tensor in sorted(module.state_dict().items()):
            crc = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), crc)
            crc = _crc_of(tensor, crc)
    return f"{crc:08x}"


def fingerprints(base: BaseModel) -> dict[str, str]:
    """A fingerprint of each network of a base, without an adapter, to notice another base under the same name.

    Weights are rounded to bf16 first, so that a run can continue on a device on which the base is kept in another type.
    Where it was loaded in fp16, rounding twice may differ, and the fingerprint says so: `fp16-…`.
    """
    kind = "fp16" if base.denoiser.dtype == torch.float16 else "bf16"
    networks = {"autoencoder": base.pipeline.vae, base.denoiser_name: base.denoiser, **base.text_encoders}
    prints = {}
    for name, network in networks.items():
        crc = 0
        for key, tensor in sorted(network.state_dict().items()):
            crc = zlib.crc32(f"{key} {tuple(tensor.shape)}".encode(), crc)
            crc = _crc_of(tensor.bfloat16() if tensor.is_floating_point() else tensor, crc)
        prints[name] = f"{kind}-{crc:08x}"
    return prints


def same_weights(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether two results of `fingerprints` can be of the same base."""
    return first.keys() == second.keys() and all(
        one == other or one.partition("-")[0] != other.partition("-")[0]
        for one, other in ((first[name], second[name]) for name in first)
    )


def _crc_of(tensor: torch.Tensor, crc: int) -> int:
    flat = tensor.detach().cpu().contiguous().flatten()
    return zlib.crc32(flat.view(torch.uint8).numpy().data if flat.numel() else b"", crc)


def choose_precision(device: torch.device, requested: str) -> tuple[str, str]:
    """`bf16`, `fp16` or `fp32`, and the reason in words."""
    if requested != "auto":
        return requested, "as requested"
    if device.type == "cuda":
        if use_bf16(device):
            return "bf16", "this GPU computes bf16 at full speed, and its range needs no loss scaling"
        return "fp16", "this GPU is too old for bf16; the loss is scaled to stay in fp16's range"
    if use_bf16(device):
        return "bf16", "this CPU has bf16 instructions; the base stays in fp32"
    return "fp32", f"this {device.type} device is not faster with less"


def weights_dtype(device: torch.device, precision: str) -> torch.dtype:
    """Type of the frozen base's weights: that of the computation on a GPU, always float32 on a CPU."""
    if device.type != "cuda":
        return torch.float32
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


Autocast = Callable[[], AbstractContextManager[Any]]


def autocast_for(device: torch.device, precision: str) -> Autocast:
    """The context of the computation: `with autocast(): …`."""
    if precision == "fp32":
        return nullcontext
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype)
