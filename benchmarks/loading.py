"""Does the training loop wait for its pictures, and how long does packing take?

    uv run python benchmarks/loading.py [--pictures 15000] [--size 128]

Prints ratios from one run on one machine; times of different runs or machines do not compare. The pictures are made
here: 300 paintings of the sample set at 416 px, hard-linked to the number asked for.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from wikiart_classify.network import StyleNet
from wikiart_classify.recipes import OURS
from wikiart_classify.train import CROP
from wikiart_data.augment import Augment, mix
from wikiart_data.batches import Batches
from wikiart_data.catalog import scan
from wikiart_data.engine import use_bf16
from wikiart_data.muon import Muon, muon_groups
from wikiart_data.packed import pack
from wikiart_data.sample import SCENES, paint, scene
from wikiart_data.styles import STYLES

DISTINCT, ROUNDS, STEPS = 300, 5, 8


def make_folder(root: Path, pictures: int) -> None:
    """`pictures` JPEG files of 416 × 416 pixels in 27 style folders."""
    for number in range(pictures):
        style = STYLES[number % len(STYLES)]
        folder = root / "train" / style
        folder.mkdir(parents=True, exist_ok=True)
        first = folder / f"{number % DISTINCT}-{style}.jpg"
        if number < DISTINCT:
            pixels = paint(scene(SCENES[number % len(SCENES)], number), style, 416)
            Image.fromarray(pixels).save(root / f"{number}.jpg", quality=90)
        os.link(root / f"{number % DISTINCT}.jpg", first.with_name(f"{number}-{first.name}"))


def rate(steps: Iterable[tuple[Tensor, Tensor]], network: StyleNet, optimizer: Muon, mixing: bool) -> float:
    """Pictures a second over STEPS training steps."""
    seen, began = 0, time.perf_counter()
    for number, (images, labels) in enumerate(steps):
        if number == STEPS:
            break
        targets: Tensor = labels
        if mixing:
            images, targets = mix(images, labels, len(STYLES), number, share=OURS.mixing)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=use_bf16(images.device)):
            loss = F.cross_entropy(network(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seen += len(images)
    return seen / (time.perf_counter() - began)


def main() -> None:
    """Pack, then train with our batches and with one fixed batch in turn, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=15_000)
    parser.add_argument("--size", type=int, default=OURS.size)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        make_folder(root, options.pictures)
        began = time.perf_counter()
        catalog = scan(root, cache_dir=cache)
        packed = pack(catalog, math.ceil(options.size * 8 / 7), cache_dir=cache)
        first = time.perf_counter() - began
        began = time.perf_counter()
        packed = pack(scan(root, cache_dir=cache), math.ceil(options.size * 8 / 7), cache_dir=cache)
        second = time.perf_counter() - began
        print(f"scan and pack {len(catalog):,} JPEG files of 416 px: {first:.1f} s first, {second:.2f} s again")

        torch.manual_seed(0)
        batches = Batches(
            packed, packed.rows("train"), 128, augment=Augment(crop=CROP), bf16=use_bf16(torch.device("cpu"))
        )
        network = StyleNet(len(STYLES)).to(memory_format=torch.channels_last)
        optimizer = Muon(muon_groups(network, 0.0, 0.0))
        images, labels = next(batches.epoch(0, options.size))
        fixed = [(images, labels)] * STEPS
        rate(fixed, network, optimizer, mixing=False)  # warm up
        ratios = []
        for number in range(ROUNDS):  # in turn, so that a machine that slows down slows both
            bound = rate(fixed, network, optimizer, mixing=False)
            ours = rate(batches.epoch(number, options.size), network, optimizer, mixing=True)
            ratios.append(ours / bound)
            print(f"  round {number + 1}: {ours:.0f} pictures/s with our batches, {bound:.0f} on one fixed tensor")
        ratios.sort()
        print(
            f"our batches reach {100 * ratios[len(ratios) // 2]:.1f} % of the fixed tensor's rate (median of {ROUNDS})"
        )


if __name__ == "__main__":
    main()
