"""A trained adapter in its base: `load_pipeline` for notebooks, `load_run` for the commands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from wikiart_data.cli.commands import options_from
from wikiart_data.errors import InputError
from wikiart_data.styles import style_index
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.device import select_device
from wikiart_data.training.run import find_model
from wikiart_lora.adapter import load_adapter
from wikiart_lora.base_models.fingerprints import fingerprints, same_weights
from wikiart_lora.base_models.loading import BaseModel, load_base_of
from wikiart_lora.base_models.precision import choose_precision
from wikiart_lora.captions import caption_for
from wikiart_lora.config import TrainConfig, trained_styles

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]


@dataclass(frozen=True)
class LoadedRun:
    """A base with a trained adapter, and how that was trained."""

    base: BaseModel
    styles: tuple[str, ...]
    """The class list of the run."""
    config: TrainConfig
    file: Path

    @property
    def trained_styles(self) -> tuple[str, ...]:
        """The styles that the adapter was trained on: one with `--style`, else all."""
        return trained_styles(self.config.style, self.styles)

    def find_style(self, name: str, *, field: str = "style") -> str:
        """The name in the class list of a style that the adapter was trained on.

        Args:
            name: in any spelling.
            field: what the user named the style with, such as `--styles`: the error starts with it.

        Raises:
            InputError: there is no such style, or the adapter was not trained on it.
        """
        style = self.styles[style_index(name, self.styles, field=field)]
        if style not in self.trained_styles:
            raise InputError(
                f"{field} {style}: {self.file} was trained on {', '.join(self.trained_styles)} only.", field=field
            )
        return style

    def prompt(self, style: str | None, text: str) -> str:
        """The prompt for a style, phrased as in training; without one, the text alone.

        Raises:
            InputError: the adapter was not trained on that style.
        """
        if style is None:
            return f"{self.config.trigger} {text}".strip()
        return caption_for(self.find_style(style, field="--style"), text, trigger=self.config.trigger)


def load_pipeline(
    run: Path | str | None = None,
    device: "torch.device | str" = "auto",
    *,
    strength: float = 1.0,
    base: str | None = None,
    runs: Path | str = "runs",
) -> "DiffusionPipeline":
    """The base of a trained adapter (LoRA, Hu et al. 2022) as a diffusers pipeline, with the adapter loaded.

    Args:
        run: folder of a run, its model.safetensors, or a file written by `wikiart-lora export`; None takes the newest
            run in `runs`/lora.
        device: auto, cpu, cuda, cuda:1 or mps; or a torch.device.
        strength: 0 is the base alone, 1 the adapter as trained.
        base: short name, folder or hub name of another base than the one recorded in the file, such as a copy of it.
        runs: parent folder of all runs, searched for the newest one.

    Returns:
        A `StableDiffusionPipeline`, `StableDiffusionXLPipeline` or `Flux2KleinPipeline`:
        `pipeline(prompt="a cubism painting of a lake", height=64, width=64).images[0]`. FLUX.2's takes an image as its
        first argument: name the prompt.

    Raises:
        InputError: there is no adapter at that path, or its base cannot be loaded.
    """
    loaded = load_run(None if run is None else Path(run), Path(runs), device, strength, base).base
    loaded.use("text", "autoencoder", "denoiser")
    # Called on its own, a pipeline decodes latents in the type of its other networks. Where half precision would
    # overflow, as in SDXL, it converts the autoencoder itself, but only if that is in half precision.
    loaded.pipeline.vae.to(loaded.dtype)
    return loaded.pipeline


def load_run(
    model: Path | None, runs: Path, device: "torch.device | str", strength: float = 1.0, base_name: str | None = None
) -> LoadedRun:
    """The base of a run with its adapter.

    Args:
        model: folder of a run or its model.safetensors; None for the newest run in `runs`.
        runs: where the newest run is looked for.
        device: auto, cpu, cuda, cuda:1 or mps.
        strength: of the adapter.
        base_name: another base than the recorded one.

    Raises:
        InputError: there is no such run, or its base cannot be loaded.
    """
    file = find_model(model, runs, "lora")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        if "crc32" in metadata:  # files of other programs, and of earlier exports, have none
            read_model(file)
        styles, config = tuple(json.loads(metadata["styles"])), _config(json.loads(metadata["config"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is no adapter written by wikiart-lora, or is damaged ({error}).", field=file
        ) from error
    execution_device = select_device(device)
    precision, _ = choose_precision(execution_device, "auto")
    if base_name is not None:
        config = replace(config, base=base_name, variant=None, revision=None, base_config=None)
    base = load_base_of(config, execution_device, precision)
    recorded = metadata.get("fingerprints")
    if base_name is None and recorded and not same_weights(json.loads(recorded), fingerprints(base)):
        raise InputError(
            f"The base {base.name} has other weights than the one that {file} was trained on: put that one back, or "
            "train again.",
            field=base.name,
        )
    load_adapter(base, file, strength)
    return LoadedRun(base, styles, config, file)


def _config(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration in an adapter's metadata.

    Raises:
        ValueError: it is of another command or another version.
    """
    try:
        return options_from(TrainConfig, values)
    except InputError as error:
        raise ValueError(f"its options are of another command or version: {error}") from error
