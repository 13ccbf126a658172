"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_classify.methods import METHODS, Balance, check_balance
from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeReal, MaybeText, Names
from wikiart_data.errors import InputError

SMALLEST = {"inclass": 16, "threeblock": 127}
"""Side of the smallest pictures that each baseline can take."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a network from scratch on 27 painting styles, test it, and write the run's folder.

    Example: wikiart-classify --data paintings --name first
    """

    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    config: MaybeFile = None
    """JSON with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Where run folders are made: RUNS/classify/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    resume: MaybeFolder = None
    """Go on with the run in this folder, with the options it was started with."""
    export: MaybeFolder = None
    """Also write the finished network as a judge to this folder, as wikiart-classify export does."""
    model: Literal["tiny", "small", "base", "inclass", "threeblock"] = "small"
    """tiny: 0.08 M parameters, for a first look; small: 2.8 M, for a laptop; base: 18 M, for a GPU. The course's
    in-class network and the best public one, with their own recipes, are the baselines."""
    width: float = 1.0
    """Times the channels of tiny, small or base."""
    split: Literal["given", "artist"] = "given"
    """artist: all pictures are split anew, so that no artist stands in two splits."""
    balance: Balance = "none"
    """Method against class imbalance; what each does is in the README of wikiart-classify."""
    tau: float = 0.5
    """Strength of --balance logit-adjustment; 1 is balanced-softmax."""
    power: float = 0.0
    """Balance of sampling: 0 as the styles come, 1 every style equally often, 0.5 between."""
    size: MaybeNumber = None
    """Side of the pictures in the last epochs, in pixels (default: 160, on the sample set 128,
    inclass 416, threeblock 224). Training begins at two fifths of it."""
    epochs: MaybeNumber = None
    """Times through the training pictures (default: 50, on the sample set 12; inclass 20, threeblock 15)."""
    batch_size: MaybeNumber = None
    """Pictures in a step, over all processes (default: 128, baselines 32; at most all there are)."""
    lr: MaybeReal = None
    """Peak learning rate of Muon (default: 0.02); AdamW, which moves the first and last layer, takes 0.15 times that;
    of Adam for the baselines (default: 0.01 and 0.001)."""
    weight_decay: MaybeReal = None
    """Pull of the kernels towards 0, per unit of learning rate (default: 0.3, on the sample set 0.05)."""
    label_smoothing: MaybeReal = None
    """Share of the target that is spread over all styles (default: 0.1)."""
    mixing: MaybeReal = None
    """Share of steps with MixUp or CutMix (default: 0.95)."""
    ema: MaybeReal = None
    """Decay of the averaged weights that are tested and kept, a step (default: 0.998)."""
    artists: MaybeReal = None
    """Weight of a second task in training, naming the artist, where file names or artists.csv tell (default: 0.5)."""
    seed: int = 0
    """Of weights, order and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto takes bf16 where the hardware is faster with it; for the baselines, fp32."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept (default: $WIKIART_CACHE, else the user's cache)."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, before anything is started."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"--{name.replace('_', '-')} {value:g} is not in {low:g}..{high:.10g}.")
        check_balance(self.balance, self.power)
        if self.model in SMALLEST:
            if self.size is not None and self.size < SMALLEST[self.model]:
                raise InputError(f"--model {self.model} needs pictures of at least {SMALLEST[self.model]} pixels.")
            if METHODS[self.balance].cosine or METHODS[self.balance].after or self.artists:
                raise InputError(
                    f"--balance {self.balance} and --artists need one of our networks, {self.model} is a baseline."
                )


_RANGES = (
    ("size", 16, 1024),
    ("epochs", 1, 100_000),
    ("batch_size", 2, 65_536),
    ("lr", 0, float("inf")),
    ("weight_decay", 0, float("inf")),
    ("label_smoothing", 0, 1),
    ("mixing", 0, 1),
    ("ema", 0, 1),
    ("artists", 0, 100),
    ("power", 0, 1),
    ("tau", 0, 10),
    ("width", 0.05, 20),
    ("seed", 0, 2**32),
    ("bad_limit", 0, 1),
)


