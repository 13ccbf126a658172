"""Signals that stop a training: the first one asks it to save and stop, a second one ends the process at once."""

import signal
from typing import Any

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
"""SIGUSR1 is what Slurm sends before the time limit (`--signal=B:USR1@60`)."""


class StopSignals:
    """The signals that have asked this process to stop; `received` is empty until then."""

    def __init__(self) -> None:
        self.received: set[int] = set()
        self._previous_handlers: dict[int, Any] = {}

    def install_handlers(self) -> None:
        """Let the first stop signal be noted in `received`; a second one ends the process at once."""

        def request_stop(signum: int, _: object) -> None:
            self.received.add(signum)
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)

        for signum in STOP_SIGNALS:
            self._previous_handlers[signum] = signal.signal(signum, request_stop)

    def restore_handlers(self) -> None:
        """Let a signal do again what it did before `install_handlers`."""
        while self._previous_handlers:
            signum, handler = self._previous_handlers.popitem()
            signal.signal(signum, handler)

    @property
    def exit_status(self) -> int:
        """Of the stopped process: 138 if only SIGUSR1 was received, so that a job can be requeued; else 143."""
        only_usr1 = bool(self.received) and self.received == {getattr(signal, "SIGUSR1", None)}
        return 128 + (signal.SIGUSR1 if only_usr1 else signal.SIGTERM)
