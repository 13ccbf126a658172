"""What a judge makes of repaints and of real paintings: accuracies, and both at the same mix of styles."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import ssim
from wikiart_data.images.packed import PackedImages
from wikiart_data.results.statistics import Estimate, bootstrap_mean, in_top_k, proportion
from wikiart_stylegen.metrics import edge_correlation, retrieval
from wikiart_stylegen.results import SameMix, StyleScore, VariantScore


@dataclass(frozen=True)
class JudgedImages:
    """Images that were meant to be of certain styles, and what the judge makes of them."""

    label: str
    images: Tensor
    """(N, 3, S, S) float in [0, 1]"""
    target_styles: np.ndarray
    """(N,)"""
    probabilities: Tensor
    """(N, styles)"""
    features: Tensor
    """(N, F)"""

    def recognised(self, k: int = 1) -> np.ndarray:
        """(N,) bool: whether the target style is among the judge's first k."""
        return in_top_k(self.probabilities, torch.from_numpy(self.target_styles), k)


def score_variant(variant: JudgedImages, inputs: Tensor, seed: int) -> VariantScore:
    """Whether the judge recognises the target style, and how much of the inputs (N, 3, S, S) is left.

    Args:
        variant: the images.
        inputs: (N, 3, S, S), what they were made from.
        seed: of the galleries in which an input is looked for.
    """
    return VariantScore(
        variant.label,
        proportion(variant.recognised()),
        proportion(variant.recognised(3)),
        bootstrap_mean(ssim(variant.images, inputs).numpy()),
        bootstrap_mean(edge_correlation(variant.images, inputs)),
        proportion(retrieval(variant.images, inputs, seed=seed)),
    )


def compare_at_same_mix(
    repaints: JudgedImages, colour: JudgedImages, real: JudgedImages, styles: tuple[str, ...], seed: int
) -> tuple[SameMix | None, SameMix | None, tuple[str, ...]]:
    """Judge accuracy of repaints and of real paintings, both at the mix of styles that the repaints have.

    Targets are drawn uniformly, real paintings come in their natural mix: averaged as they are, the two accuracies are
    over different styles.

    Returns:
        Over all target styles of which there are real paintings, over those that the judge recognises in at least one
        of them, and the names of the others. None where no style is left.
    """
    targets = np.unique(repaints.target_styles)
    with_real = targets[np.isin(targets, real.target_styles)]
    correct = real.recognised()
    recognised = with_real[[bool(correct[real.target_styles == label].any()) for label in with_real]]
    unrecognised = tuple(styles[label] for label in with_real if label not in recognised)
    mixes = [
        SameMix(
            tuple(styles[label] for label in labels),
            proportion(repaints.recognised()[np.isin(repaints.target_styles, labels)]),
            proportion(colour.recognised()[np.isin(colour.target_styles, labels)]),
            _weighted_accuracy(correct, real.target_styles, repaints.target_styles, labels, seed),
        )
        if len(labels)
        else None
        for labels in (with_real, recognised)
    ]
    return mixes[0], mixes[1], unrecognised


def _weighted_accuracy(
    correct: np.ndarray, labels: np.ndarray, target_styles: np.ndarray, styles: np.ndarray, seed: int
) -> Estimate:
    """Mean accuracy over styles weighted by their frequency among the targets, with a bootstrap within each style."""
    weights = np.array([(target_styles == style).sum() for style in styles], dtype=float)
    weights /= weights.sum()
    totals = np.array([(labels == style).sum() for style in styles])
    accuracies = np.array([correct[labels == style].mean() for style in styles])
    # Drawing the images of a style again and counting the correct ones is a binomial draw.
    draws = np.random.default_rng(seed).binomial(totals, accuracies, size=(2000, len(styles))) / totals
    low, high = np.percentile(draws @ weights, [2.5, 97.5])
    return Estimate(float(accuracies @ weights), (float(low), float(high)), int(totals.sum()))


def score_styles(
    packed: PackedImages, allowed: np.ndarray, repaints: JudgedImages, colour: JudgedImages, real: JudgedImages
) -> Iterable[StyleScore]:
    """Judge accuracy for each target style that occurs."""
    counts, styles = packed.catalog.counts("train"), packed.catalog.styles
    for label in allowed:
        selected, selected_real = repaints.target_styles == label, real.target_styles == label
        if selected.any():
            yield StyleScore(
                styles[label],
                int(counts[label]),
                proportion(repaints.recognised()[selected]),
                proportion(real.recognised()[selected_real]) if selected_real.any() else None,
                proportion(colour.recognised()[selected]),
            )
