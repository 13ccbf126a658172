#!/usr/bin/env python3
"""Lock the workspace without addresses: pins and hashes stay, where they came from goes.

    tools/lock.py [arguments of uv lock]    lock, then take the addresses out (restores a lock that uv has filled in)
    tools/lock.py --check                   fail if the lock holds an address, or is not what locking again would give

uv writes the index it used into every entry of uv.lock, and has no setting against it (astral-sh/uv issue 6349). A lock
with addresses ties everyone to one index; without them the same pins and hashes are found at whatever index a user has:
the public one, a mirror, or a folder of wheels. So `registry = "<url>"` becomes `registry = "index"`, and
`url = "<url>/<file>"` becomes `path = "<file>"`. uv finds no index of that name, so it resolves again with the lock's
pins preferred, and fills the addresses of the user's index into the working copy. The name must not be one of
`find-links`: uv (0.13) would then take the lock as it stands, and look for every wheel in that folder.
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
    """Take the addresses out of a lock's text; a lock without any comes back unchanged."""
    lock = re.sub(r'registry = "[^"]*"', f'registry = "{NOWHERE}"', lock)
    return re.sub(r'url = "[a-z+]+://[^"]*/([^"/#?]+)(?:[#?][^"]*)?"', r'path = "\1"', lock)


def relock(root: Path, arguments: list[str]) -> str:
    """Run `uv lock` in `root` and return the stripped result."""
    done = subprocess.run(["uv", "lock", *arguments], cwd=root, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"uv lock failed:\n{done.stderr.strip()}")
    return strip((root / "uv.lock").read_text(encoding="utf-8"))


def lock_again_elsewhere(lock: str) -> str:
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
    """What is wrong with a lock's text: one sentence each."""
    lines = enumerate(lock.splitlines(), 1)
    wrong = [f"line {number} holds an address: {line.strip()}" for number, line in lines if "://" in line]
    if wrong:
        return [*wrong[:5], "Run tools/lock.py and commit its result."]
    if lock_again_elsewhere(lock) != lock:
        return ["uv.lock does not fit the pyproject.toml files. Run tools/lock.py and commit its result."]
    return []


def main(arguments: list[str]) -> int:
    """Lock, or check the committed lock."""
    path = ROOT / "uv.lock"
    if arguments == ["--check"]:
        # The working copy may have been filled in by uv since; what counts is what is committed.
        shown = subprocess.run(["git", "show", "HEAD:uv.lock"], cwd=ROOT, capture_output=True, text=True, check=False)
        wrong = check(shown.stdout if shown.returncode == 0 else path.read_text(encoding="utf-8"))
        print("\n".join(wrong) or "uv.lock holds no address and fits the workspace.")
        return 1 if wrong else 0
    path.write_text(relock(ROOT, arguments), encoding="utf-8")
    print("uv.lock is locked and holds no address.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
