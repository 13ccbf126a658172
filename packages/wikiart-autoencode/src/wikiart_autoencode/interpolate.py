"""`wikiart-autoencode interpolate`: from one picture to another through the codes between theirs."""

import torch

from wikiart_autoencode.checkpoint import load_network
from wikiart_autoencode.config import InterpolateConfig
from wikiart_autoencode.figures import strip
from wikiart_autoencode.reconstruct import read
from wikiart_data.console import echo
from wikiart_data.results.folder import write_figure
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model


@torch.no_grad()
def interpolate(config: InterpolateConfig) -> None:
    """Draw a strip: decoded codes on the straight line between two pictures' codes, and the pixels' blend below.

    Raises:
        InputError: there is no model, a picture cannot be read, or the file cannot be written.
    """
    trained = load_network(find_model(config.model, config.runs, "autoencode"))
    ends = read([config.first, config.last], trained.config["size"])
    device = create_accelerator(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(device, trained.config["precision"])):
        first, last = network.encoder(ends.to(device))
        shares = torch.linspace(0, 1, config.steps, device=device).view(-1, *[1] * first.ndim)
        between = network.decoder(first.lerp(last, shares)).float().clamp(0, 1).cpu()
    blended = ends[0].lerp(ends[1], shares.view(-1, 1, 1, 1).cpu())
    write_figure(config.to, strip({"codes between": between, "pixels blended": blended}, ends))
    echo(f"Strip written to {config.to}.")
