"""The options of training, and the configuration of a run.

`TrainOptions` is the command line and its help text; what is left out there is None. `resolve_config` turns it into a
`TrainConfig`, in which nothing is left open: that is what run.json keeps and what the training loop reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import (
    MaybeFile,
    MaybeFolder,
    MaybeNumber,
    MaybeReal,
    MaybeStyle,
    MaybeText,
)
from wikiart_data.cli.options import DataOptions
from wikiart_data.errors import InputError
from wikiart_data.styles import style_index
from wikiart_data.training.trackers import Tracker


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """Train an adapter on the styles of a data folder, sample grids with and without it, and evaluate it.

    Example: wikiart-lora --data paintings --base sd15 --steps 4000 --gradient-checkpointing
    """

    base: str = "tiny"
    """Base model: a short name, the folder of a diffusers pipeline, its name on the hub, or a single file
    (.safetensors or .ckpt). `--base list` lists the short names with size, licence and GPU memory."""
    variant: MaybeText = None
    """Variant of the base's files, such as fp16 (default: fp16 for a folder that holds nothing else)."""
    revision: MaybeText = None
    """Branch, tag or commit of the base on the hub (default: its main branch)."""
    base_config: MaybeText = None
    """For a base that is a single file: the folder or hub name of a pipeline of the same kind, whose JSON and tokenizer
    files are used (default: the one on the hub that diffusers infers)."""
    vae: MaybeText = None
    """Autoencoder to use instead of the base's: a folder, a hub name or a single file."""
    config: MaybeFile = None
    """JSON file with defaults for these options: the course's config.json, or the run.json of an earlier run."""
    runs: Path = Path("runs")
    """Folder in which run folders are created: RUNS/lora/NAME."""
    name: MaybeText = None
    """Name of the run's folder (default: the next free number)."""
    overwrite: bool = False
    """Replace an existing run of that name."""
    resume: MaybeFolder = None
    """Continue the run in this folder, with the options it was started with."""
    dry_run: bool = False
    """Print the number of parameters, the memory and the time needed, and stop before training."""
    style: MaybeStyle = None
    """Train on this style only (default: one adapter for all styles)."""
    steps: MaybeNumber = None
    """Number of training steps (default: tiny 600, others 3000)."""
    batch_size: MaybeNumber = None
    """Images per step, over all processes (default: tiny 32, others 4)."""
    gradient_accumulation_steps: int = 1
    """Number of parts in which a batch is processed, one after another: less memory, the same update."""
    size: MaybeNumber = None
    """Side of the images, in pixels: a multiple of what the base needs (default: the size it was trained at)."""
    aspect: bool = False
    """Keep aspect ratios: use buckets of equal area, up to twice as wide or as tall, instead of squares."""
    rank: MaybeNumber = None
    """Rank of the low-rank matrices (default: tiny 32, others 16)."""
    alpha: MaybeReal = None
    """Scale of the adapter, which is divided by the rank (default: the rank)."""
    targets: Literal["auto", "attention", "feed-forward", "all"] = "auto"
    """Layers that are adapted: the attention projections; those and the feed-forward layers; or the convolutions too
    (auto: all for tiny, attention for others)."""
    text_encoder: Literal["auto", "none", "attention", "embeddings"] = "auto"
    """What is adapted in the text encoders: nothing; the attention projections; or those and the token embeddings of
    the trigger and of the style names (auto: embeddings for tiny, none for others). Captions are then encoded at every
    step."""
    lora_dropout: float = 0.0
    """Dropout probability of the adapter's inputs during training."""
    init_adapter: MaybeFile = None
    """Start from this adapter instead of a new one: the folder of a run, or its model.safetensors."""
    rslora: bool = False
    """Divide alpha by the square root of the rank instead of the rank (rsLoRA, Kalajdzievski 2023)."""
    dora: bool = False
    """Learn magnitude and direction separately (DoRA, Liu et al. 2024)."""
    loraplus_ratio: float = 1.0
    """Ratio of the learning rates of B and A (LoRA+, Hayou et al. 2024, recommend 16)."""
    lr: MaybeReal = None
    """Peak learning rate (default: 0.01 with muon, 1 with prodigy; else 1e-4, tiny 2e-3)."""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Learning rate after the warm-up: half a cosine to zero, a line to zero, or constant."""
    lr_warmup_ratio: float = 0.15
    """Fraction of the steps in which the learning rate rises linearly from zero."""
    text_encoder_lr: MaybeReal = None
    """Peak learning rate of the text encoders' adapter (default: half of --lr; with prodigy --lr)."""
    weight_decay: float = 0.01
    """Weight decay of the optimizer."""
    optimizer: Literal["auto", "adamw", "muon", "adamw8bit", "prodigy"] = "auto"
    """Optimizer (auto: muon for tiny, adamw for others). muon needs fewer steps on small bases; adamw8bit needs the
    extra `eightbit` and an NVIDIA GPU; prodigy finds the learning rate itself and needs the extra `prodigy`."""
    snr_gamma: MaybeReal = None
    """Gamma of the min-SNR loss weights; 0 turns them off (default: tiny 0, others 5). Not used by flow matching."""
    noise_offset: float = 0.0
    """Strength of the noise component that is constant over an image."""
    caption_dropout: float = 0.1
    """Probability that an image is trained without its caption, for classifier-free guidance."""
    caption_from: Literal["auto", "templates", "files"] = "auto"
    """Source of captions: templates over style, artist and title; files next to the images (x.txt for x.jpg,
    metadata.jsonl or captions.csv); or auto, files where there are any and templates for the rest."""
    captions_per_image: int = 2
    """Number of captions per image, each from another template."""
    artist_prob: MaybeReal = None
    """Probability that a caption names the artist, where known (default: tiny 0, others 0.5)."""
    clip_skip: int = 0
    """Last layers of CLIP text encoders that are left out, in training and in sampling; other programs count from 1, so
    their "clip skip 2" is 1 here."""
    max_sequence_length: MaybeNumber = None
    """Tokens to which FLUX.2's captions are padded or cut, in training and in sampling (default: 512, as in its
    pipeline; 128 needs a quarter of the cache)."""
    trigger: str = ""
    """A rare word to put in front of every caption, such as zwx."""
    flip: bool = False
    """Mirror images horizontally with probability one half."""
    power: float = 1.0
    """Exponent of balanced sampling: 0 follows the data, 1 draws all styles equally often, 0.5 lies between."""
    num_prior_images: int = 0
    """Number of images generated by the base alone before training, for prior preservation; 0 turns it off."""
    prior_loss_weight: float = 1.0
    """Weight of the loss on the images generated for prior preservation."""
    ema: float = 0.99
    """Decay per step of the averaged adapter, which is the one sampled, evaluated and saved."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: much less memory, about a third slower."""
    quantize: Literal["none", "nf4", "fp8"] = "none"
    """Keep the linear layers of the base's denoiser in 4 bits (nf4) or in 8 (fp8); needs the extra `quantize`."""
    offload: bool = False
    """Keep the text encoders in main memory and move one layer at a time to the GPU: slower encoding, for text encoders
    that do not fit."""
    no_cache: bool = False
    """Encode images and captions at every step instead of once."""
    save_every: MaybeNumber = None
    """Steps between two checkpoints and validation losses (default: a quarter of --steps, at most 250)."""
    sample_every: MaybeNumber = None
    """Steps between two sample grids, which are drawn at checkpoints; 0 draws none (default: as --save-every)."""
    score: MaybeNumber = None
    """Images per style in the evaluation at the end; 0 skips it (default: tiny 8, others 0)."""
    num_inference_steps: MaybeNumber = None
    """Denoising steps when sampling grids and evaluating (default: tiny 20, turbo 4, others 30)."""
    judge: MaybeFolder = None
    """Folder of the judge, written by wikiart-classify --export DIR (default: the folder judge, if there is one)."""
    seed: int = 0
    """Random seed for initialisation, data order, noise and captions."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Precision of the computation; auto takes the fastest that the hardware supports, and prints the reason."""
    compile: bool = False
    """Compile the denoiser with torch.compile: faster steps on a GPU, after a minute or more of compiling."""
    report_to: Tracker = "none"
    """Experiment tracker that also gets losses and metrics: tensorboard, trackio, wandb or mlflow, if installed."""
    push_to_hub: MaybeText = None
    """Upload adapter and model card to this repository of the hub at the end (owner/name)."""
    cache_dir: MaybeFolder = None
    """Folder for cached latents and embeddings (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""

    def __post_init__(self) -> None:
        """Refuse values of another type or out of range before anything is started.

        Raises:
            InputError: there is one.
        """
        check_types(self)
        check_ranges(self, _TRAIN_RANGES)


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """Options of a training run with every default filled in, as `resolve_config` makes it.

    The defaults here are those of `tiny`.
    """

    data: str = ""
    steps: int = 600
    batch_size: int = 32
    size: int = 64
    rank: int = 32
    alpha: float = 32.0
    targets: Literal["attention", "feed-forward", "all"] = "all"
    text_encoder: Literal["none", "attention", "embeddings"] = "embeddings"
    lr: float = 0.01
    text_encoder_lr: float = 0.005
    optimizer: Literal["adamw", "muon", "adamw8bit", "prodigy"] = "muon"
    snr_gamma: float = 0.0
    artist_prob: float = 0.0
    save_every: int = 150
    sample_every: int = 150
    score: int = 8


_TRAIN_RANGES = (
    ("steps", 1, 10_000_000),
    ("batch_size", 1, 65_536),
    ("gradient_accumulation_steps", 1, 65_536),
    ("size", 16, 4096),
    ("rank", 1, 4096),
    ("alpha", 1e-6, 1e6),
    ("loraplus_ratio", 1, 1000),
    ("lr", 0, 10),
    ("lr_warmup_ratio", 0, 1),
    ("lora_dropout", 0, 1),
    ("text_encoder_lr", 0, 10),
    ("weight_decay", 0, 10),
    ("snr_gamma", 0, 1e6),
    ("noise_offset", 0, 1),
    ("clip_skip", 0, 20),
    ("max_sequence_length", 16, 4096),
    ("caption_dropout", 0, 1),
    ("captions_per_image", 1, 4),
    ("artist_prob", 0, 1),
    ("power", 0, 1),
    ("num_prior_images", 0, 1_000_000),
    ("prior_loss_weight", 0, 1000),
    ("ema", 0, 1),
    ("save_every", 1, 10_000_000),
    ("sample_every", 0, 10_000_000),
    ("score", 0, 10_000),
    ("num_inference_steps", 1, 1000),
    ("seed", 0, 2**32),
    ("max_bad_fraction", 0, 1),
)

_OTHER_DEFAULTS = {
    "steps": 3000, "batch_size": 4, "rank": 16, "targets": "attention", "snr_gamma": 5.0, "artist_prob": 0.5,
    "score": 0, "optimizer": "adamw", "text_encoder": "none",
}  # fmt: skip
"""Defaults of all bases but `tiny`, whose are those of `TrainConfig`."""


def resolve_config(options: TrainOptions, root: Path) -> TrainConfig:
    """Fill in everything that was left to its default; options that are complete come back as they are.

    Args:
        options: from the command line or from Python.
        root: the data folder.

    Raises:
        InputError: the base cannot be found, so that its image size is not known; it does not take images of this size;
            or two options exclude each other.
    """
    from wikiart_lora.base_models.loading import files_of, read_geometry

    defaults = {
        name: getattr(TrainConfig, name) if options.base == "tiny" else _OTHER_DEFAULTS[name]
        for name in _OTHER_DEFAULTS
    }
    values = {field.name: getattr(options, field.name) for field in fields(TrainOptions)}
    values |= {name: value for name, value in defaults.items() if values[name] in (None, "auto")}
    geometry = read_geometry(options.base, files_of(options))
    if values["size"] is None:
        values["size"] = geometry.nearest_side(geometry.side)
    geometry.check_side(values["size"], options.base)
    values["data"] = str(root)
    if values["lr"] is None:
        by_optimizer = {"muon": 0.01, "prodigy": 1.0}
        values["lr"] = by_optimizer.get(values["optimizer"], 2e-3 if options.base == "tiny" else 1e-4)
    save_every = values["save_every"] or min(250, -(-values["steps"] // 4))
    derived = {
        "save_every": save_every,
        "sample_every": save_every,
        "text_encoder_lr": values["lr"] if values["optimizer"] == "prodigy" else values["lr"] / 2,
        "alpha": float(values["rank"]),
    }
    config = TrainConfig(**{**values, **{name: value for name, value in derived.items() if values[name] is None}})
    if config.offload and config.text_encoder != "none":
        raise InputError(
            "--offload is for text encoders that are not trained: add --text-encoder none.", field="--offload"
        )
    return config


def trained_styles(style: str | None, styles: Sequence[str]) -> tuple[str, ...]:
    """The styles that a run trains on: one, or all of the class list.

    Args:
        style: `--style`, in any spelling; None for all.
        styles: the class list.

    Raises:
        InputError: there is no such style.
    """
    return tuple(styles) if style is None else (styles[style_index(style, styles, field="--style")],)


def check_ranges(options: object, ranges: Sequence[tuple[str, float, float]]) -> None:
    """Refuse values out of range, in tuples too; a name that `options` lacks is skipped.

    Raises:
        InputError: an option is out of its range.
    """
    for name, low, high in ranges:
        given = getattr(options, name, None)
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} {value:g} is not in {low:g}..{high:.10g}.", field=option)


def check_png(path: Path) -> None:
    """Refuse the name of a figure before the work is done that it shows.

    Raises:
        InputError: it does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--to {path}: the file name must end in .png.", field="--to")
