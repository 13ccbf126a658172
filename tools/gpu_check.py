#!/usr/bin/env python3
"""Check the toolkit on a GPU: one command, made to take under 8 minutes, no network.

    uv run python tools/gpu_check.py                    on the sample set
    uv run python tools/gpu_check.py --data paintings   on your own
    uv run python tools/gpu_check.py --quick            small networks, a minute; runs on a CPU too

Without uv, any Python with torch, torchvision, accelerate, diffusers, transformers and peft will do: put the packages'
`src` folders into PYTHONPATH. A table is printed and kept as OUT/result.json and OUT/index.html; the exit status is 1
if a check failed. On a CPU the checks that need a GPU are skipped, and named.

- train: every part trains in the precision of the device, is stopped by SIGTERM, is resumed, ends with the same weights
  as a run that was not stopped, and is evaluated.
- agree: the first losses of every part, and a judge's probabilities, are the same on CPU and GPU, in fp32.
- speed: images per second of an epoch's steps, compared with the same steps on one batch that stays on the device.
- lora: Stable Diffusion 1.5's published configuration with random weights: time per step and peak memory, with and
  without cached latents, and within 8 GiB.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gpu_sections import CHECKS
from gpu_trainings import Check, Setting
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.results.folder import write_results
from wikiart_data.results.tables import Table, print_table
from wikiart_data.training.device import select_device, use_bf16


@dataclass
class Result:
    """What result.json holds, besides its tables."""

    title: str = "Check on a GPU"
    device: str = ""
    torch: str = torch.__version__
    python: str = sys.version.split()[0]
    seconds: float = 0.0
    quick: bool = False
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """The checks that missed their target."""
        return [check for check in self.checks if check.passed is False]


def run_checks(setting: Setting, sections: Sequence[str]) -> list[Check]:
    """The checks of all sections; a section that fails is a failed check, and the others go on."""
    checks: list[Check] = []
    for section in sections:
        echo(f"\n-- {section}")
        try:
            for check in CHECKS[section](setting):
                checks.append(check)
                echo(f"{check.name}: {check.measured}")
        except Exception as error:  # the others may still tell something
            traceback.print_exc()
            checks.append(Check(section, f"{type(error).__name__}: {error}"[:200], "no error", False))
    return checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, print the table and write it; returns the exit status."""
    parser = argparse.ArgumentParser(
        "tools/gpu_check.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR", help="Folder of paintings (default: the sample set).")
    parser.add_argument("--device", default="auto", help="Device: auto, cpu, cuda or cuda:1 (default: auto).")
    parser.add_argument("--quick", action="store_true", help="Small networks and few steps: checks that it runs.")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(CHECKS), default=tuple(CHECKS), help="Only these (default: all)."
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-check"), metavar="DIR", help="Where to write.")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        device = select_device(options.device)
        if device.type == "cuda":  # with its number, which not every function of torch does without
            device = torch.device("cuda", device.index or 0)
    except InputError as error:
        print(f"tools/gpu_check.py: {error}", file=sys.stderr)
        return 2
    os.environ["HF_HUB_OFFLINE"] = "1"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    precision = "bf16" if use_bf16(device) else "fp32"
    result = Result(device=f"{name}, {precision}", quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        work = Path(folder)
        setting = Setting(find_paintings(options.data, work, options.quick), work, device, options.quick)
        result.checks = run_checks(setting, [section for section in CHECKS if section in options.only])
    result.seconds = round(time.monotonic() - began, 1)
    table = Table(
        f"{name}, torch {torch.__version__}, {precision}: {result.seconds:.0f} s",
        ("check", "measured", "target", "reached"),
        tuple(check.row() for check in result.checks),
    )
    echo()
    print_table(table)
    write_results(options.out, result, [table], {})
    echo(f"\nKept in {options.out}/result.json and index.html.")
    for check in result.failed:
        echo(f"FAILED: {check.name}: {check.measured} (target: {check.target})")
    return int(bool(result.failed))


def find_paintings(data: str | None, work: Path, quick: bool) -> Path:
    """The data: what the user gave, or the sample set, of which a small one is painted for the short form."""
    from wikiart_data.sample import build_sample_set

    if data is not None:
        return Path(data)
    return build_sample_set(work / "data", size=40 if quick else 192, fraction=0.03 if quick else 1.0, echo=echo)


if __name__ == "__main__":
    raise SystemExit(main())
