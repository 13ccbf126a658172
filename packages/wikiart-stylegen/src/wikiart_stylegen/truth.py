"""The sample set knows the truth: the same scene, painted in the wanted style by painters of that style."""

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

HANDS = 3
"""Painters of the style who each paint the scene: a style leaves them palettes and touch, so there is no one truth."""


def against_truth(
    packed: PackedImages, rows: np.ndarray, images: Tensor, wanted: np.ndarray, painted: Tensor
) -> dict[str, Any]:
    """PSNR and SSIM to the truth, averaged over HANDS painters.

    Of repaints, of unchanged inputs, of the wanted style's mean picture, and of one more painter of that style, who
    shows how near painters of one style come to one another.

    Args:
        packed: the sample set.
        rows: (N,) of the inputs.
        images: (N, 3, S, S) inputs in 0..1.
        wanted: (N,) styles.
        painted: (N, 3, S, S) repaints.

    Returns:
        Means over pictures for each, the same for each style, and in how many styles repaints are closer than inputs,
        and another painter is.
    """
    catalog = packed.catalog
    hands = [[] for _ in range(HANDS + 1)]
    known = counts("train")
    for row, style in zip(rows, wanted, strict=True):
        scene, name = scene_of(Path(catalog.files[row])), catalog.styles[style]
        names = artists(name, known[name])
        chosen = np.random.default_rng(scene.seed).permutation(len(names))
        for place, hand in enumerate(hands):
            # Of a style with fewer painters than that, the one more is anybody.
            artist = names[chosen[place]] if place < len(names) else "anybody"
            hand.append(square(Image.fromarray(paint(scene, name, SIZE, artist)), packed.size))
    *truths, another = (torch.from_numpy(np.stack(hand)).permute(0, 3, 1, 2).float() / 255 for hand in hands)
    train = packed.rows("train")
    means = torch.stack(
        [
            next(DeviceImages(packed).in_order(train[catalog.labels[train] == style][:100], 100, packed.size)).mean(0)
            for style in range(len(catalog.styles))
        ]
    )
    made = {
        "painted": painted,
        "unchanged": images,
        "mean picture": means[torch.from_numpy(wanted)],
        "another painter": another,
    }
    found = {
        name: {
            "psnr": np.mean([psnr(pictures, truth).numpy() for truth in truths], axis=0),
            "ssim": np.mean([ssim(pictures, truth).numpy() for truth in truths], axis=0),
        }
        for name, pictures in made.items()
    }
    per_style = []
    for style in np.unique(wanted):
        asked = wanted == style
        row: dict[str, Any] = {"style": catalog.styles[style], "n": int(asked.sum())}
        for name, values in found.items():
            row[name] = {key: float(value[asked].mean()) for key, value in values.items()}
        per_style.append(row)
    return {
        **{name: {key: float(value.mean()) for key, value in values.items()} for name, values in found.items()},
        "closer": sum(row["painted"]["psnr"] > row["unchanged"]["psnr"] for row in per_style),
        "another painter closer": sum(row["another painter"]["psnr"] > row["unchanged"]["psnr"] for row in per_style),
        "styles": len(per_style),
        "per_style": per_style,
    }
