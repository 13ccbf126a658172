import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from wikiart_data.cli.commands import Command, check_types, command_line, main, options_from
from wikiart_data.cli.option_types import RunArgument
from wikiart_data.cli.options import StatsOptions
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class Options:
    """What a part's training command takes."""

    data: str | None = None
    """Folder of paintings."""
    config: Path | None = None
    """JSON with defaults."""
    name: str | None = None
    """Name of the run."""
    runs: Path = Path("runs")
    """Where runs are made."""
    epochs: int = 30
    """Times through."""
    batch_size: int = 128
    """Pictures in a step."""
    lr: float = 0.2
    """Learning rate."""
    device: str = "auto"
    """Where."""
    model: Literal["small", "base"] = "small"
    """Which."""
    overwrite: bool = False
    """Replace."""
    sizes: tuple[int, ...] = ()
    """Some numbers."""
    paths: tuple[Path, ...] = ()
    """Some paths."""
    shuffle: bool = True
    """In random order."""


@dataclass(frozen=True)
class Other:
    """Another command."""

    what: str = "nothing"
    """What happens: nothing, interrupt, exit, seven."""
    numbers: list[int] = field(default_factory=list)
    """Numbers."""


seen: list[object] = []


def take(options: Options) -> None:
    seen.append(options)


def happen(options: Other) -> int | None:
    if options.what == "interrupt":
        raise KeyboardInterrupt
    if options.what == "exit":
        raise SystemExit(143)
    if options.what == "leave":
        raise SystemExit
    if options.what == "mistake":
        raise InputError("it is wrong, in this file; do that.")
    return 7 if options.what == "seven" else None


COMMANDS = (
    Command("train", Options, f"{__name__}:take", "train a network"),
    Command("predict", Other, f"{__name__}:happen", "name styles"),
)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def run(*arguments: str) -> int:
    return main("program", "What it does.", COMMANDS, arguments)


def options(*arguments: str) -> Options:
    assert run(*arguments) == 0
    (taken,) = seen
    seen.clear()
    assert isinstance(taken, Options)
    return taken


# -- commands ------------------------------------------------------------------------------------------------------


def test_without_a_command_the_first_one():
    assert options() == Options()
    assert options("--epochs", "3") == Options(epochs=3)
    assert options("train", "--epochs=3", "--overwrite", "--batch-size", "5") == Options(
        None, None, None, Path("runs"), 3, 5, overwrite=True
    )


@pytest.mark.parametrize(
    "given",
    [
        Options(),
        Options("my paintings", epochs=3, lr=1e-5, model="base", sizes=(1, 2), paths=(Path("a b"), Path("c"))),
        Options(name="b", overwrite=True, shuffle=False),
    ],
)
def test_the_command_of_options_gives_the_same_options(given: Options):
    program, *arguments = command_line("program", given)
    assert program == "program"
    assert options(*arguments) == given


def test_the_command_of_a_run_begins_with_the_run():
    @dataclass(frozen=True)
    class OfRun:
        epochs: int = 3
        model: RunArgument = None

    assert command_line("program predict", OfRun(5, Path("runs/1"))) == [
        "program",
        "predict",
        "runs/1",
        "--epochs",
        "5",
    ]


def test_while_a_command_runs_it_is_what_was_typed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{__name__}.take", lambda given: seen.append(command_line("another", given)))
    assert run("train", "--epochs=3", "--lr", "0.20") == 0
    assert seen == [["program", "train", "--epochs=3", "--lr", "0.20"]]
    assert command_line("another", Options(epochs=3)) == ["another", "--epochs", "3"]


def test_an_unknown_command_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture):
    assert run("trian") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("program: ")
    assert err.count("\n") == 1
    assert "'train'" in err, "the nearest one"
    assert run("xyzzy") == 2
    assert "train, predict" in (err := capsys.readouterr().err)
    assert "'train'" not in err


def test_help_is_an_overview(capsys: pytest.CaptureFixture):
    for flag in ("-h", "--help"):
        assert run(flag) == 0
        out = capsys.readouterr().out
        assert "What it does." in out
        assert "train    train a network\n" in out
        assert "predict  name styles\n" in out
        assert "Without a command: train." in out


