"""`wikiart-classify`: train, evaluate, predict, compare, audit, rebalance, export, demo."""

from collections.abc import Sequence

from wikiart_classify.command_options import (
    AuditOptions,
    CompareOptions,
    DemoOptions,
    EvaluateOptions,
    ExportOptions,
    PredictOptions,
    RebalanceOptions,
)
from wikiart_classify.options import TrainOptions
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Classify painting styles: train a network from scratch, evaluate it, predict the styles of images."

COMMANDS = (
    Command("train", TrainOptions, "wikiart_classify.training:train", "train, evaluate, and write a run folder"),
    Command("evaluate", EvaluateOptions, "wikiart_classify.evaluate:evaluate", "evaluate a network on one split"),
    Command("predict", PredictOptions, "wikiart_classify.predict:predict", "predict the styles of images"),
    Command("compare", CompareOptions, "wikiart_classify.compare:compare", "compare networks, methods or recipes"),
    Command("audit", AuditOptions, "wikiart_classify.audit:audit", "find likely mislabels and confident mistakes"),
    Command(
        "rebalance",
        RebalanceOptions,
        "wikiart_classify.imbalance.rebalance:rebalance",
        "balance the last layer of a trained network",
    ),
    Command("export", ExportOptions, "wikiart_classify.export:export", "export a judge, which scores images"),
    Command("demo", DemoOptions, "wikiart_classify.demo:demo", "open a page in the browser that classifies pictures"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-classify", ABOUT, COMMANDS, argv)
