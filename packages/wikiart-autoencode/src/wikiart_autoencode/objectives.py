"""Auxiliary objectives: what the encoder may learn besides reconstruction, so that codes know more about style.

None of them sees a style label. Their own layers are trained along with the autoencoder and discarded afterwards.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_data.training.processes import gather_batch

NOISE_STD = 0.1
"""Standard deviation of the noise added by `denoise`, in units of pixel values in [0, 1]."""
SCALES = 3
"""Resolutions of the texture statistics: full, half and quarter."""
TWO_VIEWS = ("vicreg", "vicreg+texture")
"""Objectives that need a second crop of every image, and large batches."""


def add_noise(images: Tensor, seed: int, shard: slice = slice(None)) -> Tensor:
    """Images with Gaussian noise, not clamped, for denoising (Vincent et al. 2008).

    Args:
        images: (b, 3, S, S) float in [0, 1], this process's shard of the batch.
        seed: of the noise of the whole batch.
        shard: which images of the whole batch these are.

    Returns:
        (b, 3, S, S).
    """
    generator = torch.Generator().manual_seed(seed)
    whole = (len(images) * (shard.step or 1), *images.shape[1:])
    return images + NOISE_STD * torch.randn(whole, generator=generator)[shard].to(images)


class VICReg(nn.Module):
    """Variance-invariance-covariance regularisation (Bardes et al. 2022): two crops of an image get similar codes.

    Codes pass through an expander, on whose outputs the three terms act: invariance (eq. 5), variance (eq. 1) and
    covariance (eq. 3 and 4), weighted 25 : 25 : 1 as in the paper, divided by 25.

    Args:
        code_size: dimensions of a code (`pooled_size`).
        expander_width: dimensions of the expander's layers and output.
    """

    def __init__(self, code_size: int, expander_width: int = 1024):
        super().__init__()
        self.expander = nn.Sequential(
            *(nn.Linear(code_size, expander_width), nn.BatchNorm1d(expander_width), nn.ReLU()),
            *(nn.Linear(expander_width, expander_width), nn.BatchNorm1d(expander_width), nn.ReLU()),
            nn.Linear(expander_width, expander_width, bias=False),
        )

    def forward(self, code: Tensor, other: Tensor) -> Tensor:
        """Codes of two views of the same images, (B, D) twice → scalar."""
        a, b = self.expander(code).float(), self.expander(other).float()
        invariance = F.mse_loss(a, b)
        a, b = gather_batch(a), gather_batch(b)  # the other terms are about the whole batch
        return invariance + variance_loss(a) + variance_loss(b) + (covariance_loss(a) + covariance_loss(b)) / 25


def variance_loss(z: Tensor) -> Tensor:
    """Hinge on the standard deviation of each dimension over the batch (Bardes et al. 2022, eq. 1); (B, D) → ()."""
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def covariance_loss(z: Tensor) -> Tensor:
    """Sum of squared off-diagonal covariances, divided by D (Bardes et al. 2022, eq. 3 and 4); (B, D) → ()."""
    z = z - z.mean(dim=0)
    covariance = z.T @ z / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


class TexturePrediction(nn.Module):
    """A linear layer predicts the image's texture statistics from its code; the loss is the squared error.

    In the spirit of Gram matrices (Gatys et al. 2016), without a pretrained network: see `texture_statistics`, here
    standardised by a running mean and deviation.

    Args:
        code_size: dimensions of a code (`pooled_size`).
        statistics: number of statistics.
    """

    def __init__(self, code_size: int, statistics: int):
        super().__init__()
        self.standardize = nn.BatchNorm1d(statistics, affine=False)
        self.predict = nn.Linear(code_size, statistics)

    def forward(self, code: Tensor, images: Tensor) -> Tensor:
        """Codes (B, D) and the images they encode, (B, 3, S, S) in [0, 1] → scalar."""
        with torch.no_grad():
            target = self.standardize(texture_statistics(images))
        return F.mse_loss(self.predict(code).float(), target)


def texture_statistics(images: Tensor) -> Tensor:
    """Second-order statistics of colours and edges over positions: (B, 3, S, S) float in [0, 1] → (B, T) float32.

    At each of SCALES resolutions: means and covariances of the three channels, and covariances of their responses to
    two gradients and a Laplacian. Covariances enter as signed square roots, so that one strong edge does not dominate.
    """
    statistics: list[Tensor] = []
    kernels, x = _edge_kernels(images.device), images.float()
    for scale in range(SCALES):
        x = F.avg_pool2d(x, 2) if scale else x
        responses = F.conv2d(x, kernels.repeat(3, 1, 1)[:, None], groups=3)  # (B, 9, ·, ·)
        statistics += [x.mean(dim=(2, 3)), _channel_covariances(x), _channel_covariances(responses)]
    return torch.cat(statistics, dim=1)


@functools.cache
def _edge_kernels(device: torch.device) -> Tensor:
    """(3, 3, 3): two gradients and a Laplacian; copied to a device once, since the host waits for such a copy."""
    return torch.tensor(
        [
            [[0.0, 0.0, 0.0], [-0.5, 0.0, 0.5], [0.0, 0.0, 0.0]],
            [[0.0, -0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]],
            [[0.0, 0.25, 0.0], [0.25, -1.0, 0.25], [0.0, 0.25, 0.0]],
        ],
        device=device,
    )


def _channel_covariances(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C (C + 1) / 2): signed square roots of the channels' covariances over positions."""
    flat = x.flatten(2)
    flat = flat - flat.mean(dim=2, keepdim=True)
    covariance = flat @ flat.mT / flat.shape[2]
    rows, columns = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    values = covariance[:, rows, columns]
    return values.sign() * (values.abs() + 1e-8).sqrt()


def pool_code(code: Tensor) -> Tensor:
    """(B, …) → (B, D): a vector code as it is, of a spatial code the mean and standard deviation of each channel."""
    if code.ndim == 2:
        return code
    return torch.cat([code.mean(dim=(2, 3)), (code.var(dim=(2, 3)) + 1e-6).sqrt()], dim=1)


def pooled_size(code: int | None, channels: int) -> int:
    """The number of dimensions that `pool_code` returns."""
    return code or 2 * channels


class AuxiliaryObjective(nn.Module):
    """The loss that `--objective` adds to reconstruction: VICReg, texture prediction, both, or nothing.

    Args:
        objective: as in the options.
        code: dimensions of a vector code; None or 0 means a spatial code of `channels` channels.
        channels: of the spatial code.
    """

    def __init__(self, objective: str, code: int | None, channels: int):
        super().__init__()
        size = pooled_size(code, channels)
        statistics = texture_statistics(torch.zeros(1, 3, 32, 32)).shape[1]
        self.vicreg = VICReg(size) if objective in TWO_VIEWS else None
        self.texture = TexturePrediction(size, statistics) if objective in ("texture", "vicreg+texture") else None

    def forward(self, code: Tensor, other: Tensor | None, images: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            code: codes of a batch.
            other: codes of a second view of each image, if there is one.
            images: the batch, (B, 3, S, S) in [0, 1].
        """
        loss = images.new_zeros((), dtype=torch.float32)
        if self.vicreg is not None and other is not None:
            loss = loss + self.vicreg(pool_code(code), pool_code(other))
        if self.texture is not None:
            loss = loss + self.texture(pool_code(code), images)
        return loss
