"""Paintings in style folders: scanned, decoded once, batched on the device; training runs that survive a kill.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "STYLES": "styles",
        "Augment": "images.augment",
        "BalancedSampler": "images.sampler",
        "Batches": "images.batches",
        "Catalog": "images.catalog",
        "DeviceImages": "images.batches",
        "InputError": "errors",
        "Judge": "judge",
        "PackedImages": "images.packed",
        "ShardBatches": "images.shards",
        "load_images": "images.load",
        "pack": "images.packed",
        "scan": "images.catalog",
        "write_shards": "images.shards",
    },
)
