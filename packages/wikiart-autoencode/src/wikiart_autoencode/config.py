"""The options of each command: a frozen dataclass is the command line and its help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import (
    ImageArgument,
    ImagesArgument,
    MaybeData,
    MaybeFile,
    MaybeFolder,
    MaybeNumber,
    MaybeText,
    RunArgument,
    RunsArgument,
)
from wikiart_data.cli.options import DataOptions
from wikiart_data.errors import InputError
from wikiart_data.training.trackers import Tracker


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """Train an autoencoder on paintings, evaluate it, and write a run folder.

    Example: wikiart-autoencode --data paintings --code 256 --name vector
    """

    config: MaybeFile = None
    """JSON file with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Where run folders are created: RUNS/autoencode/NAME."""
    name: MaybeText = None
    """Name of the run folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of that name."""
    resume: MaybeFolder = None
    """Continue the run in this folder, with the options it was started with."""
    code: MaybeNumber = None
    """Size of a vector code for the whole picture (default: 0, a spatial code: a feature map at 1/8 of the size, with
    48 times fewer numbers than the picture)."""
    channels: int = 4
    """Channels of a spatial code."""
    objective: Literal["none", "denoise", "vicreg", "texture", "vicreg+texture"] = "none"
    """What the encoder learns besides reconstruction. denoise: to remove noise; vicreg: similar codes for two crops of
    one picture; texture: to predict the picture's texture statistics."""
    objective_weight: float = 1.0
    """Weight of the vicreg and texture objectives; the reconstruction loss has weight 1."""
    loss: Literal["psnr", "charbonnier"] = "psnr"
    """Pixel loss: psnr (mean of the pictures' PSNR) or charbonnier (robust distance, mean over pixels)."""
    ssim_weight: float = 0.1
    """Weight of 1 - SSIM in the reconstruction loss."""
    size: int = 128
    """Side of the pictures in pixels: a multiple of 8, or of 32 for a vector code."""
    width: float = 1.0
    """Multiplies the channels of every stage."""
    blocks: int = 2
    """Residual blocks per stage."""
    epochs: MaybeNumber = None
    """Passes over the training pictures (default: 30, on the sample set 12)."""
    batch_size: MaybeNumber = None
    """Pictures per step, over all processes (default: 32, with vicreg 128)."""
    lr: float = 0.01
    """Peak learning rate of Muon, which updates convolution kernels except those of the stem. AdamW, which updates all
    other parameters, uses 0.15 times that."""
    weight_decay: float = 0.01
    """Decoupled weight decay of the convolution kernels."""
    ema: float = 0.998
    """Decay per step of the exponential moving average of the weights, which is what is evaluated and saved."""
    seed: int = 0
    """Random seed for initialisation, data order and augmentation."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Floating-point precision; auto uses bf16 where the hardware is faster with it."""
    compile: bool = False
    """Compile the network with torch.compile: faster steps on a GPU, after a minute or more of compiling."""
    report_to: Tracker = "none"
    """Experiment tracker that also gets losses and metrics: tensorboard, trackio, wandb or mlflow, if installed."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are cached (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to tolerate."""

    def __post_init__(self) -> None:
        """Check types and ranges before anything is started.

        Raises:
            InputError: an option is of another type or out of range.
        """
        check_types(self)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            option = f"--{name.replace('_', '-')}"
            if value is not None and not low <= value <= high:
                raise InputError(f"{option} {value:g} is not between {low:g} and {high:.10g}.", field=option)
        multiple = 32 if self.code else 8
        if self.size % multiple:
            kind = "vector" if self.code else "spatial"
            raise InputError(f"--size {self.size}: a {kind} code needs a multiple of {multiple}.", field="--size")


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """The complete options of a run, as run.json keeps them: `TrainOptions` with every default filled in."""

    data: str = ""
    """Folder with train/, valid/ and test/."""
    code: int = 0
    """Size of a vector code; 0 means a spatial code."""
    epochs: int = 30
    """Passes over the training pictures."""
    batch_size: int = 32
    """Pictures per step, over all processes."""


_RANGES = (
    ("code", 0, 65_536),
    ("channels", 1, 512),
    ("objective_weight", 0, float("inf")),
    ("ssim_weight", 0, float("inf")),
    ("size", 16, 1024),
    ("width", 0.05, 20),
    ("blocks", 1, 100),
    ("epochs", 1, 100_000),
    ("batch_size", 2, 65_536),
    ("lr", 0, float("inf")),
    ("weight_decay", 0, float("inf")),
    ("ema", 0, 1),
    ("seed", 0, 2**32),
    ("max_bad_fraction", 0, 1),
)


@dataclass(frozen=True)
class EncodeOptions:
    """Save the codes of all pictures of all splits: codes, labels, files, styles and split in one .npz file.

    Example: wikiart-autoencode encode runs/autoencode/001 --to codes.npz
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/autoencode)."""
    to: MaybeFile = None
    """File to write (default: codes.npz in the run folder)."""
    data: MaybeData = None
    """Folder of paintings (default: the one that the run was trained on)."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to encode on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are cached (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to tolerate."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Compare autoencoders, at 8 bits per number, with PCA, JPEG and WebP at the same number of bytes.

    Example: wikiart-autoencode evaluate runs/autoencode/spatial runs/autoencode/vector --split test
    """

    models: RunsArgument = ()
    """Run folders (default: the newest run in RUNS/autoencode)."""
    split: Literal["valid", "test"] = "valid"
    """Split to evaluate on. Make choices on valid; read test once."""
    to: Path = Path("runs/rates")
    """Folder to write: result.json, index.html and figures/rates.png."""
    data: MaybeData = None
    """Folder of paintings (default: the one that the first run was trained on)."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to evaluate on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are cached (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to tolerate."""


@dataclass(frozen=True)
class ReconstructOptions:
    """Draw a grid: each picture, its reconstruction, and the error.

    Example: wikiart-autoencode reconstruct photo.jpg paintings/test/Cubism --to grid.png
    """

    pictures: ImagesArgument
    """Picture files, and folders searched with their subfolders; the first 16 pictures are drawn."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/autoencode)."""
    captions: MaybeFile = None
    """CSV file with the columns file (name without folder), artist, title and year, for a caption above each column."""
    to: Path = Path("reconstructions.png")
    """PNG file to write."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda, cuda:1 or mps."""


@dataclass(frozen=True)
class InterpolateOptions:
    """Draw a strip that interpolates between the codes of two pictures.

    Example: wikiart-autoencode interpolate a.jpg b.jpg --to strip.png
    """

    first: ImageArgument
    """Picture at the left end."""
    last: ImageArgument
    """Picture at the right end."""
    steps: int = 8
    """Number of interpolated pictures, both ends included."""
    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/autoencode)."""
    to: Path = Path("interpolation.png")
    """PNG file to write."""
    runs: Path = Path("runs")
    """Parent folder of all runs, searched for the newest one."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            InputError: there are fewer than 3 steps.
        """
        if self.steps < 3:
            raise InputError(f"--steps {self.steps}: at least 3 pictures are needed.", field="--steps")
