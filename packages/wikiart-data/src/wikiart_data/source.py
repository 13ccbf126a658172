"""Which data a command works on: `--data DIR`, else `$WIKIART_DATA`, else the built-in sample set."""

import os
from pathlib import Path

from wikiart_data.console import say
from wikiart_data.errors import InputError


def find_data(data: str | Path | None = None, cache_dir: Path | None = None) -> Path:
    """The data folder, said on the console. The sample set is built at its first use (a minute).

    Raises:
        InputError: the folder's name is empty.
    """
    if data is not None:
        if not str(data).strip():  # the shell's answer to "$FOLDER" where no FOLDER is set
            raise InputError("--data is empty: name a folder, or leave --data out for the built-in sample set.")
        say(f"Data: {data}")
        return Path(data).expanduser()
    if named := os.environ.get("WIKIART_DATA"):
        say(f"Data: {named} (from WIKIART_DATA)")
        return Path(named).expanduser()
    from wikiart_data.sample import sample_root

    root = sample_root(cache_dir, say=say)
    say("Data: the built-in sample set, painted by this toolkit (use --data DIR for your own paintings).")
    return root
