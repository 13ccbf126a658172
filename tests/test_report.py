"""The tables of REPORT.md come from JSON, and a stale one is noticed."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("report", ROOT / "tools" / "report.py")
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)


def a_run(seed: int, top1: float) -> dict:
    test = {key: 0.5 for _, key in report._ROWS} | {"n": 200, "top1": top1, "top1_interval": [top1 - 0.1, top1 + 0.1]}
    return {
        "seed": seed,
        "device": "cpu (2 threads)",
        "train_seconds": 100.0,
        "seconds_to_40_percent": 50.0,
        "parameters": 1_500_000,
        "test": test,
    }


def test_a_row_is_mean_and_standard_deviation_over_seeds():
    table = report.table([a_run(0, 0.40), a_run(1, 0.44), a_run(2, 0.48)])
    assert "| top-1 | 44.0 ± 4.0 | 30.0–50.0 |" in table
    assert "3 seeds (0, 1, 2)" in table
    assert "| parameters | 1.50 M | |" in table


def test_rendering_fills_a_table_and_is_stable(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "x.json").write_text(json.dumps([a_run(0, 0.4)]))
    (tmp_path / "REPORT.md").write_text("before\n<!-- table x -->\nstale\n<!-- end -->\nafter\n")
    assert report.main(["--check"]) == 1
    assert report.main([]) == 0
    text = (tmp_path / "REPORT.md").read_text()
    assert "| top-1 | 40.0 |" in text
    assert "stale" not in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert report.main(["--check"]) == 0


def test_a_table_without_its_json_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "REPORT.md").write_text("<!-- table nowhere -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match="nowhere"):
        report.main([])


def test_what_is_kept_names_no_place_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    (run / "figures" / "recall.png").write_bytes(b"png")
    record = {"seed": 0, "git_commit": None, "versions": {}, "device": "cpu", "processes": 1}
    config = {"data": "/home/me/art", "runs": "/home/me/runs", "name": None, "size": 32, "cache_dir": "/home/me/cache"}
    (run / "run.json").write_text(json.dumps(record | {"config": config, "data": {"fingerprint": "ab"}}))
    (run / "result.json").write_text(json.dumps({"test": {"top1": 0.5}}))
    report.keep("x", [run])
    kept = (tmp_path / "report" / "x.json").read_text()
    assert "/home/me" not in kept
    assert json.loads(kept)[0]["options"] == {"size": 32}
    assert (tmp_path / "report" / "figures" / "x-recall.png").read_bytes() == b"png"
