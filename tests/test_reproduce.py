"""tools/reproduce.py runs what REPORT.md prints and nothing else, goes on after a break, and says what failed."""

import importlib
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from wikiart_data.cli.commands import main as run_command
from wikiart_data.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
reproduce = importlib.import_module("reproduce")
sys.path.pop(0)
Step = reproduce.Step


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.setattr(reproduce.signal, "signal", lambda *_: None)


def printed_in_report() -> set[tuple[str, ...]]:
    """The commands of REPORT.md's blocks, as words."""
    text = (ROOT / "REPORT.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return {tuple(shlex.split(line, comments=True)) for line in blocks.splitlines()}


def test_the_report_and_the_steps_name_the_same_commands():
    assert {("uv", "run", *shlex.split(step.printed)) for step in reproduce.STEPS} == printed_in_report()


@pytest.mark.parametrize(
    "arguments", ["--quick", "--hub --device cpu", "--data . --hub --runs elsewhere", "--data . --quick"]
)
def test_every_command_is_understood_and_reads_what_an_earlier_one_leaves(arguments: str, capsys):
    asked = reproduce.options(arguments.split())
    left: set[Path] = set()
    assert reproduce.main([*arguments.split(), "--plan"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(reproduce.chosen(asked)) > 20
    for step in reproduce.chosen(asked):
        program, *words = reproduce.command(step, asked)
        assert not {"DIR", "RUN"} & set(words)
        assert "--judge judge" not in shlex.join(words)
        assert ("--data" in words) == (asked.data is not None and "--data" in step.printed)
        commands = importlib.import_module(reproduce.PROGRAMS[program][1]).COMMANDS
        idle = [replace(command, function="operator:not_") for command in commands]
        assert run_command(program, "", idle, words) == 0, shlex.join(words)
        named = [word for word in words if word.startswith("--")]
        assert len(named) == len(set(named))
        for path in reproduce.needed(step, asked):
            assert path in left or path.parent in {one.parent for one in left} or "small-2" in str(path), path
        left.add(asked.runs / step.leaves)


def test_options_replace_those_that_are_printed():
    words = ["x", "--epochs", "20", "--only", "a", "b", "--flag", "--size", "3"]
    changed = reproduce.with_options(words, ["--only", "c", "--flag", "--new", "1"])
    assert changed == ["x", "--epochs", "20", "--size", "3", "--only", "c", "--flag", "--new", "1"]


def test_only_some_parts_and_what_they_need():
    asked = reproduce.options(["--only", "3"])
    leaves = [step.leaves for step in reproduce.chosen(asked)]
    assert leaves[0] == "judge/judge.json"
    assert all(one.startswith(("judge", "stylegen/")) for one in leaves)


def test_the_course_config_names_the_folder(tmp_path: Path, capsys):
    (tmp_path / "art" / "train").mkdir(parents=True)
    course = {"trainingdir": "art/train", "testingdir": "art/test", "device": "cpu", "epochs": 3}
    Path("config.json").write_text(json.dumps(course))
    asked = reproduce.options(["--config", "config.json"])
    assert (asked.data, asked.device) == ("art", "cpu")
    for content in ("{", "{}", '{"trainingdir": "art/training"}'):
        Path("config.json").write_text(content)
        assert reproduce.main(["--config", "config.json"]) == 2
    assert reproduce.main(["--data", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert said.count("tools/reproduce.py: ") == 4
    assert "There is no folder nowhere" in said
    with pytest.raises(InputError, match="takes no --quick"):
        reproduce.options(["--quick", "--into-repo", "mine"])


def test_what_was_broken_off_goes_on(tmp_path: Path):
    asked = reproduce.options(["--quick"])
    train, cluster, judge, balance = (
        next(step for step in reproduce.STEPS if step.leaves == leaves)
        for leaves in (
            "autoencode/vector/result.json",
            "cluster/style-map/result.json",
            "judge/judge.json",
            "classify/post-hoc-0/result.json",
        )
    )
    assert reproduce.to_run(train, asked) == reproduce.command(train, asked)
    folders = [tmp_path / "runs/quick" / one for one in ("autoencode/vector", "cluster/style-map", "classify/judge")]
    for folder in [*folders, tmp_path / "runs/quick/classify/post-hoc-0"]:
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    for step in (train, cluster, judge, balance):
        assert reproduce.to_run(step, asked) == [*reproduce.command(step, asked), "--overwrite"]
    for folder in folders:
        (folder / "last.safetensors").touch()
    vector = ["wikiart-autoencode", "--resume", "runs/quick/autoencode/vector"]
    assert reproduce.to_run(train, asked) == vector
    resumed = ["wikiart-classify", "--resume", "runs/quick/classify/judge", "--export", "runs/quick/judge"]
    assert reproduce.to_run(judge, asked) == resumed
    assert reproduce.to_run(cluster, asked)[-1] == "--overwrite"


FAKE = """
import json, os, sys
from pathlib import Path
name, runs = (sys.argv[sys.argv.index(one) + 1] for one in ("--name", "--runs"))
print(name, "says", os.environ.get("WIKIART_DATA"))
if name == "broken":
    sys.exit("a mistake")
folder = Path(runs) / "rates"
(folder / "figures").mkdir(parents=True)
(folder / "figures" / "rates.png").write_bytes(b"PNG")
code = {"bytes": 64, "psnr": 20.0, "psnr_interval": [19, 21], "ssim": 0.5, "mse": 0.01, "code": 0, "channels": 4}
result = {"kind": "rates", "n": 9, "split": "test", "size": 32, "codes": [code | {"objective": "none"}], "curves": {}}
(folder / "result.json").write_text(json.dumps(result))
"""


def test_a_step_that_fails_lets_the_others_go_on_and_the_report_is_written(tmp_path: Path, monkeypatch, capsys):
    Path("fake.py").write_text(FAKE)
    monkeypatch.setitem(reproduce.PROGRAMS, "python", ("fake", ""))
    steps = (
        Step("2", "python fake.py --data DIR --name broken", "broken/result.json"),
        Step("2", "python fake.py --data DIR --name whole", "rates/result.json"),
        Step("2", "python fake.py runs/broken --name after", "after/result.json"),
    )
    monkeypatch.setattr(reproduce, "STEPS", steps)
    monkeypatch.setenv("WIKIART_DATA", ".")
    assert reproduce.main(["--quick"]) == 1
    said = capsys.readouterr().out
    assert "[1/3] python fake.py --data . --name broken --runs runs/quick" in said
    assert "    broken says None\n" in said
    assert "left out: there is no runs/quick/broken/result.json" in said
    assert re.search(
        r"Failed: python fake.py --data \. --name broken .*\n +exit status 1; .*broken-result.json.log", said
    )
    assert "a mistake" in (tmp_path / "runs/quick/logs/broken-result.json.log").read_text()
    assert re.search(r"\d+ s by the clock, \d+ s of the processor\.", said)
    report = (tmp_path / "runs/quick/report/REPORT.md").read_text()
    assert "A quick look" in report
    assert "| spatial code, 4 channels | 64 | 20.00 (19.00–21.00) |" in report
    assert "![PSNR against bytes" in report
    assert "*Not made: classify.*" in report
    assert "uv run wikiart-classify compare imbalance --data DIR" in report
    assert (tmp_path / "runs/quick/report/figures/rates-rates.png").read_bytes() == b"PNG"
    assert "realart" not in report.replace("tables", "")

    monkeypatch.setattr(reproduce, "STEPS", steps[1:2])
    assert reproduce.main(["--quick"]) == 0
    again = capsys.readouterr().out
    assert "finished before" in again
    assert "whole says" not in again
    assert reproduce.main(["--quick", "--plan"]) == 0
    assert "# finished" in capsys.readouterr().out


def test_a_stop_is_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "run_one", lambda words, log: (143, log))
    assert reproduce.main(["--quick", "--only", "A"]) == 130
    assert "goes on where it was" in capsys.readouterr().err


def test_into_the_repository_it_keeps_under_the_set_s_name(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce.tables, "ROOT", tmp_path)
    for place in ("rates", "lora/plain/score"):
        (tmp_path / "runs" / place / "figures").mkdir(parents=True)
        (tmp_path / "runs" / place / "result.json").write_text(
            json.dumps({"kind": "rates", "codes": [], "curves": {}, "n": 1})
        )
    kept = reproduce.keep_all(reproduce.options(["--into-repo", "mine"]))
    assert kept == ["rates", "lora-sample"]
    assert sorted(path.name for path in (tmp_path / "report").glob("*.json")) == ["lora-sample.json", "rates-mine.json"]
