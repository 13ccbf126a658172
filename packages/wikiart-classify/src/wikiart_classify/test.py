"""`wikiart-classify test`: a trained network on one split."""

import json
from pathlib import Path

import torch

from wikiart_classify.answers import evaluate
from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import TestConfig
from wikiart_classify.explain import explain_split, explainable, style_meant
from wikiart_classify.recipes import side_to_pack
from wikiart_classify.report import show
from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.artists import split_by_artist
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.images.packed import pack
from wikiart_data.results.page import renew_page
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model


def test(config: TestConfig) -> None:
    """Print every figure of one split, or with `json` write them to standard output.

    Raises:
        InputError: there is no such model, or the data has no such split or other styles.
    """
    path = find_model(config.model, config.runs, "classify")
    trained = load_network(path)
    catalog = scan(find_data(config.data or trained.config["data"], config.cache_dir), cache_dir=config.cache_dir)
    if trained.config.get("split") == "artist":
        catalog = split_by_artist(catalog, trained.config["seed"])
    if catalog.styles != trained.styles:
        odd = sorted(set(catalog.styles) ^ set(trained.styles))
        raise InputError(f"{path} was trained on other styles than {catalog.root} has: {', '.join(odd[:5])} differ.")
    if config.explain is not None:
        explainable(trained.network)
        style = style_meant(config.explain, trained.styles)
    size = trained.config["size"]
    packed = pack(
        catalog,
        side_to_pack(trained.config["model"], size),
        cache_dir=config.cache_dir,
        max_bad_fraction=config.bad_limit,
    )
    if not len(packed.rows(config.split)):
        raise InputError(f"{catalog.root} has no pictures in {config.split}.")
    device = create_accelerator(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, trained.config["precision"])
    pictures = DeviceImages(packed, device)
    result = evaluate(network, pictures, config.split, size, bf16)
    if config.json:
        print(json.dumps({"model": str(path), "split": config.split, "data": str(Path(catalog.root)), **result}))
    else:
        echo(f"Model: {path}")
        show(result, config.split)
    if config.explain is not None:
        target, number = explain_split(trained, pictures, config.split, style, bf16, path.parent / "figures")
        renew_page(path.parent)
        echo(f"What speaks for {printable(trained.styles[style])} in {number} pictures: {printable(str(target))}")


test.__test__ = False  # type: ignore[attr-defined]  (pytest would take the verb for a test)
