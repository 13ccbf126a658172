"""Who looks on while the painter learns, and how they are taught: style network, patch critic, probe of the code."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_data.training.loop import average_gradients
from wikiart_stylegen.critic import CodeProbe, Critic, StyleNet, StyleStatistics
from wikiart_stylegen.losses import hinge_critic

if TYPE_CHECKING:
    from accelerate import Accelerator

SMOOTHING = 0.1
"""Of the style network's labels."""


class Watchers(nn.Module):
    """All that looks on while the painter learns.

    Args:
        styles: number of styles.
        channels: of the content code.
    """

    def __init__(self, styles: int, channels: int):
        super().__init__()
        self.critic = Critic(styles)
        self.namer = StyleNet(styles)
        self.probe = CodeProbe(channels, styles)
        self.known = StyleStatistics(styles, self.namer.length)


def teach_namer(
    accelerator: "Accelerator",
    watchers: Watchers,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    styles: Tensor,
    painted: Tensor | None,
) -> float:
    """Teach the style network a batch of real pictures, and take in their statistics.

    Args:
        accelerator: of the run; gradients and statistics are those of all processes.
        watchers: whose style network is taught.
        optimizer: of the style network.
        images: (B, 3, S, S) real, of `styles` (B,).
        styles: (B,) int64.
        painted: (B, 3, S, S) by the network; half of them are learned as that, beside half of the real ones.

    Returns:
        The loss.
    """
    namer = watchers.namer.requires_grad_(True)
    half = len(images) if painted is None else max(1, len(images) // 2)
    shown, names = images[:half], styles[:half]
    if painted is not None:
        shown = torch.cat([shown, painted[:half].detach()])
        names = torch.cat([names, torch.full_like(names, len(watchers.known.means))])
    statistics = namer.statistics(shown)
    loss = F.cross_entropy(namer.named(statistics), names, label_smoothing=SMOOTHING)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(accelerator, namer.parameters())
    optimizer.step()
    watchers.known.update(accelerator.gather(statistics[:half].detach()), accelerator.gather(styles[:half]))
    namer.requires_grad_(False)  # the painter's step, which follows, teaches only the painter
    return loss.item()


def teach_critic(
    accelerator: "Accelerator",
    watchers: Watchers,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    painted: Tensor,
    code: Tensor,
    styles: Tensor,
    wanted: Tensor,
) -> None:
    """Teach the patch critic and the probe one batch.

    Args:
        accelerator: of the run; gradients are those of all processes.
        watchers: whose critic and probe are taught.
        optimizer: of both.
        images: (B, 3, S, S) real, of `styles` (B,).
        painted: (B, 3, S, S), meant to be in the `wanted` styles (B,).
        code: (B, K, h, w), content codes of `images`.
        styles: (B,) int64.
        wanted: (B,) int64.
    """
    critic, probe = watchers.critic.requires_grad_(True), watchers.probe.requires_grad_(True)
    real, fake = critic(images, styles), critic(painted.detach(), wanted)
    loss = hinge_critic(real.float(), fake.float()) + F.cross_entropy(probe(code.detach()), styles)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(accelerator, [*critic.parameters(), *probe.parameters()])
    optimizer.step()
    critic.requires_grad_(False)
    probe.requires_grad_(False)