@dataclass(frozen=True)
class RebalanceConfig:
    """Balance the last layer of a network that was trained without balancing; minutes instead of a second training.

    Example: wikiart-classify rebalance runs/classify/first --balance post-hoc --name first-balanced
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/classify)."""
    balance: Literal["post-hoc", "tau-norm", "crt"] = "post-hoc"
    """post-hoc: logit adjustment; tau-norm: scale each style's weights; crt: train the last layer again, balanced.
    The strength of the first two is chosen on valid, at a price of at most 2 points of top-1."""
    runs: Path = Path("runs")
    """Where the new run's folder is made: RUNS/classify/NAME."""
    name: MaybeText = None
    """Name of the new run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""


@dataclass(frozen=True)
class CompareConfig:
    """Run many trainings beside one another and print one table: it can be stopped and started again at any time.

    models: the course's in-class network and the best public one, by their own recipes, and ours.
    imbalance: no balancing and 14 methods against imbalance, on the same budget; then what each wins and costs.
    artists: the given split and one in which no artist stands in two splits: styles learned, or painters?

    Example: wikiart-classify compare imbalance --data paintings --quick
    """

    what: tyro.conf.Positional[Literal["models", "imbalance", "artists"]]
    """What to compare."""
    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    config: MaybeFile = None
    """JSON with defaults for these options, such as the course's config.json."""
    only: Names = ()
    """Only these methods, networks or splits (default: all)."""
    seeds: int = 3
    """Runs of each, with the seeds FIRST_SEED, FIRST_SEED + 1, …"""
    first_seed: int = 0
    """Of the runs."""
    quick: bool = False
    """A first look in minutes: the tiny network (models: ours), one seed, small pictures, few epochs."""
    model: Literal["tiny", "small", "base"] = "small"
    """The network that is studied (imbalance and artists)."""
    size: MaybeNumber = None
    """Side of the pictures (default: 64; models: each network's own, and this is for ours)."""
    epochs: MaybeNumber = None
    """Epochs (default: 12; models: each network's own, and this is for ours)."""
    runs: Path = Path("runs")
    """Where everything is written: RUNS/compare-WHAT."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.seeds < 1:
            raise InputError(f"--seeds {self.seeds}: at least one run of each is needed.")
        if self.first_seed < 0:
            raise InputError(f"--first-seed {self.first_seed} is negative.")
        for name, low, high in _RANGES:
            value = getattr(self, name, None)
            if name in ("size", "epochs") and value is not None and not low <= value <= high:
                raise InputError(f"--{name} {value} is not in {low}..{high}.")


@dataclass(frozen=True)
class TestConfig:
    """Test a trained network on one split and print the whole table.

    Example: wikiart-classify test runs/classify/001 --data paintings
    """

    model: tyro.conf.Positional[Path | None] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/classify)."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    split: Literal["test", "valid", "train"] = "test"
    """Which split. Choose on valid; read test once."""
    json: bool = False
    """Print the figures as JSON and nothing else."""
    explain: MaybeText = None
    """Also write figures/explain-STYLE.png in the model's folder: what speaks for this style in up to 6 pictures."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""


@dataclass(frozen=True)
class PredictConfig:
    """Name the styles of pictures: the five likeliest of each, as a table or CSV.

    Example: wikiart-classify predict photo.jpg paintings/ --csv styles.csv
    """

    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Picture files and folders (looked through with all their subfolders)."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/classify)."""
    csv: MaybeFile = None
    """Write a row a picture to this file; '-' prints the rows."""
    top: int = 5
    """How many styles a picture, at least 1."""
    explain: MaybeFile = None
    """Also draw to this .png what speaks for the styles named, in the first 12 pictures."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class ExportConfig:
    """Write a trained network as a judge: a frozen file that other parts score pictures with.

    A judge must take no part in training what it scores, so give it a seed and a width of its own.

    Example: wikiart-classify export runs/classify/001 --to judge

    One command trains and exports: wikiart-classify --seed 7 --width 0.75 --export judge
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/classify)."""
    to: Path = Path("judge")
    """The folder to write."""
    overwrite: bool = False
    """Replace that folder."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
