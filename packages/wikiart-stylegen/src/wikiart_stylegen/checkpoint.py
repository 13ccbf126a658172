"""A trained style autoencoder back from its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import load_weights, read_model
from wikiart_stylegen.network import StyleAutoencoder


@dataclass(frozen=True)
class Trained:
    """A style autoencoder with what it needs to be used."""

    network: StyleAutoencoder
    styles: tuple[str, ...]
    config: dict[str, Any]
    """The options it was trained with; `size` is the side of its pictures."""


def make_network(styles: int, options: Mapping[str, Any]) -> StyleAutoencoder:
    """A fresh network from options as TrainConfig names them."""
    names = ("channels", "style", "conditioning", "width", "blocks", "grain")
    return StyleAutoencoder(styles, **{name: options[name] for name in names})


def load_network(path: Path) -> Trained:
    """Load a model.safetensors.

    Raises:
        InputError: the file is missing, damaged, or holds another model.
    """
    tensors, about = read_model(path)
    config, styles = json.loads(about["config"]), tuple(json.loads(about["styles"]))
    if "conditioning" not in config:
        raise InputError(f"{path} holds no network of wikiart-stylegen.")
    network = make_network(len(styles), config)
    load_weights(network, tensors, path)
    return Trained(network.eval(), styles, config)
