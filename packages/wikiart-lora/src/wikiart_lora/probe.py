"""Is it still the scene? A small network that knows the sample set's six kinds of scenes, in any style."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_data.console import track
from wikiart_data.results.guessed_tables import proportion
from wikiart_data.sample.build import scene_of
from wikiart_data.sample.scenes import SCENES
from wikiart_data.training.muon import Muon, muon_groups

SIDE = 32
BATCH = 64
STEPS = 240
"""Enough for the sample set; a small set is gone through more often."""


@dataclass(frozen=True)
class Probe:
    """Trained on the sample set's training pictures, all styles together."""

    network: nn.Module
    on_valid: dict[str, Any]
    """Share of real valid pictures whose scene it knows: what a painted picture can reach at most."""

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) in 0..1 → (N,) int64 places in SCENES."""
        return torch.cat([self.network(_seen(part)).argmax(dim=1) for part in images.split(256)])


def kinds_of(files: list[str]) -> Tensor:
    """(N,) int64: the kind of scene of each picture of the sample set, from its name."""
    return torch.tensor([SCENES.index(scene_of(file).kind) for file in files])


def train_probe(images: Tensor, kinds: Tensor, valid: Tensor, valid_kinds: Tensor, seed: int = 0) -> Probe:
    """Train for some seconds.

    Args:
        images: (N, 3, S, S) float in 0..1.
        kinds: (N,) int64.
        valid: (M, 3, S, S), to say how good the probe is.
        valid_kinds: (M,).
        seed: of weights and order.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = nn.Sequential(
            *_block(3, 24), *_block(24, 48), *_block(48, 96), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(4 * 96, len(SCENES)),
        )  # fmt: skip
    seen = _seen(images)
    optimizer = Muon(muon_groups(network, lr=0.02, weight_decay=0.01, first="0.weight"))
    generator = torch.Generator().manual_seed(seed)
    network.train()
    peaks = [group["lr"] for group in optimizer.param_groups]
    epochs = max(1, round(STEPS * BATCH / len(seen)))
    for epoch in track(range(epochs), epochs, "training the scene probe", "epochs"):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - epoch / epochs)
        for rows in torch.randperm(len(seen), generator=generator).split(BATCH):
            if len(rows) < 2:
                continue
            batch = seen[rows]
            batch = batch.flip(3) if torch.rand((), generator=generator) < 0.5 else batch
            loss = F.cross_entropy(network(batch), kinds[rows], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    network.eval()
    probe = Probe(network, {})
    return Probe(network, proportion((probe(valid) == valid_kinds).numpy()))


def kept(probe: Probe, images: Tensor, kinds: np.ndarray) -> dict[str, Any]:
    """Share of pictures (N, 3, S, S) in which the probe still sees the scene that was asked for, (N,)."""
    return proportion(probe(images).numpy() == kinds)


def _block(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]


def _seen(images: Tensor) -> Tensor:
    return F.interpolate(images, (SIDE, SIDE), mode="area") * 2 - 1
