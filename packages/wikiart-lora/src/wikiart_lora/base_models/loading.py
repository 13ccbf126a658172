"""Loading a base model: a diffusers pipeline from a folder, the hub or a single file, and never remote code."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wikiart_data.errors import InputError
from wikiart_data.training.device import select_device
from wikiart_lora.base_models.precision import fp8_config, quantize_nf4, weights_dtype
from wikiart_lora.base_models.sources import DEFAULT_FILES, BaseFiles, Source, read_shapes, reading
from wikiart_lora.config import TrainConfig, TrainOptions

FAMILIES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "Flux2KleinPipeline": "flux2",
}
"""Class of a pipeline → its family."""
AUTOENCODERS = {"sd": "AutoencoderKL", "sdxl": "AutoencoderKL", "flux2": "AutoencoderKLFlux2"}
"""Family → class of its autoencoder. AutoencoderTiny and others have no posterior, and other latents."""
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

    def check_side(self, side: int, base: str) -> None:
        """Check, before any work, whether the base takes images of this size.

        Args:
            side: in pixels.
            base: its name.

        Raises:
            InputError: it does not.
        """
        if side % self.multiple:
            raise InputError(
                f"--size {side}: {base} takes multiples of {self.multiple} pixels, such as {self.nearest_side(side)}.",
                field="--size",
            )


@dataclass(frozen=True)
class TextOptions:
    """How captions are encoded, the same in training and in sampling."""

    clip_skip: int = 0
    """Last layers of CLIP text encoders that are left out, beyond those that the pipeline leaves out itself."""
    max_sequence_length: int = 512
    """Tokens to which FLUX.2's captions are padded or cut; its pipeline's default."""


DEFAULT_TEXT = TextOptions()


@dataclass(frozen=True)
class BaseModel:
    """A loaded pipeline and its family.

    Its networks are in main memory until `use` moves them to the device.
    """

    name: str
    """As given by the user."""
    family: str
    """sd, sdxl or flux2."""
    pipeline: Any
    """The diffusers pipeline."""
    geometry: Geometry
    device: torch.device
    """Where networks compute."""
    text: TextOptions = DEFAULT_TEXT
    quantize: str = "none"
    """Of the denoiser's linear layers: none, nf4 or fp8."""
    offload: bool = False
    """Whether text encoders stay in main memory, and their layers are moved to the device one at a time."""
    dtype: torch.dtype = torch.float32
    """Of the weights, except the autoencoder's, which are float32."""

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

    def use(self, *stages: str) -> None:
        """Move the networks of some stages to the device, and all others off it: each stage then has all its memory.

        Args:
            stages: of text, autoencoder, denoiser.
        """
        by_stage: dict[str, Iterable[nn.Module]] = {
            "text": () if self.offload else self.text_encoders.values(),
            "autoencoder": (self.pipeline.vae,),
            "denoiser": (self.denoiser,),
        }
        if self.device.type == "cpu":
            return
        for stage in sorted(by_stage, key=lambda stage: stage in stages):  # first make room
            for network in by_stage[stage]:
                network.to(self.device if stage in stages else "cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def load_base(
    name: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    files: BaseFiles = DEFAULT_FILES,
    text: TextOptions = DEFAULT_TEXT,
    quantize: str = "none",
    offload: bool = False,
) -> BaseModel:
    """Load a base model into main memory; `BaseModel.use` moves its networks to the device.

    Args:
        name: a short name of `BASES`, a folder, a name on the hub, or a single file.
        device: where its networks will compute: auto, cpu, cuda, cuda:N or mps.
        dtype: of the weights. The autoencoder stays in float32: SDXL's overflows in half precision.
        files: which files are read.
        text: how captions are encoded.
        quantize: the denoiser's linear layers: none, nf4 or fp8.
        offload: keep text encoders in main memory, and move one layer at a time to the device.

    Raises:
        InputError: it does not exist, cannot be loaded, or is of a family or has parts that are not supported; or this
            machine has no such device.
    """
    device = select_device(device)
    with reading(name, files) as source:
        kind = _pipeline_class(name, source)
        family = FAMILIES[kind]
        pipeline = _load_pipeline(name, source, kind, family, dtype, quantize)
        if quantize == "nf4":
            quantize_nf4(pipeline.transformer if family == "flux2" else pipeline.unet, dtype)
    if files.vae is not None:
        pipeline.register_modules(vae=_load_vae(files.vae, family, source))
    if (autoencoder := type(pipeline.vae).__name__) != AUTOENCODERS[family]:
        raise InputError(
            f"--base {name} has the autoencoder {autoencoder}, which is not supported: choose another with --vae.",
            field="--vae" if files.vae else "--base",
        )
    check_scheduler(name, pipeline.scheduler)
    # Warnings of diffusers and torch at every use of a base, about code that is not ours.
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")  # autocast and RMS norms
    warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.to(torch.float32)
    for module in pipeline.components.values():
        if isinstance(module, nn.Module):
            module.eval().requires_grad_(False)
    geometry = _geometry(family, _denoiser_config(pipeline), pipeline.vae.config)
    base = BaseModel(name, family, pipeline, geometry, device, text, quantize, offload, dtype)
    if _latent_channels(base) != base.denoiser.config["in_channels"]:
        raise InputError(
            f"--base {name}: its denoiser does not take the latents of its autoencoder alone, so it is no "
            "text-to-image model (inpainting models are not supported), or --vae is for another base.",
            field="--vae" if files.vae else "--base",
        )
    if family != "flux2" and quantize == "none":
        base.denoiser.to(memory_format=torch.channels_last)
        if device.type == "cpu" and base.geometry.side <= UNFUSED_ATTENTION_SIDE:
            use_unfused_attention(base.denoiser, *base.text_encoders.values())
    if offload:
        from diffusers.hooks.group_offloading import apply_group_offloading

        for encoder in base.text_encoders.values():
            apply_group_offloading(encoder, onload_device=device, offload_type="leaf_level")
    return base


