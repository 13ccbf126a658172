"""A trained network back from its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_classify.baselines import InClass, ThreeBlock
from wikiart_classify.methods import METHODS
from wikiart_classify.network import PRESETS, StyleNet
from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import load_weights, read_model


@dataclass(frozen=True)
class Trained:
    """A network with what it needs to be used."""

    network: StyleNet | InClass | ThreeBlock
    styles: tuple[str, ...]
    config: dict[str, Any]
    """The options it was trained with; `size` is the side of its pictures."""


BASELINES = {"inclass": InClass, "threeblock": ThreeBlock}


def make_network(styles: int, options: Mapping[str, Any]) -> StyleNet | InClass | ThreeBlock:
    """A fresh network.

    Args:
        styles: number of styles.
        options: `model` and `size`, and of our own networks `width` and `balance`, as TrainConfig names them.
    """
    if options["model"] in BASELINES:
        return BASELINES[options["model"]](styles, options["size"])
    cosine = METHODS[options.get("balance", "none")].cosine
    return StyleNet(styles, options["model"], options.get("width", 1.0), cosine)


def load_network(path: Path) -> Trained:
    """Load a model.safetensors.

    Raises:
        InputError: the file is missing, damaged, or holds another model.
    """
    tensors, about = read_model(path)
    config, styles = json.loads(about["config"]), tuple(json.loads(about["styles"]))
    if config.get("model") not in (*PRESETS, *BASELINES):
        raise InputError(f"{path} holds no network of wikiart-classify.")
    network = make_network(len(styles), config)
    load_weights(network, tensors, path)
    return Trained(network.eval(), styles, config)
