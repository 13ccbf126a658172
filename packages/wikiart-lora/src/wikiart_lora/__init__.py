"""LoRA fine-tuning of a pretrained diffusion model in the painting styles.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wikiart_lora.config import TrainConfig, TrainOptions
    from wikiart_lora.pipeline import load_pipeline
    from wikiart_lora.training import train

__all__ = ["TrainConfig", "TrainOptions", "load_pipeline", "train"]

_MODULES = {
    "TrainConfig": "wikiart_lora.config",
    "TrainOptions": "wikiart_lora.config",
    "load_pipeline": "wikiart_lora.pipeline",
    "train": "wikiart_lora.training",
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
