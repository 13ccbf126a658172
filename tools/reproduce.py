#!/usr/bin/env python3
"""The whole report from a folder of paintings, in one command: every run that REPORT.md prints, its tables and figures.

    uv run python tools/reproduce.py --quick                 a first look: the sample set, minutes on two cores
    uv run python tools/reproduce.py --data paintings        all of it, many hours on two cores
    uv run python tools/reproduce.py --config config.json    the course's folder
    uv run python tools/reproduce.py --plan                  print the commands and run none

What is finished is not run again and what was broken off goes on, so it can be stopped and started as often as one
likes. When a step fails the others go on; the end says which, and the exit status is 1.
"""

import argparse
import importlib
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import report as tables
from reproduce_steps import FURTHER, KEPT, PARTS, STEPS, Step
from wikiart_data.cli.commands import course_root
from wikiart_data.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "wikiart-classify": ("classify", "wikiart_classify.cli"),
    "wikiart-autoencode": ("autoencode", "wikiart_autoencode.cli"),
    "wikiart-cluster": ("cluster", "wikiart_autoencode.clustering.cli"),
    "wikiart-stylegen": ("stylegen", "wikiart_stylegen.cli"),
    "wikiart-lora": ("lora", "wikiart_lora.cli"),
}
"""Program → the folder of its runs, and its command line."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line, with the data's folder and the folder of runs settled.

    Raises:
        InputError: there is no such data.
    """
    parser = argparse.ArgumentParser(
        "tools/reproduce.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", metavar="DIR", help="folder of paintings (default: the sample set)")
    data.add_argument("--config", type=Path, metavar="FILE", help="the course's config.json, which names the folder")
    parser.add_argument("--quick", action="store_true", help="small networks and few epochs: a look, not a report")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of the report (default: all)")
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="where runs lie (default: runs, with --quick runs/quick)"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="where the report is written (default: RUNS/report)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--hub", action="store_true", help="also what needs the Hugging Face hub and a GPU")
    parser.add_argument("--plan", action="store_true", help="print the commands that would be run")
    parser.add_argument(
        "--into-repo", metavar="SET", help="keep as report/*-SET.json of this repository and render its REPORT.md"
    )
    asked = parser.parse_args(arguments)
    if asked.into_repo and asked.quick:
        raise InputError("--into-repo takes no --quick: the committed report is made of whole runs.")
    asked.runs = asked.runs or Path("runs/quick" if asked.quick else "runs")
    asked.report = asked.report or asked.runs / "report"
    if asked.config:
        asked.data, asked.device = of_course(asked.config, asked.device)
    asked.data = asked.data or os.environ.get("WIKIART_DATA") or None
    if asked.data is not None and not Path(asked.data).expanduser().is_dir():
        raise InputError(f"There is no folder {asked.data}: name the one that holds train/ and test/ with --data.")
    return asked


def of_course(path: Path, device: str | None) -> tuple[str, str | None]:
    """The data's folder and the device of the course's config.json; epochs and batch size are the report's own.

    Raises:
        InputError: the file cannot be read or names no folder.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return str(course_root(path, read)), device or read.get("device")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--config {path} cannot be used ({error}): it must be JSON with a trainingdir.") from error


def chosen(asked: argparse.Namespace) -> list[Step]:
    """The steps of the parts that were asked for."""
    return [
        step
        for step in STEPS
        if set(step.parts) & set(asked.only)
        and not (asked.quick and step.quick is None)
        and (asked.hub or not step.hub)
    ]


def command(step: Step, asked: argparse.Namespace) -> list[str]:
    """The command line of a step: a program and its arguments."""
    words = shlex.split(step.printed)
    if step.of:
        words = [f"runs/{step.of}" if word == "RUN" or word.startswith("runs/") else word for word in words]
    if "DIR" in words and asked.data is None:
        del words[words.index("--data") : words.index("DIR") + 1]
    for further in (step.options, (step.quick or "") if asked.quick else ""):
        words = with_options(words, shlex.split(further))
    for place, word in enumerate(words):
        if word == "judge" and words[place - 1] in ("--judge", "--export"):
            words[place] = str(asked.runs / step.judge)
        elif word == "DIR":
            words[place] = str(asked.data)
        elif word.startswith("runs/"):
            words[place] = str(asked.runs / word.removeprefix("runs/"))
    words = with_options(words, ["--runs", str(asked.runs)])
    if asked.device and "device" in fields_of(words):
        words = with_options(words, ["--device", asked.device])
    return words


def with_options(words: list[str], more: Sequence[str]) -> list[str]:
    """A command line with further options; one that is there already is replaced."""
    words = list(words)
    for option in (word for word in more if word.startswith("--")):
        if option in words:
            start = words.index(option)
            end = next((at for at in range(start + 1, len(words)) if words[at].startswith("--")), len(words))
            del words[start:end]
    return words + list(more)


def fields_of(words: Sequence[str]) -> set[str]:
    """The names of the options that a command line's verb knows."""
    commands = importlib.import_module(PROGRAMS[words[0]][1]).COMMANDS
    verb = next((one for one in commands if one.name == words[1]), commands[0])
    return set(verb.options.__dataclass_fields__)