def files_of(options: TrainOptions) -> BaseFiles:
    """Which files of its base a run reads."""
    return BaseFiles(options.variant, options.revision, options.vae, options.base_config)


def load_base_of(config: TrainConfig, device: torch.device, precision: str) -> BaseModel:
    """Load the base of a run, in training and in every later command in the same way.

    Raises:
        InputError: it cannot be loaded, or has no use for one of the options.
    """
    text = TextOptions(config.clip_skip, config.max_sequence_length or DEFAULT_TEXT.max_sequence_length)
    dtype = weights_dtype(device, precision)
    base = load_base(config.base, device, dtype, files_of(config), text, config.quantize, config.offload)
    if config.max_sequence_length and base.family != "flux2":
        raise InputError(
            f"--max-sequence-length is for FLUX.2; the captions of {base.name} have as many tokens as its text encoder "
            "takes.",
            field="--max-sequence-length",
        )
    if config.clip_skip and base.family == "flux2":
        raise InputError("--clip-skip is for CLIP text encoders, and FLUX.2 has none.", field="--clip-skip")
    return base


def _load_pipeline(name: str, source: Source, kind: str, family: str, dtype: torch.dtype, quantize: str) -> Any:
    """The pipeline, in main memory."""
    pipeline_class = getattr(import_module("diffusers"), kind)
    options: dict[str, Any] = {**source.options, "torch_dtype": dtype}
    if family == "sd":
        options |= {"safety_checker": None, "requires_safety_checker": False}
    if not source.is_single_file:
        if quantize == "fp8":
            options["quantization_config"] = fp8_config("transformer" if family == "flux2" else "unet")
        return pipeline_class.from_pretrained(source.location, use_safetensors=True, **options)
    if family == "flux2":
        raise InputError(
            f"--base {name}: a single file of FLUX.2 holds its transformer only; pass the folder of the whole pipeline "
            "or its hub name.",
            field="--base",
        )
    if quantize == "fp8":
        raise InputError(
            f"--quantize fp8 needs a base in the layout of diffusers, and {name} is a single file: load it once with "
            "diffusers, save it with save_pretrained(DIR), and pass --base DIR.",
            field="--quantize",
        )
    if family == "sd":
        options |= {"feature_extractor": None}
    pipeline = pipeline_class.from_single_file(source.location, config=source.config, **options)
    marks = read_shapes(Path(source.location))
    # Empty tensors of these names are how trainers mark SDXL files; their prediction type is not in the configuration.
    marked = {"v_pred": {"prediction_type": "v_prediction"}, "ztsnr": {"rescale_betas_zero_snr": True}}
    changes = {key: value for mark, change in marked.items() if mark in marks for key, value in change.items()}
    if changes:
        pipeline.register_modules(scheduler=pipeline.scheduler.from_config(pipeline.scheduler.config, **changes))
    return pipeline


