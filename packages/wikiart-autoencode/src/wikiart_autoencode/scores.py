"""Means over pictures with their intervals."""

from typing import Any

import numpy as np

BOOTSTRAPS = 2000


def mean_scores(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Mean MSE, PSNR and SSIM over pictures, with 95 % bootstrap intervals.

    PSNR is averaged over pictures, not taken of the mean error: every picture counts alike.

    Args:
        values: (N, 3) float: MSE on 0..1, PSNR in dB and SSIM of each picture.
        seed: of the bootstrap.
    """
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(values), np.full(len(values), 1 / len(values)), size=BOOTSTRAPS)
    means = drawn @ values / len(values)
    result: dict[str, Any] = {"n": len(values)}
    for place, name in enumerate(("mse", "psnr", "ssim")):
        result[name] = float(values[:, place].mean())
        result[f"{name}_interval"] = [float(x) for x in np.percentile(means[:, place], [2.5, 97.5])]
    return result
