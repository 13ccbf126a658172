"""Images per second in training batches: ours, torchvision's ImageFolder, and the course's in-class loader.

    uv run python benchmarks/loading.py [--pictures 15000] [--size 128] [--in-class 500]

Each loader runs in a process of its own, so that its peak memory is its own, and all take turns over several rounds.
Crops (a fifth of the area or more), flips, brightness and contrast are the same everywhere. Then our batches and one
fixed batch train the default network in turn: does training wait for its images?

The in-class loader decodes everything into float tensors first. All images would not fit into memory, so it gets
`--in-class` of them, and what all need is extrapolated.
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

# What only one loader needs is imported where it is used, so that no loader pays for another's memory.
if TYPE_CHECKING:
    from wikiart_data.images.batches import Batches

AUGMENT = Augment(crop=(0.2, 1.0))
"""As in `wikiart-classify`."""
BATCH, STEPS = 128, 8
SIDE = 416
"""Side of the JPEG files in pixels, as in the course's data set."""

Batch = tuple[Tensor, Tensor]


def side_packed(size: int) -> int:
    """Side of the packed images from which `size` is cropped, as in `wikiart-classify`."""
    return math.ceil(size * 8 / 7)


def our_batches(root: Path, size: int) -> "Batches":
    """Batches of the pack in `root`/../cache, which is made if it is missing."""
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
    """`Batches` of the pack, in one process."""
    batches = our_batches(root, size)
    for epoch in itertools.count():
        yield from batches.epoch(epoch, size)


def same_augmentation(size: int, first: list) -> Callable:
    """The augmentation of `AUGMENT` with torchvision, after the transforms in `first`."""
    from torchvision.transforms import v2

    crop = v2.RandomResizedCrop(size, scale=AUGMENT.crop, ratio=(1 / AUGMENT.ratio, AUGMENT.ratio))
    jitter = v2.ColorJitter(brightness=AUGMENT.brightness, contrast=AUGMENT.contrast)
    return v2.Compose([*first, crop, v2.RandomHorizontalFlip(AUGMENT.flip), jitter])


def image_folder(root: Path, size: int, workers: int) -> Iterator[Batch]:
    """Decode and augment every image in every epoch, as in torchvision's documentation."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose([same_augmentation(size, []), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    dataset = ImageFolder(root / "train", transform)
    batch = min(BATCH, len(dataset))
    loader = torch.utils.data.DataLoader(dataset, batch, shuffle=True, drop_last=True, num_workers=workers)
    while True:
        yield from loader


def in_class(root: Path, size: int, number: int) -> Iterator[Batch]:
    """Decode the first `number` images into one float tensor, then augment them one by one."""
    files = sorted((root / "train").glob("*/*.jpg"))[:number]
    images = torch.empty(len(files), 3, SIDE, SIDE)
    for index, file in enumerate(files):
        with Image.open(file) as opened:
            images[index] = torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1) / 255
    labels = torch.tensor([STYLES.index(file.parent.name) for file in files])
    transform = same_augmentation(size, [])
    while True:
        for rows in torch.randperm(len(files)).split(min(BATCH, len(files))):
            yield torch.stack([transform(images[row]) for row in rows]), labels[rows]


LOADERS: dict[str, tuple[Callable[[Path, int, int], Iterator[Batch]], int]] = {
    "ours": (ours, 0),
    "ImageFolder, 0 workers": (image_folder, 0),
    "ImageFolder, 2 workers": (image_folder, 2),
    "in-class tensors": (in_class, 500),
}


def peak() -> tuple[float, float]:
    """Peak memory in GB of this process, including pages of memory maps, and of its largest worker."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, workers = (
        resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss starts from the parent's value; this does not
        own = 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    return own / 1e9, workers / 1e9


def cpu_seconds() -> float:
    """CPU seconds of this process and its workers."""
    own = psutil.Process()
    return sum(times.user + times.system for times in (process.cpu_times() for process in (own, *own.children())))


def measure(loader: str, root: Path, size: int, number: int, seconds: float) -> dict[str, float]:
    """Seconds to the first batch; after it, images per second and CPU seconds per image; peak memory."""
    make, workers = LOADERS[loader]
    began = time.perf_counter()
    batches = make(root, size, number if loader == "in-class tensors" else workers)
    images, _ = next(batches)
    assert images.shape[1:] == (3, size, size)
    assert images.dtype == torch.float32
    first, count, cpu, began = time.perf_counter() - began, 0, cpu_seconds(), time.perf_counter()
    while (seconds_spent := time.perf_counter() - began) < seconds:
        count += len(next(batches)[0])
    cpu = cpu_seconds() - cpu
    del batches  # ends the workers, so that they are counted
    own, largest = peak()
    return {"first": first, "rate": count / seconds_spent, "cpu": cpu / count, "peak": own, "worker": largest}


