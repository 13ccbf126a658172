#!/usr/bin/env python3
"""Lock the workspace without addresses: versions and hashes stay, index addresses are removed.

    tools/lock.py [arguments of uv lock]    lock, then remove the addresses (also from a lock that uv has filled in)
    tools/lock.py --check                   fail if the lock has an address, or differs from what locking again gives

uv writes the index it used into every entry of uv.lock and has no setting against that (astral-sh/uv issue 6349). A
lock with addresses ties everyone to one index; without them, uv finds the same versions and hashes at the user's index:
the public one, a mirror, or a folder of wheels. So `registry = "<url>"` becomes `registry = "index"`, and
`url = "<url>/<file>"` becomes `path = "<file>"`. As there is no index of that name, uv resolves again, prefers the
locked versions, and writes the addresses of the user's index into the working copy. The name must not be that of a
`find-links` folder: uv (0.13) would then accept the lock as it is and look for every wheel in that folder.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "index"
WHEELHOUSE = "wheelhouse"


def strip(lock: str) -> str:
    """Remove the addresses from a lock's text; a lock without any is returned unchanged."""
    lock = re.sub(r'registry = "[^"]*"', f'registry = "{NOWHERE}"', lock)
    return re.sub(r'url = "[a-z+]+://[^"]*/([^"/#?]+)(?:[#?][^"]*)?"', r'path = "\1"', lock)


def relock(root: Path, arguments: list[str]) -> str:
    """Run `uv lock` in `root` and return the stripped result."""
    done = subprocess.run(["uv", "lock", *arguments], cwd=root, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"uv lock failed:\n{done.stderr.strip()}")
    return strip((root / "uv.lock").read_text(encoding="utf-8"))


def lock_copy(lock: str) -> str:
    """Lock a copy of the workspace, starting from `lock`, and return the stripped result."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]:
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (copy / WHEELHOUSE).mkdir()
        (copy / "uv.lock").write_text(lock, encoding="utf-8")
        return relock(copy, [])


def check(lock: str) -> list[str]:
    """Problems of a lock's text, one sentence each."""
    lines = enumerate(lock.splitlines(), 1)
    problems = [f"line {number} has an address: {line.strip()}" for number, line in lines if "://" in line]
    if problems:
        return [*problems[:5], "Run tools/lock.py and commit its result."]
    if lock_copy(lock) != lock:
        return ["uv.lock does not fit the pyproject.toml files. Run tools/lock.py and commit its result."]
    return []


def main(arguments: list[str]) -> int:
    """Lock, or check the committed lock."""
    path = ROOT / "uv.lock"
    if arguments == ["--check"]:
        # uv may have filled in the working copy; the committed file counts.
        shown = subprocess.run(["git", "show", "HEAD:uv.lock"], cwd=ROOT, capture_output=True, text=True, check=False)
        problems = check(shown.stdout if shown.returncode == 0 else path.read_text(encoding="utf-8"))
        print("\n".join(problems) or "uv.lock has no address and fits the workspace.")
        return 1 if problems else 0
    path.write_text(relock(ROOT, arguments), encoding="utf-8")
    print("uv.lock is up to date and has no address.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
