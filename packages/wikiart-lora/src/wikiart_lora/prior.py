"""Prior preservation (Ruiz et al. 2023, §3.2): pictures by the base itself, which training must not forget."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wikiart_lora.families import Text, encode_pictures, encode_text
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import Base


@dataclass(frozen=True)
class Prior:
    """What the base paints by itself, encoded."""

    latents: Tensor
    """(P, C, h, w)."""
    text: Text
    """(P, …) of each tensor."""

    def read(self, places: Tensor, device: torch.device) -> tuple[Tensor, Text]:
        """Some of them, on the device."""
        return self.latents[places].to(device), {name: values[places].to(device) for name, values in self.text.items()}


@torch.no_grad()
def make_prior(base: Base, number: int, titles: list[str], side: int, seed: int, sampling: int | None = None) -> Prior:
    """Let the base paint `number` pictures of what training shows, without any style's name.

    The adapter must still be new: with B = 0 it is the base that paints.
    """
    known = sorted({title for title in titles if title}) or ["a picture"]
    random = np.random.default_rng(seed)
    prompts = [known[place] for place in random.integers(len(known), size=number)]
    images = paint(base, prompts, range(seed, seed + number), side, sampling, label="painting what the base must keep")
    latents = torch.cat([encode_pictures(base, part * 2 - 1).cpu() for part in images.split(8)])
    encoded = [encode_text(base, prompts[at : at + 8]) for at in range(0, number, 8)]
    return Prior(latents, {name: torch.cat([one[name].cpu() for one in encoded]) for name in encoded[0]})
