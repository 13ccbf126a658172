"""SIGKILL at random moments and SIGTERM: after resuming, the files equal the uninterrupted run's bit by bit."""

import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults.child import Child, FileChanges, call_in_child, start
from faults.stage import Command, Stage, content_digests
from faults.tally import Tally

PROPORTION = 0.7
"""Signals are sent in this first part of a run: most resumed runs would be over before a later one."""


def run_uninterrupted(stage: Stage, command: Command) -> tuple[dict[str, str], float, int]:
    """Run a command without any fault.

    Returns:
        The digests of its files, its duration in seconds, and how many changes to files it made.
    """
    folder, changes = stage.new_folder(command), FileChanges(stage.home)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    child = start_command(command, list(command.arguments), folder, changes.watch)
    if child.wait(1800) != 0:
        raise RuntimeError(f"{command.name} exits with {child.status}: {child.output[-2000:]}")
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{command.name}: {seconds:.1f} s ({cpu:.1f} s CPU), {changes.count} changes", file=sys.stderr, flush=True)
    return call_in_child(content_digests, folder), seconds, changes.count


def start_command(
    command: Command, arguments: list[str], folder: Path, before: Callable[[], None] | None = None
) -> Child:
    """Start a command in a folder, with its cache below that folder."""
    return start(lambda: command.main(arguments), folder, {"WIKIART_CACHE": str(folder / "cache")}, before)


def differences(folder: Path, expected: dict[str, str]) -> str:
    """Describe how a folder's files differ from the uninterrupted run's; empty if they do not."""
    try:
        actual = call_in_child(content_digests, folder)
    except RuntimeError as error:
        return f"incomplete: {error}"
    names = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    return f"{', '.join(names[:4])} differ" if names else ""


def kill(stage: Stage, command: Command, kills: int, rng: random.Random, tally: Tally) -> None:
    """Kill a command, resume it, kill it again until it completes; repeat until it was killed `kills` times.

    Every second kill comes at a random time, the others just before a change to a file: few random times would fall
    into the milliseconds in which something is saved.
    """
    expected, seconds, total_changes = run_uninterrupted(stage, command)
    fault, changes, done = f"kill -9: {command.name}", FileChanges(stage.home), 0
    while done < kills:
        folder, before = stage.new_folder(command), done
        while (arguments := command.arguments_to_continue(folder)) is not None:
            by_clock = done % 2 == 0
            change = None if by_clock or done >= kills else rng.randint(1, max(1, round(PROPORTION * total_changes)))
            child = start_command(command, arguments, folder, partial(changes.watch, change))
            if by_clock and done < kills:
                child.wait(rng.uniform(0, PROPORTION * seconds))
                child.end()
            if child.wait(1800) != -signal.SIGKILL:
                if child.status != 0:
                    tally.lose(fault, f"after a kill it exits with {child.status}: {last_line(child)}")
                break
            done += 1
            try:
                call_in_child(content_digests, folder)  # every file with a final name can be read, at any time
            except RuntimeError as error:
                tally.lose(fault, f"a file with a final name is incomplete: {error}")
        if mismatch := differences(folder, expected):
            tally.lose(fault, mismatch)
        elif done > before:
            tally.add(fault, "recovered", done - before)


def terminate(stage: Stage, command: Command, trials: int, rng: random.Random, tally: Tally) -> None:
    """Send SIGTERM once per run, at a change to a file: it saves and stops, or training had not begun."""
    expected, _, total_changes = run_uninterrupted(stage, command)
    fault, changes = f"SIGTERM: {command.name}", FileChanges(stage.home)
    for _ in range(trials):
        folder = stage.new_folder(command)
        change = rng.randint(1, max(1, round(PROPORTION * total_changes)))
        child = start_command(command, list(command.arguments), folder, partial(changes.watch, change, signal.SIGTERM))
        status, output = child.wait(1800), child.output
        if status == 143 and f"--resume {command.run}" not in output:
            tally.lose(fault, "it stopped without printing how to resume")
        elif status not in (0, 143, -signal.SIGTERM):
            tally.lose(fault, f"it exits with {status}: {last_line(child)}")
        elif (
            status != 0 and start_command(command, command.arguments_to_continue(folder) or [], folder).wait(1800) != 0
        ):
            tally.lose(fault, "it cannot be resumed")
        elif mismatch := differences(folder, expected):
            tally.lose(fault, mismatch)
        else:
            tally.add(fault, "no effect" if status == 0 else "recovered")


def last_line(child: Child) -> str:
    """The last line of a child's output."""
    return (child.output.strip().splitlines() or ["nothing"])[-1][:300]
