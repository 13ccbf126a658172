"""A trained autoencoder back from its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_autoencode.network import Autoencoder
from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import load_weights, read_model


@dataclass(frozen=True)
class Trained:
    """An autoencoder with what it needs to be used."""

    network: Autoencoder
    styles: tuple[str, ...]
    config: dict[str, Any]
    """The options it was trained with; `size` is the side of its pictures."""


def make_network(options: Mapping[str, Any]) -> Autoencoder:
    """A fresh autoencoder from options as TrainConfig names them."""
    return Autoencoder(*(options[key] for key in ("code", "channels", "size", "width", "blocks")))


def load_network(path: Path) -> Trained:
    """Load a model.safetensors.

    Raises:
        InputError: the file is missing, damaged, or holds another model.
    """
    tensors, about = read_model(path)
    config, styles = json.loads(about["config"]), tuple(json.loads(about["styles"]))
    if not {"code", "channels", "structure"} <= config.keys():
        raise InputError(f"{path} holds no autoencoder of wikiart-autoencode.")
    network = make_network(config)
    load_weights(network, tensors, path)
    return Trained(network.eval(), styles, config)
