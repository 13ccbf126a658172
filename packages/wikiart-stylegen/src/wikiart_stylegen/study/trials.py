"""The trials of a study: pictures by the network and paintings, in pairs of one style, each with a question."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.packed import PackedImages
from wikiart_data.images.pixels import to_pixels
from wikiart_stylegen.study.options import StudyOptions
from wikiart_stylegen.targets import choose_target_styles
from wikiart_stylegen.transfer import StyleTransfer

Kind: TypeAlias = Literal["style", "source"]
Source: TypeAlias = Literal["painting", "repaint"]
SOURCES: tuple[Source, Source] = ("painting", "repaint")
"""The choices of a trial about the source."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A picture with a question."""

    kind: Kind
    """style: which style is this? source: was it painted by hand or by the network?"""
    source: Source
    """What the picture is."""
    target: str
    """Its style: the one of the painting, or the one the network was to paint in."""
    choices: tuple[str, ...]
    """The answers to choose from: names of styles, or SOURCES."""
    pixels: np.ndarray
    """(S, S, 3) uint8."""


def make_trials(transfer: StyleTransfer, packed: PackedImages, options: StudyOptions) -> list[Trial]:
    """Draw the trials: in pairs of a repaint and a painting of the same style, with the same question and choices.

    Half of the pairs ask for the style (one more if their number is odd), the others for the source. No image is used
    twice, neither as a painting nor as the input of a repaint. A painting is the image that the network would get as an
    input, at its size: repaints and paintings differ neither in resolution nor in how they were scaled down.

    Returns:
        `options.trials` trials in random order.

    Raises:
        InputError: the split has too few images.
    """
    styles, random = packed.catalog.styles, np.random.default_rng(options.seed)
    allowed = choose_target_styles(packed, options.min_train_images)
    targets, paintings, inputs = draw_pairs(packed, options.split, allowed, options.trials // 2, random)
    images = torch.cat(list(DeviceImages(packed).in_order(inputs, len(inputs), packed.size)))
    repaints = transfer.repaint_batch(images, torch.from_numpy(targets), options.strength)
    repainted_pixels = to_pixels(repaints)
    trials = []
    for pair, label in enumerate(targets.tolist()):
        kind: Kind = "style" if pair < (len(targets) + 1) // 2 else "source"
        others = random.permutation(allowed[allowed != label])[: options.choices - 1]
        names = tuple(styles[choice] for choice in sorted([label, *others.tolist()]))
        choices = names if kind == "style" else SOURCES
        trials.append(Trial(kind, "repaint", styles[label], choices, repainted_pixels[pair]))
        trials.append(Trial(kind, "painting", styles[label], choices, np.array(packed.images[paintings[pair]])))
    return [trials[number] for number in random.permutation(len(trials))]


def draw_pairs(
    packed: PackedImages, split: str, allowed: np.ndarray, number: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw target styles, for each a painting of the style and an image of another style as the input of a repaint.

    Every allowed style is drawn once before any is drawn again, as far as there are paintings of it.

    Returns:
        Labels, rows of the paintings, and rows of the inputs, (number,) each; no row appears twice.

    Raises:
        InputError: the split has too few images.
    """
    rows = random.permutation(packed.rows(split))
    labels = packed.catalog.labels
    paintings_of = {label: rows[labels[rows] == label].tolist() for label in allowed.tolist()}
    targets: list[int] = []
    paintings: list[int] = []
    while len(targets) < number and any(paintings_of.values()):
        left = random.permutation([label for label, of_style in paintings_of.items() if of_style])
        for label in left[: number - len(targets)].tolist():
            targets.append(label)
            paintings.append(paintings_of[label].pop())
    unused = rows[~np.isin(rows, paintings)].tolist()
    inputs = []
    for label in targets:
        fitting = next((row for row in unused if labels[row] != label), None)
        if fitting is not None:
            unused.remove(fitting)
            inputs.append(fitting)
    if len(inputs) < number:
        raise InputError(
            f"--trials {2 * number}: {split} of {packed.catalog.root} has images for {2 * len(inputs)} trials only.",
            field="--trials",
        )
    return np.array(targets), np.array(paintings), np.array(inputs)
