"""How long `--help` of every program and verb takes, compared with starting Python.

    uv run python benchmarks/startup.py [--runs 5] [--program wikiart-data]

Programs start in turn, and each round starts an empty Python too, so that other work on the machine slows down all of
them. A start uses one core: on a busy machine, CPU seconds tell what it takes on an idle one.
"""

import argparse
import importlib
import resource
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "wikiart-data": "wikiart_data.cli.main",
    "wikiart-classify": "wikiart_classify.cli",
    "wikiart-autoencode": "wikiart_autoencode.cli",
    "wikiart-cluster": "wikiart_autoencode.clustering.cli",
    "wikiart-stylegen": "wikiart_stylegen.cli",
    "wikiart-lora": "wikiart_lora.cli",
}
TARGET = 0.5
"""Seconds."""


def seconds(*arguments: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds of Python with these arguments, from start to end."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(name: str, runs: int) -> str:
    """A row of the table: medians for a program's `--help` and for that of its slowest verb."""
    module = PROGRAMS[name]
    verbs = [command.name for command in importlib.import_module(module).COMMANDS]
    start = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"  # as the console script does it
    times: dict[str, list[tuple[float, float]]] = {verb: [] for verb in ["", *verbs]}
    empty = []
    for _ in range(runs):
        empty.append(seconds("-c", "pass"))
        for verb, measured in times.items():
            measured.append(seconds("-c", start, *([verb] if verb else []), "--help"))
    medians = {verb: [statistics.median(x) for x in zip(*measured, strict=True)] for verb, measured in times.items()}
    slowest = max(verbs, key=lambda verb: medians[verb])
    reached = "yes" if max(wall for wall, _ in medians.values()) < TARGET else "no"
    wall, cpu = (statistics.median(x) for x in zip(*empty, strict=True))
    return (
        f"| {name} | {medians[''][0]:.2f} s ({medians[''][1]:.2f}) | {medians[slowest][0]:.2f} s "
        f"({medians[slowest][1]:.2f}), {slowest} of {len(verbs)} | {wall:.2f} s ({cpu:.2f}) | {reached} |"
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="of each program (default: 5)")
    parser.add_argument("--program", choices=PROGRAMS, nargs="+", default=list(PROGRAMS), help="only these")
    options = parser.parse_args(arguments)
    print(f"| program | --help (CPU) | its slowest verb | python -c pass | under {TARGET:g} s |")
    print("|---|---|---|---|---|")
    for name in options.program:
        print(measure(name, options.runs), flush=True)


if __name__ == "__main__":
    main()