def test_help_of_a_command(capsys: pytest.CaptureFixture):
    assert run("predict", "--help") == 0
    out = capsys.readouterr().out
    assert "Another command." in out
    assert "What happens" in out


@pytest.mark.parametrize(
    "wrong", [["--epochs", "many"], ["--nonsense", "1"], ["--model", "huge"], ["predict", "--what"]]
)
def test_wrong_options_end_with_status_2(wrong: list[str], capsys: pytest.CaptureFixture):
    assert run(*wrong) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert wrong[-1].strip("-") in out + err


@pytest.mark.parametrize(
    ("what", "status", "printed"),
    [
        ("nothing", 0, ""),
        ("seven", 7, ""),
        ("exit", 143, ""),
        ("leave", 0, ""),
        ("interrupt", 130, "program: interrupted\n"),
        ("mistake", 2, "program: it is wrong, in this file; do that.\n"),
    ],
)
def test_exit_status(what: str, status: int, printed: str, capsys: pytest.CaptureFixture):
    assert run("predict", "--what", what) == status
    assert capsys.readouterr() == ("", printed)


def test_errors_of_the_program_itself_are_not_hidden():
    broken = (Command("train", Options, f"{__name__}:missing", ""),)
    with pytest.raises(AttributeError):
        main("program", "", broken, [])


# -- --config ------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., str]:
    def settings(content: object, name: str = "config.json") -> str:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return str(tmp_path / name)

    return settings


def test_the_courses_config(settings: Callable, tmp_path: Path):
    path = settings(
        {
            "trainingdir": f"{tmp_path}/wikiart/train",
            "testingdir": f"{tmp_path}/wikiart/test/",
            "modelfile": "models/wikiart.pth",
            "device": "cuda:1",
            "epochs": 20,
            "batch_size": 32,
            "something_of_their_own": [1, 2],
        }
    )
    expected = Options(str(tmp_path / "wikiart"), Path(path), "wikiart", epochs=20, batch_size=32, device="cuda:1")
    assert options("--config", path) == expected
    assert options("train", f"--config={path}") == expected


def test_the_command_line_wins(settings: Callable):
    path = settings({"epochs": 20, "batch_size": 32, "lr": 1})
    taken = options("--config", path, "--epochs", "2")
    assert (taken.epochs, taken.batch_size, taken.lr) == (2, 32, 1)
    assert options("--epochs", "2", "--config", path).epochs == 2


def test_relative_folders_of_the_course(settings: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = settings({"trainingdir": "data/train", "testingdir": "./data/test"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert options("--config", path).data == str(tmp_path / "data")  # from where the file lies
    (elsewhere / "data" / "train").mkdir(parents=True)
    assert options("--config", path).data == "data"  # from where the command is run


@pytest.mark.parametrize("course", [("a/train", "b/test"), ("a/training", "a/test"), ("a/train", "a/train")])
def test_folders_that_are_not_one_data_folder(course: tuple[str, str], settings: Callable, capsys):
    assert run("--config", settings({"trainingdir": course[0], "testingdir": course[1]})) == 2
    assert f"trainingdir {course[0]} and testingdir {course[1]} must be the folders" in capsys.readouterr().err


def test_an_earlier_runs_json(settings: Callable):
    record = {
        "part": "classify",
        "config": {
            "data": "paintings", "config": None, "name": None, "runs": "elsewhere", "epochs": 4, "batch_size": 8,
            "lr": 0.5, "device": "cpu", "model": "base", "overwrite": False, "sizes": [1, 2], "paths": ["a", "b"],
        },
        "styles": ["Baroque"],
    }  # fmt: skip
    path = settings(record, "run.json")
    assert options("--config", path) == Options(
        "paintings",
        Path(path),
        None,
        Path("elsewhere"),
        4,
        8,
        0.5,
        "cpu",
        "base",
        False,
        (1, 2),
        (Path("a"), Path("b")),
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", ""),
        ("", ""),
        ("[1, 2]", ""),
        ('"text"', ""),
        ({"nothing": 1, "known": 2}, "data, config, name"),
        ({}, "data, config, name"),
        ({"epochs": "many"}, 'epochs = "many"'),
        ({"epochs": 2.5}, "epochs = 2.5"),
        ({"epochs": True}, "epochs = true"),
        ({"epochs": None}, "epochs = null"),
        ({"device": 0}, "device = 0"),
        ({"model": "huge"}, "one of small, base"),
        ({"data": ["a", "b"]}, 'data = ["a", "b"]'),
        ({"overwrite": "no"}, 'overwrite = "no"'),
        ({"sizes": [1, "x"]}, "sizes = "),
        ({"sizes": 3}, "sizes = 3"),
        ({"config": "x", "epochs": "3"}, 'epochs = "3"'),
    ],
)
def test_errors_in_a_config_name_the_file_and_the_option(content: object, named: str, settings: Callable, capsys):
    path = settings(content)
    assert run("--config", path) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"program: --config {path}")
    assert named in err
    assert err.count("\n") == 1
    assert seen == []


def test_a_config_that_is_missing_or_no_text(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "binary.json"):
        assert run("--config", str(path)) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"program: --config {path}")
        assert err.count("\n") == 1


