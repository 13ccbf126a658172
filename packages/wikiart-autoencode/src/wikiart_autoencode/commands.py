"""The commands `encode`, `reconstruct` and `interpolate`: thin wrappers around `Autoencoder`."""

import torch

from wikiart_autoencode.autoencoder import Autoencoder
from wikiart_autoencode.config import EncodeOptions, InterpolateOptions, ReconstructOptions
from wikiart_autoencode.evaluation.image_metrics import psnr, ssim
from wikiart_autoencode.figures import interpolation_strip, reconstruction_grid
from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.load import load_images, read_captions
from wikiart_data.images.manifest import pictures_in
from wikiart_data.results.folder import write_figure
from wikiart_data.results.page import renew_page
from wikiart_data.training.run import find_model

GRID_COLUMNS = 16
"""Most pictures of a reconstruction grid."""


def encode(options: EncodeOptions) -> None:
    """Write codes.npz.

    Raises:
        InputError: there is no such model, its data is missing or has other styles, or the file cannot be written.
    """
    path = find_model(options.model, options.runs, "autoencode")
    model = Autoencoder.load(path, device=options.device)
    catalog = scan(find_data(options.data or model.config.data, options.cache_dir), cache_dir=options.cache_dir)
    if catalog.styles != model.styles:
        different = sorted(set(catalog.styles) ^ set(model.styles))
        raise InputError(
            f"{path} was trained on other styles than those of {catalog.root}: {', '.join(different[:5])}.", field=path
        )
    codes = model.encode(catalog, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)
    target = options.to or path.parent / "codes.npz"
    codes.save(target)
    renew_page(target.parent)
    number, dimensions = codes.codes.shape
    echo(f"{number:,} codes of {dimensions:,} numbers written to {target}.")
    echo(f"Do styles cluster in them? wikiart-cluster --codes {target}")


def reconstruct(options: ReconstructOptions) -> None:
    """Draw original, reconstruction and error of each picture.

    Raises:
        InputError: there is no model, a picture cannot be read or has no caption, or the file cannot be written.
    """
    model = Autoencoder.load(options.model, runs=options.runs, device=options.device)
    files = pictures_in(options.pictures)
    if len(files) > GRID_COLUMNS:
        echo(f"The first {GRID_COLUMNS} of {len(files):,} pictures are drawn.")
    files = files[:GRID_COLUMNS]
    captions = None if options.captions is None else read_captions(options.captions, files)
    images = load_images(files, model.config.size)
    reconstructions = model.reconstruct(images)
    decibels, similarity = psnr(reconstructions, images).tolist(), ssim(reconstructions, images).tolist()
    for file, db, structure in zip(files, decibels, similarity, strict=True):
        echo(f"{printable(str(file))}: {db:.2f} dB, SSIM {structure:.3f}")
    write_figure(options.to, reconstruction_grid(images, reconstructions, captions))
    echo(f"Grid written to {options.to}.")


def interpolate(options: InterpolateOptions) -> None:
    """Draw a strip: images decoded from codes on the line between two pictures' codes, and a pixel blend below.

    Raises:
        InputError: there is no model, a picture cannot be read or has no caption, or the file cannot be written.
    """
    model = Autoencoder.load(options.model, runs=options.runs, device=options.device)
    ends = load_images([options.first, options.last], model.config.size)
    first, last = torch.from_numpy(model.encode(ends).codes)
    weights = torch.linspace(0, 1, options.steps).view(-1, 1)
    decoded = model.decode(first.lerp(last, weights))
    blended = ends[0].lerp(ends[1], weights.view(-1, 1, 1, 1))
    write_figure(options.to, interpolation_strip({"codes": decoded, "pixels": blended}, ends))
    echo(f"Strip written to {options.to}.")
