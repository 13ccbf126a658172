"""`wikiart-stylegen`: its commands, from training to a page in the browser."""

from collections.abc import Sequence

from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_stylegen.command_options import (
    DemoOptions,
    EmbeddingsOptions,
    EvaluateOptions,
    GridOptions,
    RepaintOptions,
    SizesOptions,
    SynthesiseOptions,
    WalkOptions,
)
from wikiart_stylegen.config import TrainOptions
from wikiart_stylegen.study.options import StudyOptions, StudyResultsOptions

ABOUT = "Style transfer: an autoencoder that repaints an image in any style, and its evaluation."

COMMANDS = (
    Command("train", TrainOptions, "wikiart_stylegen.training:train", "train, and draw a grid of images × styles"),
    Command(
        "evaluate", EvaluateOptions, "wikiart_stylegen.evaluation:evaluate", "measure style and content of repaints"
    ),
    Command("repaint", RepaintOptions, "wikiart_stylegen.commands:repaint", "repaint an image of any size in a style"),
    Command("sizes", SizesOptions, "wikiart_stylegen.sizes:sizes", "compare repaints of one picture at several sizes"),
    Command("grid", GridOptions, "wikiart_stylegen.commands:grid", "repaint several images in every style"),
    Command("walk", WalkOptions, "wikiart_stylegen.commands:walk", "animate the way from one style to another"),
    Command(
        "synthesise", SynthesiseOptions, "wikiart_stylegen.synthesise:synthesise", "write a data folder of repaints"
    ),
    Command("embeddings", EmbeddingsOptions, "wikiart_stylegen.commands:embeddings", "compare the learned styles"),
    Command("study", StudyOptions, "wikiart_stylegen.study.page:study", "write a page that asks people about repaints"),
    Command(
        "study-results",
        StudyResultsOptions,
        "wikiart_stylegen.study.answers:study_results",
        "summarise the answers of a study",
    ),
    Command("demo", DemoOptions, "wikiart_stylegen.demo:demo", "open a page in the browser that repaints pictures"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    return run_command("wikiart-stylegen", ABOUT, COMMANDS, argv)
