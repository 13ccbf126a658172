"""`wikiart-lora generate` and `grid`: pictures with a trained adapter."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.results.folder import write_figure
from wikiart_data.styles import canonical_name, display_name
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.run import find_model
from wikiart_lora.adapter import load_adapter, set_strength
from wikiart_lora.captions import caption_for
from wikiart_lora.config import GenerateConfig, GridConfig
from wikiart_lora.figures import picture_grid
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import Base, open_base
from wikiart_lora.precision import choose_precision, weights_type


@dataclass(frozen=True)
class Trained:
    """A base that wears a trained adapter."""

    base: Base
    styles: tuple[str, ...]
    """The class list of the run."""
    config: dict[str, Any]
    """The options it was trained with."""
    file: Path


def generate(config: GenerateConfig) -> None:
    """Paint pictures and write them as PNG files.

    Raises:
        InputError: there is no such run or style, or the folder cannot be written.
    """
    trained = open_trained(config.model, config.runs, config.device, config.strength)
    prompt = prompt_for(trained, config.style, config.prompt)
    seeds = range(config.seed, config.seed + config.number)
    side = config.side or trained.config["size"]
    check_side(trained.base, side)
    images = paint(trained.base, [prompt] * config.number, seeds, side, config.sampling, config.guidance)
    try:
        config.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(config.to, error) from error
    for number, (seed, image) in enumerate(zip(seeds, images, strict=True)):
        write_picture(config.to / f"{number:03d}.png", image, {"prompt": prompt, "seed": str(seed)})
    echo(f"“{printable(prompt)}”: {config.number} pictures in {config.to}, seeds {seeds[0]} to {seeds[-1]}.")


def grid(config: GridConfig) -> None:
    """Styles × strengths at one seed, the base in the first column.

    Raises:
        InputError: there is no such run or style, or the file cannot be written.
    """
    trained = open_trained(config.model, config.runs, config.device, 1.0)
    styles = [style_of(trained, name) for name in config.styles] or list(trained.styles)
    only = trained.config["style"]
    if only and not config.styles:
        styles = [style_of(trained, only)]
    prompts = [prompt_for(trained, style, config.prompt) for style in styles]
    side = config.side or trained.config["size"]
    check_side(trained.base, side)
    columns = []
    for strength in (0.0, *config.strengths):
        set_strength(trained.base, strength)
        seeds = [config.seed] * len(prompts)
        columns.append(paint(trained.base, prompts, seeds, side, config.sampling, config.guidance))
    names = ["base", *(f"{strength:g}" for strength in config.strengths)]
    write_figure(config.to, picture_grid(torch.stack(columns, dim=1), [display_name(style) for style in styles], names))
    echo(f"{len(styles)} styles × {len(names)} strengths written to {config.to}.")


def open_trained(model: Path | None, runs: Path, device: str, strength: float) -> Trained:
    """The base of a run with its adapter.

    Raises:
        InputError: there is no such run, or its base is gone or another one now.
    """
    file = find_model(model, runs, "lora")
    try:
        with safe_open(file, framework="pt") as opened:
            about = opened.metadata() or {}
        if "crc32" in about:  # files of other programs, and of earlier exports, carry none
            read_model(file)
        options, styles = json.loads(about["config"]), tuple(json.loads(about["styles"]))
        if "base" not in options:
            raise InputError(f"{file} is no adapter that wikiart-lora wrote.")
        name = options["base"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no adapter that wikiart-lora wrote, or is damaged ({error}).") from error
    where = create_accelerator(device).device
    precision, _ = choose_precision(where, "auto")
    base = open_base(name, where, weights_type(where, precision))
    load_adapter(base, file, strength)
    return Trained(base, styles, options, file)


def style_of(trained: Trained, name: str) -> str:
    """A style of the run, by any of its names.

    Raises:
        InputError: it has none of that name.
    """
    style = name if name in trained.styles else canonical_name(name)
    if style not in trained.styles:
        import difflib

        near = difflib.get_close_matches(style, trained.styles, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It knows {', '.join(trained.styles)}."
        raise InputError(f"--style {printable(name)}: the adapter has not learned it. {hint}")
    return style


def prompt_for(trained: Trained, style: str | None, words: str) -> str:
    """What the pipeline is asked: the style put into words as in training, or the words alone."""
    trigger = trained.config["trigger"]
    if style is None:
        return f"{trigger} {words}".strip()
    return caption_for(style_of(trained, style), words, trigger=trigger)


def check_side(base: Base, side: int) -> None:
    """Find out before the work whether pictures of this side can be painted.

    Raises:
        InputError: they cannot.
    """
    if side % base.multiple:
        lower = max(base.multiple, side // base.multiple * base.multiple)
        raise InputError(f"--side {side}: {base.name} paints multiples of {base.multiple} pixels, such as {lower}.")


def write_picture(path: Path, image: torch.Tensor, about: dict[str, str]) -> None:
    """Write (3, H, W) in 0..1 as PNG, with the prompt and the seed in it."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in about.items():
        info.add_itxt(key, value)
    content = io.BytesIO()
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, "PNG", pnginfo=info)
    write_bytes(path, content.getvalue())
