"""Painting styles from scratch: train a classifier, apply it, and study class imbalance.

    from wikiart_classify import Classifier

    classifier = Classifier.load("runs/classify/001")
    print(classifier.predict("photo.jpg").top(3))

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_classify.classifier import Classifier, Predictions, load
    from wikiart_classify.config import TrainConfig
    from wikiart_classify.options import TrainOptions
    from wikiart_classify.scores import Scores, TrainResult
    from wikiart_classify.training import train

__all__ = [
    "Classifier",
    "Predictions",
    "Scores",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "load",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Classifier": "classifier",
        "Predictions": "classifier",
        "Scores": "scores",
        "TrainConfig": "config",
        "TrainOptions": "options",
        "TrainResult": "scores",
        "load": "classifier",
        "train": "training",
    },
)
