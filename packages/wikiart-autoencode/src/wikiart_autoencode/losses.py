"""What training minimises: a robust distance of pixels and a measure of structure."""

from torch import Tensor

from wikiart_autoencode.quality import ssim


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


def reconstruction_loss(ours: Tensor, truth: Tensor, structure: float) -> Tensor:
    """Charbonnier, plus `structure` times 1 − SSIM, which asks for contrast where pixels alone ask for the mean.

    Args:
        ours: (B, 3, H, W) float.
        truth: the same, in 0..1.
        structure: weight of the second term; 0 leaves it out.
    """
    pixels = charbonnier(ours, truth)
    return pixels + structure * (1 - ssim(ours, truth).mean()) if structure else pixels
