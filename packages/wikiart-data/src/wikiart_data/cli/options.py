"""The options of wikiart-data's own commands: a frozen dataclass is the command line and the help text."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from wikiart_data.cli.option_types import MaybeData, MaybeFile, MaybeFolder, Names


@dataclass(frozen=True)
class StatsOptions:
    """Pictures per style and split, and how often a balanced sampler would draw each style.

    Example: wikiart-data stats --data paintings --power 0.5 --figure counts.png
    """

    data: MaybeData = None
    """Folder with train/, valid/ and test/ (default: $WIKIART_DATA, else the built-in sample set)."""
    power: float = 0.5
    """Balance of sampling: 0 as the styles come, 1 every style equally often, 0.5 between."""
    figure: MaybeFile = None
    """Write a bar figure to this PNG file."""
    json: bool = False
    """Print everything as JSON and nothing else."""
    cache_dir: MaybeFolder = None
    """Where the folder's listing is remembered (default: $WIKIART_CACHE, else the user's cache)."""


@dataclass(frozen=True)
class ShowOptions:
    """A contact sheet: a row a style, pictures drawn at random.

    Example: wikiart-data show sheet.png --data paintings --styles Baroque Ukiyo_e
    """

    target: tyro.conf.Positional[Path] = Path("contact-sheet.png")
    """The PNG or JPEG file to write."""
    data: MaybeData = None
    """Folder of paintings (default: $WIKIART_DATA, else the built-in sample set)."""
    split: str = "train"
    """train, valid or test."""
    styles: Names = ()
    """Only these styles (default: all)."""
    columns: int = 8
    """Pictures a style."""
    size: int = 96
    """Side of a picture, in pixels."""
    seed: int = 0
    """Which pictures are drawn."""
    cache_dir: MaybeFolder = None
    """Where the folder's listing is remembered."""


@dataclass(frozen=True)
class PackOptions:
    """Decode every picture once into the cache; training does this by itself when it is needed.

    Example: wikiart-data pack --data paintings
    """

    data: MaybeData = None
    """Folder of paintings (default: $WIKIART_DATA, else the built-in sample set)."""
    size: int = 147
    """Side of the squares, in pixels (wikiart-classify at its default size uses 147)."""
    cache_dir: MaybeFolder = None
    """Where packs are kept (default: $WIKIART_CACHE, else the user's cache)."""
    bad_limit: float = 0.01
    """Largest share of unreadable files to accept."""


@dataclass(frozen=True)
class SampleOptions:
    """Paint the built-in sample set: 27 styles, the course's imbalance, about 3,500 pictures.

    Example: wikiart-data sample --to sample
    """

    to: MaybeFolder = None
    """Folder to write (default: the cache, where every command finds it)."""
    cache_dir: MaybeFolder = None
    """Where the cache is (default: $WIKIART_CACHE, else the user's cache)."""
