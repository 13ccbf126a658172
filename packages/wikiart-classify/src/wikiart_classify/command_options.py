"""The options of every command but `train`: fields of frozen dataclasses are the command line, docstrings the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_classify.imbalance.methods import PostHoc
from wikiart_classify.options import check_ranges
from wikiart_data.cli.option_types import (
    ImagesArgument,
    MaybeData,
    MaybeFile,
    MaybeFolder,
    MaybeNumber,
    MaybeReal,
    MaybeStyle,
    MaybeText,
    Names,
    RunArgument,
)
from wikiart_data.cli.options import DataOptions
from wikiart_data.demo import PORT, check_port
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a trained network on one split and print all metrics.

    Example: wikiart-classify evaluate runs/classify/001 --data paintings
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/classify)."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    split: Literal["test", "valid", "train"] = "test"
    """Split to evaluate on. Choose settings on valid and read test once."""
    json: bool = False
    """Print the metrics as JSON and nothing else."""
    grad_cam: MaybeStyle = None
    """Style for which to write Grad-CAM heatmaps of up to 6 images to figures/grad-cam-STYLE.png in the run folder."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder for packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable image files to accept."""


@dataclass(frozen=True)
class PredictOptions:
    """Predict the style of images: the five most probable styles of each, as a table or CSV.

    Example: wikiart-classify predict photo.jpg paintings/ --csv styles.csv
    """

    images: ImagesArgument
    """Image files, and folders whose images are found recursively."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/classify)."""
    csv: MaybeFile = None
    """Write one row per image to this CSV file; '-' prints the rows."""
    top: int = 5
    """Number of styles to list per image."""
    grad_cam: MaybeFile = None
    """Also write Grad-CAM heatmaps for the predictions of the first 12 images to this .png, .jpg, .pdf or .svg file."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject a number of styles below 1."""
        if self.top < 1:
            raise InputError(f"--top {self.top}: at least one style per image is needed.", field="--top")


@dataclass(frozen=True)
class CompareOptions(DataOptions):
    """Train many networks and compare them in one table. It can be interrupted and restarted at any time.

    models: the course's network and that of a public solution, with their own training settings, and ours.
    imbalance: no balancing and 18 methods against class imbalance; what each gains and costs.
    artists: the given split against one in which no artist appears in two splits, with and without the artist task.
    recipes: the default training against variants from papers, on valid: what is decided there is tested once.
    data: training on one folder against training on others of the same styles, tested on the same images.

    Example: wikiart-classify compare imbalance --data paintings --quick
    """

    what: tyro.conf.Positional[Literal["models", "imbalance", "artists", "recipes", "data"]]
    """What to compare."""
    config: MaybeFile = None
    """JSON file with defaults for these options, such as the course's config.json."""
    only: Names = ()
    """Names of the networks, methods, splits or recipes to compare (default: all)."""
    other: Names = ()
    """data: folders whose training images replace those of --data, such as wikiart-stylegen synthesise writes."""
    seeds: int = 3
    """Number of training runs of each, with the seeds FIRST_SEED, FIRST_SEED + 1, …"""
    first_seed: int = 0
    """Seed of the first run of each."""
    quick: bool = False
    """Compare within minutes: the tiny network (models: ours), one seed, small images, few epochs."""
    train_on_valid: bool = False
    """Train every network on train and valid together; nothing may be chosen by the result."""
    budget_minutes: MaybeReal = None
    """Start no further training after this many minutes; the table then holds what is finished, seed by seed, and the
    same command continues."""
    model: Literal["tiny", "small", "base"] = "small"
    """Network to train (models: not used)."""
    size: MaybeNumber = None
    """Side of the training images, in pixels (default: 64; recipes: that of train; models: each network's own, and this
    is for ours)."""
    epochs: MaybeNumber = None
    """Number of epochs (default: 12; recipes: that of train; models: each network's own, and this is for ours)."""
    runs: Path = Path("runs")
    """Parent folder of all runs; everything is written to RUNS/compare-WHAT."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder for packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable image files to accept."""

    def __post_init__(self) -> None:
        """Reject values that are out of range."""
        if self.seeds < 1:
            raise InputError(f"--seeds {self.seeds}: at least one run of each is needed.", field="--seeds")
        if self.first_seed < 0:
            raise InputError(f"--first-seed {self.first_seed} is negative.", field="--first-seed")
        if bool(self.other) != (self.what == "data"):
            raise InputError("--other DIR names the folders that compare data compares.", field="--other")
        if self.train_on_valid and self.what == "recipes":
            raise InputError(
                "compare recipes measures on valid, which --train-on-valid would train on.", field="--train-on-valid"
            )
        check_ranges(self, ("size", "epochs", "max_bad_fraction"))


@dataclass(frozen=True)
class RebalanceOptions:
    """Balance the last layer of a network that was trained without balancing, in minutes instead of a second training.

    Example: wikiart-classify rebalance runs/classify/first --balance post-hoc --name first-balanced
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/classify)."""
    balance: PostHoc = "post-hoc"
    """post-hoc: logit adjustment; tau-norm: rescale the weights of each style; crt: retrain the last layer on balanced
    batches. The strength of the first two is chosen on valid, at a cost of at most 2 points of top-1 accuracy."""
    runs: Path = Path("runs")
    """Parent folder of all runs; the new one is written to RUNS/classify/NAME."""
    name: MaybeText = None
    """Name of the new run folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of the same name."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder for packed images (default: $WIKIART_CACHE, else the user's cache)."""


@dataclass(frozen=True)
class ExportOptions:
    """Export a trained network as a judge: a frozen classifier with which other packages score images.

    A judge must not take part in training what it scores, so train it with a seed and a width of its own.

    Example: wikiart-classify export runs/classify/001 --to judge

    One command trains and exports: wikiart-classify --seed 7 --width 0.75 --export judge
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/classify)."""
    to: Path = Path("judge")
    """Folder to write the judge to."""
    overwrite: bool = False
    """Replace an existing judge in that folder."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""


@dataclass(frozen=True)
class AuditOptions(DataOptions):
    """Find likely mislabels and the most confident mistakes, in predictions on images that were not trained on.

    The images of all splits are divided into folds; for each fold a network is trained on the others. It can be
    interrupted and restarted at any time.

    Example: wikiart-classify audit --data paintings
    """

    config: MaybeFile = None
    """JSON file with defaults for these options, such as the course's config.json."""
    folds: int = 5
    """Number of folds, and of networks to train."""
    model: Literal["tiny", "small", "base"] = "small"
    """Network to train."""
    size: MaybeNumber = None
    """Side of the training images, in pixels (default: that of train)."""
    epochs: MaybeNumber = None
    """Number of epochs (default: that of train)."""
    seed: int = 0
    """Random seed of folds and training."""
    runs: Path = Path("runs")
    """Parent folder of all runs; everything is written to RUNS/audit."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder for packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable image files to accept."""

    def __post_init__(self) -> None:
        """Reject values that are out of range."""
        if not 2 <= self.folds <= 100:
            raise InputError(f"--folds {self.folds} is not between 2 and 100.", field="--folds")
        check_ranges(self, ("size", "epochs", "seed", "max_bad_fraction"))


@dataclass(frozen=True)
class DemoOptions:
    """Open a page in the browser that classifies pictures: drop one, see its five most probable styles and a heatmap.

    The page is served on this machine only. It needs gradio, the extra 'demo'.

    Example: wikiart-classify demo runs/classify/001
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/classify)."""
    port: int = PORT
    """Port of the page's address."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject a number that is no port."""
        check_port(self.port)
