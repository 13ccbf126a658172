"""What a person sees: one console, plain lines when it is not a terminal, progress with time left."""

import html
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

console = Console(highlight=False, soft_wrap=True)
PLAIN_INTERVAL_S = 15.0
"""Away from a terminal a long job prints a line about this often."""


@contextmanager
def echo_to_stderr(wanted: bool = True) -> Iterator[None]:
    """While a command prints data for another program, what it says to a person goes to standard error."""
    before, console.stderr = console.stderr, wanted or console.stderr
    try:
        yield
    finally:
        console.stderr = before


def echo(text: str = "") -> None:
    """Print a line. Square brackets stay what they are: file names are never read as markup."""
    console.print(text, markup=False)


def echo_wrapped(text: str) -> None:
    """Print a long text, broken between words into lines of at most 80 characters."""
    echo("\n".join(textwrap.fill(line, 80) for line in text.split("\n")))


def printable(name: str) -> str:
    """A file name safe to print: control characters and undecodable bytes are shown as escapes."""
    shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


def escape_html(text: object) -> str:
    """Text that a page can hold anywhere: printable, and nothing in it is read as markup."""
    return html.escape(printable(str(text)))


def track(items: Iterable[Item], total: int, label: str, unit: str = "") -> Iterator[Item]:
    """Yield `items`, showing progress and time left: a bar on a terminal, else a timed line now and then."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
            yield from bar.track(items, total=total, description=label)
        return
    start = spoken = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - spoken >= PLAIN_INTERVAL_S and done < total:
            spoken = now
            left = (now - start) / done * (total - done)
            echo(f"{label}: {done:,} of {total:,} {unit}".rstrip() + f", {now - start:.0f} s, about {left:.0f} s left")
