"""Style transfer: an autoencoder conditioned on trained style embeddings, which repaints an image in any style.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wikiart_stylegen.config import TrainConfig, TrainOptions
    from wikiart_stylegen.training import train
    from wikiart_stylegen.transfer import StyleTransfer, load

__all__ = ["StyleTransfer", "TrainConfig", "TrainOptions", "load", "train"]

_MODULES = {
    "StyleTransfer": "wikiart_stylegen.transfer",
    "TrainConfig": "wikiart_stylegen.config",
    "TrainOptions": "wikiart_stylegen.config",
    "load": "wikiart_stylegen.transfer",
    "train": "wikiart_stylegen.training",
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