def rate(steps: Iterable[Batch], network: nn.Module, optimizer: torch.optim.Optimizer, mix_prob: float) -> float:
    """Images per second over STEPS training steps, of which a proportion is mixed."""
    from wikiart_data.training.device import use_bf16

    count, began = 0, time.perf_counter()
    for number, (images, labels) in enumerate(itertools.islice(steps, STEPS)):
        targets: Tensor = labels
        if mix_prob:
            images, targets = mixup_cutmix(images, labels, len(STYLES), number, prob=mix_prob)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=use_bf16(images.device)):
            loss = nn.functional.cross_entropy(network(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count += len(images)
    return count / (time.perf_counter() - began)


def training(root: Path, size: int, rounds: int) -> dict[str, float]:
    """Train with our batches and with one fixed batch in turn: medians of both rates and of their ratio."""
    from wikiart_classify.config import DEFAULTS
    from wikiart_classify.network import StyleNet
    from wikiart_data.training.muon import Muon, muon_groups

    torch.manual_seed(0)
    batches = our_batches(root, size)
    network = StyleNet(len(STYLES)).to(memory_format=torch.channels_last)
    optimizer = Muon(muon_groups(network, 0.0, 0.0))
    fixed = [next(batches.epoch(0, size))] * STEPS
    rate(fixed, network, optimizer, mix_prob=0.0)  # warm up
    rate(fixed, network, optimizer, mix_prob=DEFAULTS.mix_prob)
    rates = []
    for number in range(rounds):  # in turn, so that a machine that slows down slows both
        bound = rate(fixed, network, optimizer, mix_prob=0.0)
        rates.append((rate(batches.epoch(number, size), network, optimizer, mix_prob=DEFAULTS.mix_prob), bound))
    return {
        "ours": statistics.median(ours for ours, _ in rates),
        "fixed": statistics.median(bound for _, bound in rates),
        "ratio": statistics.median(ours / bound for ours, bound in rates),
        "peak": peak()[0],
    }


def run_child(options: argparse.Namespace, root: Path, loader: str) -> dict[str, float]:
    """Measure one loader in a process of its own."""
    command = [sys.executable, __file__, "--child", loader, "--root", str(root)]
    for name in ("size", "in_class", "seconds", "rounds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def table(measured: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """A Markdown table: medians over the rounds, and the median of the ratios to ours round by round."""

    def median(loader: str, key: str) -> float:
        return statistics.median(one_round[key] for one_round in measured[loader])

    rows = [
        f"| {options.size} px from {SIDE} px | images/s | our speed-up "
        "| CPU time per image | our CPU saving | first batch | peak memory |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for loader, rounds in measured.items():
        pairs = list(zip(measured["ours"], rounds, strict=True))
        faster = f"{statistics.median(ours['rate'] / other['rate'] for ours, other in pairs):.1f} ×"
        less = f"{statistics.median(other['cpu'] / ours['cpu'] for ours, other in pairs):.1f} ×"
        memory = f"{median(loader, 'peak'):.2f} GB"
        first = f"{median(loader, 'first'):.1f} s"
        if loader.endswith("2 workers"):
            memory += f" + 2 × {median(loader, 'worker'):.2f}"
        if loader == "in-class tensors":
            number, size = min(options.in_class, options.pictures), 4 * 3 * SIDE * SIDE / 1e9
            first += f"; {median(loader, 'first') * options.pictures / number:.0f} s for all"
            memory += f" with {number:,}; {options.pictures * size:.0f} GB for all {options.pictures:,}"
        if loader == "ours":
            faster = less = "1"
        cpu = f"{1e3 * median(loader, 'cpu'):.2f} ms"
        rows.append(f"| {loader} | {median(loader, 'rate'):,.0f} | {faster} | {cpu} | {less} | {first} | {memory} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None, run: Callable = run_child) -> None:
    """Pack, measure every loader in turn and then training, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=15_000, help="number of JPEG files")
    parser.add_argument("--size", type=int, default=128, help="side of the images in a batch, in pixels")
    parser.add_argument("--in-class", type=int, default=500, help="images for the in-class loader, 2 MB each")
    parser.add_argument("--seconds", type=float, default=8, help="seconds for which each loader is measured per round")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--child", choices=[*LOADERS, "training"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        console.quiet = True  # what is printed is read by the parent
        if options.child == "training":
            result = training(options.root, options.size, options.rounds)
        else:
            result = measure(options.child, options.root, options.size, options.in_class, options.seconds)
        print(json.dumps(result))
        return
    from paintings import make_folder

    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        root = Path(folder) / "data"
        mean_size = make_folder(root, options.pictures, SIDE)
        began = time.perf_counter()
        our_batches(root, options.size)
        seconds = time.perf_counter() - began
        print(
            f"{options.pictures:,} JPEGs of {SIDE} px, {mean_size / 1e3:.0f} kB each; "
            f"scanned and packed in {seconds:.1f} s"
        )
        measured: dict[str, list[dict[str, float]]] = {loader: [] for loader in LOADERS}
        for _ in range(options.rounds):
            for loader, rounds in measured.items():
                rounds.append(run(options, root, loader))
        print(table(measured, options))
        trained = run(options, root, "training")
        print(
            f"training at {options.size} px: {trained['ours']:.0f} images/s with our batches, {trained['fixed']:.0f} "
            f"on one fixed tensor: {100 * trained['ratio']:.1f} % (median of {options.rounds}); peak memory "
            f"{trained['peak']:.2f} GB"
        )


if __name__ == "__main__":
    main()
