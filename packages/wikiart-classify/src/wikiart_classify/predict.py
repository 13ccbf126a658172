"""`wikiart-classify predict`: the likeliest styles of pictures and of folders full of them."""

import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from wikiart_classify.answers import probabilities
from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import PredictConfig
from wikiart_classify.explain import OF_PICTURES, check_target, explainable, sheet, write_figure
from wikiart_classify.recipes import side_to_pack
from wikiart_data.console import console, echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.images.augment import resized_crops
from wikiart_data.images.decode import BadPictureError, available_cores, decode, square
from wikiart_data.images.manifest import pictures_in
from wikiart_data.styles import display_name
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.run import find_model

_BATCH = 128
_SHOWN = 40


def predict(config: PredictConfig) -> int:
    """Print or write the likeliest styles of every picture.

    Returns:
        0, or 1 if some of several pictures could not be read.

    Raises:
        InputError: there is no model, or nothing to look at.
    """
    if config.top < 1:
        raise InputError(f"--top {config.top}: name at least one style a picture.")
    trained = load_network(find_model(config.model, config.runs, "classify"))
    if config.explain is not None:
        check_target(config.explain)
        explainable(trained.network)
    files = pictures_in(config.pictures)
    device = create_accelerator(config.device).device
    network = trained.network.to(device, memory_format=torch.channels_last)
    bf16 = use_bf16(device, trained.config["precision"])
    size, top = trained.config["size"], min(config.top, len(trained.styles))
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]])

    rows: list[tuple[Path, list[tuple[str, float]]]] = []
    refused: list[tuple[Path, str]] = []
    steps = -(-len(files) // _BATCH)
    batches = _decoded(files, side_to_pack(trained.config["model"], size))
    for paths, pixels, bad in track(batches, steps, "predicting", "batches"):
        refused += bad
        if paths:
            images = torch.from_numpy(pixels).to(device)
            with torch.no_grad():
                crops = resized_crops(images, whole.expand(len(images), 5), size).div_(255.0)
                shares = probabilities(network, crops, bf16).cpu()
            values, places = shares.topk(top)
            for path, share, place in zip(paths, values.tolist(), places.tolist(), strict=True):
                rows.append((path, [(trained.styles[p], s) for p, s in zip(place, share, strict=True)]))

    if config.csv is not None:
        _write_csv(config.csv, rows, top)
    else:
        _print_table(rows)
    for path, reason in refused:
        print(f"wikiart-classify: {printable(str(path))}: {reason}", file=sys.stderr)
    if not rows:
        raise InputError("none of the pictures could be read.")
    if config.explain is not None:
        shown = [path for path, _ in rows[:OF_PICTURES]]
        write_figure(sheet(trained, shown, [None] * len(shown), bf16), config.explain)
        echo(f"What speaks for the styles of {len(shown)} of {len(rows):,} pictures: {printable(str(config.explain))}")
    return 1 if refused else 0


def _decoded(files: list[Path], side: int) -> Iterator[tuple[list[Path], np.ndarray, list[tuple[Path, str]]]]:
    """Yield batches: readable paths, their pixels (b, side, side, 3) uint8, and (path, reason) of the others."""

    def one(path: Path) -> np.ndarray | str:
        try:
            return square(decode(path, at_least=side), side)
        except BadPictureError as error:
            return str(error)

    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(files), _BATCH):
            paths = files[start : start + _BATCH]
            read = list(zip(paths, pool.map(one, paths), strict=True))
            good = [(path, pixels) for path, pixels in read if isinstance(pixels, np.ndarray)]
            bad = [(path, reason) for path, reason in read if isinstance(reason, str)]
            stacked = np.stack([pixels for _, pixels in good]) if good else np.empty((0, side, side, 3), np.uint8)
            yield [path for path, _ in good], stacked, bad


def _print_table(rows: list[tuple[Path, list[tuple[str, float]]]]) -> None:
    for path, likeliest in rows[:_SHOWN]:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        table.add_column()
        for style, share in likeliest:
            table.add_row(f"{100 * share:.1f} %", display_name(style))
        echo(printable(str(path)))
        console.print(table)
    if len(rows) > _SHOWN:
        echo(f"… and {len(rows) - _SHOWN:,} more pictures; --csv FILE writes them all.")


def _write_csv(target: Path, rows: list[tuple[Path, list[tuple[str, float]]]], top: int) -> None:
    header = ["file", *(f"{what}{place}" for place in range(1, top + 1) for what in ("style", "share"))]
    table = [[str(path), *(x for style, share in best for x in (style, f"{share:.4f}"))] for path, best in rows]
    if str(target) == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *table])
        return
    try:
        with target.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows([header, *table])
    except OSError as error:
        raise InputError(f"--csv {target} cannot be written ({error.strerror}).") from error
    echo(f"{len(rows):,} pictures written to {target}.")
