"""`wikiart-data organise`: the standard layout, DIR/{train,valid,test}/<Style>/*, from a folder of any layout."""

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from wikiart_data.acquire.file_names import UniqueNames, safe_name
from wikiart_data.cli.options import OrganiseOptions
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.files import new_folder
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import artist_of


def organise(options: OrganiseOptions) -> None:
    """Write links to, or copies of, the pictures of a data folder.

    Labels and splits are those that a run on the folder would use. Where a table or `artists.csv` names artists that
    file names do not, an `artists.csv` is written.

    Raises:
        InputError: the source cannot be used, or the target is in the way, inside the source, or cannot be written.
    """
    chosen = find_data(options.source, labels=options.labels, label_column=options.label_column)
    catalog = scan(chosen, seed=options.seed)
    target = options.to.expanduser().absolute()
    if target == catalog.root or catalog.root in target.parents:
        raise InputError(f"--to {target} is inside the folder to read; choose one outside of it.", field="--to")
    with new_folder(target, "organise") as part:
        artists: list[tuple[str, str]] = []
        for row, path in track(_paths(catalog), len(catalog), "organising", "pictures"):
            original, written = catalog.root / catalog.files[row], part / path
            written.parent.mkdir(parents=True, exist_ok=True)
            if options.copy:
                shutil.copy2(original, written)
            else:
                written.symlink_to(original.resolve())
            if catalog.artists[row] != artist_of(str(path)):
                artists.append((str(path), catalog.artists[row]))
        if artists:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([("file", "artist"), *artists])
            (part / "artists.csv").write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
    counts = Counter(catalog.splits.tolist())
    parts = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
    what = "pictures" if options.copy else "links to pictures"
    echo(f"{len(catalog):,} {what} in {len(catalog.styles)} styles ({parts}) in {target}")
    echo(f"Next: wikiart-classify --data {target}")


def _paths(catalog: Catalog) -> Iterator[tuple[int, PurePosixPath]]:
    """(row, path below the target) of each picture: no two alike, even where case does not count."""
    names = UniqueNames()
    for row, file in enumerate(catalog.files):
        style = safe_name(catalog.styles[catalog.labels[row]])
        folder = PurePosixPath(str(catalog.splits[row]), style)
        yield row, names.add(folder / safe_name(os.fsdecode(file.rpartition("/")[2])))