def to_run(step: Step, asked: argparse.Namespace) -> list[str]:
    """The command of a step that is not finished: anew, or going on with what was broken off."""
    words = command(step, asked)
    if "--name" not in words:
        return words
    folder = asked.runs / PROGRAMS[words[0]][0] / words[words.index("--name") + 1]
    if not (folder / "run.json").exists():
        return words
    trains = words[1].startswith("--") and words[0] != "wikiart-cluster"
    if not (trains and (folder / "last.safetensors").exists()):
        return [*words, "--overwrite"]
    kept = [
        word
        for option in ("--export", "--device")
        if option in words
        for word in (option, words[words.index(option) + 1])
    ]
    return [words[0], "--resume", str(folder), *kept]


def needed(step: Step, asked: argparse.Namespace) -> Iterator[Path]:
    """The files that a step reads and other steps leave."""
    words = command(step, asked)
    for before, word in itertools.pairwise(words):
        if before == "--judge":
            yield Path(word) / "judge.json"
        elif before not in ("--to", "--runs", "--export") and Path(word).is_relative_to(asked.runs):
            # Codes are compared, not the runs that made them.
            file = "codes.npz" if words[0] == "wikiart-cluster" else "result.json"
            yield Path(word) if Path(word).suffix else Path(word) / file


def run_all(asked: argparse.Namespace) -> list[tuple[Step, str]]:
    """Run what is not finished.

    Returns:
        The steps that failed, or wait for one that did, and why.
    """
    steps, failed = chosen(asked), []
    for number, step in enumerate(steps, 1):
        told = f"[{number}/{len(steps)}] {shlex.join(command(step, asked))}"
        if (asked.runs / step.leaves).exists():
            print(f"{told}\n    finished before", flush=True)
            continue
        missing = [path for path in needed(step, asked) if not path.exists()]
        if missing:
            print(f"{told}\n    left out: there is no {missing[0]}", flush=True)
            failed.append((step, f"there is no {missing[0]}"))
            continue
        words = to_run(step, asked)
        print(told if words == command(step, asked) else f"{told}\n    as: {shlex.join(words)}", flush=True)
        status, log = run_one(words, asked.runs / "logs" / f"{step.leaves.replace('/', '-')}.log")
        if status in (130, 143):
            raise KeyboardInterrupt
        if status or not (asked.runs / step.leaves).exists():
            failed.append((step, f"exit status {status}; all it said is in {log}"))
    return failed


def run_one(words: Sequence[str], log: Path) -> tuple[int, Path]:
    """Run a command, say what it says, and keep that in a file; tells time by the clock and of the processor."""
    log.parent.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name(words[0])
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # A command that is printed without --data means the sample set.
    environment = {name: value for name, value in os.environ.items() if name != "WIKIART_DATA"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {shlex.join(words)}\n")
        with subprocess.Popen([program, *words[1:]], env=environment | {"PYTHONUNBUFFERED": "1"}, **pipes) as child:
            try:
                for line in child.stdout:
                    file.write(line)
                    print(f"    {line}", end="", flush=True)
            except KeyboardInterrupt:
                child.terminate()  # it saves and stops
                raise
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"    {time.monotonic() - began:.0f} s by the clock, {cpu:.0f} s of the processor", flush=True)
    return child.returncode, log


