"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeText
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """Train the style autoencoder: one network that repaints a picture in any of the styles.

    Example: wikiart-stylegen --data paintings --name first
    """

    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    config: MaybeFile = None
    """JSON with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Where run folders are made: RUNS/stylegen/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    resume: MaybeFolder = None
    """Go on with the run in this folder, with the options it was started with."""
    conditioning: Literal["film", "concat"] = "film"
    """film: every block of the decoder is told the style. concat: the embedding is laid beside the code, and only
    reconstruction is trained: the simple version, as a baseline."""
    channels: int = 8
    """Of the content code: the narrower, the poorer in style, and the less content is kept."""
    style: int = 64
    """Numbers of a style embedding."""
    size: int = 96
    """Side of the pictures, in pixels; a multiple of 8."""
    width: float = 1.0
    """Times the channels of every stage."""
    blocks: int = 2
    """Residual blocks a stage."""
    grain: bool = False
    """With film, a style also says how much noise each block gets, for marks that the content code does not place (did
    not help on the sample set)."""
    epochs: MaybeNumber = None
    """Times through the training pictures (default: 40, on the sample set 10)."""
    lessons: int = 4
    """The first epochs, in which only the style network is taught, which then asks the painter for styles."""
    batch_size: int = 32
    """Pictures in a step, over all processes."""
    power: float = 0.5
    """Balance of sampling: 0 as the styles come, 1 every style equally often."""
    rebuild: float = 10.0
    """Weight of reconstruction in the picture's own style."""
    real: float = 0.5
    """Weight of looking real to the critic, in the wanted style."""
    named: float = 1.0
    """Weight of being named as the wanted style by the critic's style head."""
    statistics: float = 0.5
    """Weight of having the wanted style's feature statistics."""
    content: float = 2.0
    """Weight of keeping the content code."""
    edges: float = 1.0
    """Weight of keeping edges where they are."""
    hidden: float = 0.3
    """Weight of hiding the style from a probe that reads the content code."""
    lr: float = 0.01
    """Peak learning rate of Muon; AdamW takes 0.15 times that. The critic has Adam at 0.0005."""
    weight_decay: float = 0.01
    """Pull of the kernels towards 0, per unit of learning rate."""
    ema: float = 0.995
    """Decay of the averaged weights that are measured and kept, a step."""
    seed: int = 0
    """Of weights, order, augmentation and wanted styles."""
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
        if self.size % 8:
            raise InputError(f"--size {self.size}: the code lies at an eighth of it, so it must be a multiple of 8.")


_MOST = float("inf")
_RANGES = (
    ("channels", 1, 512),
    ("style", 1, 4096),
    ("size", 32, 1024),
    ("width", 0.05, 20),
    ("blocks", 1, 100),
    ("epochs", 1, 100_000),
    ("lessons", 0, 100_000),
    ("batch_size", 2, 65_536),
    ("power", 0, 1),
    *(
        (name, 0, _MOST)
        for name in ("rebuild", "real", "named", "statistics", "content", "edges", "hidden", "lr", "weight_decay")
    ),
    ("ema", 0, 1),
    ("seed", 0, 2**32),
    ("bad_limit", 0, 1),
)


@dataclass(frozen=True)
class EvaluateConfig:
    """Does it paint in the styles, and is it still the picture? One table, one JSON, one figure.

    Example: wikiart-stylegen evaluate runs/stylegen/001 --judge judge --baseline runs/stylegen/concat
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/stylegen)."""
    judge: Path = Path("judge")
    """A judge of wikiart-classify export, which must not have taken part in training."""
    baseline: MaybeFile = None
    """A run with --conditioning concat, for its row in the table."""
    split: Literal["valid", "test"] = "test"
    """Whose pictures are repainted."""
    pictures: int = 600
    """At most so many, drawn by seed."""
    least: MaybeNumber = None
    """Training pictures from which on a style is asked for (default: 50, on the sample set 1)."""
    strength: float = 1.0
    """How strongly styles are asked for: 0 no style, 1 as trained, up to 1.5. Hits and content at other strengths are
    measured too: choose on valid."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    seed: int = 0
    """Of the wanted styles and the pictures."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_strength(self.strength)
        if self.pictures < 1:
            raise InputError(f"--pictures {self.pictures}: at least one picture is repainted.")


@dataclass(frozen=True)
class TransferConfig:
    """Repaint a photograph or painting of any size in a style.

    Example: wikiart-stylegen transfer photo.jpg --style Ukiyo_e --to ukiyo.png
    """

    picture: tyro.conf.Positional[Path]
    """The picture."""
    style: str
    """A style, by any of its names."""
    blend: MaybeText = None
    """A second style, to be mixed with it half and half."""
    strength: float = 1.0
    """0 is the null style, 1 the style, up to 1.5 more than it."""
    side: MaybeNumber = None
    """Longer side of the result, in pixels (default: as the picture)."""
    to: Path = Path("repainted.png")
    """The PNG file to write."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_strength(self.strength)
        check_side(self.side)


@dataclass(frozen=True)
class WalkConfig:
    """Walk from one style to another: an animation and a strip.

    Example: wikiart-stylegen walk photo.jpg --first Baroque --last Cubism --to walk.gif
    """

    picture: tyro.conf.Positional[Path]
    """The picture."""
    first: str
    """The style at the beginning."""
    last: str
    """The style at the end."""
    frames: int = 24
    """Pictures from one to the other; the animation also walks back."""
    side: MaybeNumber = 256
    """Longer side of the result, in pixels."""
    to: Path = Path("walk.gif")
    """The GIF or WebP file to write; a strip is written beside it as PNG."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if not 3 <= self.frames <= 500:
            raise InputError(f"--frames {self.frames} is not in 3..500.")
        check_side(self.side)


@dataclass(frozen=True)
class GridConfig:
    """Given pictures in every style; the input and, where the folder tells it, the true style are marked.

    Example: wikiart-stylegen grid photo.jpg paintings/test/Cubism --to grid.png
    """

    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Picture files and folders; the first 6 pictures are drawn."""
    to: Path = Path("grid.png")
    """The PNG file to write."""
    model: MaybeFile = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class EmbeddingsConfig:
    """What the trained style embeddings say of the styles: similarities, a map, nearest styles.

    Example: wikiart-stylegen embeddings runs/stylegen/001 --to embeddings.png
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/stylegen)."""
    to: Path = Path("embeddings.png")
    """The PNG file to write; a CSV of similarities is written beside it."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""


def check_strength(strength: float) -> None:
    """Refuse what is far from anything trained.

    Raises:
        InputError: it is not in 0..1.5.
    """
    if not 0 <= strength <= 1.5:
        raise InputError(f"--strength {strength:g} is not in 0..1.5.")


def check_side(side: int | None) -> None:
    """Refuse pictures that are too small to hold anything, or too large to be meant.

    Raises:
        InputError: it is not in 16..8192 pixels.
    """
    if side is not None and not 16 <= side <= 8192:
        raise InputError(f"--side {side} is not in 16..8192.")
