"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_data.errors import InputError
from wikiart_data.options import MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeText


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
    model: Literal["tiny", "small", "base"] = "small"
    """tiny: 0.08 M parameters, for a first look; small: 2.8 M, for a laptop; base: 18 M, for a GPU."""
    size: int = 128
    """Side of the pictures in the last epochs, in pixels. Training begins at half of it."""
    epochs: MaybeNumber = None
    """Times through the training pictures (default: 30, on the sample set 12)."""
    batch_size: int = 128
    """Pictures in a step, over all processes."""
    lr: float = 0.02
    """Peak learning rate of Muon; AdamW, which moves the first and last layer, takes 0.15 times that."""
    weight_decay: float = 0.05
    """Pull of the kernels towards 0, per unit of learning rate."""
    label_smoothing: float = 0.1
    """Share of the target that is spread over all styles."""
    mixing: float = 0.9
    """Share of steps with MixUp or CutMix."""
    ema: float = 0.998
    """Decay of the averaged weights that are tested and kept, a step."""
    power: float = 0.0
    """Balance of sampling: 0 as the styles come, 1 every style equally often, 0.5 between."""
    seed: int = 0
    """Of weights, order and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto takes bf16 where the hardware is faster with it."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept (default: $WIKIART_CACHE, else the user's cache)."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, before anything is started."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"--{name.replace('_', '-')} {value:g} is not in {low:g}..{high:g}.")


_RANGES = (
    ("size", 16, 1024),
    ("epochs", 1, 100_000),
    ("batch_size", 2, 65_536),
    ("lr", 0, float("inf")),
    ("weight_decay", 0, float("inf")),
    ("label_smoothing", 0, 1),
    ("mixing", 0, 1),
    ("ema", 0, 1),
    ("power", 0, 1),
    ("seed", 0, 2**32),
    ("bad_limit", 0, 1),
)


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
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class ExportConfig:
    """Write a trained network as a judge: a frozen file that other parts score pictures with.

    A judge must take no part in training what it scores, so give it a seed and a width of its own.

    Example: wikiart-classify train --seed 7 --model base --name judge
             wikiart-classify export runs/classify/judge --to judge
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/classify)."""
    to: Path = Path("judge")
    """The folder to write."""
    overwrite: bool = False
    """Replace that folder."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
