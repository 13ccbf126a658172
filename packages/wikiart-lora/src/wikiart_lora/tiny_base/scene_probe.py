"""The scene probe: a small classifier of the sample set's six kinds of scenes, independent of style."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_data.console import track
from wikiart_data.results.statistics import Estimate, proportion
from wikiart_data.sample import SCENES, scene_of
from wikiart_data.training.muon import Muon, muon_groups

SIDE = 32
BATCH = 64
STEPS = 240
"""Enough for the sample set; a smaller set is iterated over more often."""


def scene_kinds(files: Sequence[str]) -> Tensor:
    """(N,) int64: the kind of scene of each image of the sample set, from its file name."""
    return torch.tensor([SCENES.index(scene_of(file).kind) for file in files])


def train_scene_probe(images: Tensor, kinds: Tensor, seed: int = 0) -> nn.Module:
    """Train the probe; takes some seconds.

    Args:
        images: (N, 3, S, S) float in [0, 1], of all styles.
        kinds: (N,) int64.
        seed: of initialisation and order.

    Returns:
        A network (B, 3, SIDE, SIDE) in [-1, 1] → (B, kinds) logits, for `scene_accuracy`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = nn.Sequential(
            *_block(3, 24), *_block(24, 48), *_block(48, 96), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(4 * 96, len(SCENES)),
        )  # fmt: skip
    inputs = _resized(images)
    optimizer = Muon(muon_groups(network, lr=0.02, weight_decay=0.01, first="0.weight"))
    generator = torch.Generator().manual_seed(seed)
    network.train()
    epochs = max(1, round(STEPS * BATCH / len(inputs)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / epochs)
    for _ in track(range(epochs), epochs, "training the scene probe", "epochs"):
        for rows in torch.randperm(len(inputs), generator=generator).split(BATCH):
            if len(rows) < 2:
                continue
            batch = inputs[rows]
            batch = batch.flip(3) if torch.rand((), generator=generator) < 0.5 else batch
            loss = F.cross_entropy(network(batch), kinds[rows], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def scene_accuracy(probe: nn.Module, images: Tensor, kinds: np.ndarray) -> Estimate:
    """Fraction of images (N, 3, S, S) in [0, 1] whose kind of scene (N,) the probe recognises."""
    predictions = torch.cat([probe(_resized(part)).argmax(dim=1) for part in images.split(256)])
    return proportion(predictions.numpy() == kinds)


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def _resized(images: Tensor) -> Tensor:
    return F.interpolate(images, (SIDE, SIDE), mode="area") * 2 - 1
