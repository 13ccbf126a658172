"""Inject faults into every long command and check that nothing is lost.

    uv run python -m faults [--kills 20] [--only kill disk ...] [--images DIR] [--quick]

Prints a table of what was injected, how often, how it ended and what was lost, which must be nothing. All runs are
tiny, below a temporary folder. Mounting small and read-only disks needs root; otherwise those faults are skipped.
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

os.environ.setdefault("OMP_NUM_THREADS", "1")  # another number of threads may change the last bit of a sum

from faults.tally import Tally

GROUPS = ("bytes", "names", "flips", "loss", "kill", "term", "disk")


def main() -> int:
    """Inject the selected faults; returns 1 if something was lost."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how often each command is killed (default: 20)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="groups of faults (default: all)")
    parser.add_argument("--commands", nargs="+", help="commands to test: pack classify autoencode stylegen …")
    parser.add_argument("--images", type=Path, help="a folder of unusual image files to decode as well")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the faults (default: 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials that run at the same time")
    parser.add_argument("--quick", action="store_true", help="a twentieth of all trials")
    options = parser.parse_args()
    kills, divisor = (2, 20) if options.quick else (options.kills, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` below unmounts
    tally, began = Tally(), time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        if "bytes" in options.only:
            from faults.bytes import decode_folder, decode_mutations

            decode_mutations(8_000 // divisor, options.seed, work, tally)
            if options.images:
                decode_folder(options.images, work, tally)
        if "names" in options.only:
            from faults.names import hostile_names

            hostile_names(options.seed, work, tally)
        if set(options.only) & {"flips", "loss", "kill", "term", "disk"}:
            run_command_trials(options, kills, divisor, work, tally)
    finally:
        unmount(work)
        shutil.rmtree(work, ignore_errors=True)
    print(tally.table())
    cores, minutes = os.cpu_count(), (time.monotonic() - began) / 60
    print(f"\nSeed {options.seed}, {platform.machine()} with {cores} cores, {minutes:.0f} minutes.")
    return 1 if tally.losses else 0


def run_command_trials(options: argparse.Namespace, kills: int, divisor: int, work: Path, tally: Tally) -> None:
    """Run the groups that need trained networks, several trials at a time, each in a child process."""
    from faults.child import begin_in_child
    from faults.stage import Stage

    import_everything()
    from faults.disk import full_disk, read_only, two_at_once
    from faults.flips import ARTEFACTS, flip
    from faults.kill import kill, terminate
    from faults.loss import nan_loss, other_styles

    stage = Stage(work)
    commands = stage.commands()
    if options.commands:
        commands = [command for command in commands if command.name.split()[0] in options.commands]
    jobs: list[tuple[str, Callable[..., None], tuple]] = []
    for command in commands:
        rng = random.Random(f"{options.seed} {command.name}")
        jobs.append(("kill", kill, (command, kills, rng)))
        jobs.append(("disk", full_disk, (command, max(1, kills // 7), rng)))
        jobs.append(("disk", read_only, (command,)))
        jobs.append(("disk", two_at_once, (command,)))
        if command.run:
            jobs.append(("term", terminate, (command, max(1, kills // 5), rng)))
            jobs.append(("loss", nan_loss, (command, rng)))
            jobs.append(("loss", other_styles, (command,)))
    jobs += [("flips", flip, (kind, max(5, 150 // divisor), options.seed)) for kind in ARTEFACTS]
    jobs = [job for job in jobs if job[0] in options.only]

    def run_job(number: int) -> Tally:
        _, function, arguments = jobs[number]
        own = Tally()
        function(stage.with_home(f"{function.__name__}-{number}"), *arguments, own)
        return own

    started = [begin_in_child(run_job, number) for number in range(min(options.jobs, len(jobs)))]
    for number, (_, function, arguments) in enumerate(jobs):  # in order, so that the table is
        name = f"{function.__name__} {getattr(arguments[0], 'name', arguments[0])}"
        try:
            tally.merge(started[number]())
        except RuntimeError as error:
            tally.lose(name, f"the trial failed: {error}")
        print(f"{number + 1} of {len(jobs)}: {name}", file=sys.stderr, flush=True)
        if len(started) < len(jobs):
            started.append(begin_in_child(run_job, len(started)))


def unmount(folder: Path) -> None:
    """Unmount what a killed child has left mounted below a folder."""
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        if line.split()[1].startswith(str(folder)):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)


def import_everything() -> None:
    """Import what the commands import, before the first fork."""
    import importlib
    import warnings

    warnings.simplefilter("ignore")
    for name in (
        "accelerate", "datasets", "diffusers", "matplotlib.figure", "peft", "sklearn.manifold", "transformers",
        "wikiart_autoencode.clustering.cluster_codes", "wikiart_autoencode.autoencoder", "wikiart_classify.export",
        "wikiart_classify.training",
        "wikiart_data.acquire.download", "wikiart_data.cli.prepare", "wikiart_lora.generate", "wikiart_lora.training",
        "wikiart_stylegen.training",
    ):  # fmt: skip
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
