"""`wikiart-stylegen transfer`, `walk` and `grid`: any picture in any style, at any size."""

import difflib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.images.decode import BadPictureError, decode, square
from wikiart_data.images.manifest import pictures_in
from wikiart_data.results.folder import write_figure
from wikiart_data.styles import canonical_name, display_name
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model
from wikiart_stylegen.checkpoint import Trained, load_network
from wikiart_stylegen.config import GridConfig, TransferConfig, WalkConfig
from wikiart_stylegen.figures import strip_figure, style_grid

GRID = 6
"""Most pictures of a grid of given pictures."""


def transfer(config: TransferConfig) -> None:
    """Repaint one picture and save it, at its own size or at --side.

    Raises:
        InputError: there is no model or style of that name, or the picture cannot be read or written.
    """
    trained, device = opened(config.model, config.runs, config.device)
    vector = blended(trained, config.style, config.blend, config.strength, device)
    image = read(config.picture, config.side)
    painted = repaint(trained, image.to(device), vector)
    save(config.to, painted)
    names = " and ".join(display_name(style) for style in (config.style, config.blend) if style)
    echo(
        f"{printable(str(config.picture))} in the style {names}: {config.to}, {painted.shape[2]} × {painted.shape[1]}."
    )


def walk(config: WalkConfig) -> None:
    """From one style to another: an animation (GIF or WebP) and a strip.

    Raises:
        InputError: as in `transfer`.
    """
    if config.to.suffix.lower() not in (".gif", ".webp"):
        raise InputError(f"--to {config.to}: an animation ends in .gif or .webp.")
    trained, device = opened(config.model, config.runs, config.device)
    ends = [blended(trained, style, None, 1.0, device) for style in (config.first, config.last)]
    image = read(config.picture, config.side).to(device)
    shares = torch.linspace(0, 1, config.frames).tolist()
    frames = [repaint(trained, image, ends[0].lerp(ends[1], share)) for share in shares]
    pictures = [Image.fromarray(pixels(frame)) for frame in [*frames, *frames[-2:0:-1]]]
    content = io.BytesIO()
    kind = config.to.suffix[1:].upper()
    pictures[0].save(content, kind, save_all=True, append_images=pictures[1:], duration=80, loop=0)
    write_bytes(config.to, content.getvalue())
    strip = torch.stack([frames[place] for place in np.linspace(0, len(frames) - 1, 7).round().astype(int)])
    named = [display_name(config.first), *[""] * 5, display_name(config.last)]
    target = config.to.with_suffix(".png")
    write_figure(target, strip_figure(strip, named))
    echo(f"{len(pictures)} frames written to {config.to}, a strip to {target}.")


def grid(config: GridConfig) -> None:
    """Given pictures × all styles.

    Raises:
        InputError: as in `transfer`.
    """
    trained, device = opened(config.model, config.runs, config.device)
    files = pictures_in(config.pictures)[:GRID]
    size = trained.config["size"]
    images = torch.stack([squared(path, size) for path in files])
    painted = torch.stack(
        [
            torch.stack([repaint(trained, image.to(device), vector) for image in images])
            for vector in trained.network.embeddings.weight[: len(trained.styles)].detach()
        ],
        dim=1,
    )
    labels = [_true_style(path, trained.styles) for path in files]
    write_figure(config.to, style_grid(images, painted, labels, trained.styles))
    echo(f"Grid written to {config.to}.")


def opened(model: Path | None, runs: Path, wanted: str) -> tuple[Trained, torch.device]:
    """A trained network on a device."""
    trained = load_network(find_model(model, runs, "stylegen"))
    device = create_accelerator(wanted).device
    trained.network.to(device, memory_format=torch.channels_last)
    return trained, device


@torch.no_grad()
def blended(trained: Trained, style: str, blend: str | None, strength: float, device: torch.device) -> Tensor:
    """(D,) a style's vector, or the mean of two, at a strength between the null style (0) and beyond (1.5).

    Raises:
        InputError: there is no style of that name.
    """
    places = [place_of(name, trained.styles) for name in (style, blend) if name]
    return trained.network.style_vector(torch.tensor(places, device=device), strength).mean(dim=0)


def place_of(name: str, styles: Sequence[str]) -> int:
    """The label of a style, by any of its names.

    Raises:
        InputError: there is none of that name.
    """
    style = canonical_name(name)
    if style not in styles:
        near = difflib.get_close_matches(style, styles, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(styles)}."
        raise InputError(f"The network knows no style {printable(name)}.{hint}")
    return list(styles).index(style)


def read(path: Path, side: int | None) -> Tensor:
    """A picture as it is, or with its longer side resized: (3, H, W) float32 in 0..1.

    Raises:
        InputError: it cannot be read.
    """
    try:
        picture = decode(path)
    except BadPictureError as error:
        raise InputError(f"{printable(str(path))}: {error}") from error
    if side is not None:
        scale = side / max(picture.size)
        picture = picture.resize([max(1, round(scale * one)) for one in picture.size], Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


def squared(path: Path, size: int) -> Tensor:
    """A picture squashed to a square: (3, size, size) float32 in 0..1.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return torch.from_numpy(square(decode(path, at_least=size), size).copy()).permute(2, 0, 1).float() / 255
    except BadPictureError as error:
        raise InputError(f"{printable(str(path))}: {error}") from error


@torch.no_grad()
def repaint(trained: Trained, image: Tensor, vector: Tensor) -> Tensor:
    """A picture (3, H, W) in 0..1 in the style of a vector (D,) → (3, H, W) float32 in 0..1 on the CPU.

    The network is fully convolutional, but a style is a matter of scale: strokes were learned on pictures of its own
    size. A larger picture is repainted at up to twice that size, and what the repainting changed is laid over the
    picture at its own size, so that fine detail is kept.
    """
    network, size = trained.network, trained.config["size"]
    height, width = image.shape[1:]
    scale = min(1.0, 2 * size / max(height, width))
    inner = [max(16, 8 * round(scale * one / 8)) for one in (height, width)]
    small = F.interpolate(image[None], inner, mode="bicubic", antialias=True).clamp(0, 1)
    with torch.autocast(image.device.type, torch.bfloat16, enabled=use_bf16(image.device, trained.config["precision"])):
        code = network.encoder(small.contiguous(memory_format=torch.channels_last))
        painted = network.paint(code, vector[None]).float().clamp(0, 1)
    back = F.interpolate(painted, (height, width), mode="bicubic", antialias=True)
    if scale < 1:
        back = back + image[None] - F.interpolate(small, (height, width), mode="bicubic", antialias=True)
    return back[0].clamp(0, 1).cpu()


def pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) float in 0..1 → (H, W, 3) uint8."""
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def save(path: Path, image: Tensor) -> None:
    """Write a PNG.

    Raises:
        InputError: it is called otherwise, or cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--to {path}: a file that ends in .png is written.")
    content = io.BytesIO()
    Image.fromarray(pixels(image)).save(content, "PNG")
    write_bytes(path, content.getvalue())


def _true_style(path: Path, styles: Sequence[str]) -> int:
    name = canonical_name(path.parent.name)
    return list(styles).index(name) if name in styles else -1
