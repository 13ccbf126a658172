"""tools/reproduce.py runs the commands that REPORT.md prints, resumes after an interruption, and names failures."""

import importlib
import json
import re
import shlex
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from wikiart_data.cli.commands import main as run_command
from wikiart_data.errors import InputError
from wikiart_data.results import Number, Table, json_text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
reproduce = importlib.import_module("reproduce")
sys.path.pop(0)
Step = reproduce.Step
TABLE = Table("Rates", ("code", "PSNR"), (("spatial", Number(20.0, "dB", 2, (19.0, 21.0))),))


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.setattr(reproduce.signal, "signal", lambda *_: None)


def commands_in_report() -> set[tuple[str, ...]]:
    """The commands of REPORT.md's code blocks, as words."""
    text = (ROOT / "REPORT.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return {tuple(shlex.split(line, comments=True)) for line in blocks.splitlines()}


def test_the_report_and_the_steps_have_the_same_commands():
    assert {("uv", "run", *shlex.split(step.printed)) for step in reproduce.STEPS} == commands_in_report()


@pytest.mark.parametrize(
    "arguments", ["--quick", "--hub --device cpu", "--data . --hub --runs elsewhere", "--data . --quick"]
)
def test_every_command_parses_and_reads_what_an_earlier_one_writes(arguments: str, capsys):
    options = reproduce.parse_options(arguments.split())
    written: set[Path] = set()
    assert reproduce.main([*arguments.split(), "--plan"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(reproduce.selected_steps(options)) > 20
    for step in reproduce.selected_steps(options):
        program, *words = reproduce.command_line(step, options)
        assert not {"DIR", "RUN"} & set(words)
        judges = [words[index + 1] for index, word in enumerate(words) if word in ("--judge", "--second-judge")]
        assert all(Path(judge).parent == options.runs for judge in judges)
        if "compare" in words:
            assert (options.runs / step.output).parent.parent == Path(words[words.index("--runs") + 1])
        data = re.search(r"--data (\S+)", step.printed)
        assert ("--data" in words) == (data is not None and (options.data is not None or data[1] != "DIR"))
        parse_only = [replace(command, function="operator:not_") for command in reproduce.program_commands(program)]
        assert run_command(program, "", parse_only, words) == 0, shlex.join([program, *words])
        flags = [word for word in words if word.startswith("--")]
        assert len(flags) == len(set(flags))
        for path in reproduce.inputs(step, options):
            in_earlier_folder = any(path.parent in other.parents for other in written)
            assert path in written or in_earlier_folder or "small-2" in str(path), path
        written.add(options.runs / step.output)


def test_options_replace_those_of_the_same_name():
    words = ["x", "--epochs", "20", "--only", "a", "b", "--flag", "--size", "3"]
    changed = reproduce.with_options(words, ["--only", "c", "--flag", "--new", "1"])
    assert changed == ["x", "--epochs", "20", "--size", "3", "--only", "c", "--flag", "--new", "1"]


def test_one_part_is_run_with_what_it_needs():
    outputs = [step.output for step in reproduce.selected_steps(reproduce.parse_options(["--only", "3"]))]
    assert outputs[0] == "judge/judge.json"
    assert all(
        output.startswith(("judge", "half-judge", "stylegen/", "synthesised/", "compare-data/")) for output in outputs
    )


def test_the_course_config_names_folder_and_device(tmp_path: Path):
    (tmp_path / "art" / "train").mkdir(parents=True)
    course = {"trainingdir": "art/train", "testingdir": "art/test", "device": "cpu", "epochs": 3}
    Path("config.json").write_text(json.dumps(course))
    options = reproduce.parse_options(["--config", "config.json"])
    assert (options.data, options.device) == ("art", "cpu")


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"trainingdir": "art/training"}'])
def test_an_unusable_course_config_is_refused(content: str, capsys):
    Path("config.json").write_text(content)
    assert reproduce.main(["--config", "config.json"]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "field"), [(["--data", "nowhere"], "--data"), (["--quick", "--into-repo", "mine"], "--quick")]
)
def test_unusable_options_are_refused(arguments: list[str], field: str):
    with pytest.raises(InputError) as error:
        reproduce.parse_options(arguments)
    assert error.value.field == field


def test_interrupted_runs_are_resumed(tmp_path: Path):
    options = reproduce.parse_options(["--quick"])
    train, cluster, judge = (
        next(step for step in reproduce.STEPS if step.output == output)
        for output in (
            "autoencode/vector/result.json",
            "cluster/map/result.json",
            "judge/judge.json",
        )
    )
    assert reproduce.pending_command(train, options) == reproduce.command_line(train, options)
    runs = ("autoencode/vector", "cluster/map", "classify/judge")
    folders = [tmp_path / "runs/quick" / run for run in runs]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    for step in (train, cluster, judge):
        assert reproduce.pending_command(step, options) == [*reproduce.command_line(step, options), "--overwrite"]
    for folder in folders:
        (folder / "last.safetensors").touch()
    vector = ["wikiart-autoencode", "--resume", "runs/quick/autoencode/vector"]
    assert reproduce.pending_command(train, options) == vector
    resumed = ["wikiart-classify", "--resume", "runs/quick/classify/judge", "--export", "runs/quick/judge"]
    assert reproduce.pending_command(judge, options) == resumed
    assert reproduce.pending_command(cluster, options)[-1] == "--overwrite"


PROGRAM = """
import os, sys
from pathlib import Path
name, runs = (sys.argv[sys.argv.index(option) + 1] for option in ("--name", "--runs"))
print(name, "has WIKIART_DATA =", os.environ.get("WIKIART_DATA"))
if name == "broken":
    sys.exit("something is wrong")
folder = Path(runs) / "rates"
(folder / "figures").mkdir(parents=True)
(folder / "figures" / "rates.png").write_bytes(b"PNG")
(folder / "result.json").write_text('''{result}''')
"""


def test_after_a_failed_step_the_others_run_and_the_report_is_written(tmp_path: Path, monkeypatch, capsys):
    Path("program.py").write_text(PROGRAM.replace("{result}", json_text({"title": "Rates", "tables": [TABLE]})))
    monkeypatch.setitem(reproduce.RUN_FOLDERS, "python", "program")
    steps = (
        Step("2", "python program.py --data DIR --name broken", "broken/result.json"),
        Step("2", "python program.py --data DIR --name whole", "rates/result.json"),
        Step("2", "python program.py runs/broken --name after", "after/result.json"),
    )
    monkeypatch.setattr(reproduce, "STEPS", steps)
    monkeypatch.setenv("WIKIART_DATA", ".")
    assert reproduce.main(["--quick"]) == 1
    printed = capsys.readouterr().out
    assert "[1/3] python program.py --data . --name broken --runs runs/quick" in printed
    assert "    broken has WIKIART_DATA = None\n" in printed
    assert "[3/3]" in printed
    assert "runs/quick/broken/result.json" in printed
    failures = printed[printed.index("Failed: ") :]
    assert "--name broken" in failures
    assert "runs/quick/logs/broken-result.json.log" in failures
    assert "something is wrong" in (tmp_path / "runs/quick/logs/broken-result.json.log").read_text()
    report = (tmp_path / "runs/quick/report/REPORT.md").read_text()
    assert "Quick mode" in report
    assert "| spatial | 20.00 (19.00–21.00) |" in report
    assert "![PSNR and SSIM against bytes" in report
    assert "*No results: classify.*" in report
    assert "uv run wikiart-classify compare imbalance --data DIR" in report
    assert (tmp_path / "runs/quick/report/figures/rates-rates.png").read_bytes() == b"PNG"
    assert "realart" not in report

    monkeypatch.setattr(reproduce, "STEPS", steps[1:2])
    assert reproduce.main(["--quick"]) == 0
    assert "whole has" not in capsys.readouterr().out
    assert reproduce.main(["--quick", "--plan"]) == 0
    assert "# finished" in capsys.readouterr().out


def test_a_stopped_step_is_not_a_failed_one(monkeypatch):
    monkeypatch.setattr(reproduce, "run_command", lambda words, log, deadline: (143, log))
    assert reproduce.main(["--quick", "--only", "A"]) == 130
    assert not Path("runs/quick/report").exists()


SAVES = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: (Path("saved").touch(), sys.exit(143)))
Path("started").touch()
time.sleep(600)
"""


class TimerAtStart(threading.Thread):
    """A timer that goes off when the long command has started, however slow the machine."""

    def __init__(self, seconds: float, function: Callable[[], None]):
        super().__init__()
        self.seconds, self.function, self.cancelled = seconds, function, threading.Event()

    def run(self) -> None:
        while not Path("started").exists() and not self.cancelled.wait(0.05):
            pass
        if self.seconds < reproduce.GRACE_S and not self.cancelled.is_set():
            self.function()

    def cancel(self) -> None:
        self.cancelled.set()


def test_when_the_time_is_up_the_running_command_saves_and_what_is_finished_is_kept(monkeypatch, capsys):
    Path("quick.py").write_text(PROGRAM.replace("{result}", json_text({"title": "Rates", "tables": [TABLE]})))
    Path("long.py").write_text(SAVES)
    monkeypatch.setitem(reproduce.RUN_FOLDERS, "python", "program")
    steps = (
        Step("2", "python quick.py --data DIR --name whole", "rates/result.json"),
        Step("2", "python long.py", "long/result.json"),
        Step("2", "python long.py --again", "again/result.json"),
    )
    monkeypatch.setattr(reproduce, "STEPS", steps)
    clock = SimpleNamespace(monotonic=lambda: 100.0 if Path("started").exists() else 0.0)
    monkeypatch.setattr(reproduce, "time", clock)
    monkeypatch.setattr(reproduce.threading, "Timer", TimerAtStart)
    assert reproduce.main(["--quick", "--minutes", "0.5"]) == reproduce.TIME_IS_UP
    printed = capsys.readouterr().out
    assert Path("saved").exists()
    assert "1 of 3 steps are finished" in printed
    assert "[3/3]" not in printed
    assert "| spatial | 20.00" in Path("runs/quick/report/REPORT.md").read_text()


def test_a_gpu_adds_steps():
    on_cpu, on_gpu = (
        {step.output for step in reproduce.selected_steps(reproduce.parse_options(["--device", device]))}
        for device in ("cpu", "cuda:1")
    )
    assert {output.split("/")[1] for output in on_gpu - on_cpu} == {
        f"{n}-{s}" for n in ("base", "gpu") for s in range(3)
    }


def test_programs_are_found_without_being_installed(tmp_path: Path):
    status, log = reproduce.run_command(["wikiart-data", "--help"], tmp_path / "log")
    assert status == 0
    assert "wikiart-data" in log.read_text()
    for program in reproduce.PROGRAMS:
        assert reproduce.program_commands(program)


def test_results_kept_in_the_repository_carry_the_name_of_their_data(tmp_path: Path):
    for folder in ("rates", "lora/plain/score"):
        (tmp_path / "runs" / folder / "figures").mkdir(parents=True)
        (tmp_path / "runs" / folder / "result.json").write_text(json_text({"title": "x", "tables": [TABLE]}))
    kept = reproduce.keep_results(tmp_path / "runs", tmp_path / "report", "mine")
    assert kept == ["rates", "lora-sample"]
    assert sorted(path.name for path in (tmp_path / "report").glob("*.json")) == ["lora-sample.json", "rates-mine.json"]
