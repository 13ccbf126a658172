"""Pictures a second into ready training batches: ours, torchvision's ImageFolder, and the course's in-class way.

    uv run python benchmarks/loading.py [--pictures 15000] [--size 128] [--in-class 500]

Each way runs in a process of its own, so that its peak memory is its own, and all take turns over several rounds. The
crops (a fifth of the area or more), mirroring, brightness and contrast are the same everywhere. Then our batches and
one fixed batch train the default network in turn: does training wait for its pictures?

The in-class way decodes everything into float tensors first. All of it would not fit into memory, so it gets
`--in-class` pictures, and what all of them need is reckoned from those.
"""

import argparse
import itertools
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor, nn

from wikiart_data.console import console
from wikiart_data.images.augment import Augment, mixup_cutmix
from wikiart_data.styles import STYLES

# What only one way needs is imported where it is used: no way pays for another's memory.
if TYPE_CHECKING:
    from wikiart_data.images.batches import Batches

AUGMENT = Augment(crop=(0.2, 1.0))
"""As `wikiart-classify` trains."""
BATCH, STEPS = 128, 8
SIDE = 416
"""Of the JPEG files, as in the course's set."""

Batch = tuple[Tensor, Tensor]


def side_packed(size: int) -> int:
    """Side of the packed pictures that `size` is cropped from, as `wikiart-classify` has it."""
    return math.ceil(size * 8 / 7)


def our_batches(root: Path, size: int) -> "Batches":
    """Of the pack in `root`/../cache, made there if it is not."""
    from wikiart_data.images.batches import Batches
    from wikiart_data.images.catalog import scan
    from wikiart_data.images.packed import pack
    from wikiart_data.training.device import use_bf16

    cache = root.parent / "cache"
    packed = pack(scan(root, cache_dir=cache), side_packed(size), cache_dir=cache)
    rows = packed.rows("train")
    bf16 = use_bf16(torch.device("cpu"))
    return Batches(packed, rows, min(BATCH, len(rows)), augment=AUGMENT, bf16=bf16)


def ours(root: Path, size: int, _: int) -> Iterator[Batch]:
    """`Batches` over the pack, in one process."""
    batches = our_batches(root, size)
    for epoch in itertools.count():
        yield from batches.epoch(epoch, size)


def same_augmentation(size: int, first: list) -> Callable:
    """What `AUGMENT` asks for, by torchvision; `first` goes before it."""
    from torchvision.transforms import v2

    crop = v2.RandomResizedCrop(size, scale=AUGMENT.crop, ratio=(1 / AUGMENT.ratio, AUGMENT.ratio))
    light = v2.ColorJitter(brightness=AUGMENT.brightness, contrast=AUGMENT.contrast)
    return v2.Compose([*first, crop, v2.RandomHorizontalFlip(AUGMENT.flip), light])


def image_folder(root: Path, size: int, workers: int) -> Iterator[Batch]:
    """Decode and augment every picture anew in every epoch, as torchvision's documentation does it."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    change = v2.Compose([same_augmentation(size, []), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    dataset = ImageFolder(root / "train", change)
    batch = min(BATCH, len(dataset))
    loader = torch.utils.data.DataLoader(dataset, batch, shuffle=True, drop_last=True, num_workers=workers)
    while True:
        yield from loader


def in_class(root: Path, size: int, number: int) -> Iterator[Batch]:
    """Decode the first `number` pictures into one float tensor, then augment one after another from it."""
    files = sorted((root / "train").glob("*/*.jpg"))[:number]
    images = torch.empty(len(files), 3, SIDE, SIDE)
    for place, file in enumerate(files):
        with Image.open(file) as opened:
            images[place] = torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1) / 255
    labels = torch.tensor([STYLES.index(file.parent.name) for file in files])
    change = same_augmentation(size, [])
    while True:
        for rows in torch.randperm(len(files)).split(min(BATCH, len(files))):
            yield torch.stack([change(images[row]) for row in rows]), labels[rows]


WAYS: dict[str, tuple[Callable[[Path, int, int], Iterator[Batch]], int]] = {
    "ours": (ours, 0),
    "ImageFolder, 0 workers": (image_folder, 0),
    "ImageFolder, 2 workers": (image_folder, 2),
    "in-class tensors": (in_class, 500),
}


def peak() -> tuple[float, float]:
    """GB that this process held at most, with what it touched of a memory map, and the largest of its workers."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, workers = (
        resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands a process the ru_maxrss of the one that started it; this is its own
        own = 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    return own / 1e9, workers / 1e9


def processor() -> float:
    """Processor seconds of this process and of the workers that it has."""
    own = psutil.Process()
    return sum(times.user + times.system for times in (one.cpu_times() for one in (own, *own.children())))


def measure(way: str, root: Path, size: int, number: int, seconds: float) -> dict[str, float]:
    """First batch, pictures a second and processor seconds a picture after it, and peak memory, of this process."""
    make, workers = WAYS[way]
    began = time.perf_counter()
    batches = make(root, size, number if way == "in-class tensors" else workers)
    images, _ = next(batches)
    assert images.shape[1:] == (3, size, size)
    assert images.dtype == torch.float32
    first, seen, used, began = time.perf_counter() - began, 0, processor(), time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        seen += len(next(batches)[0])
    used = processor() - used
    del batches  # the workers end here, and are counted
    own, largest = peak()
    return {"first": first, "rate": seen / spent, "used": used / seen, "peak": own, "worker": largest}


