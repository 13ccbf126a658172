"""What training minimises: a distance of pixels and a measure of structure."""

from torch import Tensor

from wikiart_autoencode.quality import mse, ssim

FLOOR = 1e-5
"""Added to a picture's mean squared error: what is right to 50 dB need not become better."""


def decibels(ours: Tensor, truth: Tensor) -> Tensor:
    """Minus the pictures' mean PSNR, in hundreds of decibels.

    The logarithm weighs pictures by how much better they can still become: a mean of squares is about the few with the
    most detail, which no code of 1,024 numbers holds anyway.

    Args:
        ours: (B, 3, H, W) float.
        truth: the same, in 0..1.
    """
    return (mse(ours, truth) + FLOOR).log10().mean() / 10


def charbonnier(ours: Tensor, truth: Tensor, epsilon: float = 0.01) -> Tensor:
    """sqrt(d² + ε²) − ε, the mean over all pixels (Charbonnier et al. 1994): squared below ε, absolute above.

    Squares alone spend the code on the few largest errors, which are edges that 1,024 numbers cannot place anyway;
    absolute values alone have no slope where the picture is nearly right.

    Args:
        ours: (B, 3, H, W) float.
        truth: the same.
        epsilon: where the two meet, in shares of the range of grey.
    """
    return ((ours - truth).square() + epsilon**2).sqrt().mean() - epsilon


def reconstruction_loss(ours: Tensor, truth: Tensor, structure: float, pixels: str = "psnr") -> Tensor:
    """A pixel loss, plus `structure` times 1 − SSIM, which asks for contrast where pixels alone ask for the mean.

    Args:
        ours: (B, 3, H, W) float.
        truth: the same, in 0..1.
        structure: weight of the second term; 0 leaves it out. With `psnr`, 0.1 lets a gain of 0.1 in SSIM cost 1 dB.
        pixels: psnr (`decibels`) or charbonnier.
    """
    loss = decibels(ours, truth) if pixels == "psnr" else charbonnier(ours, truth)
    return loss + structure * (1 - ssim(ours, truth).mean()) if structure else loss
