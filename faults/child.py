"""Children that run one function each: forked, so that torch is imported once for the hundreds that are killed.

The parent must never compute with torch: its threads would be missing in the children.
"""

import ctypes
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR
_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
_PARENT_DIES = 1  # PR_SET_PDEATHSIG


@dataclass
class Child:
    """A child at work, or ended."""

    pid: int
    log: Path
    """What it says on both streams."""
    status: int | None = None
    """Exit status once it has ended; -9 if it was killed, as in subprocess."""

    def poll(self) -> int | None:
        """The exit status, None while it is at work."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float = 300.0) -> int | None:
        """The exit status; None if it is still at work after so many seconds."""
        if self.poll() is None:
            ended = select.poll()
            with os.fdopen(os.pidfd_open(self.pid)) as descriptor:
                ended.register(descriptor, select.POLLIN)
                ended.poll(1000 * seconds)
        return self.poll()

    def end(self, number: int = signal.SIGKILL) -> int | None:
        """Send a signal, and wait for the end."""
        if self.poll() is None:
            os.kill(self.pid, number)
        return self.wait()

    @property
    def said(self) -> str:
        """Everything it has said so far."""
        return self.log.read_text(errors="replace")


class Moments:
    """Counts a child's changes to files below a folder, and can send it a signal at one: before it is done.

    A change is a file opened for writing, renamed, removed or cut, a folder made or removed.
    """

    def __init__(self, below: Path):
        self.below = str(below)
        self._count = mmap.mmap(-1, 8)  # shared with the child

    @property
    def number(self) -> int:
        """Changes so far, of the last child."""
        return struct.unpack("q", self._count[:8])[0]

    def watch(self, at: int | None = None, number: int = signal.SIGKILL) -> None:
        """Call in the child: count from 0, and send it signal `number` just before its change `at`."""
        self._count[:8] = struct.pack("q", 0)
        me = os.getpid()

        def seen(event: str, arguments: tuple) -> None:
            change = event in _CHANGES or (event == "open" and (arguments[2] or 0) & _WRITES)
            if not change or os.getpid() != me or not isinstance(arguments[0], str | Path):
                return
            if not os.path.abspath(arguments[0]).startswith(self.below):  # noqa: PTH100  (called for every open)
                return
            count = self.number + 1
            self._count[:8] = struct.pack("q", count)
            if count == at:
                os.kill(me, number)

        sys.addaudithook(seen)


def start(
    function: Callable[[], int | None],
    folder: Path,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Child:
    """Fork a child that calls `function` in `folder` and ends with the status it returns.

    Args:
        function: what to do; an exception becomes a traceback and status 1.
        folder: where to; the child's `log` is beside it.
        environment: changes to the environment.
        before: called in the child first: limits, hooks.
    """
    log = folder.with_name(folder.name + ".log")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, log)
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as in a program that was just started
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.environ.update(environment or {})
        os.chdir(folder)
        if before:
            before()
        status = function() or 0
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a child of its own, silently; the child's exceptions are raised here.

    Raises:
        RuntimeError: the child died, or met an exception.
    """
    return asked(function, *arguments)()


def asked(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Begin what `ask` does; calling the answer waits for it."""
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL)
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            answer = (True, function(*arguments))
        except BaseException as error:
            answer = (False, f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}")
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        os._exit(0)
    os.close(write)

    def answered() -> Any:
        with os.fdopen(read, "rb") as pipe:
            content = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not content:
            raise RuntimeError(f"{getattr(function, '__name__', function)} died with status {status}")
        good, answer = pickle.loads(content)
        if not good:
            raise RuntimeError(answer)
        return answer

    return answered
