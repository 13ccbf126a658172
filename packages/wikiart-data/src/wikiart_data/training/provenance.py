"""What a result came from: the code's commit, the libraries' versions, the device."""

import platform
import subprocess
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wikiart_data.console import counted

if TYPE_CHECKING:
    from accelerate import Accelerator

_VERSIONS_OF = ("torch", "torchvision", "accelerate", "numpy", "pillow", "safetensors", "scikit-learn")


def provenance(accelerator: "Accelerator | None" = None) -> dict[str, Any]:
    """Plain facts for run.json."""
    return {
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "versions": _versions(),
        "device": _device_in_words(accelerator),
        "processes": 1 if accelerator is None else accelerator.num_processes,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


@cache  # what is imported does not change any more
def git_commit() -> str | None:
    """The commit of the code that runs, with `+` if files were changed since; None if it is not under git itself."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed into somebody else's repository, perhaps
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONS_OF:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _device_in_words(accelerator: "Accelerator | None") -> str:
    device = torch.device("cpu") if accelerator is None else accelerator.device
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({counted(torch.get_num_threads(), 'thread')})"
