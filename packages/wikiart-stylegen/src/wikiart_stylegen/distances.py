"""Distances on a judge's features: KID to the paintings of a style, and to the nearest training image."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wikiart_data.images.packed import PackedImages
from wikiart_data.results.statistics import feature_scale, kid, proportion
from wikiart_stylegen.judging import JudgedImages
from wikiart_stylegen.results import NearestTraining, StyleKid

MIN_KID_IMAGES, MAX_KID_IMAGES = 8, 300
"""Fewest repaints of a style, and most training images, for its KID."""
COPY_PERCENTILE = 5


def style_distances(
    packed: PackedImages,
    allowed: np.ndarray,
    repaints: JudgedImages,
    colour: JudgedImages,
    input_features: Tensor,
    train_features: Tensor,
) -> Iterable[StyleKid]:
    """KID on the judge's features, for each target style with enough repaints, to its real training images."""
    train_labels = packed.catalog.labels[packed.rows("train")]
    for label in allowed:
        selected = repaints.target_styles == label
        if selected.sum() < MIN_KID_IMAGES:
            continue
        rows = np.flatnonzero(train_labels == label)
        rows = np.sort(np.random.default_rng(0).choice(rows, min(MAX_KID_IMAGES, len(rows)), replace=False))
        if len(rows) < 2:  # one image has no distance within its set
            continue
        features = train_features[rows]
        yield StyleKid(
            packed.catalog.styles[label],
            kid(features, repaints.features[selected]),
            kid(features, input_features[selected]),
            kid(features, colour.features[selected]),
        )


def find_nearest_training(
    packed: PackedImages, rows: np.ndarray, repaints: JudgedImages, held_out_features: Tensor, train_features: Tensor
) -> tuple[NearestTraining, str]:
    """Distances of repaints to their nearest training images, compared with those of held-out real images.

    Euclidean, on the judge's features, in units of their root mean square.

    Args:
        packed: the data.
        rows: (N,) rows of the inputs.
        repaints: made from them.
        held_out_features: (N, F) of the inputs.
        train_features: (M, F) of all training images.

    Returns:
        The comparison, and a CSV text: input, target style, nearest training image, distance.
    """
    catalog, scale = packed.catalog, feature_scale(train_features)
    distances, nearest = (_pairwise_distances(repaints.features, train_features) / scale).min(dim=1)
    held_out = (_pairwise_distances(held_out_features, train_features) / scale).min(dim=1).values
    threshold = float(np.percentile(held_out.numpy(), COPY_PERCENTILE))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["input", "target_style", "nearest_training_image", "distance"])
    train_rows = packed.rows("train")
    for row, label, index, distance in zip(rows, repaints.target_styles, nearest, distances, strict=True):
        source, training_image = Path(catalog.files[row]), Path(catalog.files[train_rows[int(index)]])
        writer.writerow([source.as_posix(), catalog.styles[label], training_image.as_posix(), f"{float(distance):.4f}"])
    comparison = NearestTraining(
        threshold,
        proportion((distances < threshold).numpy()),
        float(distances.median()),
        float(held_out.median()),
    )
    return comparison, text.getvalue()


def _pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, M). Not by the product of both, which loses small distances to cancellation."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
