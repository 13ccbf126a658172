"""`wikiart-data doctor --fix`: shell commands that correct what was found. They are printed, never run."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from wikiart_data.doctor.findings import Example, Finding
from wikiart_data.errors import how_to_install
from wikiart_data.images.formats import PLUGIN_REQUIREMENTS, PLUGINS
from wikiart_data.images.manifest import BROKEN_LINK
from wikiart_data.images.names import repaired_name

_CERTAIN = ("same bytes", "same pixels")


def fix_commands(findings: Sequence[Finding], root: Path) -> list[str]:
    """Commands for a POSIX shell, most serious finding first; lines that begin with # need a decision.

    A file is named in one command at most, so that the commands can be run one after another.
    """
    commands: list[str] = []
    gone: set[str] = set()
    for finding in findings:
        for example in finding.examples:
            if not any(file in gone or _folders(file) & gone for file in example.files):
                for command, removed in _commands(finding.kind, example, root):
                    commands.append(command)
                    gone.update(removed)
    return list(dict.fromkeys(commands))


def _folders(file: str) -> set[str]:
    """All folders above a file: whoever removes one of them removes the file."""
    parts = file.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts))}


def _commands(kind: str, example: Example, root: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """(command, files that are gone after it) for one case."""
    files, first = example.files, example.files[0]
    paths = [shell_quote(str(root / file)) for file in files]
    folder, _, name = first.rpartition("/")
    if kind == "unreadable":
        yield f"rm -- {paths[0]}", files
    elif kind == "unread":
        if example.why in PLUGINS:
            yield f"# to read {example.why}: {how_to_install('formats', *PLUGIN_REQUIREMENTS)}", ()
        elif example.why == BROKEN_LINK:
            yield f"rm -- {paths[0]}", files
        else:
            yield f"# save as JPEG or PNG: {paths[0]}", ()
    elif kind == "same_folder":
        yield f"rm -r -- {paths[1]}", files[1:]
        if repaired := repaired_name(name):
            yield f"mv -n -- {paths[0]} {shell_quote(str(root / folder / repaired))}", files
    elif kind == "broken_name":
        yield f"mv -n -- {paths[0]} {shell_quote(str(root / folder / (repaired_name(name) or name)))}", files
    elif kind == "spelling":
        style = example.why.removeprefix("like ")
        yield f"mv -n -- {paths[0]} {shell_quote(str(root / folder / style))}", files
    elif kind == "two_spellings":
        for path, file in zip(paths[1:], files[1:], strict=True):
            yield f"mv -n -- {path}/* {paths[0]}/ && rmdir -- {path}", (file,)
    elif kind == "nested" and len(first.split("/")) > 3:
        yield f"mv -n -- {paths[0]} {shell_quote(str(root.joinpath(*first.split('/')[:2])))}/", files
    elif kind in ("two_splits", "duplicates") and example.why.partition(":")[0] in _CERTAIN:
        for file in _superfluous(example):
            yield f"rm -- {shell_quote(str(root / file))}", (file,)
    elif kind in ("two_splits", "two_styles", "duplicates"):
        yield f"# keep one: {' '.join(paths)}", ()


def _superfluous(example: Example) -> list[str]:
    """All copies but one; the one in test or valid is kept, so that those splits stay comparable."""
    splits = example.why.partition(": ")[2].split(", ")
    keep = 0
    if len(splits) == len(example.files):
        keep = next((index for index, split in enumerate(splits) if split != "train"), 0)
    return [file for index, file in enumerate(example.files) if index != keep]


def shell_quote(path: str) -> str:
    """A path quoted for bash, in printable characters: `$'…'` where it holds others."""
    if path.isprintable():
        return shlex.quote(path)
    content = os.fsencode(path)
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in content) + "'"
