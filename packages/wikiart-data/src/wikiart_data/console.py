"""Console output: one rich console, plain lines when it is not a terminal, progress with the time left."""

import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


class _PipeConsole(Console):
    """A console that leaves a closed pipe (`| head`) to the command line; rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


console = _PipeConsole(highlight=False, soft_wrap=True)
PLAIN_INTERVAL_S = 15.0
"""Without a terminal, `track` prints a line about this often."""


@contextmanager
def echo_to_stderr(enabled: bool = True) -> Iterator[None]:
    """Send `echo` to standard error, because standard output carries data for another program."""
    before, console.stderr = console.stderr, enabled or console.stderr
    try:
        yield
    finally:
        console.stderr = before


def echo(text: str = "") -> None:
    """Print a line as it is: square brackets are no markup."""
    console.print(text, markup=False)


def echo_wrapped(text: str) -> None:
    """Print a long text, wrapped to lines of at most 80 characters."""
    echo("\n".join(textwrap.fill(line, 80) for line in text.split("\n")))


def printable(name: str) -> str:
    """A file name safe to print: control characters and undecodable bytes become escapes."""
    decodable = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decodable)


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 picture`, `2,500 pictures`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def track(items: Iterable[Item], total: int, label: str, unit: str = "") -> Iterator[Item]:
    """Yield `items` and show progress with the time left: a bar on a terminal, else a line every 15 seconds.

    Args:
        items: what is iterated over.
        total: their number.
        label: what is being done, such as `packing`.
        unit: what the items are, such as `pictures`.
    """
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
            yield from bar.track(items, total=total, description=label)
        return
    start = last_line = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last_line >= PLAIN_INTERVAL_S and done < total:
            last_line = now
            left = (now - start) / done * (total - done)
            echo(f"{label}: {done:,} of {total:,} {unit}".rstrip() + f", {now - start:.0f} s, about {left:.0f} s left")
