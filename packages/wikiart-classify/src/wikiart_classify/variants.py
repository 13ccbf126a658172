"""What `compare` compares: every row of a comparison by name, as the options of training that it changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wikiart_classify.command_options import CompareOptions
from wikiart_classify.imbalance.methods import METHODS
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class Variant:
    """One row of a comparison."""

    label: str
    """Name in tables and figures."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `TrainOptions` that differ from the comparison's."""
    paper: str = ""
    """Authors and year."""


MODELS = {
    "inclass": Variant("the course's in-class network", {"model": "inclass"}),
    "threeblock": Variant("three blocks, a public solution", {"model": "threeblock"}),
    "small": Variant("ours", {"model": "small"}),
}
IMBALANCE = {
    **{name: Variant(method.label, {"balance": name}, method.paper) for name, method in METHODS.items()},
    "head-decay": Variant("weight decay of the last layer", {"head_decay": 1.0}, "Alshammari et al. 2022"),
    "max-norm": Variant("largest norm of the last layer (MaxNorm)", {"max_norm": 1.0}, "Alshammari et al. 2022"),
}
SPLITS = {
    "given": Variant("the given split"),
    "artist": Variant("no artist in two splits", {"split": "artist"}),
    "given-alone": Variant("the given split, without the artist task", {"artists": 0.0}),
    "artist-alone": Variant("no artist in two splits, without the artist task", {"split": "artist", "artists": 0.0}),
}
RECIPES = {
    "default": Variant("the default"),
    "head-decay-0.3": Variant("weight decay 0.3 of the last layer", {"head_decay": 0.3}, "Alshammari et al. 2022"),
    "head-decay-3": Variant("weight decay 3 of the last layer", {"head_decay": 3.0}, "Alshammari et al. 2022"),
    "max-norm": Variant("largest norm 1 of the last layer", {"max_norm": 1.0}, "Alshammari et al. 2022"),
    "batch-64": Variant("batches of 64", {"batch_size": 64}),
    "no-smoothing": Variant("no label smoothing", {"label_smoothing": 0.0}),
    "cosine": Variant(
        "cosine loss and cross-entropy", {"cosine_loss": True, "label_smoothing": 0.0}, "Barz & Denzler 2020"
    ),
    "ema-teacher": Variant("averaged weights as teacher", {"distillation": 0.5}, "Kim et al. 2021"),
    "born-again": Variant(
        "the default's network as teacher", {"distillation": 0.5, "teacher": "default"}, "Furlanello et al. 2018"
    ),
    "msam": Variant("momentum-SAM, radius 0.3", {"msam": 0.3}, "Becker et al. 2024"),
    "stem": Variant("two convolutions as first layer", {"stem": "convolutions"}),
    "width-0.75": Variant("width 0.75", {"width": 0.75}),
    "width-1.25": Variant("width 1.25", {"width": 1.25}),
    "long": Variant("width 1.25, 1.6 times as many epochs", {"width": 1.25, "epochs": 1.6}),
    "warm-start": Variant("warm start on 2,700 painted pictures", {"warmup_pictures": 2700}),
}
"""In `options`, `epochs` is a factor on the comparison's and `teacher` the name of another recipe."""
ENSEMBLE = ("width-0.75", "default", "width-1.25")
"""Recipes whose networks are averaged for one more row."""
TITLES = {
    "models": "Networks compared",
    "imbalance": "Methods against class imbalance compared",
    "artists": "Splits with and without shared artists compared",
    "recipes": "Recipes of training compared on valid",
    "data": "Training images compared on the same test images",
}
FIRST = {"imbalance": "none", "recipes": "default", "data": "given"}
"""The row that the others are compared with, which is always included."""


def variants_of(options: CompareOptions) -> dict[str, Variant]:
    """The rows to run, in the order of the table.

    Raises:
        InputError: `only` has an unknown name, or two folders of `other` have one name.
    """
    fixed = {"models": MODELS, "imbalance": IMBALANCE, "artists": SPLITS, "recipes": RECIPES}
    known = fixed.get(options.what) or _folders(options)
    if unknown := sorted(set(options.only) - set(known)):
        raise InputError(
            f"--only {', '.join(unknown)}: compare {options.what} knows {', '.join(known)}.", field="--only"
        )
    needed = {FIRST.get(options.what)}
    chosen = {name: known[name] for name in known if not options.only or name in options.only or name in needed}
    return chosen


def _folders(options: CompareOptions) -> dict[str, Variant]:
    folders = {Path(folder).expanduser().resolve().name: folder for folder in options.other}
    if len(folders) < len(options.other) or "given" in folders:
        raise InputError("--other: every folder needs a name of its own, other than 'given'.", field="--other")
    given = Variant("the given training images", {"data": options.data})
    return {"given": given, **{name: Variant(name, {"data": folder}) for name, folder in folders.items()}}
