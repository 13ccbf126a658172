"""Second objectives: what the encoder may learn beside reconstruction, so that codes know more about style.

None of them sees a style label. What they learn for themselves is trained along and thrown away.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE = 0.1
"""Standard deviation of the noise that `denoise` adds, in shares of the range of grey."""
SCALES = 3
"""Resolutions at which `texture` looks: full, half and quarter."""
TWO_VIEWS = ("vicreg", "vicreg+texture")
"""Objectives that need a second crop of every picture, and large batches of them."""


def noisy(images: Tensor, seed: int, share: slice = slice(None)) -> Tensor:
    """Denoising (Vincent et al. 2008): pictures with Gaussian noise, not clamped.

    Args:
        images: (b, 3, S, S) in 0..1: this process's share of the batch.
        seed: of the whole batch's noise.
        share: which of the whole batch's pictures are `images`.

    Returns:
        (b, 3, S, S).
    """
    generator = torch.Generator().manual_seed(seed)
    whole = (len(images) * (share.step or 1), *images.shape[1:])
    return images + NOISE * torch.randn(whole, generator=generator)[share].to(images)


class Agreement(nn.Module):
    """VICReg (Bardes et al. 2022): two crops of a picture get alike codes, and no number of them may fall silent.

    Codes pass through an expander, on whose outputs the three terms act: invariance (eq. 5), variance (eq. 1) and
    covariance (eq. 3 and 4), weighted 25 : 25 : 1 as in the paper, divided by 25.

    Args:
        code: numbers of a code (of a spatial one: its channels' means and deviations).
        wide: outputs of the expander.
    """

    def __init__(self, code: int, wide: int = 1024):
        super().__init__()
        self.expander = nn.Sequential(
            *(nn.Linear(code, wide), nn.BatchNorm1d(wide), nn.ReLU()),
            *(nn.Linear(wide, wide), nn.BatchNorm1d(wide), nn.ReLU()),
            nn.Linear(wide, wide, bias=False),
        )

    def forward(self, code: Tensor, other: Tensor) -> Tensor:
        """Codes of two views of the same pictures, (B, D) twice → scalar."""
        a, b = self.expander(code).float(), self.expander(other).float()
        return F.mse_loss(a, b) + silence(a) + silence(b) + (redundancy(a) + redundancy(b)) / 25


def silence(z: Tensor) -> Tensor:
    """How far each number's standard deviation over the batch is below 1 (Bardes et al. 2022, eq. 1); (B, D) → ()."""
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def redundancy(z: Tensor) -> Tensor:
    """Sum of squared covariances between numbers, divided by D (Bardes et al. 2022, eq. 3 and 4); (B, D) → ()."""
    z = z - z.mean(dim=0)
    covariance = z.T @ z / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


class Texture(nn.Module):
    """The code must tell the picture's texture statistics, where they are being those of a fixed filter bank.

    In the spirit of Gram matrices (Gatys et al. 2016), without a pretrained network: see `texture_statistics`. They are
    standardised by a running mean and deviation, and a linear layer predicts them from the code.

    Args:
        code: numbers of a code.
        statistics: how many statistics there are.
    """

    def __init__(self, code: int, statistics: int):
        super().__init__()
        self.standard = nn.BatchNorm1d(statistics, affine=False)
        self.predict = nn.Linear(code, statistics)

    def forward(self, code: Tensor, images: Tensor) -> Tensor:
        """Codes (B, D) and the pictures they stand for, (B, 3, S, S) in 0..1 → scalar."""
        with torch.no_grad():
            wanted = self.standard(texture_statistics(images))
        return F.mse_loss(self.predict(code).float(), wanted)


def texture_statistics(images: Tensor) -> Tensor:
    """What a texture is made of, without regard to where: (B, 3, S, S) float in 0..1 → (B, T) float32.

    At each of SCALES resolutions: mean and covariances of the three colours, and covariances of their responses to two
    gradients and a Laplacian, signed square roots of them (so that one strong edge does not decide everything).
    """
    found: list[Tensor] = []
    kernels = torch.tensor(
        [
            [[0.0, 0.0, 0.0], [-0.5, 0.0, 0.5], [0.0, 0.0, 0.0]],
            [[0.0, -0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]],
            [[0.0, 0.25, 0.0], [0.25, -1.0, 0.25], [0.0, 0.25, 0.0]],
        ],
        device=images.device,
    )
    x = images.float()
    for scale in range(SCALES):
        x = F.avg_pool2d(x, 2) if scale else x
        responses = F.conv2d(x, kernels.repeat(3, 1, 1)[:, None], groups=3)  # (B, 9, ·, ·)
        found += [x.mean(dim=(2, 3)), _covariances(x), _covariances(responses)]
    return torch.cat(found, dim=1)


def _covariances(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C (C + 1) / 2): signed square roots of the covariances of channels over places."""
    flat = x.flatten(2)
    flat = flat - flat.mean(dim=2, keepdim=True)
    covariance = flat @ flat.mT / flat.shape[2]
    rows, columns = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    values = covariance[:, rows, columns]
    return values.sign() * (values.abs() + 1e-8).sqrt()


def summary(code: Tensor) -> Tensor:
    """A code as one row: a vector code itself; of a spatial one each channel's mean and deviation. (B, …) → (B, D)."""
    if code.ndim == 2:
        return code
    return torch.cat([code.mean(dim=(2, 3)), (code.var(dim=(2, 3)) + 1e-6).sqrt()], dim=1)


def summary_length(code: int | None, channels: int) -> int:
    """Numbers that `summary` makes."""
    return 2 * channels if code is None else code


class SecondObjective(nn.Module):
    """What `--objective` asks of a code, as one module: VICReg, texture, both, or nothing.

    Args:
        objective: as in the options.
        code: numbers of a vector code; None means a spatial one of `channels` channels.
        channels: of the spatial code.
    """

    def __init__(self, objective: str, code: int | None, channels: int):
        super().__init__()
        length = summary_length(code, channels)
        statistics = texture_statistics(torch.zeros(1, 3, 32, 32)).shape[1]
        self.agreement = Agreement(length) if objective in TWO_VIEWS else None
        self.texture = Texture(length, statistics) if objective in ("texture", "vicreg+texture") else None

    def forward(self, code: Tensor, other: Tensor | None, images: Tensor) -> Tensor:
        """The code of a batch, that of its second view if there is one, and the pictures, (B, 3, S, S) → scalar."""
        loss = images.new_zeros((), dtype=torch.float32)
        if self.agreement is not None and other is not None:
            loss = loss + self.agreement(summary(code), summary(other))
        if self.texture is not None:
            loss = loss + self.texture(summary(code), images)
        return loss
