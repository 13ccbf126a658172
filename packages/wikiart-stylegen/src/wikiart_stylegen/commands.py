"""`wikiart-stylegen repaint`, `grid`, `walk` and `embeddings`: files in, files out, around `StyleTransfer`."""

import csv
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from wikiart_data.console import echo, printable
from wikiart_data.files import write_bytes
from wikiart_data.images.load import read_captions
from wikiart_data.images.manifest import pictures_in
from wikiart_data.results.folder import write_figure
from wikiart_data.styles import display_name
from wikiart_stylegen.command_options import EmbeddingsOptions, GridOptions, RepaintOptions, WalkOptions, check_png
from wikiart_stylegen.figures import embeddings_figure, strip_figure
from wikiart_stylegen.transfer import StyleTransfer

MAX_GRID_ROWS = 6
STRIP_FRAMES = 7
FRAME_MS = 80
NEIGHBOURS = 3
"""Nearest styles that `embeddings` prints for each style."""


def repaint(options: RepaintOptions) -> None:
    """Repaint one image and save it.

    Raises:
        InputError: there is no such model or style, or a file cannot be read or written.
    """
    transfer = StyleTransfer.load(options.model, runs=options.runs, device=options.device)
    image = transfer.repaint(options.picture, options.style, options.strength, options.blend, options.side)
    write_png(options.to, image)
    names = " and ".join(display_name(style) for style in (options.style, options.blend) if style)
    echo(f"{printable(str(options.picture))} in the style {names}: {options.to}, {image.width} × {image.height}.")


def walk(options: WalkOptions) -> None:
    """Write an animation that leads from one style to another and back, and a strip of its frames.

    Raises:
        InputError: there is no such model or style, or a file cannot be read or written.
    """
    transfer = StyleTransfer.load(options.model, runs=options.runs, device=options.device)
    styles = (options.first, *options.via, options.last)
    frames = transfer.walk(options.picture, styles, options.frames, options.side)
    there_and_back = [*frames, *frames[-2:0:-1]]
    content, file_format = io.BytesIO(), options.to.suffix[1:].upper()
    there_and_back[0].save(
        content, file_format, save_all=True, append_images=there_and_back[1:], duration=FRAME_MS, loop=0
    )
    write_bytes(options.to, content.getvalue())
    strip = [frames[number] for number in np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int)]
    titles = [display_name(options.first), *[""] * (STRIP_FRAMES - 2), display_name(options.last)]
    strip_file = options.to.with_suffix(".png")
    write_figure(strip_file, strip_figure(strip, titles))
    echo(f"{len(there_and_back)} frames written to {options.to}, a strip to {strip_file}.")


def grid(options: GridOptions) -> None:
    """Write a figure of several images in every style.

    Raises:
        InputError: there is no such model, or a file cannot be read or written.
    """
    transfer = StyleTransfer.load(options.model, runs=options.runs, device=options.device)
    pictures = pictures_in(options.pictures)[:MAX_GRID_ROWS]
    captions = None if options.captions is None else read_captions(options.captions, pictures)
    write_png(options.to, transfer.grid(pictures, options.styles or None, captions))
    echo(f"Grid written to {options.to}.")


def embeddings(options: EmbeddingsOptions) -> None:
    """Write a figure and a CSV file of the similarities of styles, and print each style's nearest neighbours.

    Raises:
        InputError: there is no such model, or a file cannot be written.
    """
    transfer = StyleTransfer.load(options.model, runs=options.runs, device="cpu")
    vectors = transfer.network.modulation().detach()
    vectors = vectors - vectors.mean(dim=0)  # what all styles have in common does not tell them apart
    similarity = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    axes = torch.linalg.svd(vectors, full_matrices=False).Vh[:2]
    write_figure(options.to, embeddings_figure(similarity.numpy(), (vectors @ axes.T).numpy(), transfer.styles))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["style", *transfer.styles])
    for style, row in zip(transfer.styles, similarity, strict=True):
        writer.writerow([style, *(f"{value:.4f}" for value in row.tolist())])
        nearest = [transfer.styles[label] for label in row.argsort(descending=True).tolist()]
        neighbours = [display_name(name) for name in nearest if name != style][:NEIGHBOURS]
        echo(f"{display_name(style):<28} {', '.join(neighbours)}")
    csv_file = options.to.with_suffix(".csv")
    write_bytes(csv_file, text.getvalue().encode())
    echo(f"\nWritten to {options.to} and {csv_file}.")


def write_png(path: Path, image: Image.Image) -> None:
    """Write the file that --to names.

    Raises:
        InputError: its name does not end in .png, or it cannot be written.
    """
    check_png(path)
    content = io.BytesIO()
    image.save(content, "PNG")
    write_bytes(path, content.getvalue())
