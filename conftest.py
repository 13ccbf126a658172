"""Tests run two at a time where pytest-xdist is installed, and one after another where it is not."""

import importlib.util

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take pyproject.toml's options for pytest-xdist, and do nothing with them, where there is none."""
    if importlib.util.find_spec("xdist") is None:
        for option in ("--numprocesses", "--dist"):
            parser.addoption(option, help="needs pytest-xdist, which is not installed: ignored")
