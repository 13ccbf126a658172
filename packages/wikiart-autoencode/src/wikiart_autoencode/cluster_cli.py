"""`wikiart-cluster`: cluster codes and draw the map; compare."""

from collections.abc import Sequence

from wikiart_autoencode.cluster_config import ClusterConfig, CompareConfig
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command

ABOUT = "Do styles cluster? Cluster the codes of paintings, measure what clusters have to do with styles, draw the map."

COMMANDS = (
    Command("cluster", ClusterConfig, "wikiart_autoencode.cluster:cluster_codes", "cluster, measure, draw the map"),
    Command("compare", CompareConfig, "wikiart_autoencode.compare:compare", "codes beside pixels, colours and chance"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-cluster", ABOUT, COMMANDS, argv)
