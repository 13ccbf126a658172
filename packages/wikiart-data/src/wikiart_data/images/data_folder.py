"""Which data folder a command uses: the one that was named, `$WIKIART_DATA`, or the built-in sample set."""

import os
from pathlib import Path

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.label_tables import LabelColumn
from wikiart_data.images.layout import DataSource


def find_data(
    data: str | Path | None = None,
    cache_dir: Path | None = None,
    *,
    labels: Path | None = None,
    label_column: LabelColumn | None = None,
) -> Path:
    """The data folder to use, printed as the first line of a command.

    Args:
        data: what `--data` says; without it `$WIKIART_DATA`, without that the sample set, which is built at its first
            use (a minute).
        cache_dir: where the sample set is kept (default: `cache_root()`).
        labels: what `--labels` says: a CSV file of labels for the folder.
        label_column: what `--label-column` says: style, artist or genre.

    Returns:
        What `scan` takes: the folder, with labels and column appended if they were chosen.

    Raises:
        InputError: the folder's name is empty, or labels are named for the sample set.
    """
    origin = ""
    if data is None and (variable := os.environ.get("WIKIART_DATA")):
        data, origin = variable, " (from WIKIART_DATA)"
    if data is None:
        if labels is not None or label_column not in (None, "style"):
            option = "--labels" if labels is not None else "--label-column"
            raise InputError(f"{option} needs a data folder of your own: name it with --data.", field=option)
        from wikiart_data.sample import sample_root

        root = sample_root(cache_dir, echo=echo)
        echo("Data: the built-in sample set, painted by this toolkit (use --data DIR for your own paintings).")
        return root
    source = DataSource.parse(data)
    echo(f"Data: {data}{origin}")
    column = source.column if label_column in (None, "style") else label_column  # "style" is the option's default
    if labels is None and column == source.column:
        return Path(data).expanduser()
    labels = source.labels if labels is None else labels.expanduser().absolute()
    return Path(str(DataSource(source.root, labels, column)))