def _load_vae(name: str, family: str, source: Source) -> Any:
    """An autoencoder to use instead of the base's.

    Args:
        name: its folder (or the folder of a pipeline that has it), hub name, or single file.
        family: of the base.
        source: of the base, whose autoencoder's configuration a single file is taken to have.

    Raises:
        InputError: it cannot be read, or is of another class.
    """
    diffusers: Any = import_module("diffusers")
    with reading(name, option="--vae") as other:
        if other.is_single_file:
            return diffusers.AutoencoderKL.from_single_file(
                other.location, config=source.config, subfolder="vae", local_files_only=Path(source.config).is_dir()
            )
        options = _for_configuration(other)
        try:
            loaded = diffusers.AutoencoderKL.load_config(other.location, **options)
        except OSError:  # the folder of a pipeline
            options["subfolder"] = "vae"
            loaded = diffusers.AutoencoderKL.load_config(other.location, **options)
        if (kind := loaded["_class_name"]) != AUTOENCODERS[family]:
            raise InputError(
                f"--vae {name} is an {kind}, which is not supported; this base needs an {AUTOENCODERS[family]}.",
                field="--vae",
            )
        return getattr(diffusers, kind).from_pretrained(
            other.location, use_safetensors=True, **{**other.options, **options}
        )


def _for_configuration(source: Source) -> dict[str, Any]:
    """The options of diffusers' loaders that concern configurations; those have no variant."""
    return {key: value for key, value in source.options.items() if key != "variant"}


def check_scheduler(name: str, scheduler: Any) -> None:
    """Check whether a base's noise schedule is one of those that training knows.

    Raises:
        InputError: it is not.
    """
    kind, config = type(scheduler).__name__, scheduler.config
    is_flow = "FlowMatch" in kind
    if kind.startswith("EDM") or config.get("use_flow_sigmas") or (not is_flow and "beta_schedule" not in config):
        raise InputError(
            f"--base {name} was trained with the noise schedule of {kind}, which is not supported; supported are "
            "schedules of betas (DDPM, DDIM, Euler, DPM-Solver, …) and FlowMatchEulerDiscreteScheduler.",
            field="--base",
        )
    prediction = config.get("prediction_type", "epsilon")
    if not is_flow and prediction not in ("epsilon", "v_prediction", "sample"):
        raise InputError(f"--base {name} predicts {prediction}, which is not supported.", field="--base")


def read_geometry(name: str, files: BaseFiles = DEFAULT_FILES) -> Geometry:
    """The image sizes of a base, read from its configuration files; no weights are loaded.

    Raises:
        InputError: it does not exist, cannot be read, or is of a family that is not supported.
    """
    diffusers: Any = import_module("diffusers")
    with reading(name, files) as source:
        family = FAMILIES[_pipeline_class(name, source)]
        part = "transformer" if family == "flux2" else "unet"
        denoiser, vae = (
            diffusers.AutoencoderKL.load_config(source.config, subfolder=folder, **_for_configuration(source))
            for folder in (part, "vae")
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


def _latent_channels(base: BaseModel) -> int:
    channels = base.pipeline.vae.config["latent_channels"]
    return 4 * channels if base.family == "flux2" else channels  # FLUX.2 packs patches of two by two


def _pipeline_class(name: str, source: Source) -> str:
    diffusers: Any = import_module("diffusers")
    kind = diffusers.DiffusionPipeline.load_config(source.config, **_for_configuration(source))["_class_name"]
    kind = kind[0] if isinstance(kind, list) else kind
    if kind not in FAMILIES:
        raise InputError(
            f"--base {name} is a {kind}, which is not supported; supported are {', '.join(FAMILIES)}.", field="--base"
        )
    return kind


def use_unfused_attention(denoiser: Any, *text_encoders: Any) -> None:
    """Compute attention as products and a softmax.

    On a CPU the backward pass of the fused kernel is a fifth to a half slower on maps as small as tiny's (torch 2.15).
    On large maps the fused kernel saves memory and stays.
    """
    from diffusers.models.attention_processor import AttnProcessor

    denoiser.set_attn_processor(AttnProcessor())
    for encoder in text_encoders:
        encoder.set_attn_implementation("eager")
