"""Disks that are full or only to be read, and two who do the same at once."""

import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.child import Child
from faults.kill import begin, difference, last_line, unbroken
from faults.stage import Command, Stage
from faults.tally import Tally


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """A mount at a new folder while it lasts; for root on Linux."""
    place.mkdir()
    subprocess.run(["mount", *options, str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def can_mount(place: Path) -> bool:
    """Whether small and read-only disks can be made here."""
    try:
        with mounted(place / "probe", "-t", "tmpfs", "-o", "size=1m", "none"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        shutil.rmtree(place / "probe", ignore_errors=True)


def full(stage: Stage, command: Command, times: int, dice: random.Random, tally: Tally) -> None:
    """Let the disk be full after a random share of what a command writes; then make room and go on."""
    truth, _, _ = unbroken(stage, command)
    made = stage.home / str(stage.number)
    files = [path.stat().st_size for path in made.rglob("*") if path.is_file()]
    if can_mount(stage.home):
        for _ in range(times):
            # What the command needs there lies there beforehand.
            there = _taken(stage.place / command.needs) if command.needs else 0
            size = there + int(dice.uniform(0.1, 1.0) * (_taken(made) - there))
            stage.number += 1
            folder = stage.home / str(stage.number)
            with mounted(folder, "-t", "tmpfs", "-o", f"size={max(size, 40_960)}", "none"):
                stage.furnish(command, folder)
                child = begin(command, list(command.arguments), folder)
                child.wait(1800)
                subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
                _gone_on(f"full disk: {command.name}", command, child, folder, truth, tally)
    else:
        tally.left_out["full disk, a small tmpfs"] = "mounting needs root"
    for _ in range(max(1, times // 2)):
        folder, most = stage.fresh(command), int(dice.uniform(0.05, 1.0) * max(files))

        def limited(most: int = most) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

        child = begin(command, list(command.arguments), folder, before=limited)
        child.wait(1800)
        _gone_on(f"file size limit: {command.name}", command, child, folder, truth, tally)


def _taken(folder: Path) -> int:
    """Bytes that a folder takes on a disk of blocks of 4 KB."""
    return sum(-(-path.stat().st_size // 4096) * 4096 if path.is_file() else 4096 for path in folder.rglob("*"))


def _gone_on(what: str, command: Command, child: Child, folder: Path, truth: dict[str, str], tally: Tally) -> None:
    """It must have ended in a sentence, or not have noticed; then, with room, it goes on to the unbroken end."""
    said = child.said
    ending = "no effect" if child.status == 0 else "refused"
    if child.status not in (0, 2) or "Traceback" in said:
        tally.lose(what, f"it ends with {child.status}: {last_line(child)}")
        return
    arguments = command.next(folder)
    if arguments is not None:
        again = begin(command, arguments, folder)
        if again.wait(1800) != 0:
            tally.lose(what, f"with room again it ends with {again.status}: {last_line(again)}")
            return
    if odd := difference(folder, truth):
        tally.lose(what, odd)
    else:
        tally.add(what, ending)


def read_only(stage: Stage, command: Command, tally: Tally) -> None:
    """A cache that cannot be written, empty and filled; data and a place for results that cannot be written."""
    if not can_mount(stage.home):
        tally.left_out["read-only cache, data and target"] = "mounting needs root"
        return
    arguments = list(command.arguments)
    if command.run or command.name not in ("download", "import"):
        with mounted(stage.home / "data", "--bind", str(stage.data)) as data:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(data)], check=True)
            there = [str(data) if word == str(stage.data) else word for word in arguments]
            child = begin(command, there, stage.fresh(command if command.run else None))
            _expect("read-only data", command, child, 0, "", tally)
        folder = stage.fresh(command)
        with mounted(folder / "cache", "-t", "tmpfs", "none") as cache:
            subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
            _expect("read-only cache, empty", command, begin(command, arguments, folder), 2, "--cache-dir", tally)
            subprocess.run(["mount", "-o", "remount,rw", str(cache)], check=True)
            if begin(command, command.next(folder) or [], folder).wait(1800) != 0:
                tally.lose(f"read-only cache, filled: {command.name}", "it could not be filled")
            subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
            again = [*arguments, *(["--overwrite"] if command.run else [])]
            _expect("read-only cache, filled", command, begin(command, again, folder), 0, "", tally)
    if command.name == "pack":
        return
    with mounted(stage.home / "closed", "-t", "tmpfs", "none") as closed:
        subprocess.run(["mount", "-o", "remount,ro", str(closed)], check=True)
        if command.run or command.needs:
            arguments += ["--runs", str(closed)]
        else:
            arguments[arguments.index("data")] = str(closed / "data")
        _expect("read-only target", command, begin(command, arguments, stage.fresh(command)), 2, "", tally)


def _expect(what: str, command: Command, child: Child, status: int, word: str, tally: Tally) -> None:
    child.wait(1800)
    if child.status != status or word not in child.said or "Traceback" in child.said:
        tally.lose(f"{what}: {command.name}", f"it ends with {child.status}: {last_line(child)}")
    else:
        tally.add(f"{what}: {command.name}", "no effect" if child.status == 0 else "refused")


def two_at_once(stage: Stage, command: Command, tally: Tally) -> None:
    """Two who do the same, at the same time, in the same place: one does it and the other waits or is told so."""
    truth, _, _ = unbroken(stage, command)
    folder = stage.fresh(command)
    pair = [begin(command, list(command.arguments), _beside(folder, turn)) for turn in range(2)]
    _both(f"two at once: {command.name}", pair, folder, truth, tally)
    if not command.run:
        return
    folder = stage.fresh(command)
    child = begin(command, list(command.arguments), folder)
    while child.poll() is None and not (folder / command.run / "last.safetensors").exists():
        child.wait(0.01)
    child.end()
    pair = [begin(command, ["--resume", command.run], _beside(folder, turn)) for turn in range(2)]
    _both(f"two resume at once: {command.name}", pair, folder, truth, tally)


def _both(what: str, pair: list[Child], folder: Path, truth: dict[str, str], tally: Tally) -> None:
    """Both must have ended well, or one, and the other have been told; what is there is what one alone leaves."""
    statuses = sorted(str(child.wait(1800)) for child in pair)
    if statuses not in (["0", "0"], ["0", "2"]) or any("Traceback" in child.said for child in pair):
        tally.lose(what, f"they end with {statuses}: {last_line(pair[0])} / {last_line(pair[1])}")
    elif odd := difference(folder, truth):
        tally.lose(what, odd)
    else:
        tally.add(what, "refused" if "2" in statuses else "no effect")


def _beside(folder: Path, turn: int) -> Path:
    """Another name of the same folder, so that each of two children has a log of its own."""
    if turn == 0:
        return folder
    other = folder.with_name(f"{folder.name}-again")
    other.symlink_to(folder)
    return other
