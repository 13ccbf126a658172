"""Shared by the tests of all packages: options without pytest-xdist, and programs started in two processes."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
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


@pytest.fixture
def in_two_processes() -> Callable[..., subprocess.CompletedProcess]:
    """Run `-m package …` or `script.py …` in two processes, as a user would; its exit status must be 0."""

    def start(*arguments: str) -> subprocess.CompletedProcess:
        # With `--multi_gpu` accelerate starts several processes here; --device cpu keeps them off the GPUs.
        # Port 0 is any free one: another test may be doing the same.
        options = "--multi_gpu --num_processes 2 --main_process_port 0 --num_machines 1 --mixed_precision no"
        launch = ["-m", "accelerate.commands.launch", *options.split(), "--dynamo_backend", "no"]
        done = subprocess.run(
            [sys.executable, *launch, *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return start
