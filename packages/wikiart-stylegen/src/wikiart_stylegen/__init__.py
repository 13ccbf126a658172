"""Style transfer: an autoencoder conditioned on trained style embeddings, which repaints an image in any style.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_stylegen.command_options import EvaluateOptions
    from wikiart_stylegen.config import TrainConfig, TrainOptions
    from wikiart_stylegen.evaluation import evaluate
    from wikiart_stylegen.results import TrainResult
    from wikiart_stylegen.training import train
    from wikiart_stylegen.transfer import StyleTransfer, load

__all__ = [
    "EvaluateOptions",
    "StyleTransfer",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "evaluate",
    "load",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EvaluateOptions": "command_options",
        "StyleTransfer": "transfer",
        "TrainConfig": "config",
        "TrainOptions": "config",
        "TrainResult": "results",
        "evaluate": "evaluation",
        "load": "transfer",
        "train": "training",
    },
)
