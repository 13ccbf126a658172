"""`wikiart-lora evaluate-autoencoder`: what an autoencoder preserves of real images, which limits every adapter."""

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_figure
from wikiart_data.results.statistics import in_top_k, proportion
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.styles import display_name
from wikiart_data.training.device import select_device
from wikiart_lora.evaluation import find_judge
from wikiart_lora.figures import image_grid
from wikiart_lora.real_images import read_real_images
from wikiart_lora.tiny_base.autoencoder import Fidelity, load_autoencoder, measure
from wikiart_lora.tiny_base.config import EvaluateAutoencoderOptions

FIGURE_STYLES = 9
"""Rows of the figure: styles that lose most."""
FIGURE_COLUMNS = 4
"""Images of each, next to their reconstructions."""


def evaluate_autoencoder(options: EvaluateAutoencoderOptions) -> tuple[Fidelity, Table]:
    """Encode and decode the validation images, let the judge name their styles, print a table and write a figure.

    Top-1 is given on the natural mix of styles, and as the mean over styles: on an even mix, as prompts are.

    Raises:
        InputError: there is no such autoencoder, judge or data.
    """
    device = select_device(options.device)
    vae = load_autoencoder(options.autoencoder).to(device, memory_format=torch.channels_last).eval()
    catalog = scan(find_data(options.data, options.cache_dir), cache_dir=options.cache_dir)
    folder = find_judge(options.judge)
    judge = None if folder is None else Judge.load(folder, device)
    if judge is None:
        echo("There is no judge, so styles are not measured: make one with wikiart-classify --export judge.")
    elif judge.styles != catalog.styles:
        raise InputError(f"The judge in {folder} has other styles than {catalog.root}.", field="--judge")
    valid = read_real_images(catalog, catalog.rows("valid"), options.size)
    fidelity, decoded = measure(vae, valid.images)
    rows: list[tuple[str, Number | None, Number | None, Number | None]] = []
    gains = np.zeros(len(catalog.styles))
    if judge is not None:
        hits = {name: _hits(judge, images, valid.labels) for name, images in (("real", valid.images), ("", decoded))}
        for name, hit in (("real images", hits["real"]), ("encoded and decoded", hits[""])):
            natural = proportion(hit[0])
            even = np.mean([hit[0][valid.labels == label].mean() for label in np.unique(valid.labels)])
            top3 = proportion(hit[1])
            rows.append(
                (
                    name,
                    Number(natural.value, "%", interval=natural.interval),
                    Number(float(even), "%"),
                    Number(top3.value, "%", interval=top3.interval),
                )
            )
        for label in np.unique(valid.labels):
            of_style = valid.labels == label
            gains[label] = hits[""][0][of_style].sum() - hits["real"][0][of_style].sum()
    table = Table(
        "Judge on validation images", ("", "top-1", "mean over styles", "top-3"), tuple(rows),
        f"{len(valid.images)} images. PSNR {fidelity.psnr:.2f} dB; posterior deviation "
        f"{100 * fidelity.deviation:.1f} % of the latents' spread, which is {fidelity.spread:.2f}.",
    )  # fmt: skip
    print_table(table)
    shown = np.argsort(gains, kind="stable")[:FIGURE_STYLES]
    grid, names = [], []
    for label in shown:
        indices = np.flatnonzero(valid.labels == label)
        if len(indices):
            indices = np.resize(indices, FIGURE_COLUMNS)
            grid.append(torch.stack([valid.images[indices], decoded[indices]], dim=1).flatten(0, 1))
            names.append(display_name(catalog.styles[label]))
    write_figure(options.to, image_grid(torch.stack(grid), names, ["real", "decoded"] * FIGURE_COLUMNS))
    echo(f"The styles that lose most are in {options.to}.")
    return fidelity, table


def _hits(judge: Judge, images: Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    answers, _ = judge.predict_batches(images, 64)
    truth = torch.from_numpy(labels)
    return in_top_k(answers, truth, 1), in_top_k(answers, truth, 3)
