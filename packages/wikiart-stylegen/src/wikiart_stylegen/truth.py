"""The sample set knows the truth: the same scene, painted in the wanted style by the painter of that style."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.quality import psnr, ssim
from wikiart_data.batches import Pictures
from wikiart_data.decode import square
from wikiart_data.packed import PackedImages
from wikiart_data.sample import paint, scene_of
from wikiart_data.sample.build import SIZE


def against_truth(
    packed: PackedImages, rows: np.ndarray, images: Tensor, wanted: np.ndarray, painted: Tensor
) -> dict[str, Any]:
    """PSNR and SSIM to the truth of repaints, of unchanged inputs, and of the wanted style's mean picture.

    Args:
        packed: the sample set.
        rows: (N,) of the inputs.
        images: (N, 3, S, S) inputs in 0..1.
        wanted: (N,) styles.
        painted: (N, 3, S, S) repaints.

    Returns:
        Means over pictures for each, the same for each style, and in how many styles repaints are closer than inputs.
    """
    catalog = packed.catalog
    truth = []
    for row, style in zip(rows, wanted, strict=True):
        scene = scene_of(Path(catalog.files[row]))
        truth.append(square(Image.fromarray(paint(scene, catalog.styles[style], SIZE)), packed.size))
    real = torch.from_numpy(np.stack(truth)).permute(0, 3, 1, 2).float() / 255
    train = packed.rows("train")
    means = torch.stack(
        [
            next(Pictures(packed).in_order(train[catalog.labels[train] == style][:100], 100, packed.size)).mean(0)
            for style in range(len(catalog.styles))
        ]
    )
    made = {"painted": painted, "unchanged": images, "mean picture": means[torch.from_numpy(wanted)]}
    found = {
        name: {"psnr": psnr(pictures, real).numpy(), "ssim": ssim(pictures, real).numpy()}
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
        "styles": len(per_style),
        "per_style": per_style,
    }
