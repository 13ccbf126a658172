"""The options of the three commands that pretrain `tiny`, and of those that measure what was pretrained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import MaybeData, MaybeFolder, MaybeNumber, MaybeReal, MaybeText
from wikiart_lora.config import check_png, check_ranges

Widths = Annotated[tuple[int, int, int], tyro.conf.arg(metavar="N N N")]


@dataclass(frozen=True)
class StageOptions:
    """What the three stages have in common."""

    runs: Path = Path("runs")
    """Folder in which run folders are created: RUNS/STAGE/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of that name."""
    resume: MaybeFolder = None
    """Continue the run in this folder, with the options it was started with. `auto` continues the unfinished run of
    that name, and starts one where there is none."""
    data: tyro.conf.Suppress[str] = "renderings of the sample set's scenes, and random marks"
    """Not an option: what the run's record says of its data."""
    cache_dir: tyro.conf.Suppress[Path | None] = None
    """Not an option: there is nothing to cache."""
    save_every: int = 50
    """Steps between two checkpoints, and between two draws of new pictures."""
    workers: MaybeNumber = None
    """Processes that draw pictures while the network trains (default: all cores but one with a GPU, 0 on a CPU)."""
    seed: int = 0
    """Random seed for initialisation, pictures, data order and noise."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision of the computation; auto takes bf16 where the hardware is faster with it."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(
            self,
            (
                ("steps", 1, 10_000_000), ("batch_size", 1, 65_536), ("lr", 0, 1), ("ema", 0, 1), ("kl", 0, 1),
                ("width", 8, 1024), ("channels", 1, 64), ("num_scenes", 6, 10_000_000), ("seed", 0, 2**32),
                ("num_marked", 1, 10_000_000), ("save_every", 1, 1_000_000), ("workers", 0, 1024),
                ("adversarial_weight", 0, 100), ("feature_weight", 0, 100), ("marked_below", 0, 1000),
                ("deviation", 1e-4, 10),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class AutoencoderOptions(StageOptions):
    """First stage of `tiny`: an autoencoder, 64 × 64 pixels to 16 × 16 latents, on scenes and random marks.

    Example: wikiart-lora pretrain-autoencoder --name tiny
    """

    steps: int = 10_000
    """Training steps."""
    batch_size: int = 8
    """Images per step."""
    channels: int = 12
    """Channels of the latents."""
    width: int = 24
    """Channels of the outermost level; the two inner ones have twice and four times as many."""
    lr: float = 0.005
    """Peak learning rate of Muon for kernels; AdamW takes 0.15 times that for all other parameters."""
    kl: float = 1e-6
    """Weight of the KL divergence between the latents and a normal distribution."""
    deviation: float = 0.04
    """Largest mean standard deviation of the posterior in a channel, as a fraction of the latents' spread. Where
    training leaves a larger one, it is lowered in the autoencoder that is saved; means and decoder stay the same."""
    ema: float = 0.998
    """Decay per step of the averaged weights, which are the ones saved."""


@dataclass(frozen=True)
class DecoderOptions(StageOptions):
    """Second stage of `tiny`: train the autoencoder's decoder on against a patch critic; the encoder is fixed.

    Example: wikiart-lora pretrain-decoder --name tiny --autoencoder runs/pretrain-autoencoder/tiny
    """

    autoencoder: str = "tiny"
    """The autoencoder to start from: a run of the first or second stage, or a base (tiny, or a folder)."""
    steps: int = 3_000
    """Training steps."""
    batch_size: int = 8
    """Images per step."""
    lr: float = 3e-4
    """Peak learning rate of AdamW for decoder and critic."""
    adversarial_weight: float = 0.03
    """Weight of the adversarial loss, the score that the critic gives."""
    feature_weight: float = 0.25
    """Weight of the distance between the critic's features of images and of reconstructions."""
    deviation: float = 0.04
    """Largest mean standard deviation of the posterior in a channel, as a fraction of the latents' spread. Where
    training leaves a larger one, it is lowered in the autoencoder that is saved; means and decoder stay the same."""
    ema: float = 0.998
    """Decay per step of the averaged weights, which are the ones saved."""


