"""Where things that can be made again are kept: packs, manifests, the sample set."""

import os
from pathlib import Path

import platformdirs

from wikiart_data.errors import InputError


def cache_root(cache_dir: Path | None = None) -> Path:
    """The cache folder: `cache_dir`, else `$WIKIART_CACHE`, else the user's own. It may not exist yet."""
    if cache_dir is not None:
        return cache_dir.expanduser().absolute()
    if named := os.environ.get("WIKIART_CACHE"):
        return Path(named).expanduser().absolute()
    return platformdirs.user_cache_path("wikiart")


def writable(folder: Path) -> Path:
    """Make a folder below the cache and prove that it can be written.

    Raises:
        InputError: it cannot; the sentence says how to choose another one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)  # another container may have the same process id, and share the cache
    except OSError as error:
        raise InputError(
            f"The cache folder {folder} cannot be written ({error.strerror}); choose another with --cache-dir DIR "
            "or the environment variable WIKIART_CACHE."
        ) from error
    return folder
