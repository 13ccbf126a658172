"""`wikiart-autoencode measure`: autoencoders against PCA, JPEG and WebP at the same number of bytes, in one figure."""

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.baselines import PixelPCA, fit_pca
from wikiart_autoencode.checkpoint import Trained, load_network
from wikiart_autoencode.config import MeasureConfig
from wikiart_autoencode.figures import rate_figure
from wikiart_autoencode.rates import NAMES, file_curve, in_8_bits, measured
from wikiart_autoencode.scores import mean_scores
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.results.folder import write_results
from wikiart_data.results.guessed_tables import guessed_tables
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model, read_run_record

COMPONENTS = (16, 32, 64, 128, 256, 512, 1024)
"""Of PCA, a byte each."""


def measure(config: MeasureConfig) -> None:
    """Measure every run and the baselines on one split; write result.json and the figure.

    Raises:
        InputError: there is no such run, or runs were trained at different sizes.
    """
    paths = [find_model(model, config.runs, "autoencode") for model in config.models or (None,)]
    trained = [load_network(path) for path in paths]
    sizes = {one.config["size"] for one in trained}
    if len(sizes) > 1:
        raise InputError(f"The runs see pictures of different sizes ({sorted(sizes)}): measure them apart.")
    size = sizes.pop()
    catalog = scan(find_data(config.data or trained[0].config["data"], config.cache_dir), cache_dir=config.cache_dir)
    packed = pack(catalog, size, cache_dir=config.cache_dir, bad_limit=config.bad_limit)
    rows = packed.rows(config.split)
    if not len(rows):
        raise InputError(f"{catalog.root} has no pictures in {config.split}.")
    device = create_accelerator(config.device).device

    points = []
    for path, one in zip(paths, trained, strict=True):
        record, result = (
            read_run_record(path.parent),
            json.loads((path.parent / "result.json").read_text(encoding="utf-8")),
        )
        about = {key: one.config[key] for key in ("code", "channels", "objective", "epochs", "seed", "width")}
        about |= {"train_seconds": result["train_seconds"], "parameters": result["parameters"]}
        points.append({**about, "git_commit": record["git_commit"], **codes_in_8_bits(one, packed, rows, device)})
        echo(f"{path.parent}: {points[-1]['bytes']} bytes, {points[-1]['psnr']:.2f} dB, SSIM {points[-1]['ssim']:.3f}")
    echo(f"PCA of {len(packed.rows('train')):,} training pictures …")
    pca = fit_pca(packed, max(COMPONENTS), size)
    curves = {"PCA": pca_curve(pca, packed, rows, size)}
    pictures = DeviceImages(packed)
    few = rows if len(rows) <= FILES else np.sort(np.random.default_rng(0).choice(rows, FILES, replace=False))
    images = torch.cat(list(pictures.in_order(few, 256, size)))
    for kind in ("JPEG", "WebP"):
        echo(f"{kind} …")
        curves[kind] = file_curve(images, kind)
    result = {
        "kind": "rates",
        "command": "wikiart-autoencode measure",
        "split": config.split,
        "n": len(rows),
        "n_files": len(few),
        "size": size,
        "data_fingerprint": catalog.fingerprint,
        "codes": points,
        "curves": curves,
    }
    write_results(config.to, result, guessed_tables(result), {"rates": rate_figure(result)})
    echo(f"Everything is in {config.to}/ (open index.html).")


FILES = 400
"""Most pictures that are written as files: their mean is sure to a tenth of a decibel."""


@torch.no_grad()
def codes_in_8_bits(one: Trained, packed: PackedImages, rows: np.ndarray, device: torch.device) -> dict[str, Any]:
    """MSE, PSNR and SSIM of an autoencoder whose code is kept in 8 bits a number, and of its exact code."""
    network = one.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, one.config["precision"])
    exact: list[Tensor] = []
    rounded: list[Tensor] = []
    for images in DeviceImages(packed, device).in_order(rows, 128, packed.size):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            code = network.encoder(images)
            for found, kept in ((exact, code), (rounded, in_8_bits(code))):
                found.append(measured(network.decoder(kept).float(), images).cpu())
    return {
        "bytes": code[0].numel(),
        "pixels": 3 * packed.size**2,
        **mean_scores(torch.cat(rounded).numpy()),
        "exact": mean_scores(torch.cat(exact).numpy()),
    }


def pca_curve(pca: PixelPCA, packed: PackedImages, rows: np.ndarray, size: int) -> list[dict[str, float]]:
    """PCA with a byte a component, for each number of components that there are."""
    numbers = [number for number in COMPONENTS if number <= len(pca.directions)]
    found: dict[int, list[Tensor]] = {number: [] for number in numbers}
    for images in DeviceImages(packed).in_order(rows, 256, size):
        code = in_8_bits(pca.encode(images), pca.deviations)
        for number in numbers:
            found[number].append(measured(pca.decode(code[:, :number], size), images))
    means = {number: torch.cat(some).mean(dim=0).tolist() for number, some in found.items()}
    return [{"bytes": float(number), **dict(zip(NAMES, mean, strict=True))} for number, mean in means.items()]
