"""The options of `train`: the fields of a frozen dataclass are the command line, their docstrings the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wikiart_classify.imbalance.methods import METHODS, Balance, check_balance
from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import MaybeFile, MaybeFolder, MaybeNumber, MaybeReal, MaybeText
from wikiart_data.cli.options import DataOptions
from wikiart_data.errors import InputError
from wikiart_data.training.trackers import Tracker

Model = Literal["tiny", "small", "base", "inclass", "threeblock"]
Stem = Literal["patch", "convolutions"]
Split = Literal["given", "artist", "fold"]
Half = Literal["all", "first", "second"]
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
    ("head_decay", 0, 1000),
    ("max_norm", 0, 1000),
    ("msam", 0, 100),
    ("distillation", 0, 1),
    ("warmup_pictures", 0, 5000),
    ("extra_weight", 0, 100),
    ("folds", 2, 100),
    ("fold", 0, 99),
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
    baseline with its own training settings: inclass (the course's network), threeblock (that of a public solution)."""
    width: float = 1.0
    """Factor on the number of channels of tiny, small or base."""
    stem: Stem = "patch"
    """First layer of tiny, small or base: patches of 4 × 4 pixels, or two convolutions of 3 × 3 and stride 2."""
    split: Split = "given"
    """Use the splits as given, re-split all images so that no artist appears in two splits (artist), or hold out one of
    --folds as test (fold)."""
    folds: int = 5
    """Number of folds of --split fold; variants of one artwork stay in one fold."""
    fold: int = 0
    """The fold to hold out, counted from 0."""
    artist_half: Half = "all"
    """Train on the images of one half of the artists only: a judge of one half and a network of the other have no
    artist in common."""
    train_on_valid: bool = False
    """Train on train and valid together, after everything was chosen: the metrics on valid then mean nothing."""
    extra: MaybeFolder = None
    """Folder with <Style>/* or train/<Style>/* of additional training images, such as repaints from wikiart-stylegen
    synthesise."""
    extra_weight: float = 0.3
    """Loss weight of the additional training images; a quarter of a batch is added to every batch."""
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
    """Peak learning rate of Muon, which updates convolution kernels except those of the first layer (default: 0.02);
    AdamW, which updates all other parameters, uses 0.15 times that. For the baselines, the rate of Adam (default: 0.01
    for inclass, 0.001 for threeblock)."""
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
    head_decay: float = 0.0
    """Decoupled weight decay of the last layer (weight balancing, Alshammari et al. 2022)."""
    max_norm: float = 0.0
    """Largest norm of a style's weights in the last layer (MaxNorm, Alshammari et al. 2022); 0 sets no limit."""
    cosine_loss: bool = False
    """Train with the cosine loss plus 0.1 times cross-entropy (Barz & Denzler 2020); meant for --label-smoothing 0."""
    distillation: float = 0.0
    """Weight of a teacher's predictions in the targets. The teacher is the moving average of the weights, and this
    weight grows with the epochs (Kim et al. 2021); or the network of --teacher (born again, Furlanello et al. 2018)."""
    teacher: MaybeFolder = None
    """Run folder of a trained network of the same styles, the teacher of --distillation."""
    msam: float = 0.0
    """Radius of momentum-SAM (Becker et al. 2024), which computes gradients at weights moved along the momentum; 0 is
    off."""
    warmup_pictures: int = 0
    """Number of pictures to train on first, which the programs of the sample set paint; only the last layer is then
    initialised anew."""
    calibrate: bool = False
    """Divide the logits by a temperature chosen on valid after training (Guo et al. 2017)."""
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
        """Reject values that are out of range, contradict one another or have no effect, before any work starts."""
        check_training_options(self)
        _check_effects(self)


def check_training_options(options: Any) -> None:
    """Check the values of TrainOptions or TrainConfig.

    Raises:
        InputError: a value is of another type or out of range, or two options contradict one another.
    """
    check_types(options)
    check_ranges(options, tuple(name for name, _, _ in RANGES))
    check_balance(options.balance, options.power)
    method = METHODS[options.balance]
    if options.fold >= options.folds:
        raise InputError(f"--fold {options.fold} is not below --folds {options.folds}.", field="--fold")
    if options.teacher is not None and not options.distillation:
        raise InputError("--teacher needs a --distillation weight above 0.", field="--teacher")
    if options.train_on_valid and (options.calibrate or method.post_hoc):
        raise InputError("--train-on-valid leaves no images to choose a temperature or strength on.", field="--balance")
    if options.calibrate and method.cosine_head:
        raise InputError(f"--calibrate does not work with --balance {options.balance}.", field="--calibrate")
    if options.cosine_loss and method.has_loss:
        raise InputError(
            f"--cosine-loss replaces the loss that --balance {options.balance} changes.", field="--cosine-loss"
        )
    if options.model in MIN_SIZE:
        _check_baseline(options)


def _check_baseline(options: Any) -> None:
    model, smallest = options.model, MIN_SIZE[options.model]
    if options.size is not None and options.size < smallest:
        raise InputError(f"--model {model} needs images of at least {smallest} pixels.", field="--size")
    method = METHODS[options.balance]
    if method.cosine_head or method.post_hoc or method.two_views:
        raise InputError(f"--balance {options.balance} does not work with the baseline {model}.", field="--balance")
    for name in ("artists", "msam", "warmup_pictures", "calibrate", "head_decay"):
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} does not work with the baseline {model}.", field=option)


def _check_effects(options: TrainOptions) -> None:
    """Refuse options that would change nothing. TrainConfig accepts them: runs of earlier versions stay readable.

    Raises:
        InputError: there is one.
    """
    without_effect: dict[str, object] = {}
    if METHODS[options.balance].cosine_head:  # it normalises its weights
        without_effect |= {"head_decay": 0.0, "max_norm": 0.0}
    if options.model in MIN_SIZE:
        without_effect |= {"width": 1.0, "stem": "patch"}
    for name, default in without_effect.items():
        if getattr(options, name) != default:
            option = f"--{name.replace('_', '-')}"
            other = f"--model {options.model}" if name in ("width", "stem") else f"--balance {options.balance}"
            raise InputError(f"{option} has no effect with {other}.", field=option)
    if options.model in MIN_SIZE and options.extra is not None:  # those are augmented, and a baseline's images are not
        raise InputError(f"--extra does not work with the baseline {options.model}.", field="--extra")


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
