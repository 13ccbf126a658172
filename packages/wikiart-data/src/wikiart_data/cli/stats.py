"""`wikiart-data stats`: how many pictures there are of each style, and how often each would be drawn."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from wikiart_data.cli.options import StatsOptions
from wikiart_data.console import console, echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.results.figures import ACCENT, PALE, SECOND, canvas, styled
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def stats(options: StatsOptions) -> None:
    """Print counts and expected draws per style.

    Raises:
        InputError: the data cannot be used, the power is not in 0..1, or the figure cannot be written.
    """
    if not 0 <= options.power <= 1:
        raise InputError(f"--power {options.power} is not in 0..1 (0 natural, 1 every style equally often).")
    catalog = scan(find_data(options.data, options.cache_dir), cache_dir=options.cache_dir)
    draws = expected_draws(catalog, options.power)
    counts = {split: catalog.counts(split) for split in SPLITS}
    if options.figure:
        _write_figure(catalog, options.power, options.figure)
    if options.json:
        columns = {split: counts[split].tolist() for split in SPLITS}
        facts = {"root": str(catalog.root), "fingerprint": catalog.fingerprint, "power": options.power}
        print(json.dumps({**facts, "styles": catalog.styles, **columns, "draws": draws.round(2).tolist()}))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("style", *SPLITS, "draws", "times each"):
        table.add_column(heading, justify="left" if heading == "style" else "right", no_wrap=True)
    for place in np.argsort(-counts["train"], kind="stable"):
        numbers = [f"{counts[split][place]:,}" for split in SPLITS]
        times = draws[place] / counts["train"][place]
        name = Text(display_name(catalog.styles[place]))  # as it is: no markup is read in it
        table.add_row(name, *numbers, f"{draws[place]:,.0f}", f"{times:.2f}")
    table.add_section()
    table.add_row("all", *(f"{counts[split].sum():,}" for split in SPLITS), f"{draws.sum():,.0f}", "1.00")
    console.print(table)
    train = counts["train"]
    echo(
        f"\nImbalance of train {train.max() / train.min():.0f}:1; the most frequent style is "
        f"{100 * train.max() / train.sum():.1f} % of it."
        + (" There is no valid split: a tenth of train was taken for it." if catalog.valid_was_cut else "")
    )
    echo(f"'draws' is an epoch of the balanced sampler at power {options.power:g} (0 natural, 1 uniform over styles).")
    if options.figure:
        echo(f"Figure: {options.figure}")


def _write_figure(catalog: Catalog, power: float, path: Path) -> None:
    try:
        counts_figure(catalog, power).savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--figure {path} cannot be written ({error}); name a .png file.") from error


def expected_draws(catalog: Catalog, power: float) -> np.ndarray:
    """(len(styles),) float64: mean draws of each style in an epoch of train."""
    return BalancedSampler(catalog.labels[catalog.rows("train")], power).expected_draws()


@styled
def counts_figure(catalog: Catalog, power: float) -> "Figure":
    """Bars: training pictures of each style, and the draws of an epoch at `power`; logarithmic."""
    train, draws = catalog.counts("train"), expected_draws(catalog, power)
    order = np.argsort(-train, kind="stable")
    places = np.arange(len(order))
    figure, ((axes,),) = canvas(3.6)
    axes.bar(places, train[order], width=0.75, color=PALE, label="training pictures")
    axes.plot(places, draws[order], "o", color=ACCENT, markersize=4, label=f"draws an epoch at power {power:g}")
    axes.axhline(train.sum() / len(order), color=SECOND, linewidth=1, label="every style equally often (power 1)")
    axes.set_yscale("log")
    axes.set_xticks(places, [display_name(catalog.styles[place]) for place in order], rotation=90)
    axes.set(xlim=(-0.6, len(order) - 0.4), ylabel="pictures")
    axes.set_title(f"{train.sum():,} training pictures, {train.max() / train.min():.0f}:1")
    axes.legend(loc="upper right")
    return figure
