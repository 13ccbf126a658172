"""`wikiart-cluster`: cluster codes and draw the map; compare kinds of codes."""

from collections.abc import Sequence

from wikiart_autoencode.clustering.config import ClusterOptions, CompareOptions
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Do styles cluster? Cluster the codes of paintings, measure how well clusters agree with styles, draw the map."

COMMANDS = (
    Command(
        "cluster",
        ClusterOptions,
        "wikiart_autoencode.clustering.cluster_codes:cluster_codes",
        "cluster, measure, draw the map",
    ),
    Command(
        "compare",
        CompareOptions,
        "wikiart_autoencode.clustering.compare:compare",
        "compare codes with pixels, colours and chance",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-cluster", ABOUT, COMMANDS, argv)
