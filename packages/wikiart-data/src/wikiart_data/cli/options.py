"""The options of wikiart-data's own commands, and those about data folders that commands of every part share.

A frozen dataclass is the command line and the help text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, Names


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Where the labels of a data folder come from, if not from its folders: a base for any command's options."""

    labels: MaybeFile = None
    """CSV file with the label of each picture, and its split if it has such a column (default: one
    that comes with the pictures)."""
    label_column: Literal["style", "artist", "genre"] = "style"
    """What the classes are: styles, or the artists or genres that a CSV file names."""


@dataclass(frozen=True, kw_only=True)
class _FolderOption:
    data: MaybeData = None
    """Folder of paintings (default: $WIKIART_DATA, else the built-in sample set)."""


@dataclass(frozen=True, kw_only=True)
class DataOptions(LabelOptions, _FolderOption):  # bases from right to left, as --help lists their options
    """A data folder and where its labels come from: a base for any command's options."""


@dataclass(frozen=True)
class StatsOptions(DataOptions):
    """Pictures per style and split, and how often a balanced sampler would draw each style.

    Example: wikiart-data stats --data paintings --power 0.5 --figure counts.png
    """

    power: float = 0.5
    """Strength of the balanced sampler: 0 draws styles as often as they occur, 1 all equally often."""
    figure: MaybeFile = None
    """Write a bar chart to this PNG file."""
    json: bool = False
    """Print everything as JSON and nothing else."""
    cache_dir: MaybeFolder = None
    """Cache folder, where the folder's listing is kept (default: $WIKIART_CACHE, else the user's cache)."""


@dataclass(frozen=True)
class ShowOptions(DataOptions):
    """Write a contact sheet: one row per style, of pictures drawn at random.

    Example: wikiart-data show sheet.png --data paintings --styles Baroque Ukiyo_e
    """

    target: tyro.conf.Positional[Path] = Path("contact-sheet.png")
    """The PNG or JPEG file to write."""
    split: str = "train"
    """Split to draw from: train, valid or test."""
    styles: Names = ()
    """Only these styles (default: all)."""
    columns: int = 8
    """Pictures per style."""
    size: int = 96
    """Side of a picture, in pixels."""
    seed: int = 0
    """Random seed for the choice of pictures."""
    cache_dir: MaybeFolder = None
    """Cache folder, where the folder's listing is kept (default: $WIKIART_CACHE, else the user's cache)."""


@dataclass(frozen=True)
class PackOptions(DataOptions):
    """Decode every picture once into the cache. Training does this by itself when needed.

    Example: wikiart-data pack --data paintings
    """

    size: int = 147
    """Side of the squares, in pixels. wikiart-classify packs 183 by default, and 147 on the sample set."""
    shards: MaybeFolder = None
    """Also write the pictures as shards to this folder, one subfolder per split, for
    wikiart_data.ShardBatches (needs the extra `shards`)."""
    cache_dir: MaybeFolder = None
    """Cache folder, where packs are kept (default: $WIKIART_CACHE, else the user's cache)."""
    max_bad_fraction: float = 0.01
    """Largest fraction of unreadable files to accept."""


@dataclass(frozen=True)
class OrganiseOptions(LabelOptions):
    """Write the standard layout, DIR/{train,valid,test}/<Style>/*, from a folder of any layout that can be read.

    Example: wikiart-data organise wikiart --to paintings
    """

    source: tyro.conf.Positional[str]
    """The folder to read. Nothing in it is changed."""
    to: Path
    """The folder to make. It must not exist yet, or be empty."""
    copy: bool = False
    """Copy the files instead of linking to them (symbolic links)."""
    seed: int = 0
    """Random seed for splits that the folder does not have."""


@dataclass(frozen=True)
class SampleOptions:
    """Paint the built-in sample set: 27 styles, the course's imbalance, about 3,500 pictures.

    Example: wikiart-data sample --to sample
    """

    to: MaybeFolder = None
    """Folder to write (default: the cache, where every command finds it)."""
    cache_dir: MaybeFolder = None
    """Cache folder (default: $WIKIART_CACHE, else the user's cache)."""
