"""`wikiart-classify`: train, test, predict, compare, rebalance, export."""

from collections.abc import Sequence

from wikiart_classify.config import (
    CompareConfig,
    ExportConfig,
    PredictConfig,
    RebalanceConfig,
    TestConfig,
    TrainConfig,
)
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Painting styles from scratch: train a network on 27 styles, test it honestly, name the style of a picture."

COMMANDS = (
    Command("train", TrainConfig, "wikiart_classify.train:train", "train, test, and write a run's folder"),
    Command("test", TestConfig, "wikiart_classify.test:test", "test a trained network on one split"),
    Command("predict", PredictConfig, "wikiart_classify.predict:predict", "name the styles of pictures"),
    Command("compare", CompareConfig, "wikiart_classify.compare:compare", "baselines, or methods against imbalance"),
    Command("rebalance", RebalanceConfig, "wikiart_classify.rebalance:rebalance", "balance a trained network"),
    Command("export", ExportConfig, "wikiart_classify.export:export", "write a judge that other parts score with"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-classify", ABOUT, COMMANDS, argv)
