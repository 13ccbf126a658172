"""Shared by the tests of all packages: options without pytest-xdist, and programs started fast or in two processes."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

# Two test processes share two cores, and the networks and arrays of tests are tiny: with more threads each, they would
# mostly wait for one another. torch, NumPy and scikit-learn read this when they are imported; so do programs that tests
# start, which therefore round as these processes do.
os.environ["OMP_NUM_THREADS"] = "1"

# Where the environment forbids bytecode (containers often do), every process that a test starts would compile torch and
# its friends again, which takes longer than most tests: 5 s of CPU time. Their bytecode is kept here instead.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent / ".pytest_cache" / "bytecode")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept and ignore the pytest-xdist options of pyproject.toml where the plugin is not installed."""
    if importlib.util.find_spec("xdist") is None:
        ignored = "needs pytest-xdist, which is not installed: ignored"
        for option in ("--numprocesses", "--dist"):
            parser.addoption(option, help=ignored)
        parser.addoption("--no-loadscope-reorder", action="store_true", help=ignored)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Make a folder once, in the first of pytest-xdist's processes that needs it; the others wait, and read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def made_once(name: str, make: Callable[[Path], object]) -> Path:
        folder, complete = base / name, base / f"{name}.complete"
        with FileLock(base / f"{name}.lock"):
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process in which it failed
                folder.mkdir()
                make(folder)
                complete.touch()
        return folder

    return made_once


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    """Write a white pixel for every figure of a run."""
    from matplotlib.figure import Figure

    from wikiart_data.results import folder
    from wikiart_data.results.figures import png

    patch.setattr(folder, "png", lambda _: png(Figure(figsize=(0.01, 0.01))))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering the figures takes longer than training the networks of these tests."""
    leave_out_figures(monkeypatch)


@pytest.fixture(scope="session")
def without_figures() -> Callable[[], AbstractContextManager]:
    """The same within a `with` statement, for fixtures of a wider scope."""

    @contextmanager
    def without_figures() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            leave_out_figures(patch)
            yield

    return without_figures


@pytest.fixture(scope="session")
def narrow_auxiliary_networks() -> Iterator[dict[str, dict[str, object]]]:
    """Narrow the networks that supervise stylegen's generator, which have no option; returns arguments by class."""
    from wikiart_stylegen import discriminators

    narrow = {"PatchDiscriminator": {"width": 8}, "StyleClassifier": {"widths": (8, 16, 32)}}
    with pytest.MonkeyPatch.context() as patch:
        for name, width in narrow.items():
            patch.setattr(discriminators, name, partial(getattr(discriminators, name), **width))
        yield narrow


@pytest.fixture(scope="session")
def warm_python(made_once: Callable[..., Path]) -> Path:
    """A program like `python`, but torch is imported already: tests/warm_python.py."""

    def start(folder: Path) -> None:
        short = Path(tempfile.mkdtemp())  # the path of a socket has 107 characters at most
        program, address = Path(__file__).parent / "tests" / "warm_python.py", short / "socket"
        owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        command = [sys.executable, program, "serve", address, str(owner)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        (folder / "python").write_text(f'#!/bin/sh\nWARM_PYTHON={address} exec {sys.executable} -IS {program} "$@"\n')
        (folder / "python").chmod(0o755)

    return made_once("warm-python", start) / "python"


@pytest.fixture
def run_program(warm_python: Path, tmp_path: Path) -> Callable[..., str]:
    """Run a program's text, with arguments, in a process of its own; returns what it printed."""

    def run_program(text: str, *arguments: str) -> str:
        (tmp_path / "program.py").write_text(text)
        command = [warm_python, tmp_path / "program.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run_program


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
                    env={**os.environ, **rendezvous, "RANK": rank, "LOCAL_RANK": rank},
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
