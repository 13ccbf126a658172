"""LoRA fine-tuning of a pretrained diffusion model in the painting styles.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_lora.config import TrainConfig, TrainOptions
    from wikiart_lora.evaluation import evaluate
    from wikiart_lora.options import EvaluateOptions
    from wikiart_lora.pipeline import load_pipeline
    from wikiart_lora.score import Score
    from wikiart_lora.training import TrainResult, train

__all__ = [
    "EvaluateOptions", "Score", "TrainConfig", "TrainOptions", "TrainResult", "evaluate", "load_pipeline", "train",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EvaluateOptions": "options",
        "Score": "score",
        "TrainConfig": "config",
        "TrainOptions": "config",
        "TrainResult": "training",
        "evaluate": "evaluation",
        "load_pipeline": "pipeline",
        "train": "training",
    },
)
