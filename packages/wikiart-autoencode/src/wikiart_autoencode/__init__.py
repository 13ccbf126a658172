"""An autoencoder for paintings, its codes, and whether styles cluster in them.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wikiart_autoencode.autoencoder import Autoencoder, load
    from wikiart_autoencode.clustering.methods import Clustering, cluster
    from wikiart_autoencode.codes import Codes
    from wikiart_autoencode.config import TrainConfig, TrainOptions
    from wikiart_autoencode.training import train

__all__ = ["Autoencoder", "Clustering", "Codes", "TrainConfig", "TrainOptions", "cluster", "load", "train"]

_MODULES = {
    "Autoencoder": "wikiart_autoencode.autoencoder",
    "Clustering": "wikiart_autoencode.clustering.methods",
    "Codes": "wikiart_autoencode.codes",
    "TrainConfig": "wikiart_autoencode.config",
    "TrainOptions": "wikiart_autoencode.config",
    "cluster": "wikiart_autoencode.clustering.methods",
    "load": "wikiart_autoencode.autoencoder",
    "train": "wikiart_autoencode.training",
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
