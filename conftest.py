"""Shared by the tests of all packages: options without pytest-xdist, and programs started fast or in two processes."""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Where the environment forbids bytecode (containers often do), every process that a test starts would compile torch and
# its friends again, which takes longer than most tests: 5 s of CPU time. Their bytecode is kept here instead.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent / ".pytest_cache" / "bytecode")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept and ignore the pytest-xdist options of pyproject.toml where the plugin is not installed."""
    if importlib.util.find_spec("xdist") is None:
        for option in ("--numprocesses", "--dist"):
            parser.addoption(option, help="needs pytest-xdist, which is not installed: ignored")


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """A program like `python`, but torch is imported already: tests/warm_python.py."""
    program = Path(__file__).parent / "tests" / "warm_python.py"
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: the path of a socket has 107 characters at most
        address, python = Path(folder) / "socket", Path(folder) / "python"
        python.write_text(f'#!/bin/sh\nWARM_PYTHON={address} exec {sys.executable} -IS {program} "$@"\n')
        python.chmod(0o755)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen([sys.executable, program, "serve", address], env=environment)
        try:
            while not address.exists():
                assert server.poll() is None, "it ended before its first program"
                time.sleep(0.02)
            yield python
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def in_two_processes(warm_python: Path) -> Callable[..., str]:
    """Run `-m package …` or `script.py …` in two processes, as torchrun would; returns what they printed.

    Both must end with status 0.
    """

    def start(*arguments: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        with tempfile.TemporaryFile("w+") as printed:
            processes = [
                subprocess.Popen(
                    [warm_python, *arguments],
                    env={**os.environ, **rendezvous, "OMP_NUM_THREADS": "1", "RANK": rank, "LOCAL_RANK": rank},
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                )
                for rank in ("0", "1")
            ]
            statuses = [process.wait(600) for process in processes]
            printed.seek(0)
            text = printed.read()
        assert statuses == [0, 0], text[-2000:]
        return text

    return start
