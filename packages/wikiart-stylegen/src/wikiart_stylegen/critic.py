"""Who looks while the painter learns: is it painted by hand, which style is it in, does the code betray the style.

They are trained along and thrown away. None is a judge: a judge that scores results takes no part in training.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from wikiart_autoencode.network import Block, ChannelNorm


def moments(maps: Tensor) -> Tensor:
    """Mean and deviation of every channel: (B, C, H, W) → (B, 2C) float32."""
    maps = maps.float()
    mean = maps.mean(dim=(2, 3))
    # The difference of two means is several times faster than torch.var along these two dimensions.
    variance = maps.square().mean(dim=(2, 3)) - mean.square()
    return torch.cat([mean, (variance.clamp(min=0) + 1e-5).sqrt()], dim=1)


class Critic(nn.Module):
    """A patch discriminator with an answer for each style.

    Patches as in pix2pix (Isola et al. 2017), a branch a style as in StarGAN v2 (Choi et al. 2020), spectral
    normalisation (Miyato et al. 2018) so that its slopes stay bounded.

    Args:
        styles: number of styles.
        width: channels of the first layer.
    """

    def __init__(self, styles: int, width: int = 32):
        super().__init__()
        channels = (3, width, 2 * width, 4 * width, 4 * width)
        sides = (4, 4, 4, 3)
        layers: list[nn.Module] = []
        for a, b, side in zip(channels[:-1], channels[1:], sides, strict=True):
            layers += [spectral_norm(nn.Conv2d(a, b, side, stride=2 if side == 4 else 1, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.real = spectral_norm(nn.Conv2d(channels[-1], styles, 1))

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """(B, h, w): how much each patch of (B, 3, S, S) looks like a real one of the style (B,), above 0 is real."""
        answers = self.real(self.layers((images - 0.5) / 0.25))
        return answers.gather(1, styles.view(-1, 1, 1, 1).expand(-1, 1, *answers.shape[2:])).squeeze(1)


class StyleNet(nn.Module):
    """Names styles from what is alike all over a picture: means and deviations of its features at three scales.

    A residual network of its own, taught on real pictures before the painter begins. Where things are is averaged away,
    so that what it asks of a painting is a manner and not a motif (as Gatys et al. 2016 do with Gram matrices, and
    Huang & Belongie 2017 with these moments, of a pretrained network that we do not have).

    Args:
        styles: number of styles.
        widths: channels at a half, a quarter and an eighth of the picture's size.
        blocks: residual blocks at each.
    """

    def __init__(self, styles: int, widths: tuple[int, ...] = (32, 64, 128), blocks: tuple[int, ...] = (1, 1, 2)):
        super().__init__()
        stages = []
        for before, width, number in zip((3, *widths[:-1]), widths, blocks, strict=True):
            down = nn.Conv2d(before, width, 4, stride=2, padding=1)
            stages.append(nn.Sequential(down, *(Block(width) for _ in range(number))))
        self.stages = nn.ModuleList(stages)
        self.norms = nn.ModuleList(ChannelNorm(width) for width in widths)
        self.length = 2 * sum(widths)
        # One answer more than styles: painted by the network. Without it, naming is fooled by what no eye would see.
        self.style = nn.Linear(self.length, styles + 1)

    def statistics(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in 0..1 → (B, T) float32, mean and deviation of every channel at every scale."""
        found, x = [], (images - 0.5) / 0.25
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = stage(x)
            found.append(moments(norm(x)))
        return torch.cat(found, dim=1)

    def named(self, statistics: Tensor) -> Tensor:
        """(B, T) → (B, styles + 1): logits of the style; the last is of none, but painted by the network.

        The last answer is as in Salimans et al. 2016, §5.
        """
        return self.style(statistics).float()


class CodeProbe(nn.Module):
    """Reads the style from content codes, so that the encoder can learn to hide it (Ganin et al. 2016).

    Args:
        channels: of the content code.
        styles: number of styles.
        width: channels of its maps.
    """

    def __init__(self, channels: int, styles: int, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GELU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.GELU()),
        )
        self.style = nn.Linear(2 * width, styles)

    def forward(self, code: Tensor) -> Tensor:
        """Codes (B, K, h, w) → logits (B, styles), from means and deviations of maps."""
        return self.style(moments(self.layers(code)))


class StyleStatistics(nn.Module):
    """Running means of the critic's statistics of real pictures, a style at a time, and their spread over all.

    Args:
        styles: number of styles.
        statistics: how many statistics there are.
        decay: of the running means, a picture of the style at a time.
    """

    def __init__(self, styles: int, statistics: int, decay: float = 0.98):
        super().__init__()
        self.decay = decay
        self.register_buffer("means", torch.zeros(styles, statistics))
        self.register_buffer("seen", torch.zeros(styles))
        self.register_buffer("spread", torch.ones(statistics))

    @torch.no_grad()
    def update(self, found: Tensor, styles: Tensor) -> None:
        """Take in the statistics (B, T) of real pictures of styles (B,)."""
        for style in styles.unique():
            rows = found[styles == style]
            # In the first pictures of a style the mean is a plain one, so that it is never mostly zeros.
            old = min(self.decay ** len(rows), float(self.seen[style] / (self.seen[style] + len(rows))))
            self.means[style] = old * self.means[style] + (1 - old) * rows.mean(dim=0)
            self.seen[style] += len(rows)
        if len(found) > 1:  # one picture has no spread
            self.spread.lerp_(found.std(dim=0), 0.02 if self.seen.sum() > 1000 else 0.2)
