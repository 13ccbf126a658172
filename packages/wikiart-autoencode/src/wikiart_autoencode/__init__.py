"""An autoencoder for paintings, its codes, and whether styles cluster in them.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_autoencode.autoencoder import Autoencoder, load
    from wikiart_autoencode.clustering.methods import Clustering, cluster
    from wikiart_autoencode.codes import Codes
    from wikiart_autoencode.config import TrainConfig, TrainOptions
    from wikiart_autoencode.training import TrainResult, train

__all__ = [
    "Autoencoder",
    "Clustering",
    "Codes",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "cluster",
    "load",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Autoencoder": "autoencoder",
        "Clustering": "clustering.methods",
        "Codes": "codes",
        "TrainConfig": "config",
        "TrainOptions": "config",
        "TrainResult": "training",
        "cluster": "clustering.methods",
        "load": "autoencoder",
        "train": "training",
    },
)
