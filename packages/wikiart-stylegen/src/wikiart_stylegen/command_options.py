"""The options of the commands but `train` and `study`: frozen dataclasses, whose docstrings are the help."""

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
    MaybeStyle,
    Names,
    RunArgument,
)
from wikiart_data.demo import PORT, check_port
from wikiart_data.errors import InputError


@dataclass(frozen=True, kw_only=True)
class _ModelOptions:
    """Which trained network a command applies, and where."""

    model: MaybeFile = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject values of another type.

        Raises:
            InputError: a value is of another type.
        """
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class DataRepaintOptions:
    """A trained network that repaints images of a data folder: a base for the options of several commands."""

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    strength: float = 1.0
    """Strength of the style: 0 is the null style, 1 the style as trained, at most 1.5."""
    seed: int = 0
    """Random seed for the choice of images and target styles."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder of packed images (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        check_types(self)
        check_strength(self.strength)


@dataclass(frozen=True, kw_only=True)
class SplitRepaintOptions(DataRepaintOptions):
    """The same for the images of one split, with target styles that have enough training images."""

    split: Literal["valid", "test"] = "test"
    """Split whose images are repainted."""
    min_train_images: MaybeNumber = None
    """Fewest training images of a style that is used as a target (default: 50; 1 on the sample set)."""


@dataclass(frozen=True)
class EvaluateOptions(SplitRepaintOptions):
    """Measure whether repaints are in the target style and still show the input: a table, a JSON file and a figure.

    Other strengths than --strength are measured as well; choose one on --split valid.

    Example: wikiart-stylegen evaluate runs/stylegen/001 --judge judge --baseline runs/stylegen/concat
    """

    judge: Path = Path("judge")
    """Folder of a judge from wikiart-classify export, which must not have taken part in training."""
    second_judge: MaybeFolder = None
    """Folder of a second judge, preferably of another architecture, whose accuracies are added to the tables."""
    baseline: MaybeFile = None
    """A run of the same styles, size and artists to compare with, usually one with --conditioning concat."""
    max_images: int = 600
    """Largest number of images; more are subsampled by --seed."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        if self.max_images < 1:
            raise InputError(f"--max-images {self.max_images} is not at least 1.", field="--max-images")


@dataclass(frozen=True)
class SynthesiseOptions(DataRepaintOptions):
    """Write a data folder whose training images are repaints, to train a classifier on them alone or in addition.

    DIR/train/<Style>/ gets as many images of every style as there are training images, repainted from images of other
    styles; DIR/valid and DIR/test get links to the images of these styles in the data. wikiart-classify compare data
    --other DIR measures the classification accuracy score, wikiart-classify --extra DIR trains on them as additional
    images. If the network was trained on half of the artists, only their images are used.

    Example: wikiart-stylegen synthesise runs/stylegen/001 --to repaints
    """

    to: Path = Path("repaints")
    """Folder to write; it must not exist yet."""
    kind: Literal["repaints", "colour-transfer", "paintings"] = "repaints"
    """What to write: repaints; the inputs with the colour statistics of the style, as a baseline; or the paintings of
    the style themselves, at the network's size, to compare with."""
    per_style: MaybeNumber = None
    """Images of every style (default: as many as its training images)."""
    max_train_images: MaybeNumber = None
    """Only styles with at most this many training images (default: all)."""
    judge: MaybeFolder = None
    """Keep only images that this judge classifies as their style."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        for name in ("per_style", "max_train_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} {value} is not at least 1.", field=option)


@dataclass(frozen=True)
class RepaintOptions(_ModelOptions):
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

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        check_strength(self.strength)
        check_side(self.side)
        check_png(self.to)


@dataclass(frozen=True)
class SizesOptions(_ModelOptions):
    """Repaint a picture at several sizes, to compare them pixel by pixel and in numbers.

    The figure shows the middle of each repaint without resampling. The table says how far each keeps the edges of the
    input, and how strongly the grid of the network shows on flat areas, next to a single pass of the network.

    Example: wikiart-stylegen sizes photo.jpg --styles Ukiyo_e Impressionism --to sizes.png
    """

    picture: ImageArgument
    """Image file to repaint."""
    styles: Names = ()
    """Styles for the columns (default: the first four)."""
    sides: tuple[int, ...] = (256, 512, 1024)
    """Longer sides of the repaints in pixels."""
    to: Path = Path("sizes.png")
    """PNG file to write."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        check_png(self.to)
        for side in self.sides:
            check_side(side, "--sides")
        if not self.sides or min(self.sides) < 64:
            raise InputError("--sides: give one side or more, of at least 64 pixels.", field="--sides")


@dataclass(frozen=True)
class WalkOptions(_ModelOptions):
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

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        if not 3 <= self.frames <= 500:
            raise InputError(f"--frames {self.frames} is not in 3..500.", field="--frames")
        check_side(self.side)
        if self.to.suffix.lower() not in (".gif", ".webp"):
            raise InputError(f"--to {self.to}: the name of an animation ends in .gif or .webp.", field="--to")


@dataclass(frozen=True)
class GridOptions(_ModelOptions):
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

    def __post_init__(self) -> None:
        """Reject values of another type, and names of other files.

        Raises:
            InputError: a value is of another type, or --to does not end in .png.
        """
        super().__post_init__()
        check_png(self.to)


@dataclass(frozen=True)
class DemoOptions:
    """Open a page in the browser on which pictures are repainted: drop one, choose styles and strength.

    The page is served on this machine only. It needs gradio, the extra 'demo'.

    Example: wikiart-stylegen demo runs/stylegen/001
    """

    model: RunArgument = None
    """Run folder or model.safetensors (default: the newest run in RUNS/stylegen)."""
    port: int = PORT
    """Port of the page's address."""
    side: int = 1024
    """Larger pictures are scaled down to this longer side in pixels."""
    runs: Path = Path("runs")
    """Folder in which the newest run is looked up."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        check_types(self)
        check_port(self.port)
        check_side(self.side)


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

    def __post_init__(self) -> None:
        """Reject values of another type, and names of other files.

        Raises:
            InputError: a value is of another type, or --to does not end in .png.
        """
        check_types(self)
        check_png(self.to)


def check_png(path: Path) -> None:
    """Reject names of files that are not PNG files.

    Raises:
        InputError: it does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--to {path}: the file's name must end in .png.", field="--to")


def check_strength(strength: float) -> None:
    """Reject strengths far from anything trained.

    Raises:
        InputError: it is not in 0..1.5.
    """
    if not 0 <= strength <= 1.5:
        raise InputError(f"--strength {strength:g} is not in 0..1.5.", field="--strength")


def check_side(side: int | None, option: str = "--side") -> None:
    """Reject images that are too small or too large.

    Raises:
        InputError: it is not in 16..8192 pixels.
    """
    if side is not None and not 16 <= side <= 8192:
        raise InputError(f"{option} {side} is not in 16..8192.", field=option)
