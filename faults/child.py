"""Child processes that run one function each. They are forked, so torch is imported once for hundreds of them.

The parent must never compute with torch: the threads it starts would be missing in the children.
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
    """A running or finished child process."""

    pid: int
    log: Path
    """File with its standard output and error."""
    status: int | None = None
    """Exit status once it has ended; negative for a signal, as in subprocess."""

    def poll(self) -> int | None:
        """The exit status, None while it is running."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float = 300.0) -> int | None:
        """Wait up to `seconds` and return the exit status; None if it is still running."""
        if self.poll() is None:
            ended = select.poll()
            with os.fdopen(os.pidfd_open(self.pid)) as descriptor:
                ended.register(descriptor, select.POLLIN)
                ended.poll(1000 * seconds)
        return self.poll()

    def end(self, number: int = signal.SIGKILL) -> int | None:
        """Send a signal and wait for the end."""
        if self.poll() is None:
            os.kill(self.pid, number)
        return self.wait()

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")


class FileChanges:
    """Counts a child's changes to files below a folder, and can send a signal just before one of them.

    A change is a file opened for writing, renamed, removed or truncated, or a folder created or removed.
    """

    def __init__(self, folder: Path):
        self._prefix = str(folder)
        self._shared = mmap.mmap(-1, 8)  # shared with the child

    @property
    def count(self) -> int:
        """Changes made by the last child."""
        return struct.unpack("q", self._shared[:8])[0]

    def watch(self, signal_at: int | None = None, signum: int = signal.SIGKILL) -> None:
        """Call in the child: count from 0, and send it `signum` just before change `signal_at`."""
        self._shared[:8] = struct.pack("q", 0)
        pid = os.getpid()

        def hook(event: str, arguments: tuple) -> None:
            change = event in _CHANGES or (event == "open" and (arguments[2] or 0) & _WRITES)
            if not change or os.getpid() != pid or not isinstance(arguments[0], str | Path):
                return
            if not os.path.abspath(arguments[0]).startswith(self._prefix):  # noqa: PTH100  (called for every open)
                return
            count = self.count + 1
            self._shared[:8] = struct.pack("q", count)
            if count == signal_at:
                os.kill(pid, signum)

        sys.addaudithook(hook)


def start(
    function: Callable[[], int | None],
    folder: Path,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Child:
    """Fork a child that calls `function` in `folder` and exits with the status it returns.

    Args:
        function: what to run; an exception becomes a traceback and status 1.
        folder: the working directory; the child's log file is written next to it.
        environment: changes to the environment.
        before: called first in the child, to set limits and hooks.
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
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the default of a fresh program
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


def call_in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a child process, without its output, and return what it returns.

    Raises:
        RuntimeError: the child died or raised an exception.
    """
    return begin_in_child(function, *arguments)()


def begin_in_child(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start `call_in_child` without waiting; the returned function waits for the result and returns it."""
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL)
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            reply = (True, function(*arguments))
        except BaseException as error:
            reply = (False, f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}")
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(reply))
        os._exit(0)
    os.close(write)

    def result() -> Any:
        with os.fdopen(read, "rb") as pipe:
            content = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not content:
            raise RuntimeError(f"{getattr(function, '__name__', function)} died with status {status}")
        succeeded, value = pickle.loads(content)
        if not succeeded:
            raise RuntimeError(value)
        return value

    return result