def test_options_made_in_python_are_converted():
    options = Options(data=Path("a"), runs="b", epochs=np.int64(3), lr=np.float64(0.5), sizes=[1], paths=["c"])  # pyright: ignore
    check_types(options)
    assert options == Options(data="a", runs=Path("b"), epochs=3, lr=0.5, sizes=(1,), paths=(Path("c"),))
    assert type(options.epochs) is int


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "large"), ("epochs", "3"), ("epochs", 1.5), ("overwrite", 1), ("runs", 7), ("sizes", (1.5,))],
)
def test_options_made_in_python_are_checked(name: str, value: object):
    with pytest.raises(InputError) as error:
        check_types(Options(**{name: value}))  # pyright: ignore
    assert error.value.field == f"--{name}"


def test_options_from():
    assert options_from(Options, {"runs": "a", "sizes": [1], "lr": 1}) == Options(runs=Path("a"), sizes=(1,), lr=1)
    assert options_from(Options, {"config": None, "runs": Path("b")}) == Options(runs=Path("b"))
    with pytest.raises(InputError) as error:
        options_from(Options, {"epoch": 3, "lr": 0.1})
    assert error.value.field == "--epoch"
    with pytest.raises(InputError) as error:
        options_from(Options, {"batch_size": "many"})
    assert error.value.field == "--batch-size"


def test_arguments_are_shown_by_what_they_take(capsys: pytest.CaptureFixture):
    from wikiart_data.cli import option_types

    @dataclass(frozen=True)
    class Arguments:
        """Arguments."""

        images: option_types.ImagesArgument
        """Picture files."""
        model: option_types.RunArgument = None
        """A run."""
        style: option_types.MaybeStyle = None
        """A style."""

    command = [Command("predict", Arguments, f"{__name__}:take", "")]
    assert main("program", "", command, ["--help"]) == main("program", "", command, ["predict", "--help"]) == 0
    usage = capsys.readouterr().out.partition("usage: program predict")[2].partition("\n\n")[0]
    assert usage.split() == ["[-h]", "IMAGE", "[IMAGE", "...]", "[RUN]", "[--style", "STYLE]"]
    assert main("program", "", command, ["predict", "a.jpg", "b.jpg", "--style", "Cubism"]) == 0
    assert seen == [Arguments((Path("a.jpg"), Path("b.jpg")), None, "Cubism")]
    options_from(Arguments, {"images": ["a"], "model": "runs/001"})


def test_help_in_python_names_the_types_of_options():
    signature = str(inspect.signature(StatsOptions))
    assert "figure: MaybeFile = None" in signature
    assert "_ArgConfig" not in signature
    with pytest.raises(InputError) as error:
        options_from(StatsOptions, {"figure": 3})
    assert error.value.field == "--figure"
