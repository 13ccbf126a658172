"""The options of each command: a frozen dataclass is the command line, the help text and what run.json keeps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, MaybeNumber, MaybeReal, MaybeText, Names
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """Teach a base the styles of a data folder, draw a grid of before and after, and score it.

    Example: wikiart-lora --data paintings --base sd15 --steps 4000 --checkpointing
    """

    base: str = "tiny"
    """A short name, a diffusers pipeline's folder, or its name on the hub. `--base list` lists the short names with
    size, licence and GPU memory."""
    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    config: MaybeFile = None
    """JSON with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Where run folders are made: RUNS/lora/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    resume: MaybeFolder = None
    """Go on with the run in this folder, with the options it was started with."""
    dry_run: bool = False
    """Print parameters, memory and time, and stop before training."""
    style: MaybeText = None
    """Teach this style alone (default: one adapter for all styles)."""
    steps: MaybeNumber = None
    """Steps of training (default: tiny 600, others 3000)."""
    batch_size: MaybeNumber = None
    """Pictures in a step, over all processes (default: tiny 32, others 4)."""
    accumulate: int = 1
    """Parts that a batch is worked through in, one after another: less memory, the same step."""
    size: MaybeNumber = None
    """Side of the pictures, in pixels (default: what the base was made for)."""
    aspect: bool = False
    """Keep proportions: buckets of the same area, up to twice as wide or tall, instead of squares."""
    rank: MaybeNumber = None
    """Of the low-rank weights (default: tiny 32, others 16)."""
    alpha: MaybeReal = None
    """Scale of the adapter, divided by the rank (default: the rank)."""
    targets: Literal["auto", "attention", "feed-forward", "all"] = "auto"
    """Layers that are adapted: attention's projections, those and feed-forward, or convolutions too (auto: tiny all,
    others attention)."""
    text_encoder: Literal["auto", "none", "attention", "words"] = "auto"
    """What is adapted of the text encoders: nothing, attention's projections, or the embeddings of the trigger and of
    the words in styles' names too (auto: tiny words, others none). Captions are then encoded at every step."""
    rslora: bool = False
    """Divide by the square root of the rank instead (rsLoRA, Kalajdzievski 2023)."""
    dora: bool = False
    """Learn magnitude and direction apart (DoRA, Liu et al. 2024)."""
    plus: float = 1.0
    """Times the learning rate for B (LoRA+, Hayou et al. 2024, use 16)."""
    lr: MaybeReal = None
    """Peak learning rate (default: 0.02 with muon, else 1e-4; tiny 2e-3)."""
    text_lr: MaybeReal = None
    """Of the text encoders' adapter (default: half of --lr)."""
    weight_decay: float = 0.01
    """Of AdamW."""
    optimizer: Literal["auto", "adamw", "muon", "adamw8bit"] = "auto"
    """auto: tiny muon, others adamw. muon needs fewer steps for small bases. adamw8bit needs the extra `eightbit` and
    an NVIDIA GPU."""
    snr_gamma: MaybeReal = None
    """Of the min-SNR weights; 0 turns them off (default: tiny 0, others 5). Flow matching does not use them."""
    noise_offset: float = 0.0
    """Share of noise that is the same all over the picture."""
    dropout: float = 0.1
    """Share of pictures that are shown without their caption."""
    variants: int = 2
    """Captions of each picture, in different turns of phrase."""
    artists: MaybeReal = None
    """Share of the captions that name the artist, if known (default: tiny 0, others 0.5)."""
    trigger: str = ""
    """A rare word in front of every caption, such as zwx."""
    flip: bool = False
    """Show half of the pictures mirrored."""
    power: float = 1.0
    """Balance of sampling: 0 as the styles come, 1 every style equally often, 0.5 between."""
    prior: int = 0
    """Pictures that the base paints beforehand and that training keeps it to (prior preservation)."""
    prior_weight: float = 1.0
    """Weight of those pictures' loss."""
    ema: float = 0.99
    """Decay of the averaged adapter that is shown, scored and kept, a step."""
    checkpointing: bool = False
    """Recompute activations going back: much less memory, about a third slower."""
    no_cache: bool = False
    """Encode pictures and captions at every step instead of once."""
    every: MaybeNumber = None
    """Steps between two saves, validation losses and grids (default: a quarter of all, at most 250)."""
    score: MaybeNumber = None
    """Pictures a style in the score at the end; 0 for none (default: tiny 8, others 0)."""
    sampling: MaybeNumber = None
    """Sampling steps of grids and score (default: tiny 20, turbo 4, others 30)."""
    judge: MaybeFolder = None
    """The judge, made by wikiart-classify --export DIR (default: the folder judge, if there is one)."""
    seed: int = 0
    """Of weights, order, noise and captions."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto takes what the hardware is fastest with, and says why."""
    push_to_hub: MaybeText = None
    """At the end, upload adapter and model card to this repository of the hub (owner/name)."""
    cache_dir: MaybeFolder = None
    """Where latents and embeddings are kept (default: $WIKIART_CACHE, else the user's cache)."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, before anything is started."""
        check_ranges(self, _RANGES)


