"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wikiart_data.cli.option_types import (
    ImageArgument,
    ImagesArgument,
    MaybeData,
    MaybeFile,
    MaybeFolder,
    MaybeNumber,
    MaybeStyle,
    MaybeText,
    Names,
    RunArgument,
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
        """Reject values out of range.

        Raises:
            InputError: a value is out of range, or --size is no multiple of 8.
        """
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


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure whether repaints are in the target style and still show the input: a table, a JSON file and a figure.

    Example: wikiart-stylegen evaluate runs/stylegen/001 --judge judge --baseline runs/stylegen/concat
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    judge: Path = Path("judge")
    """Folder of a judge from wikiart-classify export, which must not have taken part in training."""
    second_judge: MaybeFolder = None
    """Folder of a second judge, best of another architecture; its accuracies stand beside the first one's."""
    baseline: MaybeFile = None
    """A run with --conditioning concat, to be added to the table."""
    split: Literal["valid", "test"] = "test"
    """Split whose images are repainted."""
    max_images: int = 600
    """Largest number of images; more are subsampled by --seed."""
    min_train_images: MaybeNumber = None
    """Fewest training images of a style that is used as a target (default: 50; 1 on the sample set)."""
    strength: float = 1.0
    """Strength of the style: 0 is the null style, 1 the style as trained, at most 1.5. Other strengths are measured
    too; choose on --split valid."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    seed: int = 0
    """Random seed for target styles and the choice of images."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder of packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            InputError: a value is out of range.
        """
        check_strength(self.strength)
        if self.max_images < 1:
            raise InputError(f"--max-images {self.max_images} is not at least 1.", field="--max-images")


@dataclass(frozen=True)
class SynthesiseOptions:
    """Write a data folder whose training images are repaints: to train a classifier on them, or on them as well.

    DIR/train/<Style>/ gets as many images of every style as there are training images, repainted from images of other
    styles; DIR/valid and DIR/test are those of the data. wikiart-classify compare data --other DIR measures the
    classification accuracy score, wikiart-classify --extra DIR trains on them as additional images.

    Example: wikiart-stylegen synthesise runs/stylegen/001 --to repaints
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    to: Path = Path("repaints")
    """Folder to write; it must not exist yet."""
    kind: Literal["repaints", "colour-transfer"] = "repaints"
    """What to write: repaints, or the inputs with the colour statistics of the style, as a baseline."""
    per_style: MaybeNumber = None
    """Images of every style (default: as many as its training images)."""
    max_train_images: MaybeNumber = None
    """Only styles with at most this many training images (default: all)."""
    judge: MaybeFolder = None
    """Keep only images that this judge classifies as their style."""
    strength: float = 1.0
    """Strength of the style: 0 is the null style, 1 the style as trained, at most 1.5."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    seed: int = 0
    """Random seed for the choice of inputs."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder of packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            InputError: a value is out of range.
        """
        check_strength(self.strength)
        for name in ("per_style", "max_train_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} {value} is not at least 1.", field=option)


@dataclass(frozen=True)
class RepaintOptions:
    """Repaint a photograph or painting of any size in a style.

    Example: wikiart-stylegen repaint photo.jpg --style Ukiyo_e --to ukiyo.png
    """

    picture: ImageArgument
    """Image file to repaint."""
    style: str
    """Target style, by any of its names."""
    blend: MaybeStyle = None
    """A second style to average with the first."""
    strength: float = 1.0
    """Strength of the style: 0 is the null style, 1 the style as trained, at most 1.5."""
    side: MaybeNumber = None
    """Longer side of the result in pixels (default: that of the input)."""
    to: Path = Path("repainted.png")
    """PNG file to write."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            InputError: a value is out of range.
        """
        check_strength(self.strength)
        check_side(self.side)


@dataclass(frozen=True)
class WalkOptions:
    """Interpolate from one style to another, over others if you like: an animation and a strip of frames.

    Example: wikiart-stylegen walk photo.jpg --first Baroque --last Cubism --to walk.gif
    """

    picture: ImageArgument
    """Image file to repaint."""
    first: str
    """Style of the first frame."""
    last: str
    """Style of the last frame."""
    via: Names = ()
    """Styles to pass on the way, at equal intervals."""
    frames: int = 24
    """Frames from the first style to the last; the animation also runs back."""
    side: MaybeNumber = 256
    """Longer side of the frames in pixels."""
    to: Path = Path("walk.gif")
    """GIF or WebP file to write; a PNG with a strip of frames is written next to it."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            InputError: a value is out of range.
        """
        if not 3 <= self.frames <= 500:
            raise InputError(f"--frames {self.frames} is not in 3..500.", field="--frames")
        check_side(self.side)
        if self.to.suffix.lower() not in (".gif", ".webp"):
            raise InputError(f"--to {self.to}: the name of an animation ends in .gif or .webp.", field="--to")


@dataclass(frozen=True)
class GridOptions:
    """Repaint several images in every style; the inputs and their own styles, where the folder names one, are framed.

    Example: wikiart-stylegen grid photo.jpg paintings/test/Cubism --to grid.png
    """

    pictures: ImagesArgument
    """Image files and folders; the first 6 images are used."""
    styles: Names = ()
    """Styles for the columns (default: all)."""
    captions: MaybeFile = None
    """CSV file with the columns file (name without folder), artist, title and year, for a caption above each row."""
    to: Path = Path("grid.png")
    """PNG file to write."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""


@dataclass(frozen=True)
class EmbeddingsOptions:
    """Compare the learned styles: pairwise similarities, a 2-D map and each style's nearest neighbours.

    Example: wikiart-stylegen embeddings runs/stylegen/001 --to embeddings.png
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    to: Path = Path("embeddings.png")
    """PNG file to write; a CSV file of the similarities is written next to it."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""


def check_strength(strength: float) -> None:
    """Reject strengths far from anything trained.

    Raises:
        InputError: it is not in 0..1.5.
    """
    if not 0 <= strength <= 1.5:
        raise InputError(f"--strength {strength:g} is not in 0..1.5.", field="--strength")


def check_side(side: int | None) -> None:
    """Reject images that are too small or too large.

    Raises:
        InputError: it is not in 16..8192 pixels.
    """
    if side is not None and not 16 <= side <= 8192:
        raise InputError(f"--side {side} is not in 16..8192.", field="--side")
