"""tools/gpu_check.py in its short form on a CPU: what runs, what is skipped by name, and what counts as failed."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
gpu_check, gpu_sections = (importlib.import_module(name) for name in ("gpu_check", "gpu_sections"))
sys.path.pop(0)


pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture(autouse=True)
def _one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the program sets it, and this puts it back
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu_sections, "PARTS", {"classify": gpu_sections.PARTS["classify"]})


def lines() -> dict[str, dict]:
    result = json.loads(Path("out/result.json").read_text())
    return {check["name"]: check for check in result["checks"]}


def test_a_part_is_trained_stopped_resumed_evaluated_and_timed(capsys: pytest.CaptureFixture):
    arguments = ["--quick", "--device", "cpu", "--only", "train", "agree", "speed", "--out", "out"]
    assert gpu_check.main(arguments) == 0
    checks = lines()
    assert checks["classify: stopped by SIGTERM and resumed"]["passed"] is True
    assert checks["classify: evaluated"]["passed"] is True
    assert "skipped" in checks["CPU and GPU agree"]["measured"]
    assert checks["classify, 32 px: images/s"]["measured"]["value"] > 0
    assert checks["classify, 32 px: of that rate"]["passed"] is None, "a CPU has no target"
    assert "classify, 32 px: images/s" in " ".join(capsys.readouterr().out.split())
    assert Path("out/index.html").exists()


def test_a_target_that_is_missed_or_a_section_that_fails_is_exit_status_1(monkeypatch: pytest.MonkeyPatch):
    def missed(setting: object) -> Iterator:
        yield gpu_check.Check("rate", "80 %", "≥ 90 %", False)

    def broken(setting: object) -> Iterator:
        raise MemoryError("too little")
        yield

    monkeypatch.setattr(gpu_check, "find_paintings", lambda *_: Path())
    monkeypatch.setattr(gpu_check, "CHECKS", {"train": broken, "speed": missed})
    assert gpu_check.main(["--device", "cpu", "--only", "speed", "--out", "out"]) == 1
    assert gpu_check.main(["--device", "cpu", "--only", "train", "speed", "--out", "out"]) == 1
    assert [(name, check["passed"]) for name, check in lines().items()] == [("train", False), ("rate", False)]


def test_a_device_that_is_missing_is_refused():
    assert gpu_check.main(["--device", "cuda:99"]) == 2
