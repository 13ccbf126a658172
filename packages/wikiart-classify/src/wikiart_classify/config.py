"""What a training run uses: `TrainConfig`, how it follows from the options of the command line, and its data."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

from wikiart_classify.folds import split_into_folds
from wikiart_classify.imbalance.methods import Balance
from wikiart_classify.options import Half, Model, Precision, Split, Stem, TrainOptions, check_training_options
from wikiart_data.errors import InputError
from wikiart_data.images.artists import keep_half_of_artists, split_by_artist
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.label_tables import LabelColumn
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.sample import is_sample_set
from wikiart_data.training.trackers import Tracker


@dataclass(frozen=True)
class TrainConfig:
    """Resolved options of a training run, as run.json and model.safetensors hold them.

    The fields are those of `TrainOptions`, which documents them; the defaults are those of the network `small`.

    Raises:
        InputError: a value is out of range, or two contradict one another.
    """

    data: str
    labels: Path | None = None
    label_column: LabelColumn = "style"
    config: Path | None = None
    runs: Path = Path("runs")
    name: str | None = None
    overwrite: bool = False
    resume: Path | None = None
    export: Path | None = None
    model: Model = "small"
    width: float = 1.0
    stem: Stem = "patch"
    split: Split = "given"
    folds: int = 5
    fold: int = 0
    artist_half: Half = "all"
    train_on_valid: bool = False
    extra: Path | None = None
    extra_weight: float = 0.3
    balance: Balance = "none"
    tau: float = 0.5
    power: float = 0.0
    size: int = 160
    epochs: int = 50
    batch_size: int = 128
    lr: float = 0.02
    weight_decay: float = 0.3
    label_smoothing: float = 0.1
    mix_prob: float = 0.95
    ema: float = 0.998
    artists: float = 0.5
    head_decay: float = 0.0
    max_norm: float = 0.0
    cosine_loss: bool = False
    distillation: float = 0.0
    teacher: Path | None = None
    msam: float = 0.0
    warmup_pictures: int = 0
    calibrate: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False
    report_to: Tracker = "none"
    cache_dir: Path | None = None
    max_bad_fraction: float = 0.01

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict one another."""
        check_training_options(self)

    @property
    def is_baseline(self) -> bool:
        """Whether the network is a baseline: trained by Adam at a constant rate, in fp32, without augmentation."""
        return self.model in BASELINE_DEFAULTS

    @property
    def packed_size(self) -> int:
        """Side of the packed images, in pixels: crops are cut from larger ones, a baseline takes them whole."""
        return self.size if self.is_baseline else math.ceil(self.size * 8 / 7)


@dataclass(frozen=True)
class Defaults:
    """Options of `TrainOptions` whose default depends on the network."""

    size: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    mix_prob: float
    ema: float
    artists: float


DEFAULTS = Defaults(**{field.name: getattr(TrainConfig, field.name) for field in fields(Defaults)})
"""For the networks of this toolkit: tiny, small, base."""
SAMPLE_DEFAULTS = replace(DEFAULTS, size=128, epochs=12, weight_decay=0.05)
"""For those on the sample set, which is learned faster than real paintings and hardly overfitted."""
_PLAIN = {"weight_decay": 0.0, "label_smoothing": 0.0, "mix_prob": 0.0, "ema": 0.0, "artists": 0.0}
BASELINE_DEFAULTS = {
    "inclass": Defaults(416, 20, 32, 1e-2, **_PLAIN),
    "threeblock": Defaults(224, 15, 32, 1e-3, **_PLAIN),
}
"""For the baselines: the training settings of their authors, but for threeblock's size: at 416 pixels a step takes four
times as long."""


def resolve_config(options: TrainOptions | TrainConfig, root: Path) -> TrainConfig:
    """Fill in every option that was left to its default.

    Args:
        options: as given on the command line, or a config, of which only `data` changes.
        root: the data folder; the sample set has defaults of its own.
    """
    if isinstance(options, TrainConfig):
        return replace(options, data=str(root))
    defaults = BASELINE_DEFAULTS.get(options.model)
    if defaults is None:
        defaults = SAMPLE_DEFAULTS if is_sample_set(root) else DEFAULTS
    given = {name: value for name, value in vars(options).items() if value is not None}
    for name in ("teacher", "extra"):  # a resumed run finds them again from any working directory
        if name in given:
            given[name] = given[name].expanduser().absolute()
    config = TrainConfig(**{**vars(defaults), **given, "data": str(root)})
    if config.is_baseline and config.precision == "auto":
        config = replace(config, precision="fp32")
    return config


def load_catalog(config: TrainConfig) -> Catalog:
    """The catalog of the data folder, re-split if the config says so.

    Raises:
        InputError: the folder cannot be used, or has one style only.
    """
    catalog = scan(config.data, cache_dir=config.cache_dir)
    if len(catalog.styles) < 2:
        raise InputError(
            f"{catalog.root} has fewer than two styles, and a classifier needs at least two.",
            field=catalog.root,
        )
    if config.split == "artist":
        catalog = split_by_artist(catalog, config.seed)
    elif config.split == "fold":
        catalog = split_into_folds(catalog, config.folds, config.fold, config.seed)
    return catalog if config.artist_half == "all" else keep_half_of_artists(catalog, config.artist_half)


def load_packed(config: TrainConfig) -> PackedImages:
    """The packed images of the data folder, at the size that the network needs.

    Raises:
        InputError: the folder cannot be used, has one style only, or too many of its files are unreadable.
    """
    catalog = load_catalog(config)
    return pack(catalog, config.packed_size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)
