"""The options of `train` and the config of a run: the command line, the help, and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import (
    MaybeFile,
    MaybeFolder,
    MaybeNumber,
    MaybeText,
)
from wikiart_data.cli.options import DataOptions
from wikiart_data.errors import InputError
from wikiart_data.training.trackers import Tracker

EPOCHS, EPOCHS_ON_SAMPLE = 40, 10
"""Defaults of --epochs: in general, and on the sample set."""
BATCH_SIZE = 32
"""Default of --batch-size."""
_UNBOUNDED = float("inf")


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """Train the style autoencoder: one network that repaints an image in any of the styles.

    Example: wikiart-stylegen --data paintings --name first
    """

    config: MaybeFile = None
    """JSON file with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Folder of all runs; this one is written to RUNS/stylegen/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of the same name."""
    resume: MaybeFolder = None
    """Continue the run in this folder with the options it was started with."""
    artist_half: Literal["all", "first", "second"] = "all"
    """Train on the images of one half of the artists only; a judge of wikiart-classify --artist-half that was trained
    on the other half has no artist in common with this network."""
    conditioning: Literal["film", "concat"] = "film"
    """film: the style conditions every block of the decoder. concat: the simple baseline, which concatenates the style
    embedding to the code and is trained on reconstruction alone."""
    channels: int = 8
    """Channels of the content code. Fewer channels hold less of the style, and less of the content."""
    embedding_dim: int = 64
    """Length of a style embedding."""
    size: int = 96
    """Side of the training images in pixels, a multiple of 8."""
    width: float = 1.0
    """Multiplier of the channels of every stage."""
    blocks: int = 2
    """Residual blocks per stage."""
    noise: bool = False
    """With film, add noise inputs to the decoder whose amplitude depends on the style, for marks that the content code
    does not place. They did not help on the sample set."""
    epochs: MaybeNumber = None
    """Passes over the training images (default: 40; 10 on the sample set)."""
    warmup_epochs: int = 4
    """Number of first epochs that train only the style classifier, before the generator."""
    batch_size: MaybeNumber = None
    """Images per step over all processes (default: 32, or all training images if they are fewer)."""
    power: float = 0.5
    """Balance of the sampler: 0 draws styles as often as they occur, 1 all styles equally often."""
    reconstruction_weight: float = 10.0
    """Weight of the reconstruction of an image in its own style."""
    adversarial_weight: float = 0.5
    """Weight of the adversarial loss: the patch discriminator takes the repaint for a painting of the target style."""
    style_weight: float = 1.0
    """Weight of the style loss: the style classifier recognises the target style."""
    statistics_weight: float = 0.5
    """Weight of the distance to the target style's feature statistics."""
    content_weight: float = 2.0
    """Weight of the content cycle: the repaint has the content code of the input."""
    edge_weight: float = 1.0
    """Weight of the edge loss: edges stay where they are in the input."""
    confusion_weight: float = 0.3
    """Weight of the domain confusion loss: a probe cannot read the style from the content code."""
    lr: float = 0.01
    """Peak learning rate of Muon; AdamW takes 0.15 times that. The discriminator's Adam has a fixed 0.0005."""
    weight_decay: float = 0.01
    """Weight decay of the convolution kernels, per unit of learning rate."""
    ema: float = 0.995
    """Decay per step of the averaged weights, which are evaluated and saved."""
    seed: int = 0
    """Random seed for initialisation, data order, augmentation and target styles."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Floating-point precision; auto uses bf16 where the hardware is faster with it."""
    compile: bool = False
    """Compile the network with torch.compile: faster steps on a GPU, after a minute or more of compiling."""
    report_to: Tracker = "none"
    """Experiment tracker that also gets losses and metrics: tensorboard, trackio, wandb or mlflow, if installed."""
    cache_dir: MaybeFolder = None
    """Folder of packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range, or --size is no multiple of 8.
        """
        check_types(self)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} {value:g} is not in {low:g}..{high:.10g}.", field=option)
        if self.size % 8:
            raise InputError(
                f"--size {self.size} is not a multiple of 8: the content code has an eighth of the image's side.",
                field="--size",
            )


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """The complete options of a run, as run.json keeps them: no default is left open."""

    epochs: int = EPOCHS
    """Passes over the training images."""
    batch_size: int = BATCH_SIZE
    """Images per step over all processes."""

    def __post_init__(self) -> None:
        """Reject values out of range, and warm-up epochs that leave none for the generator.

        Raises:
            InputError: a value is out of range.
        """
        super().__post_init__()
        if self.conditioning == "film" and self.warmup_epochs >= self.epochs:
            raise InputError(
                f"--warmup-epochs {self.warmup_epochs} must be less than --epochs {self.epochs}: the generator is "
                "trained in the epochs that follow.",
                field="--warmup-epochs",
            )


def resolve_config(options: TrainOptions, root: Path) -> TrainConfig:
    """Fill in the defaults that the user left open.

    Args:
        options: as given on the command line or in Python.
        root: the data folder.

    Raises:
        InputError: the warm-up epochs leave none for the generator.
    """
    from wikiart_data.sample import is_sample_set

    default_epochs = EPOCHS_ON_SAMPLE if is_sample_set(root) else EPOCHS
    filled = {"epochs": options.epochs or default_epochs, "batch_size": options.batch_size or BATCH_SIZE}
    return TrainConfig(**{**vars(options), **filled})


_RANGES = (
    ("channels", 1, 512),
    ("embedding_dim", 1, 4096),
    ("size", 32, 1024),
    ("width", 0.05, 20),
    ("blocks", 1, 100),
    ("epochs", 1, 100_000),
    ("warmup_epochs", 0, 100_000),
    ("batch_size", 2, 65_536),
    ("power", 0, 1),
    ("reconstruction_weight", 0, _UNBOUNDED),
    ("adversarial_weight", 0, _UNBOUNDED),
    ("style_weight", 0, _UNBOUNDED),
    ("statistics_weight", 0, _UNBOUNDED),
    ("content_weight", 0, _UNBOUNDED),
    ("edge_weight", 0, _UNBOUNDED),
    ("confusion_weight", 0, _UNBOUNDED),
    ("lr", 0, _UNBOUNDED),
    ("weight_decay", 0, _UNBOUNDED),
    ("ema", 0, 1),
    ("seed", 0, 2**32),
    ("max_bad_fraction", 0, 1),
)
