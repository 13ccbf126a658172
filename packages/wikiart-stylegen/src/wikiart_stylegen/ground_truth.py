"""Comparison with the ground truth of the sample set: the same scene, painted in the target style by its painters."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_autoencode.evaluation.image_metrics import psnr, ssim
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.decode import square
from wikiart_data.images.packed import PackedImages
from wikiart_data.images.pixels import to_tensor
from wikiart_data.results.tables import Number, Table
from wikiart_data.sample import paint, scene_of
from wikiart_data.sample.build import SIZE, artists, counts

PAINTERS = 3
"""Painters of the target style who each paint the scene: there is no single truth, since palette and touch differ."""
MEAN_OF = 100
"""Training images in a style's mean picture, at most."""


@dataclass(frozen=True)
class TruthScore:
    """PSNR (dB) and SSIM against the ground truth, for one kind of image."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class StyleTruth:
    """Scores against the ground truth for one target style, by kind of image."""

    style: str
    n: int
    scores: dict[str, TruthScore]


@dataclass(frozen=True)
class GroundTruth:
    """Comparison with the ground truth of the sample set: the same scene by painters of the target style."""

    scores: dict[str, TruthScore]
    """Means over all images, by kind: repaint, input, mean picture, another painter, colour transfer."""
    per_style: tuple[StyleTruth, ...]

    def closer_than_input(self, kind: str, metric: str) -> int:
        """Number of target styles in which a kind of image is closer to the truth than the inputs are.

        Args:
            kind: a key of `scores`.
            metric: `psnr` or `ssim`.
        """
        return sum(getattr(row.scores[kind], metric) > getattr(row.scores["input"], metric) for row in self.per_style)

    def wins(self, kind: str, metric: str) -> int:
        """Number of target styles in which a kind of image is the closest of all.

        Args:
            kind: a key of `scores`.
            metric: `psnr` or `ssim`.
        """
        return sum(
            max(row.scores, key=lambda name: getattr(row.scores[name], metric)) == kind for row in self.per_style
        )

    def table(self) -> Table:
        """One table: a row per kind of image."""
        rows = [
            (
                kind,
                Number(score.psnr, "dB", 2),
                Number(self.closer_than_input(kind, "psnr")),
                Number(self.wins(kind, "psnr")),
                Number(score.ssim, digits=3),
                Number(self.closer_than_input(kind, "ssim")),
                Number(self.wins(kind, "ssim")),
            )
            for kind, score in self.scores.items()
        ]
        return Table(
            f"Distance to the ground truth, {len(self.per_style)} target styles",
            ("", "PSNR", "closer (PSNR)", "closest (PSNR)", "SSIM", "closer (SSIM)", "closest (SSIM)"),
            tuple(rows),
            note="The truth is the same scene by painters of the target style. closer, closest: in how many styles it "
            "is closer to the truth than the input, and the closest of all.",
        )


def compare_with_truth(
    packed: PackedImages, rows: np.ndarray, target_styles: np.ndarray, candidates: dict[str, Tensor]
) -> GroundTruth:
    """PSNR and SSIM against the ground truth, averaged over PAINTERS painters.

    Two kinds are added to the candidates: the target style's mean picture, and one more painter of that style, who
    shows how similar painters of one style are.

    Args:
        packed: the sample set.
        rows: (N,) rows of the inputs.
        target_styles: (N,) labels.
        candidates: kind → (N, 3, S, S) float in [0, 1]; one must be called `input`.
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
    *truths, another = (to_tensor(np.stack(paintings)) for paintings in by_painter)
    candidates = {**candidates, "mean picture": _mean_pictures(packed)[target_styles], "another painter": another}
    scores = {
        kind: (
            np.mean([psnr(images, truth).numpy() for truth in truths], axis=0),
            np.mean([ssim(images, truth).numpy() for truth in truths], axis=0),
        )
        for kind, images in candidates.items()
    }

    def means(selected: np.ndarray) -> dict[str, TruthScore]:
        return {
            kind: TruthScore(float(psnr_db[selected].mean()), float(similarity[selected].mean()))
            for kind, (psnr_db, similarity) in scores.items()
        }

    of_style = {label: target_styles == label for label in np.unique(target_styles).tolist()}
    return GroundTruth(
        means(np.ones(len(rows), dtype=bool)),
        tuple(StyleTruth(catalog.styles[label], int(rows_.sum()), means(rows_)) for label, rows_ in of_style.items()),
    )


def _mean_pictures(packed: PackedImages) -> Tensor:
    """(styles, 3, S, S): the mean of some training images of each style; NaN for a style without any."""
    train, labels, device_images = packed.rows("train"), packed.catalog.labels, DeviceImages(packed)
    means = torch.full((len(packed.catalog.styles), 3, packed.size, packed.size), torch.nan)
    for label in np.unique(labels[train]):
        rows = train[labels[train] == label][:MEAN_OF]
        means[label] = next(device_images.in_order(rows, MEAN_OF, packed.size)).mean(dim=0)
    return means
