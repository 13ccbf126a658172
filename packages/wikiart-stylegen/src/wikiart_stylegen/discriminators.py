"""The networks that supervise the generator: patch discriminator, style classifier and probe of the content code.

They are trained along with the generator and discarded after training. None of them is a judge: the judge that scores
results (`wikiart-classify export`) takes no part in training.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from wikiart_autoencode.network import Block, ChannelNorm
from wikiart_data.training.schedule import average_gradients
from wikiart_stylegen.losses import hinge_discriminator_loss

if TYPE_CHECKING:
    from accelerate import Accelerator

LABEL_SMOOTHING = 0.1
"""Label smoothing of the style classifier."""


def moments(maps: Tensor) -> Tensor:
    """Mean and standard deviation of every channel: (B, C, H, W) → (B, 2C) float32."""
    maps = maps.float()
    mean = maps.mean(dim=(2, 3))
    # The difference of two means is several times faster than torch.var along these two dimensions.
    variance = maps.square().mean(dim=(2, 3)) - mean.square()
    return torch.cat([mean, (variance.clamp(min=0) + 1e-5).sqrt()], dim=1)


class PatchDiscriminator(nn.Module):
    """A patch discriminator with one output per style.

    Patches as in pix2pix (Isola et al. 2017), one branch per style as in StarGAN v2 (Choi et al. 2020), spectral
    normalisation (Miyato et al. 2018), which bounds its gradients.

    Args:
        styles: number of styles.
        width: channels of the first layer.
    """

    def __init__(self, styles: int, width: int = 32):
        super().__init__()
        channels = (3, width, 2 * width, 4 * width, 4 * width)
        kernel_sizes = (4, 4, 4, 3)
        layers: list[nn.Module] = []
        for before, after, kernel in zip(channels[:-1], channels[1:], kernel_sizes, strict=True):
            stride = 2 if kernel == 4 else 1
            layers += [spectral_norm(nn.Conv2d(before, after, kernel, stride=stride, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.head = spectral_norm(nn.Conv2d(channels[-1], styles, 1))

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Whether each patch looks like a real painting of a style.

        Args:
            images: (B, 3, S, S) float in [0, 1].
            styles: (B,) int64.

        Returns:
            (B, h, w) logits; above 0 means real.
        """
        logits = self.head(self.layers((images - 0.5) / 0.25))
        return logits.gather(1, styles.view(-1, 1, 1, 1).expand(-1, 1, *logits.shape[2:])).squeeze(1)


