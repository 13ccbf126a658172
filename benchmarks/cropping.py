"""Random resized crops on a CPU: two matrix products for the whole batch, or picture by picture in 8 bits.

    uv run python benchmarks/cropping.py [--rounds 9] [--size 128] [--threads 1] [--data DIR]

The same boxes are cut from the same packed pictures, resized and converted to float32 in 0..1, in turn, and then their
light is changed, which `Batches` does as well:

- `products`: what `Batches` does, `resized_crops`;
- `Pillow`: `Image.resize` with a fractional box, the same filter in 8 bits;
- `torch, uint8`: `interpolate(antialias=True)` on uint8, whose boxes are rounded to whole pixels;
- `torchvision`: `v2.functional.resized_crop` on uint8, likewise.

Prints images per second, CPU time per image with and without the light, and how far the crops are from those of
`products`, in units of 1/255.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from wikiart_data.images.augment import Augment, colour_jitter, random_boxes, random_light, resized_crops

BATCH = 128
AUGMENT = Augment(crop=(0.2, 1.0))
"""As in `wikiart-classify`."""
Crops = Callable[[Tensor, Tensor, int], Tensor]


def products(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """As `Batches` does it."""
    return resized_crops(images, boxes, size).div_(255.0)


def pillow(images: Tensor, boxes: Tensor, size: int, threads: ThreadPoolExecutor | None = None) -> Tensor:
    """Pillow's resize with fractional boxes; it works outside the interpreter's lock, so threads help."""
    side = images.shape[1]
    crops = np.empty((len(images), size, size, 3), dtype=np.uint8)
    pixels = images.numpy()
    corners = (boxes[:, :4].double() * side).tolist()
    mirrored = boxes[:, 4].tolist()

    def crop(row: int) -> None:
        left, top, width, height = corners[row]
        box = (left, top, min(left + width, side), min(top + height, side))
        resized = np.asarray(Image.fromarray(pixels[row]).resize((size, size), Image.Resampling.BILINEAR, box=box))
        crops[row] = resized[:, ::-1] if mirrored[row] else resized

    for _ in map(crop, range(len(images))) if threads is None else threads.map(crop, range(len(images))):
        pass
    return _floats(torch.from_numpy(crops).permute(0, 3, 1, 2))


def torch_uint8(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Torch's antialiased interpolation of bytes, a picture at a time, channels-last."""
    crops = torch.empty(len(images), 3, size, size, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    for row, (left, top, width, height) in enumerate(_whole_pixels(boxes, images.shape[1])):
        part = images[row : row + 1, top : top + height, left : left + width].permute(0, 3, 1, 2)
        resized = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
        crops[row] = resized[0].flip(2) if boxes[row, 4] else resized[0]
    return _floats(crops)


def torchvision_uint8(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Torchvision's `resized_crop` of bytes, a picture at a time."""
    from torchvision.transforms.v2 import functional

    crops = []
    for row, (left, top, width, height) in enumerate(_whole_pixels(boxes, images.shape[1])):
        crop = functional.resized_crop(images[row].permute(2, 0, 1), top, left, height, width, [size, size])
        crops.append(crop.flip(2) if boxes[row, 4] else crop)
    return _floats(torch.stack(crops))


def _whole_pixels(boxes: Tensor, side: int) -> list[list[int]]:
    left, top, width, height = (boxes[:, :4] * side).round().int().unbind(1)
    return torch.stack([left, top, width.clamp(min=1), height.clamp(min=1)], dim=1).tolist()


def _floats(crops: Tensor) -> Tensor:
    return crops.contiguous(memory_format=torch.channels_last).float().div_(255.0)


METHODS: dict[str, Crops] = {
    "products": products,
    "Pillow": pillow,
    "torch, uint8": torch_uint8,
    "torchvision, uint8": torchvision_uint8,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure every method in turn, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="number of batches that each method crops")
    parser.add_argument("--size", type=int, default=128, help="side of the crops, in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, and for Pillow")
    parser.add_argument("--data", type=Path, help="folder of paintings (default: the sample set)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    methods = dict(METHODS)
    with ThreadPoolExecutor(options.threads) as threads:
        if options.threads > 1:
            methods["Pillow"] = lambda images, boxes, size: pillow(images, boxes, size, threads)
        measure(methods, load(options.data, -(-options.size * 8 // 7)), options.size, options.rounds)


def load(data: Path | None, side: int) -> Tensor:
    """(BATCH, side, side, 3) uint8: the first packed training pictures."""
    from wikiart_data.images.catalog import scan
    from wikiart_data.images.data_folder import find_data
    from wikiart_data.images.packed import pack

    packed = pack(scan(find_data(data)), side)
    rows = np.random.default_rng(0).choice(packed.rows("train"), BATCH, replace=False)
    return torch.from_numpy(packed.images[rows])


def measure(methods: dict[str, Crops], images: Tensor, size: int, rounds: int) -> None:
    """Print a Markdown table."""
    wall: dict[str, list[float]] = {name: [] for name in methods}
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    crop_cpu: dict[str, list[float]] = {name: [] for name in methods}
    apart = dict.fromkeys(methods, (0.0, 0.0))
    for number in range(rounds + 1):  # the first round warms up
        generator = torch.Generator().manual_seed(number)
        boxes = random_boxes(len(images), AUGMENT, generator)
        light = random_light(len(images), AUGMENT, generator)
        reference = products(images, boxes, size)
        for name, method in methods.items():
            began, used = time.perf_counter(), time.process_time()
            crops = method(images, boxes, size)
            cropped = time.process_time()
            colour_jitter(crops, light)
            if number:
                wall[name].append((time.perf_counter() - began) / len(images))
                cpu[name].append((time.process_time() - used) / len(images))
                crop_cpu[name].append((cropped - used) / len(images))
            difference = (method(images, boxes, size) - reference).abs() * 255
            apart[name] = (difference.mean().item(), max(apart[name][1], difference.max().item()))
    first = f"{size} px from {images.shape[1]} px"
    print(f"| {first} | images/s | CPU ms per image | of it, crops | speed-up | mean, most apart |")
    print("|---|---|---|---|---|---|")
    ours = next(iter(methods))
    for name in methods:
        ratios = [
            statistics.median(a / b for a, b in zip(times[ours], times[name], strict=True)) for times in (cpu, crop_cpu)
        ]
        mean, most = apart[name]
        print(
            f"| {name} | {1 / statistics.median(wall[name]):,.0f} | {1e3 * statistics.median(cpu[name]):.3f} | "
            f"{1e3 * statistics.median(crop_cpu[name]):.3f} | {ratios[0]:.2f} ×, crops {ratios[1]:.2f} × | "
            f"{mean:.2f}, {most:.1f} |"
        )


if __name__ == "__main__":
    main()
