"""Importing the package loads next to nothing; each public name is there at its first use."""

import subprocess
import sys

import pytest

import wikiart_data
from wikiart_data import sample

HEAVY = {"torch", "torchvision", "numpy", "PIL", "scipy", "sklearn", "matplotlib", "rich", "tyro", "accelerate"}


def loaded(program: str) -> set[str]:
    """The modules that a fresh interpreter has after a program."""
    command = [sys.executable, "-c", program + "\nimport sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_loads_no_other_module():
    packages = {name.partition(".")[0] for name in loaded("import wikiart_data") - loaded("")}
    assert packages - sys.stdlib_module_names == {"wikiart_data"}
    assert not loaded("from wikiart_data.sample import is_sample_set") & HEAVY


@pytest.mark.parametrize("names", ["scan, Catalog", "pack, PackedImages, STYLES, InputError"])
def test_what_needs_no_torch_does_not_load_it(names: str):
    assert not loaded(f"from wikiart_data import {names}") & {"torch", "torchvision", "accelerate", "matplotlib"}


def test_painting_needs_only_numpy_and_pillow():
    program = "from wikiart_data.sample import Scene, paint, build_sample_set; paint(Scene('city', 1), 'Cubism', 16)"
    assert not loaded(program) & (HEAVY - {"numpy", "PIL", "rich"})


@pytest.mark.parametrize("package", [wikiart_data, sample])
def test_every_public_name_is_there(package):
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "wikiart_data", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: wikiart-data ")
    wrong = subprocess.run([sys.executable, "-m", "wikiart_data", "no-such-command"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("wikiart-data: ")
