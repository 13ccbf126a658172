"""How much agreement depends on the pictures and on the seed: intervals of AMI, NMI and ARI, and of differences.

A bootstrap of the pictures is no help here: a picture drawn twice lies in one cluster with itself, so resamples agree
more than any sample of different pictures would. Half samples without replacement hold no picture twice, and vary
about as much around the score of all pictures as that varies around the true value (Politis & Romano 1994).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wikiart_data.results.statistics import Estimate

HALF_SAMPLES = 200
"""Each costs an AMI, an NMI and an ARI."""


@dataclass(frozen=True)
class ResampledAgreement:
    """Agreement of clusters and styles in random halves of the pictures, (HALF_SAMPLES,) float each.

    Half samples of two clusterings of equally many pictures are of the same pictures if their `seed` is the same.
    """

    ami: np.ndarray
    nmi: np.ndarray
    ari: np.ndarray


def resampled_agreement(clusterings: Sequence[np.ndarray], labels: np.ndarray, seed: int = 0) -> ResampledAgreement:
    """Score random halves of the pictures, each half with one of the clusterings: nothing is clustered again.

    Args:
        clusterings: one for each random seed of the method, (n,) int; −1, noise, counts as one cluster.
        labels: (n,) int, the styles.
        seed: of the halves, and of which clustering each is scored with.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    random, n = np.random.default_rng(seed), len(labels)
    scores = []
    for _ in range(HALF_SAMPLES):
        rows = random.permutation(n)[: max(2, n // 2)]
        clusters = clusterings[int(random.integers(len(clusterings)))][rows]
        measures = (adjusted_mutual_info_score, normalized_mutual_info_score, adjusted_rand_score)
        scores.append([float(measure(labels[rows], clusters)) for measure in measures])
    return ResampledAgreement(*np.array(scores).T)


def interval(value: float, samples: np.ndarray) -> tuple[float, float]:
    """The 95 % interval about a score of all pictures, from the same score of half samples.

    Args:
        value: of all pictures, the mean over seeds.
        samples: (k,) of half samples. Only their deviations from their own mean count: some scores, such as NMI,
            are larger in fewer pictures.
    """
    low, high = np.percentile(samples - samples.mean(), [2.5, 97.5])
    return float(value - high), float(value - low)


def difference(value: float, reference: float, samples: np.ndarray, of_reference: np.ndarray, n: int) -> Estimate:
    """A score minus that of a reference, with its paired interval: both are scored on the same half samples.

    Args:
        value: of all pictures.
        reference: the same score of the reference.
        samples: (k,) of half samples.
        of_reference: (k,), the reference's, of the same halves.
        n: pictures.
    """
    return Estimate(value - reference, interval(value - reference, samples - of_reference), n)
