"""From a command line to one function: a verb, its options as a frozen dataclass, mistakes as sentences.

Every part's `cli.py` is a list of `Command`s. The functions behind them are named, not imported, so that `--help`
answers before torch is loaded.
"""

import dataclasses
import difflib
import errno
import importlib
import inspect
import io
import itertools
import json
import os
import sys
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wikiart_data.console import echo_to_stderr, printable
from wikiart_data.errors import InputError

_OF_THE_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# What a system says of folders and files that a user named: no permission, no space, a file where a folder must be.
_OF_ONE_RUN = ("config", "name", "overwrite", "resume", "export")
# Options that are not taken over from an earlier run's run.json: they would make the new run replace it.


@dataclasses.dataclass(frozen=True)
class Command:
    """One verb of a program."""

    name: str
    """What the user types: `train`."""
    options: type
    """A frozen dataclass: its fields are the options, their docstrings the help."""
    function: str
    """`package.module:function`, called with the options. An int that it returns is the exit status; else it is 0."""
    summary: str
    """One line for the program's `--help`."""


def main(program: str, about: str, commands: Sequence[Command], argv: Sequence[str] | None = None) -> int:
    """Run `program`; the first command is what it does when none is named.

    Returns:
        The exit status: 0 done, 2 a mistake in the input (one sentence on stderr), 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that the terminal's encoding lacks must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(program, about, commands, list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # here, where a reader that has gone is noticed, not at exit
        return status
    except BrokenPipeError:
        # The reader (`head`, a pager) has gone; nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(program: str, about: str, commands: Sequence[Command], arguments: list[str]) -> int:
    try:
        if arguments[:1] in (["-h"], ["--help"]):
            print(_overview(program, about, commands))
            return 0
        command, arguments = _choose(program, commands, arguments)
        options = _parse(program, command, arguments)
        module, function = command.function.split(":")
        for_a_program = getattr(options, "json", False) or str(getattr(options, "csv", "")) == "-"
        with echo_to_stderr(for_a_program):
            result = getattr(importlib.import_module(module), function)(options)
            return result if isinstance(result, int) else 0  # Python callers get a result, such as the metrics of a run
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _OF_THE_DISK or error.filename is None:
            raise
        print(
            f"{program}: {printable(str(error.filename))} cannot be read or written: {error.strerror}.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except SystemExit as done:  # tyro's --help (0) and its own complaints (2)
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 2


def options_from(options: type, values: Mapping[str, Any], missing: Any = None) -> Any:
    """Options from what JSON made of them: text becomes a path again where a path is meant, lists become tuples.

    Args:
        options: the dataclass.
        values: by name.
        missing: stands for options without a default that `values` do not name; None leaves them to fail.

    Raises:
        InputError: a name is no option, or a value is of another kind than the option's.
    """
    hints = typing.get_type_hints(options)
    if unknown := sorted(values.keys() - hints.keys()):
        raise InputError(f"{', '.join(unknown)}: no such option in {options.__name__}.")
    found = {}
    for key, value in values.items():
        if not _fits(value, hints[key]):
            kind = hints[key].__name__ if isinstance(hints[key], type) else str(hints[key]).replace("typing.", "")
            raise InputError(f"{key} = {json.dumps(value, default=str)}: expected {kind}.")
        if Path in (hints[key], *typing.get_args(hints[key])):
            value = [Path(one) for one in value] if isinstance(value, list) else None if value is None else Path(value)
        found[key] = tuple(value) if isinstance(value, list) else value
    if missing is not None:
        for field in dataclasses.fields(options):
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                found.setdefault(field.name, missing)
    return options(**found)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value can be an option of this type; a whole number is a float too, true is no number."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        many = inner[-1:] == (...,)
        return (
            isinstance(value, list | tuple)
            and (many or len(value) == len(inner))
            and all(_fits(one, inner[0 if many else place]) for place, one in enumerate(value))
        )
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, str | Path if hint is Path else hint)


def _choose(program: str, commands: Sequence[Command], arguments: list[str]) -> tuple[Command, list[str]]:
    names = {command.name: command for command in commands}
    if not arguments or arguments[0].startswith("-"):
        return commands[0], arguments
    if arguments[0] in names:
        return names[arguments[0]], arguments[1:]
    near = difflib.get_close_matches(arguments[0], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"there is no command {arguments[0]!r}.{hint} The commands are: {', '.join(names)}.")


def _parse(program: str, command: Command, arguments: list[str]) -> Any:
    import tyro

    markers = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    default = tyro.MISSING_NONPROP
    if path := _value_of("--config", arguments):
        settings = _settings(Path(path), command.options)
        try:
            default = options_from(command.options, settings, missing=tyro.MISSING)
        except InputError as error:
            raise InputError(f"--config {path}: {error}") from error
    if {"-h", "--help"} & set(arguments):  # tyro would join the lines of a description into one
        print(_wrapped(inspect.getdoc(command.options) or "") + "\n")
    return tyro.cli(
        command.options,
        prog=f"{program} {command.name}",
        description="",
        args=arguments,
        default=default,
        config=markers,
    )


def _wrapped(text: str) -> str:
    """Text for terminals of 80 columns; an example stays on a line of its own, to be copied whole."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith("Example: ") else textwrap.fill(line, 79) for line in lines)


