"""The command line of every part: commands, options as frozen dataclasses, errors as one sentence.

A part's `cli.py` is a list of `Command`s. They give the names of the functions that run them, so that `--help` answers
without importing torch.
"""

import dataclasses
import difflib
import errno
import importlib
import inspect
import io
import itertools
import json
import numbers
import os
import sys
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from wikiart_data.console import echo_to_stderr, printable
from wikiart_data.errors import InputError

_DISK_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# Errors that the user's folders and files cause: no permission, no space, a file in place of a folder.
_NOT_INHERITED = ("config", "name", "overwrite", "resume", "export")
# Options that are not taken from the run.json of an earlier run: they would make the new run replace it.
_typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())
# Program and arguments of the command that is running.


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a program."""

    name: str
    """What the user types: `train`."""
    options: type
    """A frozen dataclass: its fields are the options, their docstrings the help."""
    function: str
    """`package.module:function`, called with the options. An int that it returns is the exit status."""
    summary: str
    """One line for the program's `--help`."""


def main(program: str, about: str, commands: Sequence[Command], argv: Sequence[str] | None = None) -> int:
    """Run a program; without a command it runs the first one.

    Args:
        program: its name.
        about: what it is for, in one line of its `--help`.
        commands: what it can do.
        argv: arguments (default: those of the process).

    Returns:
        The exit status: 0 success, 2 an error in the input (one sentence on stderr), 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    token = _typed.set((program, *arguments))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # printing a name outside the terminal's encoding must not fail
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(program, about, commands, arguments)
        sys.stdout.flush()  # to get a BrokenPipeError here and not at exit
        return status
    except BrokenPipeError:
        # The reader (`head`, a pager) has closed the pipe: end quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        _typed.reset(token)


def _run(program: str, about: str, commands: Sequence[Command], arguments: list[str]) -> int:
    try:
        if arguments[:1] in (["-h"], ["--help"]):
            print(_overview(program, about, commands))
            return 0
        command, arguments = _find_command(commands, arguments)
        options = _parse(program, command, arguments)
        module, function = command.function.split(":")
        machine_readable = getattr(options, "json", False) or str(getattr(options, "csv", "")) == "-"
        with echo_to_stderr(machine_readable):
            result = getattr(importlib.import_module(module), function)(options)
            return result if isinstance(result, int) else 0  # other results are for callers in Python
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _DISK_ERRORS or error.filename is None:
            raise
        print(
            f"{program}: {printable(str(error.filename))} cannot be read or written: {error.strerror}.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except SystemExit as error:  # tyro: after --help (0) and after its own errors (2)
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 2


def command_line(program: str, options: Any) -> list[str]:
    """The command that is running, as it was typed; in Python code, the one that does the same with these options.

    Args:
        program: with its command, if that is not the first: `wikiart-classify rebalance`.
        options: a dataclass of options; those that differ from their defaults are written.
    """
    return list(_typed.get()) or [*program.split(), *_arguments(options)]


def _arguments(options: Any) -> list[str]:
    import tyro

    positional: list[str] = []
    flags: list[str] = []
    hints = _types_of(type(options), include_extras=True)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is None or value == field.default:
            continue
        words = [str(item) for item in (value if isinstance(value, tuple) else [value])]
        if tyro.conf.Positional in getattr(hints[field.name], "__metadata__", ()):
            positional += words
        elif isinstance(value, bool):
            flags.append(_flag(field.name if value else f"no_{field.name}"))
        else:
            flags += [_flag(field.name), *words]
    return positional + flags


def options_from(options: type, values: Mapping[str, Any], missing: Any = None) -> Any:
    """Options from JSON: text becomes a path where the option is a path, lists become tuples.

    Args:
        options: the dataclass.
        values: by name.
        missing: value of options that have no default and are not in `values`; without it they are an error of the
            dataclass.

    Raises:
        InputError: a name is no option, or a value is not of the option's type; the error's field is the option.
    """
    hints = _types_of(options)
    if unknown := sorted(values.keys() - hints.keys()):
        raise InputError(f"{', '.join(unknown)}: no such option in {options.__name__}.", field=_flag(unknown[0]))
    arguments = {}
    for name, value in values.items():
        arguments[name] = _converted(name, value, hints[name])
    if missing is not None:
        for field in dataclasses.fields(options):
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                arguments.setdefault(field.name, missing)
    return options(**arguments)


def check_types(options: Any) -> None:
    """Convert and check the values of options that were made in Python, for their `__post_init__`.

    Text becomes a path where the option is a path, and a path text where it is text; NumPy's numbers become Python's.

    Args:
        options: a frozen dataclass.

    Raises:
        InputError: a value is not of the option's type; the error's field is the option.
    """
    for name, hint in _types_of(type(options)).items():
        value = getattr(options, name)
        if isinstance(value, numbers.Number):
            value = getattr(value, "tolist", lambda number=value: number)()
        object.__setattr__(options, name, _converted(name, value, hint))


def _types_of(options: type, include_extras: bool = False) -> dict[str, Any]:
    """The type of every option, with the names of option_types.py replaced by what they stand for."""
    types_by_name = {}
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        kind = getattr(hint, "__value__", hint)
        annotated = not include_extras and typing.get_origin(kind) is Annotated
        types_by_name[name] = typing.get_args(kind)[0] if annotated else kind
    return types_by_name


def _converted(name: str, value: Any, hint: Any) -> Any:
    """A value as the type of its option.

    Raises:
        InputError: it is of another type.
    """
    inner = typing.get_args(hint)
    if isinstance(value, Path) and str in (hint, *inner):
        value = str(value)
    if not _fits(value, hint):
        expected = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        if typing.get_origin(hint) is typing.Literal:
            expected = f"one of {', '.join(map(str, inner))}"
        raise InputError(f"{name} = {json.dumps(value, default=repr)}: expected {expected}.", field=_flag(name))
    if value is not None and Path in (hint, *inner):
        value = [Path(path) for path in value] if isinstance(value, list | tuple) else Path(value)
    return tuple(value) if isinstance(value, list) else value


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of an option's type; an integer is a float too, true and false are no numbers."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        any_length = inner[-1:] == (...,)
        return (
            isinstance(value, list | tuple)
            and (any_length or len(value) == len(inner))
            and all(_fits(item, inner[0 if any_length else index]) for index, item in enumerate(value))
        )
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, str | Path if hint is Path else hint)


def _find_command(commands: Sequence[Command], arguments: list[str]) -> tuple[Command, list[str]]:
    by_name = {command.name: command for command in commands}
    if not arguments or arguments[0].startswith("-"):
        return commands[0], arguments
    name = arguments[0]
    if name in by_name:
        return by_name[name], arguments[1:]
    closest = difflib.get_close_matches(name, by_name, n=1)
    hint = f" Did you mean {closest[0]!r}?" if closest else ""
    raise InputError(f"there is no command {name!r}.{hint} The commands are: {', '.join(by_name)}.", field=name)


def _parse(program: str, command: Command, arguments: list[str]) -> Any:
    import tyro

    markers = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    default = tyro.MISSING_NONPROP
    if path := _value_of("--config", arguments):
        settings = _settings(Path(path), command.options)
        try:
            default = options_from(command.options, settings, missing=tyro.MISSING)
        except InputError as error:
            raise InputError(f"--config {path}: {error}", field="--config") from error
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
    """Text for terminals of 80 columns; an example stays on one line, so that it can be copied."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith("Example: ") else textwrap.fill(line, 79) for line in lines)


