"""`wikiart-autoencode encode`: the codes of all pictures of all splits, in one file."""

import numpy as np
import torch
from torch import nn

from wikiart_autoencode.checkpoint import load_network
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.config import EncodeConfig
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.results.page import renew_page
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model


def encode(config: EncodeConfig) -> None:
    """Write codes.npz.

    Raises:
        InputError: there is no such model, its data is gone or has other styles, or the file cannot be written.
    """
    path = find_model(config.model, config.runs, "autoencode")
    trained = load_network(path)
    catalog = scan(find_data(config.data or trained.config["data"], config.cache_dir), cache_dir=config.cache_dir)
    if catalog.styles != trained.styles:
        odd = sorted(set(catalog.styles) ^ set(trained.styles))
        raise InputError(f"{path} was trained on other styles than {catalog.root} has: {', '.join(odd[:5])} differ.")
    packed = pack(catalog, trained.config["size"], cache_dir=config.cache_dir, bad_limit=config.bad_limit)
    device = create_accelerator(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    codes = encoded(network.encoder, packed, device, use_bf16(device, trained.config["precision"]))
    target = config.to or path.parent / "codes.npz"
    codes.save(target)
    renew_page(target.parent)
    echo(f"{len(codes.codes):,} codes of {codes.codes.shape[1]:,} numbers written to {target}.")
    echo(f"Do styles cluster in them? wikiart-cluster --codes {target}")


@torch.no_grad()
def encoded(encoder: nn.Module, packed: PackedImages, device: torch.device, bf16: bool) -> Codes:
    """The codes of every readable picture of a pack, in the catalog's order; a spatial code is laid out as one row.

    Args:
        encoder: images (B, 3, S, S) in 0..1 → code (B, …).
        packed: the pictures, at the size that the encoder takes.
        device: where the encoder is.
        bf16: whether it runs in bf16.
    """
    encoder.eval()
    catalog = packed.catalog
    rows = np.sort(np.concatenate([packed.rows(split) for split in ("train", "valid", "test")]))
    found = []
    batches = DeviceImages(packed, device).in_order(rows, 256, packed.size)
    for images in track(batches, -(-len(rows) // 256), "encoding", "batches"):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found.append(encoder(images).float().flatten(1).cpu())
    return Codes(
        codes=torch.cat(found).numpy(),
        labels=catalog.labels[rows],
        files=np.array([catalog.files[row] for row in rows]),
        styles=np.array(catalog.styles),
        split=catalog.splits[rows],
    )
