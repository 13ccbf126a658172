"""`wikiart-stylegen`: train, evaluate, transfer, grid, walk, embeddings."""

from collections.abc import Sequence

from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_stylegen.config import (
    EmbeddingsConfig,
    EvaluateConfig,
    GridConfig,
    TrainConfig,
    TransferConfig,
    WalkConfig,
)

ABOUT = "Style in, style out: an autoencoder that repaints a picture in any style, and the proof that it does."

COMMANDS = (
    Command("train", TrainConfig, "wikiart_stylegen.train:train", "train, and draw pictures × styles"),
    Command("evaluate", EvaluateConfig, "wikiart_stylegen.evaluate:evaluate", "is it the style, is it the picture?"),
    Command("transfer", TransferConfig, "wikiart_stylegen.transfer:transfer", "repaint a picture of any size"),
    Command("grid", GridConfig, "wikiart_stylegen.transfer:grid", "given pictures in every style"),
    Command("walk", WalkConfig, "wikiart_stylegen.transfer:walk", "an animation from style to style"),
    Command("embeddings", EmbeddingsConfig, "wikiart_stylegen.embeddings:embeddings", "which styles are alike"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-stylegen", ABOUT, COMMANDS, argv)
