#!/usr/bin/env python3
"""Reproduce the report from a folder of paintings: every run that REPORT.md prints, its tables and its figures.

    uv run python tools/reproduce.py --quick                 a first look: the sample set, minutes on two cores
    uv run python tools/reproduce.py --data paintings        everything, many hours on two cores
    uv run python tools/reproduce.py --config config.json    the course's folder
    uv run python tools/reproduce.py --plan                  print the commands and run none
    uv run python tools/reproduce.py --device cuda --minutes 9 --data paintings
                                                             as much as nine minutes allow, larger networks too

Finished steps are not repeated and interrupted ones are resumed, so it can be stopped and started again at any time.
When a step fails, the others are still run; the last lines say which failed, and the exit status is 1. It is 75 when
the time given by --minutes was not enough.

Without uv, any Python that has the libraries will do: put the packages' `src` folders into PYTHONPATH.
"""

import argparse
import importlib
import itertools
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import report as report_tool
from reproduce_report import keep_results, new_report
from reproduce_steps import GPU_STEPS, PARTS, STEPS, SYNTHESISED, Step
from wikiart_data.cli.commands import Command, course_root
from wikiart_data.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
RUN_FOLDERS = {
    "wikiart-classify": "classify",
    "wikiart-autoencode": "autoencode",
    "wikiart-cluster": "cluster",
    "wikiart-stylegen": "stylegen",
    "wikiart-lora": "lora",
}
"""Program → the folder of its runs, below the folder of runs."""
PROGRAMS = {
    "wikiart-data": "wikiart_data.cli.main",
    "wikiart-classify": "wikiart_classify.cli",
    "wikiart-autoencode": "wikiart_autoencode.cli",
    "wikiart-cluster": "wikiart_autoencode.clustering.cli",
    "wikiart-stylegen": "wikiart_stylegen.cli",
    "wikiart-lora": "wikiart_lora.cli",
}
"""Program → the module whose `main` it calls."""
INTERRUPTED = (130, 143)
"""Exit statuses of a command that Ctrl-C or SIGTERM has stopped."""
TIME_IS_UP = 75
"""Exit status when --minutes were not enough: EX_TEMPFAIL, try again."""
GRACE_S = 45
"""Seconds that a command gets to save, after it was told to stop."""


@dataclass(frozen=True)
class Options:
    """The command line of this program."""

    data: str | None
    """Folder of paintings; None means the sample set."""
    device: str | None
    quick: bool
    parts: tuple[str, ...]
    runs: Path
    report: Path
    hub: bool
    plan: bool
    into_repo: str | None
    minutes: float | None
    """Time after which no command is started, and the running one is told to save and stop."""


