"""Comparison with the ground truth of the sample set: the same scene, painted in the target style by its painters."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import psnr, ssim
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.decode import square
from wikiart_data.images.packed import PackedImages
from wikiart_data.sample import paint, scene_of
from wikiart_data.sample.build import SIZE, artists, counts

PAINTERS = 3
"""Painters of the target style who each paint the scene: there is no single truth, since palette and touch differ."""
MEAN_OF = 100
"""Training images in a style's mean picture, at most."""


def compare_with_truth(
    packed: PackedImages, rows: np.ndarray, images: Tensor, target_styles: np.ndarray, repaints: Tensor
) -> dict[str, Any]:
    """PSNR and SSIM against the ground truth, averaged over PAINTERS painters.

    For repaints, inputs, the target style's mean picture, and one more painter of that style, who shows how similar
    painters of one style are.

    Args:
        packed: the sample set.
        rows: (N,) rows of the inputs.
        images: (N, 3, S, S) inputs, float in [0, 1].
        target_styles: (N,) labels.
        repaints: (N, 3, S, S) float in [0, 1].

    Returns:
        Means over images for each, the same for each style, and in how many styles repaints, and another painter, are
        closer than inputs.
    """
    catalog = packed.catalog
    by_painter: list[list[np.ndarray]] = [[] for _ in range(PAINTERS + 1)]
    numbers = counts("train")
    for row, label in zip(rows, target_styles, strict=True):
        scene, style = scene_of(Path(catalog.files[row])), catalog.styles[label]
        names = artists(style, numbers[style])
        order = np.random.default_rng(scene.seed).permutation(len(names))
        for number, paintings in enumerate(by_painter):
            # If the style has too few painters, one of no name takes the place.
            artist = names[order[number]] if number < len(names) else "anybody"
            paintings.append(square(Image.fromarray(paint(scene, style, SIZE, artist)), packed.size))
    *truths, another = (
        torch.from_numpy(np.stack(paintings)).permute(0, 3, 1, 2).float() / 255 for paintings in by_painter
    )
    train = packed.rows("train")
    device_images = DeviceImages(packed)
    means = []
    for label in range(len(catalog.styles)):
        of_style = train[catalog.labels[train] == label][:MEAN_OF]
        means.append(next(device_images.in_order(of_style, MEAN_OF, packed.size)).mean(dim=0))
    candidates = {
        "painted": repaints,
        "unchanged": images,
        "mean picture": torch.stack(means)[torch.from_numpy(target_styles)],
        "another painter": another,
    }
    values = {
        name: {
            "psnr": np.mean([psnr(candidate, truth).numpy() for truth in truths], axis=0),
            "ssim": np.mean([ssim(candidate, truth).numpy() for truth in truths], axis=0),
        }
        for name, candidate in candidates.items()
    }
    per_style: list[dict[str, Any]] = []
    for label in np.unique(target_styles):
        of_style = target_styles == label
        row = {"style": catalog.styles[label], "n": int(of_style.sum())}
        for name, metrics in values.items():
            row[name] = {key: float(value[of_style].mean()) for key, value in metrics.items()}
        per_style.append(row)
    return {
        **{name: {key: float(value.mean()) for key, value in metrics.items()} for name, metrics in values.items()},
        "closer": sum(row["painted"]["psnr"] > row["unchanged"]["psnr"] for row in per_style),
        "another painter closer": sum(row["another painter"]["psnr"] > row["unchanged"]["psnr"] for row in per_style),
        "styles": len(per_style),
        "per_style": per_style,
    }
