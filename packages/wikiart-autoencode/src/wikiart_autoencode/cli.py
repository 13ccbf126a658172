"""`wikiart-autoencode`: train, encode, measure, reconstruct, interpolate."""

from collections.abc import Sequence

from wikiart_autoencode.config import EncodeConfig, InterpolateConfig, MeasureConfig, ReconstructConfig, TrainConfig
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Paintings as a few numbers: train an autoencoder, save its codes, look at what they keep."

COMMANDS = (
    Command("train", TrainConfig, "wikiart_autoencode.train:train", "train, measure, and write a run's folder"),
    Command("encode", EncodeConfig, "wikiart_autoencode.encode:encode", "save the codes of all pictures"),
    Command("measure", MeasureConfig, "wikiart_autoencode.measure:measure", "against PCA, JPEG and WebP, by bytes"),
    Command(
        "reconstruct", ReconstructConfig, "wikiart_autoencode.reconstruct:reconstruct", "a grid for given pictures"
    ),
    Command(
        "interpolate", InterpolateConfig, "wikiart_autoencode.interpolate:interpolate", "a strip between two pictures"
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-autoencode", ABOUT, COMMANDS, argv)