def _value_of(option: str, arguments: list[str]) -> str | None:
    for argument, following in itertools.zip_longest(arguments, arguments[1:]):
        if argument == option:
            return following
        if argument.startswith(option + "="):
            return argument.partition("=")[2]
    return None


def _settings(path: Path, options: type) -> dict[str, Any]:
    """Options from a JSON file: the course's config.json, or the run.json of an earlier run."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"--config {path}: there is no such file.", field="--config") from error
    except (OSError, ValueError) as error:
        raise InputError(f"--config {path} cannot be read as JSON: {error}.", field="--config") from error
    if not isinstance(content, dict):
        raise InputError(
            f"--config {path} holds no JSON object; expected keys such as trainingdir and epochs.", field="--config"
        )
    if isinstance(content.get("config"), dict):  # a run.json keeps its options under this key
        content = {key: value for key, value in content["config"].items() if key not in _NOT_INHERITED}
    names = [field.name for field in dataclasses.fields(options)]
    settings: dict[str, Any] = {}
    if "trainingdir" in content:
        settings["data"] = str(course_root(path, content))
    if "modelfile" in content and "name" in names:
        settings["name"] = Path(str(content["modelfile"])).stem
    settings |= {key: value for key, value in content.items() if key in names and key != "config"}
    if not settings:
        raise InputError(
            f"--config {path} has no option of this command; the options are {', '.join(names)}.", field="--config"
        )
    return settings


def course_root(path: Path, content: Mapping[str, Any]) -> Path:
    """The data folder of the course's config.json, which gives the folders of train and test.

    Args:
        path: the file.
        content: what it holds: `trainingdir`, and possibly `testingdir`.

    Raises:
        InputError: they are not the folders 'train' and 'test' of one folder.
    """
    train = Path(str(content["trainingdir"])).expanduser()
    test = Path(str(content.get("testingdir", train.parent / "test"))).expanduser()
    # Relative folders are relative to the working directory or, if they do not exist there, to the file.
    folder = train if train.is_absolute() or train.exists() else path.parent / train
    if train.name != "train" or test.name != "test" or train.parent != test.parent:
        raise InputError(
            f"--config {path}: trainingdir {train} and testingdir {test} must be the folders 'train' and 'test' of "
            "one data folder (links are fine).",
            field="--config",
        )
    return folder.parent


def _overview(program: str, about: str, commands: Sequence[Command]) -> str:
    width = max(len(command.name) for command in commands)
    lines = [f"usage: {program} [COMMAND] [OPTIONS]", "", about.strip(), "", "commands:"]
    lines += [f"  {command.name:<{width}}  {command.summary}" for command in commands]
    first = commands[0].name
    lines += ["", f"Without a command: {first}. Options of a command: {program} {first} --help"]
    return "\n".join(lines)