def keep_all(asked: argparse.Namespace) -> list[str]:
    """Keep the results of what is finished; the names of the tables."""
    target = ROOT / "report" if asked.into_repo else asked.report
    kept = []
    for name, places in KEPT.items():
        folders = [asked.runs / place for place in places if (asked.runs / place / "result.json").exists()]
        if not folders:
            continue
        called = f"{name}-{asked.into_repo}" if asked.into_repo and not name.endswith("-sample") else name
        tables.keep(called, folders, target)
        for figure in sorted((asked.runs / FURTHER[name]).glob("[!0-9]*.png")) if name in FURTHER else ():
            if not re.search(r"\d", figure.stem):  # drawn on the way
                shutil.copy(figure, target / "figures" / f"{called}-{figure.name}")
        kept.append(name)
    return kept


def written(asked: argparse.Namespace, text: str) -> str:
    """A report of these runs: headings, commands, tables and figures of REPORT.md, without the text about its own.

    Args:
        asked: the command line.
        text: REPORT.md.
    """
    kept = set()
    data = asked.data or "the sample set"
    lines = [f"# Report on {data}", ""]
    if asked.quick:
        lines += [
            "**A quick look: small networks and few epochs. None of these figures says how good a method is.**",
            "",
        ]
    lines += ["Tables and figures as in REPORT.md, where what they mean is told of another set of paintings.", ""]
    for found in re.finditer(_SHOWN, text):
        if found["table"]:
            name, path = _base(found["table"]), asked.report / f"{_base(found['table'])}.json"
            if name in kept:
                continue
            kept.add(name)
            lines += [_table(path) if path.exists() else f"*Not made: {name}.*\n", ""]
        elif found["figure"]:
            name = found["figure"].replace("-realart-", "-")
            if (asked.report / "figures" / name).exists() and name not in kept:
                kept.add(name)
                lines += [f"![{found['alt']}](figures/{name})", ""]
        else:
            lines += [found[0].strip(), ""]
    return "\n".join(lines)


_SHOWN = re.compile(
    r"^##+ .*$|^```\n(?:.*\n)*?```$|^<!-- table (?P<table>\S+) -->$"
    r"|^!\[(?P<alt>[^\]]*)\]\(report/figures/(?P<figure>[^)]+)\)$",
    re.MULTILINE,
)
"""What of REPORT.md a report of other runs has too."""


def _base(name: str) -> str:
    return name.removesuffix("-realart")


def _table(path: Path) -> str:
    try:
        return tables.table(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, SystemExit) as error:
        return f"*{path.name} makes no table ({error}): has the data a test split?*\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, keep, render; returns the exit status."""
    try:
        asked = options(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print(f"tools/reproduce.py: {error}", file=sys.stderr)
        return 2
    if asked.plan:
        for step in chosen(asked):
            done = "    # finished" if (asked.runs / step.leaves).exists() else ""
            print(f"uv run {shlex.join(command(step, asked))}{done}")
        return 0
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the command that runs shall save and stop
    try:
        failed = run_all(asked)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it was.", file=sys.stderr)
        return 130
    names = keep_all(asked)
    if asked.into_repo:
        tables.main([])
        place = ROOT / "REPORT.md"
    else:
        place = asked.report / "REPORT.md"
        asked.report.mkdir(parents=True, exist_ok=True)
        place.write_text(written(asked, (ROOT / "REPORT.md").read_text(encoding="utf-8")), encoding="utf-8")
    cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(f"\n{time.monotonic() - began:.0f} s by the clock, {cpu:.0f} s of the processor.")
    print(f"Tables and figures of {', '.join(names) or 'nothing'} are in {place}.")
    if asked.quick:
        print("A quick look only: small networks and few epochs. Without --quick the report's own options are used.")
    for step, why in failed:
        print(f"Failed: {shlex.join(command(step, asked))}\n    {why}")
    if failed:
        print("Mend that and give the same command again: what is finished is not run again.")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
