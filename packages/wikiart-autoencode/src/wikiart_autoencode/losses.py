"""Reconstruction losses: a distance between pixels, and 1 − SSIM."""

from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import mse, ssim

MSE_FLOOR = 1e-5
"""Added to an image's mean squared error: reconstructions better than 50 dB need not improve further."""


def psnr_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the mean PSNR of the images, in hundreds of dB.

    The logarithm weighs each image by the relative improvement that is still possible. A plain mean of squared errors
    is dominated by the few images with the most detail, which no code of 1,024 numbers can hold.

    Args:
        prediction: (B, 3, H, W) float.
        target: (B, 3, H, W) float in [0, 1].
    """
    return (mse(prediction, target) + MSE_FLOOR).log10().mean() / 10


def charbonnier_loss(prediction: Tensor, target: Tensor, epsilon: float = 0.01) -> Tensor:
    """sqrt(d² + ε²) − ε averaged over all pixels (Charbonnier et al. 1994): quadratic below ε, absolute above.

    Squared errors spend the code on the few largest errors, which are edges that 1,024 numbers cannot place anyway;
    absolute errors have no slope where the reconstruction is nearly right.

    Args:
        prediction: (B, 3, H, W) float.
        target: (B, 3, H, W) float.
        epsilon: where the two regimes meet, in units of pixel values in [0, 1].
    """
    return ((prediction - target).square() + epsilon**2).sqrt().mean() - epsilon


def reconstruction_loss(prediction: Tensor, target: Tensor, ssim_weight: float, pixel_loss: str = "psnr") -> Tensor:
    """A pixel loss plus `ssim_weight` · (1 − SSIM); the SSIM term rewards contrast, which pixel losses average away.

    Args:
        prediction: (B, 3, H, W) float.
        target: (B, 3, H, W) float in [0, 1].
        ssim_weight: 0 leaves the SSIM term out. With `psnr`, a weight of 0.1 trades 1 dB for 0.1 of SSIM.
        pixel_loss: `psnr` or `charbonnier`.
    """
    loss = psnr_loss(prediction, target) if pixel_loss == "psnr" else charbonnier_loss(prediction, target)
    return loss + ssim_weight * (1 - ssim(prediction, target).mean()) if ssim_weight else loss
