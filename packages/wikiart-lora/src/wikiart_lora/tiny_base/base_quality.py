"""`wikiart-lora evaluate-base`: whether a base pretrained on the plain scenes paints what a caption says."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.results.folder import write_figure
from wikiart_data.results.statistics import Estimate, proportion
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.sample.scenes import SCENES, Scene, caption, title
from wikiart_data.training.device import select_device
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.base_models.precision import choose_precision, weights_dtype
from wikiart_lora.figures import image_grid
from wikiart_lora.sampling import sample_images
from wikiart_lora.tiny_base.config import EvaluateBaseOptions
from wikiart_lora.tiny_base.networks import SIZE
from wikiart_lora.tiny_base.scene_probe import scene_accuracy, train_scene_probe
from wikiart_lora.tiny_base.scenes import FIRST_SEED, make_scenes, render

PROBE_SCENES = 1_200
"""Renderings that the scene probe is trained on."""
HELD_OUT_SEED = FIRST_SEED + 5_000_000
"""Seed of the first scene to be painted: no stage of the pretraining, nor the probe, is trained on them."""
COATS = ("red", "green", "blue")
"""Colours that differ in the channel that is largest."""
COAT_ROWS, COAT_COLUMNS = (0.82, 1.0), (0.31, 0.69)
"""Where a portrait shows the coat, as fractions of height and width."""
FIGURE_COLUMNS = 8


@dataclass(frozen=True)
class BaseQuality:
    """How often images show what their captions say, with 95 % intervals; and the same of the scenes' renderings."""

    scenes: Estimate
    """The kind of scene is recognised."""
    scenes_rendered: Estimate
    coats: Estimate
    """The coat of a portrait has the colour in the caption."""
    coats_rendered: Estimate


def evaluate_base(options: EvaluateBaseOptions) -> BaseQuality:
    """Paint held-out scenes from their captions, print how many are as described, and write a figure.

    Raises:
        InputError: there is no such base, or it cannot be used on this device.
    """
    device = select_device(options.device)
    dtype = weights_dtype(device, choose_precision(device, "auto")[0])
    base = load_base(options.base, device, dtype)
    if base.geometry.side != SIZE:
        raise InputError(
            f"--base {options.base} is no base of {SIZE} px that `pretrain-denoiser` has made.", field="--base"
        )
    kinds = np.arange(options.num_scenes) % len(SCENES)
    scenes = [Scene(SCENES[kind], HELD_OUT_SEED + index) for index, kind in enumerate(kinds)]
    coats = np.arange(options.num_coats) % len(COATS)
    sources = [_portraits_in(colour) for colour in COATS]
    portraits = [next(sources[colour]) for colour in coats]

    trained_on = make_scenes(PROBE_SCENES)
    probe = train_scene_probe(_rendered(trained_on), torch.tensor([SCENES.index(scene.kind) for scene in trained_on]))
    prompts = [caption(scene) for scene in [*scenes, *portraits]]
    seeds = [options.seed + index for index in range(len(prompts))]
    label = f"generating {len(prompts)} images"
    sampling = (options.num_inference_steps, options.guidance_scale, options.guidance_rescale)
    images = sample_images(base, prompts, seeds, SIZE, *sampling, label=label)
    painted, clothed = images.split([len(scenes), len(portraits)])
    quality = BaseQuality(
        scenes=scene_accuracy(probe, painted, kinds),
        scenes_rendered=scene_accuracy(probe, _rendered(scenes), kinds),
        coats=proportion(coat_colours(clothed) == coats),
        coats_rendered=proportion(coat_colours(_rendered(portraits)) == coats),
    )
    rows = (
        ("kind of scene recognised", len(scenes), quality.scenes, quality.scenes_rendered),
        ("coat of the colour in the caption", len(portraits), quality.coats, quality.coats_rendered),
    )
    print_table(
        Table(
            "The base paints what its caption says",
            ("", "images", "base", "renderings"),
            tuple(
                (name, Number(number, digits=0), *(Number(x.value, "%", interval=x.interval) for x in estimates))
                for name, number, *estimates in rows
            ),
            f"Base {options.base}; scenes that it was not trained on. By chance 1 in {len(SCENES)} scenes, and 1 in "
            f"{len(COATS)} coats.",
        )
    )
    groups = [painted[kinds == kind] for kind in range(len(SCENES))]
    groups += [clothed[coats == colour] for colour in range(len(COATS))]
    grid = torch.stack([group[np.resize(np.arange(len(group)), FIGURE_COLUMNS)] for group in groups])
    names = [*(kind.replace("_", " ") for kind in SCENES), *(f"{colour} coat" for colour in COATS)]
    write_figure(options.to, image_grid(grid, names, [""] * FIGURE_COLUMNS))
    echo(f"Images of every kind are in {options.to}.")
    return quality


def coat_colours(images: Tensor) -> np.ndarray:
    """(N,) int: the colour in `COATS` of the coats in portraits (N, 3, S, S) in [0, 1]: the largest channel's."""
    side = images.shape[-1]
    (top, bottom), (left, right) = ((round(side * end) for end in ends) for ends in (COAT_ROWS, COAT_COLUMNS))
    return images[:, :, top:bottom, left:right].mean(dim=(2, 3)).argmax(dim=1).numpy()


def _portraits_in(colour: str) -> Iterator[Scene]:
    """Held-out portraits with a coat of that colour."""
    scenes = (Scene("portrait", seed) for seed in count(HELD_OUT_SEED))
    return (scene for scene in scenes if title(scene) == f"portrait in {colour}")


def _rendered(scenes: list[Scene]) -> Tensor:
    """Plain renderings: (N, 3, SIDE, SIDE) float in [0, 1]."""
    return render(scenes).permute(0, 3, 1, 2) / 255
