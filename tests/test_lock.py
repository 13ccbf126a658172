"""The lock carries no addresses, and the tool that takes them out is sound."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("lock", ROOT / "tools" / "lock.py")
lock = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lock)

FILLED = """
[[package]]
name = "rich"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "pygments", source = { registry = "https://index.example/simple" } }]
sdist = { url = "https://files.example/packages/ab/rich-15.0.0.tar.gz", hash = "sha256:00", size = 1 }
wheels = [
    { url = "https://files.example/packages/cd/rich-15.0.0-py3-none-any.whl#sha256=00", hash = "sha256:11" },
]
"""


def test_addresses_go_and_pins_and_hashes_stay():
    stripped = lock.strip(FILLED)
    assert "://" not in stripped
    assert 'source = { registry = "index" }' in stripped
    assert '{ path = "rich-15.0.0.tar.gz", hash = "sha256:00", size = 1 }' in stripped
    assert '{ path = "rich-15.0.0-py3-none-any.whl", hash = "sha256:11" }' in stripped


def test_stripping_twice_changes_nothing():
    assert lock.strip(lock.strip(FILLED)) == lock.strip(FILLED)


def test_a_lock_with_an_address_is_reported_by_line():
    assert lock.check(FILLED)[0].startswith("line 4 holds an address: source")


def test_the_name_in_the_lock_is_no_folder_of_wheels():
    # uv would take the lock as it stands and look for every wheel there (tools/lock.py says more).
    assert f'find-links = ["{lock.WHEELHOUSE}"]' in (ROOT / "pyproject.toml").read_text()
    assert lock.NOWHERE != lock.WHEELHOUSE


def test_the_committed_lock_holds_no_address():
    shown = subprocess.run(["git", "show", "HEAD:uv.lock"], cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode:
        pytest.skip("not in a git checkout")
    assert "://" not in shown.stdout
    assert 'name = "torch"' in shown.stdout


@pytest.mark.network
def test_the_committed_lock_fits_the_workspace():
    assert lock.main(["--check"]) == 0
