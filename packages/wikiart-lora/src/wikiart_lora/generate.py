"""`wikiart-lora generate` and `grid`: images with a trained adapter."""

import io
from pathlib import Path

import torch

from wikiart_data.console import echo, printable
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.pixels import to_pil
from wikiart_data.results.folder import write_figure
from wikiart_data.styles import display_name
from wikiart_lora.adapter import set_strength
from wikiart_lora.figures import image_grid
from wikiart_lora.options import GenerateOptions, GridOptions
from wikiart_lora.pipeline import load_run
from wikiart_lora.sampling import sample_images


def generate(options: GenerateOptions) -> None:
    """Generate images and write them as PNG files.

    Raises:
        InputError: there is no such run or style, or the folder cannot be written.
    """
    run = load_run(options.model, options.runs, options.device, options.strength)
    prompt = run.prompt(options.style, options.prompt)
    seeds = range(options.seed, options.seed + options.num_images)
    size = options.size or run.config.size
    run.base.geometry.check_side(size, run.base.name)
    prompts = [prompt] * options.num_images
    sampling = (options.num_inference_steps, options.guidance_scale, options.guidance_rescale)
    images = sample_images(run.base, prompts, seeds, size, *sampling)
    try:
        options.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(options.to, error) from error
    for number, (seed, image) in enumerate(zip(seeds, images, strict=True)):
        write_png(options.to / f"{number:03d}.png", image, {"prompt": prompt, "seed": str(seed)})
    echo(f"“{printable(prompt)}”: {options.num_images} images in {options.to}, seeds {seeds[0]} to {seeds[-1]}.")


def grid(options: GridOptions) -> None:
    """Draw styles × strengths at one seed, the base in the first column.

    Raises:
        InputError: there is no such run or style, or the file cannot be written.
    """
    run = load_run(options.model, options.runs, options.device)
    styles = [run.find_style(name, field="--styles") for name in options.styles or run.trained_styles]
    prompts = [run.prompt(style, options.prompt) for style in styles]
    size = options.size or run.config.size
    run.base.geometry.check_side(size, run.base.name)
    sampling = (options.num_inference_steps, options.guidance_scale, options.guidance_rescale)
    columns = []
    for strength in (0.0, *options.strengths):
        set_strength(run.base, strength)
        seeds = [options.seed] * len(prompts)
        columns.append(sample_images(run.base, prompts, seeds, size, *sampling))
    headings = ["base", *(f"{strength:g}" for strength in options.strengths)]
    figure = image_grid(torch.stack(columns, dim=1), [display_name(style) for style in styles], headings)
    write_figure(options.to, figure)
    echo(f"{len(styles)} styles × {len(headings)} strengths written to {options.to}.")


def write_png(path: Path, image: torch.Tensor, metadata: dict[str, str]) -> None:
    """Write (3, H, W) in [0, 1] as PNG, with text metadata."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in metadata.items():
        info.add_itxt(key, value)
    content = io.BytesIO()
    to_pil(image).save(content, "PNG", pnginfo=info)
    write_bytes(path, content.getvalue())
