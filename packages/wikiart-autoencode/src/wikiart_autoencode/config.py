"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeText
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """Train an autoencoder on paintings, measure it, and write the run's folder.

    Example: wikiart-autoencode --data paintings --code 256 --name vector
    """

    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    config: MaybeFile = None
    """JSON with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Where run folders are made: RUNS/autoencode/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    resume: MaybeFolder = None
    """Go on with the run in this folder, with the options it was started with."""
    code: MaybeNumber = None
    """Numbers of a vector code, one row for the whole picture (default: a spatial code, a map at an eighth of the
    size, 48 times fewer numbers than pixels)."""
    channels: int = 4
    """Of a spatial code."""
    objective: Literal["none", "denoise", "vicreg", "texture", "vicreg+texture"] = "none"
    """What the encoder learns beside reconstruction. denoise: to undo noise; vicreg: to agree on two crops of one
    picture; texture: to know the picture's texture statistics."""
    objective_weight: float = 1.0
    """Weight of the second objective (vicreg and texture)."""
    loss: Literal["psnr", "charbonnier"] = "psnr"
    """Of pixels: psnr (decibels, the mean over pictures) or charbonnier (robust distance, the mean over pixels)."""
    structure: float = 0.1
    """Weight of the SSIM term beside it."""
    size: int = 128
    """Side of the pictures, in pixels; a multiple of 8, of 32 for a vector code."""
    width: float = 1.0
    """Times the channels of every stage."""
    blocks: int = 2
    """Residual blocks a stage."""
    epochs: MaybeNumber = None
    """Times through the training pictures (default: 30, on the sample set 12)."""
    batch_size: MaybeNumber = None
    """Pictures in a step, over all processes (default: 32, with vicreg 128)."""
    lr: float = 0.01
    """Peak learning rate of Muon; AdamW, which moves the first layer and everything that is no kernel, takes 0.15
    times that."""
    weight_decay: float = 0.01
    """Pull of the kernels towards 0, per unit of learning rate."""
    ema: float = 0.998
    """Decay of the averaged weights that are measured and kept, a step."""
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
                raise InputError(f"--{name.replace('_', '-')} {value:g} is not in {low:g}..{high:.10g}.")
        multiple = 8 if self.code is None else 32
        if self.size % multiple:
            what = "a spatial code" if self.code is None else "a vector code"
            raise InputError(f"--size {self.size}: {what} needs a multiple of {multiple}.")


_RANGES = (
    ("code", 1, 65_536),
    ("channels", 1, 512),
    ("objective_weight", 0, float("inf")),
    ("structure", 0, float("inf")),
    ("size", 16, 1024),
    ("width", 0.05, 20),
    ("blocks", 1, 100),
    ("epochs", 1, 100_000),
    ("batch_size", 2, 65_536),
    ("lr", 0, float("inf")),
    ("weight_decay", 0, float("inf")),
    ("ema", 0, 1),
    ("seed", 0, 2**32),
    ("bad_limit", 0, 1),
)


@dataclass(frozen=True)
class EncodeConfig:
    """Save the codes of all pictures of all splits: codes, labels, files, styles and split in one .npz file.

    Example: wikiart-autoencode encode runs/autoencode/001 --to codes.npz
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/autoencode)."""
    to: MaybeFile = None
    """The file to write (default: codes.npz in the run's folder)."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""


@dataclass(frozen=True)
class MeasureConfig:
    """Draw reconstruction against bytes: trained autoencoders (8 bits a number) beside PCA, JPEG and WebP.

    Example: wikiart-autoencode measure runs/autoencode/spatial runs/autoencode/vector --split test
    """

    models: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Runs' folders (default: the newest run in RUNS/autoencode)."""
    split: Literal["valid", "test"] = "valid"
    """Which split. Choose on valid; read test once."""
    to: Path = Path("runs/rates")
    """The folder to write: result.json and figures/rates.png."""
    data: MaybeData = None
    """Folder of paintings (default: the one the first run was trained on)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""


@dataclass(frozen=True)
class ReconstructConfig:
    """Draw a grid: each picture, its reconstruction, and the error.

    Example: wikiart-autoencode reconstruct photo.jpg paintings/test/Cubism --to grid.png
    """

    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Picture files and folders (looked through with all their subfolders; the first 16 pictures are drawn)."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/autoencode)."""
    to: Path = Path("reconstructions.png")
    """The PNG file to write."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class InterpolateConfig:
    """Draw a strip from one picture to another, through codes between theirs.

    Example: wikiart-autoencode interpolate a.jpg b.jpg --to strip.png
    """

    first: tyro.conf.Positional[Path]
    """The picture at the left."""
    last: tyro.conf.Positional[Path]
    """The picture at the right."""
    steps: int = 8
    """Pictures between them and at both ends."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/autoencode)."""
    to: Path = Path("interpolation.png")
    """The PNG file to write."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.steps < 3:
            raise InputError(f"--steps {self.steps}: a strip needs at least 3 pictures.")