class StyleClassifier(nn.Module):
    """Classifies styles by the means and standard deviations of its features at three scales.

    A residual network that is trained on real images before the generator is. Positions are averaged away, so that it
    asks a repaint for a manner and not for a motif (as Gatys et al. 2016 do with Gram matrices, and Huang & Belongie
    2017 with these moments, both of a pretrained network, which is not available here).

    Args:
        styles: number of styles.
        widths: channels at a half, a quarter and an eighth of the image's side.
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
        self.num_statistics = 2 * sum(widths)
        # One class more than styles: "repainted". Without it, the generator learns to fool the classifier with
        # patterns that no eye would notice.
        self.head = nn.Linear(self.num_statistics, styles + 1)

    def statistics(self, images: Tensor) -> Tensor:
        """Mean and standard deviation of every channel at every scale: (B, 3, S, S) in [0, 1] → (B, T) float32."""
        statistics, x = [], (images - 0.5) / 0.25
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = stage(x)
            statistics.append(moments(norm(x)))
        return torch.cat(statistics, dim=1)

    def classify(self, statistics: Tensor) -> Tensor:
        """Statistics (B, T) → logits (B, styles + 1); the last class is "repainted" (Salimans et al. 2016, §5)."""
        return self.head(statistics).float()


class CodeProbe(nn.Module):
    """Reads the style from content codes, so that the encoder can learn to remove it (Ganin et al. 2016).

    Args:
        channels: channels of the content code.
        styles: number of styles.
        width: channels of its feature maps.
    """

    def __init__(self, channels: int, styles: int, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GELU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.GELU()),
        )
        self.head = nn.Linear(2 * width, styles)

    def forward(self, code: Tensor) -> Tensor:
        """Content codes (B, K, h, w) → logits (B, styles), from means and standard deviations of feature maps."""
        return self.head(moments(self.layers(code)))


class StyleStatistics(nn.Module):
    """Running means of the style classifier's statistics over real images of each style, and their spread over all.

    Args:
        styles: number of styles.
        num_statistics: number of statistics, T.
        decay: decay of the running means per image of the style.
    """

    means: Tensor
    """(styles, T)"""
    counts: Tensor
    """(styles,) float: images seen of each style."""
    spread: Tensor
    """(T,) running standard deviation over all images."""

    def __init__(self, styles: int, num_statistics: int, decay: float = 0.98):
        super().__init__()
        self.decay = decay
        self.register_buffer("means", torch.zeros(styles, num_statistics))
        self.register_buffer("counts", torch.zeros(styles))
        self.register_buffer("spread", torch.ones(num_statistics))

    @torch.no_grad()
    def update(self, statistics: Tensor, styles: Tensor) -> None:
        """Include a batch of real images. Works on the device without waiting for it.

        Args:
            statistics: (B, T) float32.
            styles: (B,) int64.
        """
        # A product with a one-hot matrix instead of index_add_, which adds in no fixed order on a GPU: a resumed run
        # must end where the uninterrupted one would. Autocast would round the sums to bf16.
        with torch.autocast(statistics.device.type, enabled=False):
            all_styles = torch.arange(len(self.means), device=styles.device)
            one_hot = (styles[:, None] == all_styles).to(statistics.dtype)
            number = one_hot.sum(dim=0)
            batch_means = one_hot.T @ statistics / number.clamp(min=1)[:, None]
        # Until a style has been seen often, its mean is the plain average, so that it is never mostly zeros.
        precise = torch.float32 if statistics.device.type == "mps" else torch.float64
        seen_fraction = self.counts / (self.counts + number).clamp(min=1)
        keep = torch.minimum(self.decay ** number.to(precise), seen_fraction.to(precise))[:, None]
        updated = keep.float() * self.means + (1 - keep).float() * batch_means
        self.means.copy_(torch.where(number[:, None] > 0, updated, self.means))
        self.counts += number
        if len(statistics) > 1:  # a single image has no spread
            weight = torch.where(self.counts.sum() > 1000, 0.02, 0.2)
            self.spread.lerp_(statistics.std(dim=0), weight)


class AuxiliaryNetworks(nn.Module):
    """All networks that supervise the generator during training.

    Args:
        styles: number of styles.
        channels: channels of the content code.
    """

    def __init__(self, styles: int, channels: int):
        super().__init__()
        self.discriminator = PatchDiscriminator(styles)
        self.style_classifier = StyleClassifier(styles)
        self.probe = CodeProbe(channels, styles)
        self.style_statistics = StyleStatistics(styles, self.style_classifier.num_statistics)


def style_classifier_step(
    accelerator: "Accelerator",
    auxiliary: AuxiliaryNetworks,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    styles: Tensor,
    repaints: Tensor | None = None,
) -> Tensor:
    """Train the style classifier on one batch and update the style statistics.

    Args:
        accelerator: averages gradients and gathers statistics over all processes.
        auxiliary: holds the style classifier.
        optimizer: of the style classifier.
        images: (B, 3, S, S) real images.
        styles: (B,) int64, their styles.
        repaints: (B, 3, S, S) output of the generator. If given, half of them, labelled as repainted, replace half of
            the real images.

    Returns:
        The loss, a scalar on the device, detached.
    """
    classifier = auxiliary.style_classifier.requires_grad_(True)
    number_real = len(images) if repaints is None else max(1, len(images) // 2)
    batch, labels = images[:number_real], styles[:number_real]
    if repaints is not None:
        repainted_class = len(auxiliary.style_statistics.means)
        batch = torch.cat([batch, repaints[:number_real].detach()])
        labels = torch.cat([labels, torch.full_like(labels, repainted_class)])
    statistics = classifier.statistics(batch)
    loss = F.cross_entropy(classifier.classify(statistics), labels, label_smoothing=LABEL_SMOOTHING)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(accelerator, classifier.parameters())
    optimizer.step()
    auxiliary.style_statistics.update(
        _gather(accelerator, statistics[:number_real].detach()), _gather(accelerator, styles[:number_real])
    )
    classifier.requires_grad_(False)  # the generator's loss, which follows, must not train the classifier
    return loss.detach()


def discriminator_step(
    accelerator: "Accelerator",
    auxiliary: AuxiliaryNetworks,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    styles: Tensor,
    repaints: Tensor,
    target_styles: Tensor,
    code: Tensor,
) -> Tensor:
    """Train the patch discriminator and the probe on one batch.

    Args:
        accelerator: averages gradients over all processes.
        auxiliary: holds discriminator and probe.
        optimizer: of both.
        images: (B, 3, S, S) real images.
        styles: (B,) int64, their styles.
        repaints: (B, 3, S, S) output of the generator.
        target_styles: (B,) int64, the styles of the repaints.
        code: (B, K, h, w), content codes of `images`.

    Returns:
        The sum of both losses, a scalar on the device, detached.
    """
    discriminator = auxiliary.discriminator.requires_grad_(True)
    probe = auxiliary.probe.requires_grad_(True)
    real, fake = discriminator(images, styles), discriminator(repaints.detach(), target_styles)
    loss = hinge_discriminator_loss(real.float(), fake.float()) + F.cross_entropy(probe(code.detach()), styles)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(accelerator, [*discriminator.parameters(), *probe.parameters()])
    optimizer.step()
    discriminator.requires_grad_(False)
    probe.requires_grad_(False)
    return loss.detach()


def _gather(accelerator: "Accelerator", tensor: Tensor) -> Tensor:
    """The rows of all processes."""
    gathered = accelerator.gather(tensor)
    assert isinstance(gathered, Tensor)
    return gathered