def parse_options(arguments: Sequence[str]) -> Options:
    """Parse the command line.

    Raises:
        InputError: the data or the course's config.json cannot be used, or options contradict each other.
    """
    parser = argparse.ArgumentParser(
        "tools/reproduce.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="DIR", help="Folder of paintings (default: the sample set).")
    source.add_argument("--config", type=Path, metavar="FILE", help="The course's config.json, which names the folder.")
    parser.add_argument("--quick", action="store_true", help="Small networks and few epochs: for a look, not a report.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="Parts of the report (default: all).")
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="Folder of runs (default: runs, with --quick runs/quick)."
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="Folder of the new report (default: RUNS/report).")
    parser.add_argument("--device", help="Device: auto, cpu, cuda, cuda:1 or mps (default: auto).")
    parser.add_argument("--hub", action="store_true", help="Also run what needs the Hugging Face hub and a GPU.")
    parser.add_argument("--plan", action="store_true", help="Print the commands and run none.")
    parser.add_argument(
        "--into-repo", metavar="SET", help="Keep results as report/*-SET.json of this repository; render REPORT.md."
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="Stop after this time; continue by the same command."
    )
    parsed = parser.parse_args(arguments)
    if parsed.into_repo and parsed.quick:
        raise InputError("--into-repo takes no --quick: the committed report is made of whole runs.", field="--quick")
    data, device = parsed.data, parsed.device
    if parsed.config:
        data, course_device = read_course_config(parsed.config)
        device = device or course_device
    data = data or os.environ.get("WIKIART_DATA") or None
    if data is not None and not Path(data).expanduser().is_dir():
        raise InputError(
            f"There is no folder {data}: give the one that holds train/ and test/ with --data.", field="--data"
        )
    runs = parsed.runs or Path("runs/quick" if parsed.quick else "runs")
    return Options(
        data,
        device,
        parsed.quick,
        tuple(parsed.only),
        runs,
        parsed.report or runs / "report",
        parsed.hub,
        parsed.plan,
        parsed.into_repo,
        parsed.minutes,
    )


def read_course_config(path: Path) -> tuple[str, str | None]:
    """The data folder and the device in the course's config.json; its epochs and batch size are not used.

    Raises:
        InputError: the file cannot be read or names no folder.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(course_root(path, content)), content.get("device")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"--config {path} cannot be used ({error}): it must be JSON with a trainingdir.", field="--config"
        ) from error


def selected_steps(options: Options) -> list[Step]:
    """The steps of the selected parts; with `--device cuda` also those that take days on a CPU."""
    on_gpu = (options.device or "").startswith("cuda")
    return [
        step
        for step in (*STEPS, *(GPU_STEPS if on_gpu else ()))
        if set(step.parts) & set(options.parts)
        and not (options.quick and step.quick is None)
        and (options.hub or not step.hub)
    ]


def command_line(step: Step, options: Options) -> list[str]:
    """The command of a step: a program and its arguments."""
    words = shlex.split(step.printed)
    if step.run:
        words = [f"runs/{step.run}" if word == "RUN" or word.startswith("runs/") else word for word in words]
    if "DIR" in words and options.data is None:
        del words[words.index("--data") : words.index("DIR") + 1]
    for more in (step.options, (step.quick or "") if options.quick else ""):
        words = with_options(words, shlex.split(more))
    for index, word in enumerate(words):
        if words[index - 1] in ("--judge", "--second-judge", "--export"):
            words[index] = str(options.runs / word)
        elif word == "DIR":
            words[index] = str(options.data)
        elif word.startswith("runs/"):
            words[index] = str(options.runs / word.removeprefix("runs/"))
    if "--runs" not in words:
        words = with_options(words, ["--runs", str(options.runs)])
    if options.device and "device" in command_of(words).options.__dataclass_fields__:
        words = with_options(words, ["--device", options.device])
    return words


def with_options(words: Sequence[str], more: Sequence[str]) -> list[str]:
    """A command line with more options, which replace those of the same name."""
    words = list(words)
    for option in (word for word in more if word.startswith("--")):
        if option in words:
            start = words.index(option)
            end = next((at for at in range(start + 1, len(words)) if words[at].startswith("--")), len(words))
            del words[start:end]
    return words + list(more)


def command_of(words: Sequence[str]) -> Command:
    """The command of a program that a command line calls."""
    commands = program_commands(words[0])
    return next((command for command in commands if command.name == words[1]), commands[0])


def program_commands(program: str) -> Sequence[Command]:
    """The commands of a program of ours."""
    return importlib.import_module(PROGRAMS[program]).COMMANDS


def pending_command(step: Step, options: Options) -> list[str]:
    """The command of a step that is not finished: from the start, or resuming an interrupted run."""
    words = command_line(step, options)
    if "--name" not in words:
        return words
    folder = options.runs / RUN_FOLDERS[words[0]] / words[words.index("--name") + 1]
    if not (folder / "run.json").exists():
        return words
    is_training = words[1].startswith("--") and words[0] != "wikiart-cluster"
    if not (is_training and (folder / "last.safetensors").exists()):
        return [*words, "--overwrite"]
    changeable = [option for option in ("--export", "--device") if option in words]
    same = [word for option in changeable for word in (option, words[words.index(option) + 1])]
    return [words[0], "--resume", str(folder), *same]


def inputs(step: Step, options: Options) -> Iterator[Path]:
    """The files and folders that a step reads and other steps write."""
    words = command_line(step, options)
    for option, word in itertools.pairwise(words):
        if option in ("--judge", "--second-judge"):
            yield Path(word) / "judge.json"
        elif Path(word).is_relative_to(options.runs / SYNTHESISED) and option != "--to":
            yield Path(word) / "train"
        elif option not in ("--to", "--runs", "--export") and Path(word).is_relative_to(options.runs):
            # Codes are compared, not the runs that made them.
            file = "codes.npz" if words[0] == "wikiart-cluster" else "result.json"
            yield Path(word) if Path(word).suffix else Path(word) / file


def run_steps(options: Options) -> list[tuple[Step, str]]:
    """Run the steps that are not finished.

    Returns:
        The steps that failed or lack an input, and why.

    Raises:
        KeyboardInterrupt: the step in progress was stopped.
        TimeoutError: the time is up; the step in progress has saved what it could.
    """
    steps, failed = selected_steps(options), []
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    for number, step in enumerate(steps, 1):
        line = f"[{number}/{len(steps)}] {shlex.join(command_line(step, options))}"
        if (options.runs / step.output).exists():
            print(f"{line}\n    already finished", flush=True)
            continue
        missing = [path for path in inputs(step, options) if not path.exists()]
        if missing:
            print(f"{line}\n    skipped: there is no {missing[0]}", flush=True)
            failed.append((step, f"there is no {missing[0]}"))
            continue
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError
        words = pending_command(step, options)
        print(line if words == command_line(step, options) else f"{line}\n    as: {shlex.join(words)}", flush=True)
        status, log = run_command(words, options.runs / "logs" / f"{step.output.replace('/', '-')}.log", deadline)
        if status and deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError
        if status in INTERRUPTED:
            raise KeyboardInterrupt
        if status or not (options.runs / step.output).exists():
            failed.append((step, f"exit status {status}; its output is in {log}"))
    return failed


def interpreted(program: str) -> list[str]:
    """How to start a program, whether or not it is installed as a script."""
    if program not in PROGRAMS:
        return [str(Path(sys.executable).with_name(program))]
    start = f"import sys; from {PROGRAMS[program]} import main; sys.argv[0] = {program!r}; raise SystemExit(main())"
    return [sys.executable, "-c", start]


def run_command(words: Sequence[str], log: Path, deadline: float | None = None) -> tuple[int, Path]:
    """Run a command; print its output and append it to a file; print wall-clock and CPU time.

    Args:
        words: the command.
        log: the file.
        deadline: on the clock `time.monotonic`, when the command is told to save and stop.

    Returns:
        The exit status, and the file.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start, cpu_start = time.monotonic(), cpu_seconds()
    # A command printed without --data is about the sample set.
    environment = {name: value for name, value in os.environ.items() if name != "WIKIART_DATA"}
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            [*interpreted(words[0]), *words[1:]],
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child,
    ):
        file.write(f"$ {shlex.join(words)}\n")
        assert child.stdout is not None
        timers = []
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            timers = [threading.Timer(left, child.terminate), threading.Timer(left + GRACE_S, child.kill)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            for line in child.stdout:
                file.write(line)
                print(f"    {line}", end="", flush=True)
        except KeyboardInterrupt:
            child.terminate()  # it saves a checkpoint and stops
            raise
        finally:
            for timer in timers:
                timer.cancel()
    print(f"    {time.monotonic() - start:.0f} s wall-clock, {cpu_seconds() - cpu_start:.0f} s CPU", flush=True)
    return child.returncode, log


def cpu_seconds() -> float:
    """CPU time of all finished child processes."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, keep their results, render the report; returns the exit status."""
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print(f"tools/reproduce.py: {error}", file=sys.stderr)
        return 2
    if options.plan:
        for step in selected_steps(options):
            state = "    # finished" if (options.runs / step.output).exists() else ""
            print(f"uv run {shlex.join(command_line(step, options))}{state}")
        return 0
    start = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: the running command saves and stops
    time_is_up, failed = False, []
    try:
        failed = run_steps(options)
    except KeyboardInterrupt:
        print("\nStopped. Give the same command again to continue.", file=sys.stderr)
        return 130
    except TimeoutError:
        time_is_up = True
    folder = ROOT / "report" if options.into_repo else options.report
    names = keep_results(options.runs, folder, options.into_repo)
    if options.into_repo:
        report_tool.main([])
        path = ROOT / "REPORT.md"
    else:
        path = folder / "REPORT.md"
        folder.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "REPORT.md").read_text(encoding="utf-8")
        path.write_text(new_report(text, folder, options.data, options.quick), encoding="utf-8")
    print(f"\n{time.monotonic() - start:.0f} s wall-clock, {cpu_seconds():.0f} s CPU.")
    print(f"{path} shows {', '.join(names) or 'no results'}.")
    if options.quick:
        print("Quick mode: small networks and few epochs. Without --quick the report's own options are used.")
    if time_is_up:
        steps = selected_steps(options)
        finished = sum((options.runs / step.output).exists() for step in steps)
        print(f"Time is up: {finished} of {len(steps)} steps are finished. Give the same command again to continue.")
        return TIME_IS_UP
    for step, reason in failed:
        print(f"Failed: {shlex.join(command_line(step, options))}\n    {reason}")
    if failed:
        print("Mend the cause and give the same command again: finished steps are not repeated.")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
