"""Statistics of images: proportions and means with 95 % intervals, hits in the top k, and the distance of two sets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wikiart_data.results.tables import Number

if TYPE_CHECKING:
    from torch import Tensor

BOOTSTRAP_SAMPLES = 2000
"""Bootstrap samples for the interval of a mean; each costs one weighted sum."""
KID_SAMPLES = 200
"""Half samples for the interval of a KID; each costs one distance."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its uncertainty; `asdict` gives the form that result.json holds.

    Args:
        value: the statistic.
        interval: low and high end of its 95 % interval.
        n: how many images it was computed from.
    """

    value: float
    interval: tuple[float, float]
    n: int

    def number(self, unit: str = "", digits: int = 1, baseline: float | None = None) -> Number:
        """A cell for a `Table`."""
        return Number(self.value, unit, digits, self.interval, baseline=baseline)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, J. Am. Stat. Assoc. 22), as (low, high)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def proportion(successes: np.ndarray) -> Estimate:
    """The proportion of True and its Wilson interval.

    Args:
        successes: (N,) bool, at least one.
    """
    return Estimate(float(successes.mean()), wilson(int(successes.sum()), len(successes)), len(successes))


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean and its percentile bootstrap interval (Efron 1979, Ann. Stat. 7).

    Args:
        values: (N,) float, at least one.
        seed: of the bootstrap samples.
    """
    return bootstrap_means(values[:, None], seed)[0]


def bootstrap_means(values: np.ndarray, seed: int = 0) -> list[Estimate]:
    """`bootstrap_mean` of each column of (N, K) values, from the same bootstrap samples of the N rows."""
    random, n = np.random.default_rng(seed), len(values)
    means = random.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES) @ values / n
    intervals = np.percentile(means, [2.5, 97.5], axis=0).T.tolist()
    pairs = zip(values.T, intervals, strict=True)
    return [Estimate(float(column.mean()), (low, high), n) for column, (low, high) in pairs]


def in_top_k(probabilities: "Tensor", labels: "Tensor", k: int) -> np.ndarray:
    """Whether each label is among the k most probable classes, as (N,) bool.

    Args:
        probabilities: (N, C) float; logits do as well.
        labels: (N,) int.
        k: at most C classes are looked at.
    """
    k = min(k, probabilities.shape[1])
    return (probabilities.topk(k, dim=1).indices == labels[:, None]).any(dim=1).numpy()


def squared_mmd(real: "Tensor", generated: "Tensor") -> float:
    """The unbiased squared MMD with the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, §4).

    Args:
        real: (n, d) float, n at least 2.
        generated: (m, d) float, m at least 2.
    """
    x, y = real.double(), generated.double()
    dimension = x.shape[1]
    within_x, within_y, between = ((a @ b.T / dimension + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    mean_x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
    mean_y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
    return float(mean_x + mean_y - 2 * between.mean())


def feature_scale(features: "Tensor") -> float:
    """The root mean square of features (N, d): divided by it, features of different judges are comparable."""
    return features.square().mean().sqrt().clamp(min=1e-6).item()


def kid(real: "Tensor", generated: "Tensor", scale: float | None = None, seed: int = 0) -> Estimate:
    """The kernel inception distance (Bińkowski et al. 2018) with an interval from half samples of `generated`.

    Half samples are drawn without replacement; they vary about as much around the statistic of all as that varies
    around the true value (Politis & Romano 1994).

    Args:
        real: (n, d) float, features of real images.
        generated: (m, d) float, features of generated images.
        scale: what features are divided by (default: `feature_scale(real)`).
        seed: of the half samples.
    """
    scale = feature_scale(real) if scale is None else scale
    real, generated = real / scale, generated / scale
    value = squared_mmd(real, generated)
    random, half = np.random.default_rng(seed), max(2, len(generated) // 2)
    samples = [squared_mmd(real, generated[random.permutation(len(generated))[:half]]) for _ in range(KID_SAMPLES)]
    low, high = np.percentile(np.array(samples) - value, [2.5, 97.5])
    return Estimate(value, (float(value - high), float(value - low)), len(generated))
