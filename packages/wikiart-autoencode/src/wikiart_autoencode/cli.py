"""`wikiart-autoencode`: train, encode, evaluate, reconstruct, interpolate."""

from collections.abc import Sequence

from wikiart_autoencode.config import (
    EncodeOptions,
    EvaluateOptions,
    InterpolateOptions,
    ReconstructOptions,
    TrainOptions,
)
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Train an autoencoder on paintings, save its codes, and evaluate what they retain."

COMMANDS = (
    Command("train", TrainOptions, "wikiart_autoencode.training:train", "train, evaluate, write a run folder"),
    Command("encode", EncodeOptions, "wikiart_autoencode.commands:encode", "save the codes of all pictures"),
    Command(
        "evaluate",
        EvaluateOptions,
        "wikiart_autoencode.evaluation.evaluate:evaluate",
        "compare with PCA, JPEG and WebP at the same number of bytes",
    ),
    Command(
        "reconstruct",
        ReconstructOptions,
        "wikiart_autoencode.commands:reconstruct",
        "draw pictures and reconstructions",
    ),
    Command(
        "interpolate",
        InterpolateOptions,
        "wikiart_autoencode.commands:interpolate",
        "draw a strip between two pictures",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-autoencode", ABOUT, COMMANDS, argv)