def rate(steps: Iterable[Batch], network: nn.Module, optimizer: torch.optim.Optimizer, mixing: float) -> float:
    """Pictures a second over STEPS training steps, of which a share is mixed."""
    from wikiart_data.training.device import use_bf16

    seen, began = 0, time.perf_counter()
    for number, (images, labels) in enumerate(itertools.islice(steps, STEPS)):
        targets: Tensor = labels
        if mixing:
            images, targets = mixup_cutmix(images, labels, len(STYLES), number, prob=mixing)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=use_bf16(images.device)):
            loss = nn.functional.cross_entropy(network(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seen += len(images)
    return seen / (time.perf_counter() - began)


def training(root: Path, size: int, rounds: int) -> dict[str, float]:
    """Train with our batches and on one fixed batch in turn: medians of both rates and of their ratio."""
    from wikiart_classify.network import StyleNet
    from wikiart_classify.recipes import OURS
    from wikiart_data.training.muon import Muon, muon_groups

    torch.manual_seed(0)
    batches = our_batches(root, size)
    network = StyleNet(len(STYLES)).to(memory_format=torch.channels_last)
    optimizer = Muon(muon_groups(network, 0.0, 0.0))
    fixed = [next(batches.epoch(0, size))] * STEPS
    rate(fixed, network, optimizer, mixing=0.0)  # warm up
    rate(fixed, network, optimizer, mixing=OURS.mixing)
    found = []
    for number in range(rounds):  # in turn, so that a machine that slows down slows both
        bound = rate(fixed, network, optimizer, mixing=0.0)
        found.append((rate(batches.epoch(number, size), network, optimizer, mixing=OURS.mixing), bound))
    return {
        "ours": statistics.median(ours for ours, _ in found),
        "fixed": statistics.median(bound for _, bound in found),
        "ratio": statistics.median(ours / bound for ours, bound in found),
        "peak": peak()[0],
    }


def alone(options: argparse.Namespace, root: Path, way: str) -> dict[str, float]:
    """What this program prints for one way, in a process of its own."""
    command = [sys.executable, __file__, "--child", way, "--root", str(root)]
    for name in ("size", "in_class", "seconds", "rounds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def table(found: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """Markdown: medians over the rounds, and the median of the ratios to ours, round by round."""

    def middle(way: str, key: str) -> float:
        return statistics.median(one[key] for one in found[way])

    rows = [
        f"| {options.size} px from {SIDE} px | pictures/s | ours is faster by "
        "| processor time a picture | ours takes less by | first batch | peak memory |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for way, measured in found.items():
        pairs = list(zip(found["ours"], measured, strict=True))
        faster = f"{statistics.median(ours['rate'] / one['rate'] for ours, one in pairs):.1f} ×"
        less = f"{statistics.median(one['used'] / ours['used'] for ours, one in pairs):.1f} ×"
        memory = f"{middle(way, 'peak'):.2f} GB"
        first = f"{middle(way, 'first'):.1f} s"
        if way.endswith("2 workers"):
            memory += f" + 2 × {middle(way, 'worker'):.2f}"
        if way == "in-class tensors":
            number, each = min(options.in_class, options.pictures), 4 * 3 * SIDE * SIDE / 1e9
            first += f"; of all {middle(way, 'first') * options.pictures / number:.0f} s"
            memory += f" with {number:,}; all {options.pictures:,} are {options.pictures * each:.0f} GB"
        if way == "ours":
            faster = less = "1"
        took = f"{1e3 * middle(way, 'used'):.2f} ms"
        rows.append(f"| {way} | {middle(way, 'rate'):,.0f} | {faster} | {took} | {less} | {first} | {memory} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None, run: Callable = alone) -> None:
    """Pack, measure every way in turn, then training, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=15_000)
    parser.add_argument("--size", type=int, default=128, help="side of the batches' pictures, in pixels")
    parser.add_argument("--in-class", type=int, default=500, help="pictures for the in-class way, 2 MB each")
    parser.add_argument("--seconds", type=float, default=8, help="for which each way is measured, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=[*WAYS, "training"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        console.quiet = True  # what is printed is read by the parent
        if options.child == "training":
            found = training(options.root, options.size, options.rounds)
        else:
            found = measure(options.child, options.root, options.size, options.in_class, options.seconds)
        print(json.dumps(found))
        return
    from paintings import make_folder

    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        root = Path(folder) / "data"
        each = make_folder(root, options.pictures, SIDE)
        began = time.perf_counter()
        our_batches(root, options.size)
        made = time.perf_counter() - began
        print(f"{options.pictures:,} JPEGs of {SIDE} px, {each / 1e3:.0f} kB each; scanned and packed in {made:.1f} s")
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, measured in found.items():
                measured.append(run(options, root, way))
        print(table(found, options))
        trained = run(options, root, "training")
        print(
            f"training at {options.size} px: {trained['ours']:.0f} pictures/s with our batches, {trained['fixed']:.0f} "
            f"on one fixed tensor: {100 * trained['ratio']:.1f} % (median of {options.rounds}); peak memory "
            f"{trained['peak']:.2f} GB"
        )


if __name__ == "__main__":
    main()
