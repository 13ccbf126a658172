"""`wikiart-data`: look at a folder of paintings, mend it, pack it, or get one."""

from collections.abc import Sequence

from wikiart_data.acquire.download import DownloadOptions
from wikiart_data.acquire.roboflow import ImportOptions
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_data.cli.options import PackOptions, SampleOptions, ShowOptions, StatsOptions
from wikiart_data.doctor.doctor import DoctorOptions

ABOUT = "Folders of paintings in style folders: count, look, check, pack, paint a sample, download, import."

COMMANDS = (
    Command("stats", StatsOptions, "wikiart_data.cli.stats:stats", "pictures per style and split, draws per style"),
    Command("show", ShowOptions, "wikiart_data.cli.show:show", "write a contact sheet, a row a style"),
    Command(
        "doctor", DoctorOptions, "wikiart_data.doctor.doctor:doctor", "find what is wrong with a folder or this machine"
    ),
    Command("pack", PackOptions, "wikiart_data.cli.prepare:pack_now", "decode every picture once into the cache"),
    Command("sample", SampleOptions, "wikiart_data.cli.prepare:sample_now", "paint the built-in sample set"),
    Command(
        "download", DownloadOptions, "wikiart_data.acquire.download:download", "get WikiArt from the Hugging Face hub"
    ),
    Command("import", ImportOptions, "wikiart_data.acquire.roboflow:import_zip", "unpack a Roboflow folder export"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-data", ABOUT, COMMANDS, argv)
