"""`wikiart-data stats`: how many pictures there are per style, and how often a balanced sampler draws each style."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from wikiart_data.cli.options import StatsOptions
from wikiart_data.console import console, echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.results.figures import ACCENT, PALE, SECOND, canvas, styled
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
"""Most frequent and rarest styles in the terminal; with more than twice as many, those between are left out."""
FIGURE_STYLES = 60
"""Styles in the figure; beyond, as many of the most frequent and of the rarest."""


def stats(options: StatsOptions) -> None:
    """Print counts and expected draws per style.

    Raises:
        InputError: the data cannot be used, the power is not in 0..1, or the figure cannot be written.
    """
    if not 0 <= options.power <= 1:
        raise InputError(
            f"--power {options.power} is not in 0..1 (0 as often as they occur, 1 all equally often).", field="--power"
        )
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    catalog = scan(root, cache_dir=options.cache_dir)
    draws = expected_draws(catalog, options.power)
    counts = {split: catalog.counts(split) for split in SPLITS}
    if options.figure:
        _write_figure(catalog, options.power, options.figure)
    if options.json:
        columns = {split: counts[split].tolist() for split in SPLITS}
        facts = {"root": str(catalog.root), "fingerprint": catalog.fingerprint, "power": options.power}
        notes = {"notes": list(catalog.notes)}
        print(json.dumps({**facts, **notes, "styles": catalog.styles, **columns, "draws": draws.round(2).tolist()}))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("style", *SPLITS, "draws", "draws per picture"):
        table.add_column(heading, justify="left" if heading == "style" else "right", no_wrap=heading != "style")
    order = np.argsort(-counts["train"], kind="stable").tolist()
    for label in _ends(order, SHOWN):
        if label is None:
            table.add_row(f"… {len(order) - 2 * SHOWN:,} more (--json lists all)")
            continue
        numbers = [f"{counts[split][label]:,}" for split in SPLITS]
        per_picture = draws[label] / max(1, counts["train"][label])
        name = Text(display_name(catalog.styles[label]))  # as it is: no markup is read in it
        table.add_row(name, *numbers, f"{draws[label]:,.0f}", f"{per_picture:.2f}")
    table.add_section()
    table.add_row("all", *(f"{counts[split].sum():,}" for split in SPLITS), f"{draws.sum():,.0f}", "1.00")
    console.print(table, soft_wrap=False)
    train = counts["train"]
    echo(
        f"\nImbalance of train {train.max() / max(1, train.min()):.0f}:1; the most frequent style is "
        f"{100 * train.max() / train.sum():.1f} % of it."
        + (" There is no valid split: a tenth of train was taken for it." if catalog.valid_was_cut else "")
    )
    echo(
        f"'draws' is one epoch of the balanced sampler at power {options.power:g} (0 as often as styles occur, 1 all "
        "equally often)."
    )
    if options.figure:
        echo(f"Figure: {options.figure}")


def _ends(labels: list[int], number: int) -> list[int | None]:
    """The first and last `number` of a list, with None for what is between; a shorter list as it is."""
    return [*labels] if len(labels) <= 2 * number else [*labels[:number], None, *labels[-number:]]


def _write_figure(catalog: Catalog, power: float, path: Path) -> None:
    try:
        counts_figure(catalog, power).savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--figure {path} cannot be written ({error}); name a .png file.", field="--figure") from error


def expected_draws(catalog: Catalog, power: float) -> np.ndarray:
    """(len(styles),) float64: mean draws of each style in an epoch of train."""
    return BalancedSampler(catalog.labels[catalog.rows("train")], power).expected_draws()


@styled
def counts_figure(catalog: Catalog, power: float) -> "Figure":
    """Bar chart of training pictures per style, with the draws of an epoch at `power`; logarithmic.

    Beyond 60 styles only the 30 most frequent and the 30 rarest are drawn.
    """
    train, draws = catalog.counts("train"), expected_draws(catalog, power)
    order = [
        label for label in _ends(np.argsort(-train, kind="stable").tolist(), FIGURE_STYLES // 2) if label is not None
    ]
    positions = np.arange(len(order))
    figure, ((axes,),) = canvas(3.6)
    axes.bar(positions, train[order], width=0.75, color=PALE, label="training pictures")
    axes.plot(positions, draws[order], "o", color=ACCENT, markersize=4, label=f"draws per epoch at power {power:g}")
    axes.axhline(train.sum() / len(train), color=SECOND, linewidth=1, label="all styles equally often (power 1)")
    axes.set_yscale("log")
    size = {"fontsize": 5} if len(order) > FIGURE_STYLES // 2 else {}
    axes.set_xticks(positions, [display_name(catalog.styles[label]) for label in order], rotation=90, **size)
    axes.set(xlim=(-0.6, len(order) - 0.4), ylabel="pictures")
    some = f"; {len(order)} of {len(train)} styles" if len(order) < len(train) else ""
    axes.set_title(f"{train.sum():,} training pictures, {train.max() / max(1, train.min()):.0f}:1{some}")
    axes.legend(loc="upper right")
    return figure