_RANGES = (
    ("steps", 1, 10_000_000),
    ("batch_size", 1, 65_536),
    ("accumulate", 1, 65_536),
    ("size", 16, 4096),
    ("rank", 1, 4096),
    ("alpha", 0, 1e6),
    ("plus", 1, 1000),
    ("lr", 0, 10),
    ("text_lr", 0, 10),
    ("weight_decay", 0, 10),
    ("snr_gamma", 0, 1e6),
    ("noise_offset", 0, 1),
    ("dropout", 0, 1),
    ("variants", 1, 4),
    ("artists", 0, 1),
    ("power", 0, 1),
    ("prior", 0, 1_000_000),
    ("prior_weight", 0, 1000),
    ("ema", 0, 1),
    ("every", 1, 10_000_000),
    ("score", 0, 10_000),
    ("sampling", 1, 1000),
    ("seed", 0, 2**32),
    ("bad_limit", 0, 1),
)

TINY = {
    "steps": 600, "batch_size": 32, "rank": 32, "targets": "all", "snr_gamma": 0.0, "artists": 0.0,
    "score": 8, "optimizer": "muon", "text_encoder": "words",
}  # fmt: skip
OTHERS = {
    "steps": 3000, "batch_size": 4, "rank": 16, "targets": "attention",
    "snr_gamma": 5.0, "artists": 0.5, "score": 0, "optimizer": "adamw",
    "text_encoder": "none",
}  # fmt: skip
"""What is left out on the command line, by the kind of base."""


