"""The options of the commands that use a trained adapter: generate, grid, evaluate, export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import (
    MaybeData,
    MaybeFolder,
    MaybeNumber,
    MaybeReal,
    MaybeStyle,
    MaybeText,
    Names,
    RunArgument,
)
from wikiart_data.errors import InputError
from wikiart_lora.config import check_png, check_ranges


@dataclass(frozen=True)
class GenerateOptions:
    """Generate images with a trained adapter.

    Example: wikiart-lora generate --style Ukiyo_e --prompt "a landscape with a lake and two pines" -n 4
    """

    model: RunArgument = None
    """Folder of a run, or its model.safetensors (default: the newest run in RUNS/lora)."""
    prompt: str = ""
    """Text prompt: what the images show."""
    style: MaybeStyle = None
    """Style of the images; it is added to the prompt as in training."""
    strength: float = 1.0
    """Strength of the adapter; 0 is the base alone."""
    seed: int = 0
    """Random seed of the first image; each further image takes the next."""
    num_images: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """Number of images."""
    to: Path = Path("pictures")
    """Folder to write: NNN.png."""
    size: MaybeNumber = None
    """Side of the images, in pixels (default: as in training)."""
    num_inference_steps: MaybeNumber = None
    """Denoising steps (default: tiny 20, turbo 4, others 30)."""
    guidance_scale: MaybeReal = None
    """Scale of classifier-free guidance (default: tiny 3, turbo 1, FLUX.2 4, others 7)."""
    guidance_rescale: MaybeReal = None
    """How far guidance keeps the contrast of the unguided prediction, 0 to 1 (default: 0.7 for bases without signal
    at the last timestep, such as tiny, else 0). Not for FLUX.2."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked for."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range, and an empty prompt.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, _SAMPLING_RANGES)
        if not self.prompt and self.style is None:
            raise InputError("There is nothing to generate: give a --prompt, a --style, or both.", field="--prompt")


_STRENGTHS = (-10, 10)
_SAMPLING_RANGES = (
    ("num_images", 1, 100_000),
    ("size", 16, 4096),
    ("num_inference_steps", 1, 1000),
    ("guidance_scale", 0, 100),
    ("guidance_rescale", 0, 1),
    ("strength", *_STRENGTHS),
    ("seed", 0, 2**32),
)


@dataclass(frozen=True)
class GridOptions:
    """Draw a grid of styles × strengths at one seed; the first column is the base alone.

    Example: wikiart-lora grid --prompt "a portrait of a person in a red coat" --strengths 0.5 1 1.5
    """

    model: RunArgument = None
    """Folder of a run, or its model.safetensors (default: the newest run in RUNS/lora)."""
    prompt: str = "a landscape at dusk with two hills, a lake and a house under a red sun"
    """Text prompt: what the images show."""
    styles: Names = ()
    """The rows (default: all styles of the run)."""
    strengths: tuple[float, ...] = (0.5, 1.0, 1.5)
    """Strengths of the adapter: the columns after the first."""
    seed: int = 0
    """Random seed of every image."""
    to: Path = Path("styles.png")
    """The PNG file to write."""
    size: MaybeNumber = None
    """Side of the images, in pixels (default: as in training)."""
    num_inference_steps: MaybeNumber = None
    """Denoising steps (default: tiny 20, turbo 4, others 30)."""
    guidance_scale: MaybeReal = None
    """Scale of classifier-free guidance (default: tiny 3, turbo 1, FLUX.2 4, others 7)."""
    guidance_rescale: MaybeReal = None
    """How far guidance keeps the contrast of the unguided prediction, 0 to 1 (default: 0.7 for bases without signal
    at the last timestep, such as tiny, else 0). Not for FLUX.2."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked for."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range, and a file of another kind.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, (("strengths", *_STRENGTHS), *_SAMPLING_RANGES))
        check_png(self.to)


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a base without and with its adapter, on the same prompts and seeds.

    Example: wikiart-lora evaluate runs/lora/001 --judge judge
    """

    model: RunArgument = None
    """Folder of a run, or its model.safetensors (default: the newest run in RUNS/lora)."""
    judge: MaybeFolder = None
    """Folder of the judge, written by wikiart-classify --export DIR (default: the folder judge, if there is one).
    Without a judge, diversity, memorisation and content are measured, and styles are not."""
    images_per_style: int = 8
    """Images generated per style."""
    split: Literal["valid", "test"] = "test"
    """Split of the real images that are compared with, and of the titles in the prompts; valid where the data has no
    test split. Choose settings on valid: that score has a folder of its own."""
    strength: float = 1.0
    """Strength of the adapter; the score of another one than 1 has a folder of its own."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    seed: int = 0
    """Random seed for prompts and noise."""
    num_inference_steps: MaybeNumber = None
    """Denoising steps (default: tiny 20, turbo 4, others 30)."""
    guidance_scale: MaybeReal = None
    """Scale of classifier-free guidance (default: tiny 3, turbo 1, FLUX.2 4, others 7)."""
    guidance_rescale: MaybeReal = None
    """How far guidance keeps the contrast of the unguided prediction, 0 to 1 (default: 0.7 for bases without signal
    at the last timestep, such as tiny, else 0). Not for FLUX.2."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked for."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder of the cache (default: $WIKIART_CACHE, else the user's cache)."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, (("images_per_style", 1, 10_000), *_SAMPLING_RANGES))


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained adapter in a format that other programs read.

    Example: wikiart-lora export runs/lora/001 --format kohya --to styles.safetensors
    """

    model: RunArgument = None
    """Folder of a run, or its model.safetensors (default: the newest run in RUNS/lora)."""
    format: Literal["peft", "kohya"] = "peft"
    """Key names of the file. peft: for diffusers, and for ComfyUI with FLUX.2; kohya: for ComfyUI, A1111, Forge,
    InvokeAI and stable-diffusion.cpp with Stable Diffusion and SDXL."""
    to: Path = Path("adapter.safetensors")
    """The file to write; a model card is written next to it."""
    overwrite: bool = False
    """Replace an existing file and its model card."""
    push_to_hub: MaybeText = None
    """Upload both to this repository of the hub (owner/name)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked for."""

    def __post_init__(self) -> None:
        """Refuse values of another type, and a file that diffusers would not find.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        if self.to.suffix != ".safetensors":
            raise InputError(f"--to {self.to}: the name must end in .safetensors.", field="--to")
