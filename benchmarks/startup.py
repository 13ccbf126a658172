"""How long `--help` of every program and verb takes, beside Python's own start.

    uv run python benchmarks/startup.py [--runs 5] [--program wikiart-data]

Programs start in turn, and each round starts an empty Python too, so that a busy machine slows down all alike. A
start uses one core: on a machine that is busy with other work, the processor seconds say what it takes on an idle one.
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
    """How long Python takes with these arguments, from start to end, on the wall and of the processor."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def program(name: str, runs: int) -> str:
    """A row of the table: a program's `--help`, and that of its slowest verb, in medians."""
    module = PROGRAMS[name]
    verbs = [command.name for command in importlib.import_module(module).COMMANDS]
    start = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"  # as the console script does it
    found: dict[str, list[tuple[float, float]]] = {verb: [] for verb in ["", *verbs]}
    empty = []
    for _ in range(runs):
        empty.append(seconds("-c", "pass"))
        for verb, took in found.items():
            took.append(seconds("-c", start, *([verb] if verb else []), "--help"))
    middle = {verb: [statistics.median(one) for one in zip(*took, strict=True)] for verb, took in found.items()}
    slowest = max(verbs, key=lambda verb: middle[verb])
    reached = "yes" if max(wall for wall, _ in middle.values()) < TARGET else "no"
    wall, processor = (statistics.median(one) for one in zip(*empty, strict=True))
    return (
        f"| {name} | {middle[''][0]:.2f} s ({middle[''][1]:.2f}) | {middle[slowest][0]:.2f} s "
        f"({middle[slowest][1]:.2f}), {slowest} of {len(verbs)} | {wall:.2f} s ({processor:.2f}) | {reached} |"
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--program", choices=PROGRAMS, nargs="+", default=list(PROGRAMS))
    options = parser.parse_args(arguments)
    print(f"| program | --help (processor) | of its slowest verb | python -c pass | under {TARGET:g} s |")
    print("|---|---|---|---|---|")
    for name in options.program:
        print(program(name, options.runs), flush=True)


if __name__ == "__main__":
    main()