def settled(config: TrainConfig) -> TrainConfig:
    """The options with everything filled in that was left to the base."""
    defaults = TINY if config.base == "tiny" else OTHERS
    left = {name: value for name, value in defaults.items() if getattr(config, name) in (None, "auto")}
    config = replace(config, **left)
    if config.lr is None:
        adamw = 2e-3 if config.base == "tiny" else 1e-4
        config = replace(config, lr=0.02 if config.optimizer == "muon" else adamw)
    assert config.steps is not None
    assert config.lr is not None
    assert config.rank is not None
    more = {"every": min(250, -(-config.steps // 4)), "text_lr": config.lr / 2, "alpha": float(config.rank)}
    return replace(config, **{name: value for name, value in more.items() if getattr(config, name) is None})


@dataclass(frozen=True)
class GenerateConfig:
    """Paint pictures with a trained adapter.

    Example: wikiart-lora generate --style Ukiyo_e --prompt "a landscape with a lake and two pines" -n 4
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/lora)."""
    prompt: str = ""
    """What to paint, in words."""
    style: MaybeText = None
    """In which style; it is put into words as in training."""
    strength: float = 1.0
    """Of the adapter: 0 is the base."""
    seed: int = 0
    """Of the first picture; the others count on."""
    number: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """How many pictures."""
    to: Path = Path("pictures")
    """The folder to write: NNN.png."""
    side: MaybeNumber = None
    """Of the pictures, in pixels (default: as in training)."""
    sampling: MaybeNumber = None
    """Sampling steps (default: tiny 20, turbo 4, others 30)."""
    guidance: MaybeReal = None
    """How much the prompt counts (default: tiny 3, turbo 1, FLUX.2 4, others 7)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_ranges(self, _PAINTING)
        if not self.prompt and self.style is None:
            raise InputError("Nothing is asked for: name what to paint with --prompt, or a --style, or both.")


_PAINTING = (
    ("number", 1, 100_000),
    ("side", 16, 4096),
    ("sampling", 1, 1000),
    ("guidance", 0, 100),
    ("strength", -10, 10),
    ("seed", 0, 2**32),
)


@dataclass(frozen=True)
class GridConfig:
    """Draw styles × strengths at one seed; the first column is the base.

    Example: wikiart-lora grid --prompt "a portrait of a person in a red coat" --strengths 0.5 1 1.5
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/lora)."""
    prompt: str = "a landscape at dusk with two hills, a lake and a house under a red sun"
    """What to paint, in words."""
    styles: Names = ()
    """The rows (default: all styles of the run)."""
    strengths: tuple[float, ...] = (0.5, 1.0, 1.5)
    """The columns after the base's."""
    seed: int = 0
    """The same for every picture."""
    to: Path = Path("styles.png")
    """The PNG file to write."""
    side: MaybeNumber = None
    """Of the pictures, in pixels (default: as in training)."""
    sampling: MaybeNumber = None
    """Sampling steps."""
    guidance: MaybeReal = None
    """How much the prompt counts."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_ranges(self, _PAINTING[1:4] + _PAINTING[5:])


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a base without and with its adapter, on the same prompts and seeds.

    Example: wikiart-lora evaluate runs/lora/001 --judge judge
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/lora)."""
    judge: MaybeFolder = None
    """The judge, made by wikiart-classify --export DIR (default: the folder judge, if there is one). Without one,
    diversity, memorisation and content are scored, and styles are not."""
    pictures: int = 8
    """Pictures a style."""
    strength: float = 1.0
    """Of the adapter."""
    data: MaybeData = None
    """Folder of paintings (default: the one the run was trained on)."""
    seed: int = 0
    """Of prompts and noise."""
    sampling: MaybeNumber = None
    """Sampling steps."""
    guidance: MaybeReal = None
    """How much the prompt counts."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache_dir: MaybeFolder = None
    """Where packed pictures are kept."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to go on with."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_ranges(self, (("pictures", 1, 10_000), *_PAINTING[2:]))


@dataclass(frozen=True)
class ExportConfig:
    """Write a trained adapter for other programs, and push it to the hub if asked.

    Example: wikiart-lora export runs/lora/001 --format kohya --to styles.safetensors
    """

    model: tyro.conf.Positional[MaybeFile] = None
    """A run's folder or its model.safetensors (default: the newest run in RUNS/lora)."""
    format: Literal["peft", "kohya"] = "peft"
    """peft: for diffusers and ComfyUI; kohya: for A1111, Forge and others (UNet families)."""
    to: Path = Path("adapter.safetensors")
    """The file to write; a model card is written beside it."""
    overwrite: bool = False
    """Replace that file."""
    push_to_hub: MaybeText = None
    """Upload both to this repository of the hub (owner/name)."""
    runs: Path = Path("runs")
    """Where the newest run is looked for."""

    def __post_init__(self) -> None:
        """Refuse a file that diffusers would not find."""
        if self.to.suffix != ".safetensors":
            raise InputError(f"--to {self.to}: a file that ends in .safetensors is written.")


@dataclass(frozen=True)
class PretrainConfig:
    """Pretrain the embedded base `tiny` on photographs of the sample set's scenes; an hour and a quarter of one core.

    Example: wikiart-lora pretrain --name tiny
    """

    runs: Path = Path("runs")
    """Where run folders are made: RUNS/lora-pretrain/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace a run of that name."""
    resume: MaybeFolder = None
    """Go on with the run in this folder, with the options it was started with."""
    pictures: int = 12_000
    """Scenes, six kinds in turn."""
    vae_steps: int = 1_500
    """Steps of the autoencoder."""
    autoencoder: MaybeText = None
    """Take the autoencoder of this base (tiny, or a folder that pretrain has made) and train none."""
    steps: int = 5_000
    """Steps of text encoder and UNet."""
    batch_size: int = 32
    """Pictures in a step."""
    lr: float = 0.01
    """Peak learning rate of Muon for kernels; everything else takes 0.15 times that, with AdamW."""
    kl: float = 1e-5
    """Weight of the latents' pull towards a normal distribution."""
    ema: float = 0.998
    """Decay of the averaged weights that are kept, a step."""
    seed: int = 0
    """Of weights, order and noise."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto takes bf16 where the hardware is faster with it."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_ranges(self, (("pictures", 6, 10_000_000), ("vae_steps", 1, 10_000_000), ("steps", 1, 10_000_000)))
        check_ranges(self, (("batch_size", 1, 65_536), ("lr", 0, 1), ("ema", 0, 1), ("seed", 0, 2**32)))


def check_ranges(config: object, ranges: tuple[tuple[str, float, float], ...]) -> None:
    """Refuse values that cannot be meant.

    Raises:
        InputError: an option is out of its range.
    """
    for name, low, high in ranges:
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise InputError(f"--{name.replace('_', '-')} {value:g} is not in {low:g}..{high:.10g}.")
