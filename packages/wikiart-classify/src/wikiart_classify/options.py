"""The options of each command: the fields of a frozen dataclass are the command line, their docstrings the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_classify.imbalance.methods import METHODS, Balance, PostHoc, check_balance
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
from wikiart_data.errors import InputError
from wikiart_data.training.trackers import Tracker

Model = Literal["tiny", "small", "base", "inclass", "threeblock"]
Split = Literal["given", "artist"]
Precision = Literal["auto", "bf16", "fp32"]
MIN_SIZE = {"inclass": 16, "threeblock": 127}
"""Side of the smallest images that each baseline accepts, in pixels."""
RANGES = (
    ("size", 16, 1024),
    ("epochs", 1, 100_000),
    ("batch_size", 2, 65_536),
    ("lr", 0, float("inf")),
    ("weight_decay", 0, float("inf")),
    ("label_smoothing", 0, 1),
    ("mix_prob", 0, 1),
    ("ema", 0, 1),
    ("artists", 0, 100),
    ("power", 0, 1),
    ("tau", 0, 10),
    ("width", 0.05, 20),
    ("seed", 0, 2**32),
    ("max_bad_fraction", 0, 1),
)
"""Option, smallest and largest value."""


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """Train a classifier of painting styles from scratch, evaluate it, and write a run folder.

    Example: wikiart-classify --data paintings --name first
    """

    config: MaybeFile = None
    """JSON file with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Parent folder of all runs; this one is written to RUNS/classify/NAME."""
    name: MaybeText = None
    """Name of the run folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of the same name."""
    resume: MaybeFolder = None
    """Continue the interrupted run in this folder, with the options it was started with. auto finds the unfinished run
    called NAME, or the newest one, and starts a new run if there is none."""
    export: MaybeFolder = None
    """Also export the trained network as a judge to this folder, as wikiart-classify export does."""
    model: Model = "small"
    """Network: tiny (0.08 M parameters, for a first try), small (2.8 M, for a laptop), base (18 M, for a GPU), or a
    baseline with its own training settings: inclass (the course's network), threeblock (the best public one)."""
    width: float = 1.0
    """Factor on the number of channels of tiny, small or base."""
    split: Split = "given"
    """Use the splits as given, or re-split all images so that no artist appears in two splits (artist)."""
    balance: Balance = "none"
    """Method against class imbalance; the README of wikiart-classify describes each."""
    tau: float = 0.5
    """Strength of --balance logit-adjustment; 1 equals balanced-softmax."""
    power: float = 0.0
    """Class balance of the sampler: 0 samples every image equally often, 1 every style equally often."""
    size: MaybeNumber = None
    """Side of the training images in the last epochs, in pixels; training starts at two fifths of it (default: 160;
    sample set: 128; inclass: 416; threeblock: 224)."""
    epochs: MaybeNumber = None
    """Number of epochs (default: 50; sample set: 12; inclass: 20; threeblock: 15)."""
    batch_size: MaybeNumber = None
    """Images per step, summed over all processes (default: 128, at most the training set; baselines: 32)."""
    lr: MaybeReal = None
    """Peak learning rate of Muon (default: 0.02); AdamW, which updates the first and last layer, biases and norms,
    uses 0.15 times that. For the baselines, the rate of Adam (default: 0.01 for inclass, 0.001 for threeblock)."""
    weight_decay: MaybeReal = None
    """Decoupled weight decay of the convolution kernels (default: 0.3; sample set: 0.05); for the baselines, Adam's L2
    penalty (default: 0)."""
    label_smoothing: MaybeReal = None
    """Fraction of each target that is spread evenly over all styles (default: 0.1; baselines: 0)."""
    mix_prob: MaybeReal = None
    """Probability that a batch is mixed by MixUp or CutMix (default: 0.95; baselines: 0)."""
    ema: MaybeReal = None
    """Decay per step of the exponential moving average of the weights, which is evaluated and saved (default: 0.998;
    baselines: 0)."""
    artists: MaybeReal = None
    """Loss weight of an auxiliary task, classifying the artist, where file names or artists.csv give artists (default:
    0.5; baselines: 0)."""
    seed: int = 0
    """Random seed for initialisation, data order and augmentation."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    precision: Precision = "auto"
    """Precision of the forward pass; auto uses bf16 where the hardware is faster with it (baselines: fp32)."""
    compile: bool = False
    """Compile the network with torch.compile: faster steps on a GPU, after a minute or more of compiling."""
    report_to: Tracker = "none"
    """Experiment tracker that also gets losses and metrics: tensorboard, trackio, wandb or mlflow, if installed."""
    cache_dir: MaybeFolder = None
    """Folder for packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable image files to accept."""

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict one another, before any work starts."""
        check_training_options(self)


def check_training_options(options: object) -> None:
    """Check the values of TrainOptions or TrainConfig.

    Raises:
        InputError: a value is out of range, or two options contradict one another.
    """
    check_ranges(options, tuple(name for name, _, _ in RANGES))
    model, balance, size, artists, power = (
        getattr(options, name) for name in ("model", "balance", "size", "artists", "power")
    )
    check_balance(balance, power)
    if model not in MIN_SIZE:
        return
    if size is not None and size < MIN_SIZE[model]:
        raise InputError(f"--model {model} needs images of at least {MIN_SIZE[model]} pixels.", field="--size")
    if METHODS[balance].cosine_head or METHODS[balance].post_hoc:
        raise InputError(f"--balance {balance} does not work with the baseline {model}.", field="--balance")
    if artists:
        raise InputError(f"--artists does not work with the baseline {model}.", field="--artists")


def check_ranges(options: object, names: tuple[str, ...]) -> None:
    """Check the named options against RANGES; None is always accepted.

    Raises:
        InputError: a value is out of range.
    """
    for name, low, high in RANGES:
        value = getattr(options, name) if name in names else None
        if value is not None and not low <= value <= high:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} {value:g} is not between {low:g} and {high:.10g}.", field=option)


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
    """Train many networks on one budget and print one table; interrupt and restart it at any time.

    models: the course's network and the best public one, with their own training settings, and ours.
    imbalance: no balancing and 14 methods against class imbalance; what each gains and costs.
    artists: the given split against one in which no artist appears in two splits.

    Example: wikiart-classify compare imbalance --data paintings --quick
    """

    what: tyro.conf.Positional[Literal["models", "imbalance", "artists"]]
    """What to compare."""
    config: MaybeFile = None
    """JSON file with defaults for these options, such as the course's config.json."""
    only: Names = ()
    """Names of the networks, methods or splits to compare (default: all)."""
    seeds: int = 3
    """Number of training runs of each, with the seeds FIRST_SEED, FIRST_SEED + 1, …"""
    first_seed: int = 0
    """Seed of the first run of each."""
    quick: bool = False
    """Compare within minutes: the tiny network (models: ours), one seed, small images, few epochs."""
    model: Literal["tiny", "small", "base"] = "small"
    """Network that imbalance and artists train."""
    size: MaybeNumber = None
    """Side of the training images, in pixels (default: 64; models: each network's own, and this is for ours)."""
    epochs: MaybeNumber = None
    """Number of epochs (default: 12; models: each network's own, and this is for ours)."""
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
        check_ranges(self, ("size", "epochs", "max_bad_fraction"))


@dataclass(frozen=True)
class RebalanceOptions:
    """Balance the last layer of a network that was trained without balancing: minutes, no second training.

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
