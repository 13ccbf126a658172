"""Everything that can go wrong, done to every long command on purpose: is anything lost?

    uv run python faults [--kills 20] [--only kill disk ...] [--odd DIR] [--quick]

Prints a table: what was tried, how often, how it ended, and what was lost, which must be nothing. Everything happens to
tiny runs below a temporary folder. Mounting small and read-only disks needs root; elsewhere those lines are left out.
"""

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums of other shares would differ in a bit

from faults.tally import Tally

GROUPS = ("bytes", "names", "flips", "loss", "kill", "term", "disk")


def main() -> int:
    """Try everything that is asked for; 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kills of each command")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="only these groups")
    parser.add_argument("--commands", nargs="+", help="only these commands: pack classify autoencode stylegen …")
    parser.add_argument("--odd", type=Path, help="a folder of odd picture files, to be decoded too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many trials at once")
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything, to see that it works")
    options = parser.parse_args()
    kills, share = (2, 20) if options.quick else (options.kills, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays mounted
    tally, began = Tally(), time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        if "bytes" in options.only:
            from faults import bytes as faults_bytes

            faults_bytes.mutated(8_000 // share, options.seed, place, tally)
            if options.odd:
                faults_bytes.odd(options.odd, place, tally)
        if "names" in options.only:
            from faults import names as faults_names

            faults_names.hostile(options.seed, place, tally)
        if set(options.only) & {"flips", "loss", "kill", "term", "disk"}:
            on_commands(options, kills, share, place, tally)
    finally:
        unmount(place)
        shutil.rmtree(place, ignore_errors=True)
    print(tally.table())
    cores, minutes = os.cpu_count(), (time.monotonic() - began) / 60
    print(f"\nSeed {options.seed}, {platform.machine()} with {cores} cores, {minutes:.0f} minutes.")
    return 1 if tally.losses else 0


def on_commands(options: argparse.Namespace, kills: int, share: int, place: Path, tally: Tally) -> None:
    """The groups that need trained networks and forks of them, several at a time."""
    from faults.child import asked
    from faults.stage import Stage

    load_all()
    from faults import disk as faults_disk
    from faults import flips as faults_flips
    from faults import kill as faults_kill
    from faults import loss as faults_loss

    stage = Stage(place)
    commands = stage.commands()
    if options.commands:
        commands = [command for command in commands if command.name.split()[0] in options.commands]
    stop, fill = max(1, kills // 5), max(1, kills // 7)
    jobs: list[tuple[str, Callable[..., None], tuple]] = []
    for command in commands:
        dice = random.Random(f"{options.seed} {command.name}")
        jobs += [("kill", faults_kill.kill, (command, kills, dice)), ("disk", faults_disk.full, (command, fill, dice))]
        jobs += [("disk", faults_disk.read_only, (command,)), ("disk", faults_disk.two_at_once, (command,))]
        if command.run:
            jobs += [("term", faults_kill.stop, (command, stop, dice)), ("loss", faults_loss.poison, (command, dice))]
            jobs += [("loss", faults_loss.other_styles, (command,))]
    jobs += [("flips", faults_flips.flip, (kept, max(5, 150 // share), options.seed)) for kept in faults_flips.KEPT]
    jobs = [job for job in jobs if job[0] in options.only]

    def one(number: int) -> Tally:
        _, function, rest = jobs[number]
        found = Tally()
        function(stage.own(f"{function.__name__}-{number}"), *rest, found)
        return found

    under_way = [asked(one, number) for number in range(min(options.jobs, len(jobs)))]
    for number in range(len(jobs)):  # in order, so that the table is
        name = f"{jobs[number][1].__name__} {getattr(jobs[number][2][0], 'name', jobs[number][2][0])}"
        try:
            tally.take(under_way[number]())
        except RuntimeError as error:
            tally.lose(name, f"could not be tried: {error}")
        note(f"{number + 1} of {len(jobs)}: {name}")
        if len(under_way) < len(jobs):
            under_way.append(asked(one, len(under_way)))


def unmount(place: Path) -> None:
    """Take away what a child that was killed has left mounted below a folder."""
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        if line.split()[1].startswith(str(place)):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


def load_all() -> None:
    """Import all that the commands import, before the first fork."""
    import importlib
    import warnings

    warnings.simplefilter("ignore")
    for name in (
        "accelerate", "datasets", "diffusers", "matplotlib.figure", "peft", "sklearn.manifold", "transformers",
        "wikiart_autoencode.cluster", "wikiart_autoencode.encode", "wikiart_classify.export", "wikiart_classify.train",
        "wikiart_data.acquire.download", "wikiart_data.cli.prepare", "wikiart_lora.generate", "wikiart_lora.train",
        "wikiart_stylegen.train",
    ):  # fmt: skip
        importlib.import_module(name)


def note(text: str) -> None:
    """Say on the way how far it got; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
