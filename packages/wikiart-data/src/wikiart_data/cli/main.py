"""`wikiart-data`: inspect a folder of paintings, put it in order, pack it, or get one."""

from collections.abc import Sequence

from wikiart_data.acquire.download import DownloadOptions
from wikiart_data.acquire.roboflow import ImportOptions
from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_data.cli.options import OrganiseOptions, PackOptions, SampleOptions, ShowOptions, StatsOptions
from wikiart_data.doctor.doctor import DoctorOptions

ABOUT = "Folders of paintings: count, show, check, pack, organise, paint a sample set, download, import."

COMMANDS = (
    Command("stats", StatsOptions, "wikiart_data.cli.stats:stats", "pictures per style and split, draws per style"),
    Command("show", ShowOptions, "wikiart_data.cli.show:show", "write a contact sheet, one row per style"),
    Command(
        "doctor", DoctorOptions, "wikiart_data.doctor.doctor:doctor", "find what is wrong with a folder or this machine"
    ),
    Command("pack", PackOptions, "wikiart_data.cli.prepare:pack_now", "decode every picture once into the cache"),
    Command(
        "organise",
        OrganiseOptions,
        "wikiart_data.acquire.organise:organise",
        "write the standard layout from a folder of any other",
    ),
    Command("sample", SampleOptions, "wikiart_data.cli.prepare:sample_now", "paint the built-in sample set"),
    Command(
        "download", DownloadOptions, "wikiart_data.acquire.download:download", "get WikiArt from the Hugging Face hub"
    ),
    Command("import", ImportOptions, "wikiart_data.acquire.roboflow:import_zip", "unpack a Roboflow export"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return run_command("wikiart-data", ABOUT, COMMANDS, argv)
