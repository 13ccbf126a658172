"""`wikiart-autoencode reconstruct` and what reading single pictures for the network takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.checkpoint import load_network
from wikiart_autoencode.config import ReconstructConfig
from wikiart_autoencode.figures import reconstruction_grid
from wikiart_autoencode.quality import psnr, ssim
from wikiart_autoencode.train import reconstructed
from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.decode import BadPictureError, decode, square
from wikiart_data.images.manifest import pictures_in
from wikiart_data.results.folder import write_figure
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model

SHOWN = 16
"""Most pictures of a grid."""


@torch.no_grad()
def reconstruct(config: ReconstructConfig) -> None:
    """Draw original, reconstruction and error of each picture.

    Raises:
        InputError: there is no model, a picture cannot be read, or the file cannot be written.
    """
    trained = load_network(find_model(config.model, config.runs, "autoencode"))
    files = pictures_in(config.pictures)
    if len(files) > SHOWN:
        echo(f"The first {SHOWN} of {len(files):,} pictures are drawn.")
    images = read(files[:SHOWN], trained.config["size"])
    device = create_accelerator(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, trained.config["precision"])
    ours = reconstructed(network, images.to(device), bf16).cpu()
    for path, decibels, similar in zip(files, psnr(ours, images).tolist(), ssim(ours, images).tolist(), strict=False):
        echo(f"{printable(str(path))}: {decibels:.2f} dB, SSIM {similar:.3f}")
    write_figure(config.to, reconstruction_grid(images, ours))
    echo(f"Grid written to {config.to}.")


def read(files: Sequence[Path], size: int) -> Tensor:
    """Pictures, squashed to squares: (N, 3, size, size) float32 in 0..1.

    Raises:
        InputError: one cannot be read.
    """
    pixels = []
    for path in files:
        try:
            pixels.append(square(decode(path, at_least=size), size))
        except BadPictureError as error:
            raise InputError(f"{printable(str(path))}: {error}") from error
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div_(255.0)
