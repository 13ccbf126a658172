"""Full and read-only disks, and two processes that do the same thing at once."""

import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.child import Child
from faults.kill import differences, last_line, run_uninterrupted, start_command
from faults.stage import Command, Stage
from faults.tally import Tally


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something at a new folder for the duration of the block; needs root on Linux."""
    folder.mkdir()
    subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether small and read-only file systems can be mounted here."""
    try:
        with mounted(folder / "probe", "-t", "tmpfs", "-o", "size=1m", "none"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        shutil.rmtree(folder / "probe", ignore_errors=True)


def full_disk(stage: Stage, command: Command, trials: int, rng: random.Random, tally: Tally) -> None:
    """Fill the disk after a random proportion of what a command writes; then make room and continue."""
    expected, _, _ = run_uninterrupted(stage, command)
    complete = stage.home / str(stage.number)
    file_sizes = [path.stat().st_size for path in complete.rglob("*") if path.is_file()]
    if can_mount(stage.home):
        for _ in range(trials):
            prerequisite = _disk_usage(stage.root / command.prerequisite) if command.prerequisite else 0
            size = prerequisite + int(rng.uniform(0.1, 1.0) * (_disk_usage(complete) - prerequisite))
            stage.number += 1
            folder = stage.home / str(stage.number)
            with mounted(folder, "-t", "tmpfs", "-o", f"size={max(size, 40_960)}", "none"):
                stage.copy_prerequisite(command, folder)
                child = start_command(command, list(command.arguments), folder)
                child.wait(1800)
                subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
                _check_continues(f"full disk: {command.name}", command, child, folder, expected, tally)
    else:
        tally.skipped["full disk, a small tmpfs"] = "mounting needs root"
    for _ in range(max(1, trials // 2)):
        folder, limit = stage.new_folder(command), int(rng.uniform(0.05, 1.0) * max(file_sizes))

        def set_limit(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        child = start_command(command, list(command.arguments), folder, before=set_limit)
        child.wait(1800)
        _check_continues(f"file size limit: {command.name}", command, child, folder, expected, tally)


def _disk_usage(folder: Path) -> int:
    """Bytes that a folder occupies on a disk with blocks of 4 KB."""
    return sum(-(-path.stat().st_size // 4096) * 4096 if path.is_file() else 4096 for path in folder.rglob("*"))


def _check_continues(
    fault: str, command: Command, child: Child, folder: Path, expected: dict[str, str], tally: Tally
) -> None:
    """The command must have refused with a message or succeeded; with room again it completes as if uninterrupted."""
    outcome = "no effect" if child.status == 0 else "refused"
    if child.status not in (0, 2) or "Traceback" in child.output:
        tally.lose(fault, f"it exits with {child.status}: {last_line(child)}")
        return
    arguments = command.arguments_to_continue(folder)
    if arguments is not None:
        continued = start_command(command, arguments, folder)
        if continued.wait(1800) != 0:
            tally.lose(fault, f"with room again it exits with {continued.status}: {last_line(continued)}")
            return
    if mismatch := differences(folder, expected):
        tally.lose(fault, mismatch)
    else:
        tally.add(fault, outcome)


def read_only(stage: Stage, command: Command, tally: Tally) -> None:
    """Make the cache (empty and filled), the data and the target read-only."""
    if not can_mount(stage.home):
        tally.skipped["read-only cache, data and target"] = "mounting needs root"
        return
    arguments = list(command.arguments)
    if command.run or command.name not in ("download", "import"):
        with mounted(stage.home / "data", "--bind", str(stage.data)) as data:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(data)], check=True)
            with_mount = [str(data) if word == str(stage.data) else word for word in arguments]
            child = start_command(command, with_mount, stage.new_folder(command if command.run else None))
            _expect("read-only data", command, child, 0, "", tally)
        folder = stage.new_folder(command)
        with mounted(folder / "cache", "-t", "tmpfs", "none") as cache:
            subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
            child = start_command(command, arguments, folder)
            _expect("read-only cache, empty", command, child, 2, "--cache-dir", tally)
            subprocess.run(["mount", "-o", "remount,rw", str(cache)], check=True)
            if start_command(command, command.arguments_to_continue(folder) or [], folder).wait(1800) != 0:
                tally.lose(f"read-only cache, filled: {command.name}", "it could not be filled")
            subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
            repeated = [*arguments, *(["--overwrite"] if command.run else [])]
            child = start_command(command, repeated, folder)
            _expect("read-only cache, filled", command, child, 0, "", tally)
    if command.name == "pack":
        return
    with mounted(stage.home / "closed", "-t", "tmpfs", "none") as closed:
        subprocess.run(["mount", "-o", "remount,ro", str(closed)], check=True)
        if command.run or command.prerequisite:
            arguments += ["--runs", str(closed)]
        else:
            arguments[arguments.index("data")] = str(closed / "data")
        child = start_command(command, arguments, stage.new_folder(command))
        _expect("read-only target", command, child, 2, "", tally)


def _expect(fault: str, command: Command, child: Child, status: int, word: str, tally: Tally) -> None:
    """The child must exit with a status, print a word, and print no traceback."""
    child.wait(1800)
    if child.status != status or word not in child.output or "Traceback" in child.output:
        tally.lose(f"{fault}: {command.name}", f"it exits with {child.status}: {last_line(child)}")
    else:
        tally.add(f"{fault}: {command.name}", "no effect" if child.status == 0 else "refused")


def two_at_once(stage: Stage, command: Command, tally: Tally) -> None:
    """Start the same command twice in the same place: one does the work, the other waits or is refused."""
    expected, _, _ = run_uninterrupted(stage, command)
    folder = stage.new_folder(command)
    pair = [start_command(command, list(command.arguments), _alias(folder, turn)) for turn in range(2)]
    _check_pair(f"two at once: {command.name}", pair, folder, expected, tally)
    if not command.run:
        return
    folder = stage.new_folder(command)
    child = start_command(command, list(command.arguments), folder)
    while child.poll() is None and not (folder / command.run / "last.safetensors").exists():
        child.wait(0.01)
    child.end()
    pair = [start_command(command, ["--resume", command.run], _alias(folder, turn)) for turn in range(2)]
    _check_pair(f"two resume at once: {command.name}", pair, folder, expected, tally)


def _check_pair(fault: str, pair: list[Child], folder: Path, expected: dict[str, str], tally: Tally) -> None:
    """Both succeed, or one does and the other is refused; the files are those of a single run."""
    statuses = sorted(str(child.wait(1800)) for child in pair)
    if statuses not in (["0", "0"], ["0", "2"]) or any("Traceback" in child.output for child in pair):
        tally.lose(fault, f"they exit with {statuses}: {last_line(pair[0])} / {last_line(pair[1])}")
    elif mismatch := differences(folder, expected):
        tally.lose(fault, mismatch)
    else:
        tally.add(fault, "refused" if "2" in statuses else "no effect")


def _alias(folder: Path, turn: int) -> Path:
    """A second name of the same folder, so that each of two children has a log file of its own."""
    if turn == 0:
        return folder
    other = folder.with_name(f"{folder.name}-again")
    other.symlink_to(folder)
    return other
