"""`wikiart-data pack` and `wikiart-data sample`: do now what other commands would do when they need it."""

import time

from wikiart_data.cli.options import PackOptions, SampleOptions
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.packed import pack


def pack_now(options: PackOptions) -> None:
    """Make the pack of a data folder, or check the existing one; with `--shards`, write its pictures as shards too.

    Raises:
        InputError: the data cannot be used, the size is not positive, or the cache or the shards cannot be written.
    """
    if options.size < 1:
        raise InputError(f"--size {options.size}: expected a number of pixels, such as 147.", field="--size")
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    catalog = scan(root, cache_dir=options.cache_dir)
    start = time.monotonic()
    packed = pack(catalog, options.size, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)
    seconds = time.monotonic() - start
    echo(f"{len(catalog):,} pictures, {packed.images.nbytes / 1e6:,.0f} MB, {seconds:.1f} s: {packed.folder}")
    if options.shards is not None:
        from wikiart_data.images.shards import write_shards

        write_shards(packed, options.shards)


def sample_now(options: SampleOptions) -> None:
    """Paint the sample set into a folder, or into the cache.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    from wikiart_data.sample import build_sample_set, sample_root

    if options.to is None:
        echo(f"The sample set is in {sample_root(options.cache_dir, echo=echo)}")
        return
    build_sample_set(options.to, echo=echo)
    echo(f"The sample set is in {options.to}")
