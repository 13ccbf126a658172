"""The committed lock has no addresses, and the tool that removes them works."""

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


def test_strip_removes_addresses_and_keeps_versions_and_hashes():
    stripped = lock.strip(FILLED)
    assert "://" not in stripped
    assert 'source = { registry = "index" }' in stripped
    assert '{ path = "rich-15.0.0.tar.gz", hash = "sha256:00", size = 1 }' in stripped
    assert '{ path = "rich-15.0.0-py3-none-any.whl", hash = "sha256:11" }' in stripped


def test_stripping_twice_changes_nothing():
    assert lock.strip(lock.strip(FILLED)) == lock.strip(FILLED)


def test_a_lock_with_an_address_is_reported_by_line():
    assert lock.check(FILLED)[0].startswith("line 4 ")


def test_the_registry_name_is_not_a_find_links_folder():
    # uv would accept the lock as it is and look for every wheel there: see tools/lock.py.
    assert f'find-links = ["{lock.WHEELHOUSE}"]' in (ROOT / "pyproject.toml").read_text()
    assert lock.NOWHERE != lock.WHEELHOUSE


def test_the_committed_lock_has_no_address():
    shown = subprocess.run(["git", "show", "HEAD:uv.lock"], cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode:
        pytest.skip("not in a git checkout")
    assert "://" not in shown.stdout
    assert 'name = "torch"' in shown.stdout


@pytest.mark.network
def test_the_committed_lock_fits_the_workspace():
    assert lock.main(["--check"]) == 0
