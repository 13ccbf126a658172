"""`wikiart-data`: look at a folder of paintings, mend it, pack it, or get one."""

from collections.abc import Sequence

from wikiart_data.commands import Command
from wikiart_data.commands import main as run_command
from wikiart_data.config import PackOptions, SampleOptions, ShowOptions, StatsOptions
from wikiart_data.doctor import DoctorOptions
from wikiart_data.download import DownloadOptions
from wikiart_data.roboflow import ImportOptions

ABOUT = "Folders of paintings in style folders: count, look, check, pack, paint a sample, download, import."

COMMANDS = (
    Command("stats", StatsOptions, "wikiart_data.stats:stats", "pictures per style and split, draws per style"),
    Command("show", ShowOptions, "wikiart_data.show:show", "write a contact sheet, a row a style"),
    Command("doctor", DoctorOptions, "wikiart_data.doctor:doctor", "find what is wrong with a folder or this machine"),
    Command("pack", PackOptions, "wikiart_data.prepare:pack_now", "decode every picture once into the cache"),
    Command("sample", SampleOptions, "wikiart_data.prepare:sample_now", "paint the built-in sample set"),
    Command("download", DownloadOptions, "wikiart_data.download:download", "get WikiArt from the Hugging Face hub"),
    Command("import", ImportOptions, "wikiart_data.roboflow:import_zip", "unpack a Roboflow folder export"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-data", ABOUT, COMMANDS, argv)