def _value_of(option: str, arguments: list[str]) -> str | None:
    for here, following in itertools.zip_longest(arguments, arguments[1:]):
        if here == option:
            return following
        if here.startswith(option + "="):
            return here.partition("=")[2]
    return None


def _settings(path: Path, options: type) -> dict[str, Any]:
    """Options from a JSON file: the course's config.json, or the run.json of an earlier run."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"--config {path}: there is no such file.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"--config {path} cannot be read as JSON: {error}.") from error
    if not isinstance(read, dict):
        raise InputError(f"--config {path} holds no JSON object; expected keys such as trainingdir and epochs.")
    if isinstance(read.get("config"), dict):  # a run.json keeps its options under this key
        read = {key: value for key, value in read["config"].items() if key not in _OF_ONE_RUN}
    fields = {field.name: field for field in dataclasses.fields(options)}
    found: dict[str, Any] = {}
    if "trainingdir" in read:
        found["data"] = str(course_root(path, read))
    if "modelfile" in read and "name" in fields:
        found["name"] = Path(str(read["modelfile"])).stem
    found |= {key: value for key, value in read.items() if key in fields and key != "config"}
    if not found:
        raise InputError(f"--config {path} names no option of this command; it knows {', '.join(fields)}.")
    return found


def course_root(path: Path, read: dict[str, Any]) -> Path:
    """The data folder that the course's config.json means, which names its train and test folders.

    Raises:
        InputError: they are not the folders 'train' and 'test' of one folder.
    """
    train = Path(str(read["trainingdir"])).expanduser()
    test = Path(str(read.get("testingdir", train.parent / "test"))).expanduser()
    # Relative folders are meant from where the file lies, or from where the command is run.
    here = train if train.is_absolute() or train.exists() else path.parent / train
    if train.name != "train" or test.name != "test" or train.parent != test.parent:
        raise InputError(
            f"--config {path}: trainingdir {train} and testingdir {test} must be the folders 'train' and 'test' of "
            "one data folder (links will do)."
        )
    return here.parent


def _overview(program: str, about: str, commands: Sequence[Command]) -> str:
    width = max(len(command.name) for command in commands)
    lines = [f"usage: {program} [COMMAND] [OPTIONS]", "", about.strip(), "", "commands:"]
    lines += [f"  {command.name:<{width}}  {command.summary}" for command in commands]
    first = commands[0].name
    lines += ["", f"Without a command: {first}. Options of a command: {program} {first} --help"]
    return "\n".join(lines)
