"""Paintings in style folders: scanned, decoded once, batched on the device; training runs that survive a kill.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wikiart_data.errors import InputError
    from wikiart_data.images.augment import Augment
    from wikiart_data.images.batches import Batches, DeviceImages
    from wikiart_data.images.catalog import Catalog, scan
    from wikiart_data.images.load import load_images
    from wikiart_data.images.packed import PackedImages, pack
    from wikiart_data.images.sampler import BalancedSampler
    from wikiart_data.images.shards import ShardBatches, write_shards
    from wikiart_data.judge import Judge
    from wikiart_data.styles import STYLES

__all__ = [
    "STYLES",
    "Augment",
    "BalancedSampler",
    "Batches",
    "Catalog",
    "DeviceImages",
    "InputError",
    "Judge",
    "PackedImages",
    "ShardBatches",
    "load_images",
    "pack",
    "scan",
    "write_shards",
]

_MODULES = {
    "STYLES": "wikiart_data.styles",
    "Augment": "wikiart_data.images.augment",
    "BalancedSampler": "wikiart_data.images.sampler",
    "Batches": "wikiart_data.images.batches",
    "Catalog": "wikiart_data.images.catalog",
    "DeviceImages": "wikiart_data.images.batches",
    "InputError": "wikiart_data.errors",
    "Judge": "wikiart_data.judge",
    "PackedImages": "wikiart_data.images.packed",
    "ShardBatches": "wikiart_data.images.shards",
    "load_images": "wikiart_data.images.load",
    "pack": "wikiart_data.images.packed",
    "scan": "wikiart_data.images.catalog",
    "write_shards": "wikiart_data.images.shards",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
