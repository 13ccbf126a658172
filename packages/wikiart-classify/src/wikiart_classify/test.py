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
from wikiart_data.artists import split_by_artist
from wikiart_data.batches import Pictures
from wikiart_data.catalog import scan
from wikiart_data.console import printable, say
from wikiart_data.engine import start_engine, use_bf16
from wikiart_data.errors import InputError
from wikiart_data.packed import pack
from wikiart_data.page import renew_page
from wikiart_data.run import find_model
from wikiart_data.source import find_data


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
        catalog, side_to_pack(trained.config["model"], size), cache_dir=config.cache_dir, bad_limit=config.bad_limit
    )
    if not len(packed.rows(config.split)):
        raise InputError(f"{catalog.root} has no pictures in {config.split}.")
    device = start_engine(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, trained.config["precision"])
    pictures = Pictures(packed, device)
    result = evaluate(network, pictures, config.split, size, bf16)
    if config.json:
        print(json.dumps({"model": str(path), "split": config.split, "data": str(Path(catalog.root)), **result}))
    else:
        say(f"Model: {path}")
        show(result, config.split)
    if config.explain is not None:
        target, number = explain_split(trained, pictures, config.split, style, bf16, path.parent / "figures")
        renew_page(path.parent)
        say(f"What speaks for {printable(trained.styles[style])} in {number} pictures: {printable(str(target))}")


test.__test__ = False  # type: ignore[attr-defined]  (pytest would take the verb for a test)
