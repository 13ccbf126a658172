"""How each network is trained where the command line does not say: ours, and the two baselines by their own recipes."""

import math
from dataclasses import dataclass, fields, replace

from wikiart_classify.config import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """Defaults of a network's options; the names are those of TrainConfig."""

    size: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    mixing: float
    ema: float
    artists: float


OURS = Recipe(
    size=160,
    epochs=50,
    batch_size=128,
    lr=0.02,
    weight_decay=0.3,
    label_smoothing=0.1,
    mixing=0.95,
    ema=0.998,
    artists=0.5,
)
_PLAIN = {"weight_decay": 0.0, "label_smoothing": 0.0, "mixing": 0.0, "ema": 0.0, "artists": 0.0}

RECIPES = {
    "inclass": Recipe(size=416, epochs=20, batch_size=32, lr=1e-2, **_PLAIN),
    "threeblock": Recipe(size=224, epochs=15, batch_size=32, lr=1e-3, **_PLAIN),
}
"""The baselines: Adam at a constant rate in fp32, raw pictures without augmentation, the last step's weights."""

ON_SAMPLE = {"size": 128, "epochs": 12, "weight_decay": 0.05}
"""The sample set is learned sooner than real paintings, and hardly overfitted."""


def side_to_pack(model: str, size: int) -> int:
    """Side of the packed pictures, in pixels: a crop is cut from somewhat larger ones, a baseline takes them whole."""
    return size if model in RECIPES else math.ceil(size * 8 / 7)


def settled(config: TrainConfig, on_sample: bool) -> TrainConfig:
    """The options with everything filled in that was left to the recipe.

    Args:
        config: as the user gave it.
        on_sample: whether the built-in sample set is what is learned.
    """
    recipe = RECIPES.get(config.model, OURS)
    left = {field.name: getattr(recipe, field.name) for field in fields(Recipe) if getattr(config, field.name) is None}
    if on_sample and recipe is OURS:
        left |= {name: value for name, value in ON_SAMPLE.items() if name in left}
    if config.model in RECIPES and config.precision == "auto":
        left["precision"] = "fp32"
    return replace(config, **left)
