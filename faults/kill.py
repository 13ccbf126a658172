"""Killed at random moments, and asked to stop: the end is the unbroken run's, bit for bit."""

import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults.child import Child, Moments, ask, start
from faults.stage import Command, Stage, left_by
from faults.tally import Tally

SPREAD = 0.7
"""Moments lie in this share of the unbroken run: beyond it most resumed runs would have ended before."""


def unbroken(stage: Stage, command: Command) -> tuple[dict[str, str], float, int]:
    """Run a command as it is.

    Returns:
        What it left, how many seconds it took, and how many changes to files it made.
    """
    folder, moments = stage.fresh(command), Moments(stage.home)
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    child = begin(command, list(command.arguments), folder, moments.watch)
    if child.wait(1800) != 0:
        raise RuntimeError(f"{command.name} ends with {child.status}: {child.said[-2000:]}")
    seconds, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print(
        f"{command.name}: {seconds:.1f} s, {cpu:.1f} s of a core, {moments.number} changes", file=sys.stderr, flush=True
    )
    return ask(left_by, folder), seconds, moments.number


def begin(command: Command, arguments: list[str], folder: Path, before: Callable[[], None] | None = None) -> Child:
    """Start a command in a folder, with a cache below it."""
    return start(lambda: command.main(arguments), folder, {"WIKIART_CACHE": str(folder / "cache")}, before)


def difference(folder: Path, truth: dict[str, str]) -> str:
    """What a folder has otherwise than the unbroken run left it; '' if nothing."""
    try:
        found = ask(left_by, folder)
    except RuntimeError as error:
        return f"not whole: {error}"
    odd = sorted(name for name in truth.keys() | found.keys() if truth.get(name) != found.get(name))
    return f"{', '.join(odd[:4])} differ" if odd else ""


def kill(stage: Stage, command: Command, kills: int, dice: random.Random, tally: Tally) -> None:
    """Kill a command, go on, kill it again, until it ends; then anew, until it was killed so many times.

    Every second kill comes by the clock, the others at a change to a file, just before it is done: at random moments
    few would fall into the milliseconds in which something is saved.
    """
    truth, seconds, changes = unbroken(stage, command)
    what, moments, done = f"kill -9: {command.name}", Moments(stage.home), 0
    while done < kills:
        folder, before = stage.fresh(command), done
        while (arguments := command.next(folder)) is not None:
            by_clock = done % 2 == 0
            die_at = None if by_clock or done >= kills else dice.randint(1, max(1, round(SPREAD * changes)))
            child = begin(command, arguments, folder, partial(moments.watch, die_at))
            if by_clock and done < kills:
                child.wait(dice.uniform(0, SPREAD * seconds))
                child.end()
            if child.wait(1800) != -signal.SIGKILL:
                if child.status != 0:
                    tally.lose(what, f"after a kill it ends with {child.status}: {last_line(child)}")
                break
            done += 1
            try:
                ask(left_by, folder)  # whatever has a finished name can be read, now as later
            except RuntimeError as error:
                tally.lose(what, f"a finished name on what is not whole: {error}")
        if found := difference(folder, truth):
            tally.lose(what, found)
        elif done > before:
            tally.add(what, "made good", done - before)


def stop(stage: Stage, command: Command, times: int, dice: random.Random, tally: Tally) -> None:
    """Send SIGTERM once in each of some runs, at a change to a file; it saves and stops, or had not begun to train."""
    truth, _, changes = unbroken(stage, command)
    what, moments = f"SIGTERM: {command.name}", Moments(stage.home)
    for _ in range(times):
        folder = stage.fresh(command)
        at = dice.randint(1, max(1, round(SPREAD * changes)))
        child = begin(command, list(command.arguments), folder, partial(moments.watch, at, signal.SIGTERM))
        status, said = child.wait(1800), child.said
        if status == 143 and f"--resume {command.run}" not in said:
            tally.lose(what, "it stopped and did not say how to go on")
        elif status not in (0, 143, -signal.SIGTERM):
            tally.lose(what, f"it ended with {status}: {last_line(child)}")
        elif status != 0 and begin(command, command.next(folder) or [], folder).wait(1800) != 0:
            tally.lose(what, "it cannot go on")
        elif found := difference(folder, truth):
            tally.lose(what, found)
        else:
            tally.add(what, "no effect" if status == 0 else "made good")


def last_line(child: Child) -> str:
    """The last thing a child said."""
    return (child.said.strip().splitlines() or ["nothing"])[-1][:300]