@dataclass(frozen=True)
class DenoiserOptions(StageOptions):
    """Third stage of `tiny`: text encoder and UNet on the latents of an autoencoder; writes the whole base.

    Example: wikiart-lora pretrain-denoiser --name tiny --autoencoder runs/pretrain-decoder/tiny
    """

    autoencoder: str = "tiny"
    """The autoencoder: a run of the first or second stage, or a base (tiny, or a folder)."""
    init: MaybeFolder = None
    """Folder of a base whose text encoder and UNet training starts from, which has latents and widths like these: a
    longer training in several rounds (default: random weights)."""
    steps: int = 24_000
    """Training steps."""
    batch_size: int = 32
    """Images per step."""
    save_every: int = 100
    """Steps between two checkpoints."""
    widths: Widths = (64, 128, 160)
    """Channels of the UNet's three levels."""
    num_scenes: int = 12_000
    """Number of plain scenes, of six kinds in turn."""
    num_marked: int = 4_000
    """Number of scenes that are seen with random marks as well."""
    marked_below: int = 300
    """Timesteps below this see random marks on half of the scenes, the others plain scenes, so that marks do not change
    what the prompt decides: layout and colours."""
    lr: float = 0.01
    """Peak learning rate of Muon for kernels; AdamW takes 0.15 times that for all other parameters."""
    ema: float = 0.999
    """Decay per step of the averaged weights, which are the ones saved."""


@dataclass(frozen=True)
class NarrowOptions:
    """Narrow the posterior of an autoencoder, for programs that draw latents from it instead of taking its mean.

    The means, the decoder, and all that was trained on them stay the same, bit for bit.

    Example: wikiart-lora narrow-posterior --autoencoder runs/pretrain-decoder/tiny --to narrow
    """

    autoencoder: str = "tiny"
    """The autoencoder: a run of pretrain-autoencoder or pretrain-decoder, or a base (tiny, or a folder)."""
    deviation: float = 0.04
    """Largest mean standard deviation of the posterior in a channel, as a fraction of the latents' spread, on pictures
    that no stage is trained on."""
    to: Path = Path("narrow")
    """Folder in which the autoencoder is written, as vae/."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, (("deviation", 1e-4, 10),))


@dataclass(frozen=True)
class EvaluateBaseOptions:
    """Measure whether a base made by `pretrain-denoiser` paints what a caption says: kind of scene, colour of a coat.

    Example: wikiart-lora evaluate-base --base runs/pretrain-denoiser/tiny/base
    """

    base: str = "tiny"
    """The base: tiny, or the folder base of a run of pretrain-denoiser."""
    num_scenes: int = 216
    """Scenes painted, of six kinds in turn, for the scene probe."""
    num_coats: int = 60
    """Portraits painted with a red, green or blue coat in turn."""
    num_inference_steps: MaybeNumber = None
    """Denoising steps (default: what suits the base)."""
    guidance_scale: MaybeReal = None
    """Scale of classifier-free guidance (default: what suits the base)."""
    guidance_rescale: MaybeReal = None
    """How far guidance keeps the contrast of the unguided prediction, 0 to 1 (default: what suits the base)."""
    to: Path = Path("scenes.png")
    """PNG file to write: images of every kind of scene, and of every colour."""
    seed: int = 0
    """Seed of the first image's noise; each further one has the next."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range, and a file of another kind.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(
            self,
            (
                ("num_scenes", 6, 100_000), ("num_coats", 3, 100_000), ("num_inference_steps", 1, 1000),
                ("guidance_scale", 0, 100), ("guidance_rescale", 0, 1), ("seed", 0, 2**32),
            ),
        )  # fmt: skip
        check_png(self.to)


@dataclass(frozen=True)
class EvaluateAutoencoderOptions:
    """Measure what an autoencoder of `tiny` preserves of real images, which limits what any adapter can show.

    Example: wikiart-lora evaluate-autoencoder --autoencoder runs/pretrain-decoder/tiny --judge judge
    """

    autoencoder: str = "tiny"
    """The autoencoder: a run of pretrain-autoencoder or pretrain-decoder, or a base (tiny, or a folder)."""
    judge: MaybeFolder = None
    """Folder of the judge, written by wikiart-classify --export DIR (default: the folder judge, if there is one)."""
    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    size: int = 64
    """Side of the images, in pixels."""
    to: Path = Path("reconstructions.png")
    """PNG file to write: images of every style next to their reconstructions."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:1 or mps."""
    cache_dir: MaybeFolder = None
    """Folder of the cache (default: $WIKIART_CACHE, else the user's cache)."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range, and a file of another kind.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, (("size", 16, 4096),))
        check_png(self.to)
