"""The grid that training draws every so many steps: always the same prompts and seeds."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from wikiart_data.images.catalog import Catalog
from wikiart_data.styles import display_name
from wikiart_lora.adapter import set_strength
from wikiart_lora.captions import caption_for
from wikiart_lora.config import TrainConfig
from wikiart_lora.figures import picture_grid
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import Base
from wikiart_lora.supply import label_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES, SCENES = 5, 4
"""Rows and columns of the grid; a column of the base's own stands beside each."""


def before_and_after(base: Base, catalog: Catalog, titles: list[str], config: TrainConfig) -> "Figure":
    """Styles × things to paint, each by the base alone and with the adapter as it is."""
    if config.style is None:
        largest = np.argsort(-catalog.counts("train"), kind="stable")
        chosen = largest[np.linspace(0, len(largest) - 1, min(STYLES, len(largest))).astype(int)]
    else:
        chosen = np.array([label_of(config.style, catalog)])
    shown = [titles[row] for row in catalog.rows("valid")] or titles
    shown = sorted({title for title in shown if title}) or [""]
    things = [shown[place] for place in np.linspace(0, len(shown) - 1, SCENES).astype(int)]
    prompts = [
        caption_for(catalog.styles[label], thing, trigger=config.trigger) for label in chosen for thing in things
    ]
    seeds = [config.seed + column for _ in chosen for column in range(len(things))]
    found = []
    for strength in (0.0, 1.0):
        set_strength(base, strength)
        found.append(paint(base, prompts, seeds, config.size, config.sampling, label="drawing the grid"))
    # (styles, things, before and after, 3, H, W), the last two of the columns laid side by side
    pictures = torch.stack(found, dim=1).view(len(chosen), len(things), 2, *found[0].shape[1:]).flatten(1, 2)
    names = [name for _ in things for name in ("base", "adapted")]
    return picture_grid(pictures, [display_name(catalog.styles[label]) for label in chosen], names)
