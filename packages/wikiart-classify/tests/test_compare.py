"""`compare`: runs side by side, of which none is run twice, none is lost, and none is mixed up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify import recipes
from wikiart_classify.after import TAUS
from wikiart_classify.cli import main
from wikiart_classify.methods import METHODS
from wikiart_data.training.legacy_run import Run

RUNS = Path("runs/compare-imbalance")
BUDGET = ["--model", "tiny", "--size", "32", "--epochs", "2", "--seeds", "1", "--device", "cpu"]
ONLY = ["none", "post-hoc", "focal"]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "OURS", replace(recipes.OURS, batch_size=16))


def compare(paintings: Path, *more: str, only: list[str] = ONLY) -> int:
    return main(["compare", "imbalance", "--data", str(paintings), *BUDGET, "--only", *only, *more])


@pytest.fixture(scope="module")
def finished(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder RUNS of a finished comparison."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "OURS", replace(recipes.OURS, batch_size=16))
        assert compare(paintings, "--runs", str(folder), "--cache-dir", str(folder / "cache")) == 0
    return folder


@pytest.fixture
def compared(finished: Path) -> Path:
    """A copy of it in ./runs."""
    shutil.copytree(finished, "runs")
    return RUNS


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def same_weights(a: Path, b: Path) -> bool:
    one, other = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_row_a_method_with_its_difference_to_none(compared):
    result = result_of(compared)
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == [name for name in METHODS if name in ONLY]
    assert (result["kind"], result["seeds"], result["split"], result["n"]) == ("imbalance", [0], "test", 42)
    assert result["majority"] == pytest.approx(20 / 42)
    assert result["options"]["epochs"] == 2
    assert rows["none"]["versus"] is None
    for name in ("focal", "post-hoc"):
        (run,), (base,) = rows[name]["runs"], rows["none"]["runs"]
        for key in ("top1", "balanced"):
            versus = rows[name]["versus"][key]
            assert versus["difference"] == pytest.approx(run[key] - base[key])
            assert versus["interval"][0] <= versus["difference"] <= versus["interval"][1]
            assert 0 < versus["p"] <= versus["p_holm"] <= 1
        told = json.loads((compared / "classify" / f"{name}-0" / "result.json").read_text())
        assert run["balanced"] == told["test"]["balanced"]
        assert run["valid_top1"] == told["valid"]["top1"]
        assert run["tau"] == told.get("tau")
        assert rows[name]["label"] == METHODS[name].label
    assert (compared / "figures" / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_the_sweep_passes_through_none_and_through_post_hoc(compared):
    result = result_of(compared)
    runs = {row["method"]: row["runs"][0] for row in result["rows"]}
    at = {line["tau"]: line for line in result["sweep"]}
    assert tuple(at) == TAUS
    for tau, run in ((0.0, runs["none"]), (runs["post-hoc"]["tau"], runs["post-hoc"])):
        assert at[tau]["top1"] == pytest.approx(run["top1"])
        assert at[tau]["balanced"] == pytest.approx(run["balanced"])


def test_each_run_has_its_method_and_post_hoc_comes_from_none(compared):
    records = {name: json.loads((compared / "classify" / f"{name}-0" / "run.json").read_text()) for name in ONLY}
    assert {name: record["config"]["balance"] for name, record in records.items()} == {name: name for name in ONLY}
    assert Path(records["post-hoc"]["balanced_from"]).name == "none-0"
    weights = {
        name: load_file(compared / "classify" / f"{name}-0" / "model.safetensors")["stem.weight"] for name in ONLY
    }
    assert torch.equal(weights["none"], weights["post-hoc"])
    assert not torch.equal(weights["none"], weights["focal"])


def test_what_is_finished_is_not_run_again(compared, paintings, monkeypatch, capsys):
    def fails(*_: object, **__: object) -> None:
        raise AssertionError("run again")

    for name in ("fit", "rebalanced"):
        monkeypatch.setattr(f"wikiart_classify.compare.{name}", fails)
    before = result_of(compared)
    (compared / "result.json").unlink()
    assert compare(paintings) == 0
    assert result_of(compared) == before
    said = capsys.readouterr().out
    assert "42 test pictures, one seed" in said
    assert max(map(len, said.splitlines())) <= 120
    assert compare(paintings, only=["none", "focal"]) == 0
    assert [row["method"] for row in result_of(compared)["rows"]] == ["none", "focal"]


def test_broken_off_it_goes_on_and_ends_where_it_would_have_ended(finished, paintings, monkeypatch):
    def breaks(run: Run, loss: float, epoch: int, step: int) -> None:
        if run.folder.name == "focal-0" and (epoch, step) == (1, 2):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", breaks)
        assert compare(paintings) == 130
    assert (RUNS / "classify/none-0/result.json").exists()
    assert not (RUNS / "classify/focal-0/result.json").exists()
    steps: list[tuple[str, int, int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", lambda run, loss, epoch, step: steps.append((run.folder.name, epoch, step)))
        assert compare(paintings) == 0
    # Both tasks' losses are looked at, so every step comes twice.
    assert list(dict.fromkeys(steps)) == [("focal-0", 1, step) for step in range(5)]
    for name in ONLY:
        assert same_weights(RUNS / f"classify/{name}-0", finished / f"compare-imbalance/classify/{name}-0")
    assert [row["versus"] for row in result_of(RUNS)["rows"]] == [
        row["versus"] for row in result_of(finished / "compare-imbalance")["rows"]
    ]


def test_a_run_broken_off_before_its_first_save_begins_anew(compared, finished, paintings):
    broken = compared / "classify/focal-0"
    for name in ("result.json", "last.safetensors", "state.pt", "model.safetensors", "predictions.npz"):
        (broken / name).unlink()
    after = compared / "classify/post-hoc-0"
    (after / "result.json").unlink()
    assert compare(paintings) == 0
    assert same_weights(broken, finished / "compare-imbalance/classify/focal-0")
    assert same_weights(after, finished / "compare-imbalance/classify/post-hoc-0")


@pytest.mark.parametrize("other", [("--epochs", "2", "3"), ("--size", "32", "48"), ("--model", "tiny", "small")])
def test_runs_with_other_options_are_not_mixed_in(compared, paintings, other, capsys):
    option, had, now = other
    assert compare(paintings, option, now) == 2
    assert f"was run with {option} {had}" in capsys.readouterr().err


def test_a_method_nobody_knows_is_refused(paintings, capsys):
    assert compare(paintings, only=["none", "smote"]) == 2
    error = capsys.readouterr().err
    assert "smote: compare imbalance knows none, sampler-half" in error
    assert not RUNS.exists()


def test_a_network_is_no_method(paintings, capsys):
    assert compare(paintings, only=["inclass"]) == 2
    assert main(["compare", "models", "--data", str(paintings), "--only", "focal"]) == 2
    assert "focal: compare models knows inclass, threeblock, small" in capsys.readouterr().err


def test_what_every_method_is_compared_with_is_run_unasked(compared, paintings):
    assert compare(paintings, only=["post-hoc"]) == 0
    assert [row["method"] for row in result_of(compared)["rows"]] == ["none", "post-hoc"]


def with_predictions(run: Path, change) -> None:
    with np.load(run / "predictions.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}
    np.savez_compressed(run / "predictions.npz", **change(arrays))


def renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**arrays, "files": np.array([name.replace("painter", "artist") for name in arrays["files"]])}


def fewer(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values[1:] for name, values in arrays.items()}


@pytest.mark.parametrize("change", [renamed, fewer])
@pytest.mark.parametrize("method", ["none", "focal"])
def test_hits_on_other_pictures_are_not_compared(compared, paintings, method, change, capsys):
    with_predictions(compared / "classify" / f"{method}-0", change)
    assert compare(paintings) == 2
    assert "tested on other pictures than" in capsys.readouterr().err


def test_seeds_tested_on_other_pictures_are_not_compared(compared, paintings, capsys):
    for name in ("none", "focal"):
        shutil.copytree(compared / "classify" / f"{name}-0", compared / "classify" / f"{name}-1")
        record = json.loads((compared / "classify" / f"{name}-1" / "run.json").read_text())
        record["config"]["seed"] = 1
        (compared / "classify" / f"{name}-1" / "run.json").write_text(json.dumps(record))
    assert compare(paintings, "--seeds", "2", only=["none", "focal"]) == 0
    assert [len(row["runs"]) for row in result_of(compared)["rows"]] == [2, 2]
    with_predictions(compared / "classify" / "focal-1", renamed)
    assert compare(paintings, "--seeds", "2", only=["none", "focal"]) == 2
    assert "focal-1 was tested on other pictures than" in capsys.readouterr().err


def test_a_quick_comparison_of_models_runs_all_three(paintings, capsys):
    command = ["compare", "models", "--data", str(paintings), "--quick", "--device", "cpu"]
    assert main(command) == 0
    result = json.loads(Path("runs/compare-models/result.json").read_text())
    assert {row["method"]: (row["runs"][0]["size"], row["runs"][0]["epochs"]) for row in result["rows"]} == {
        "inclass": (128, 3),
        "threeblock": (128, 3),
        "small": (64, 3),
    }
    said = capsys.readouterr().out
    assert "the course's in-class" in said
    assert main(command) == 0
    assert json.loads(Path("runs/compare-models/result.json").read_text()) == result


def test_the_courses_config_file(paintings):
    course = {"trainingdir": f"{paintings}/train", "testingdir": f"{paintings}/test", "modelfile": "wikiart.pth"}
    course |= {"device": "cpu", "epochs": 1, "batch_size": 16}
    Path("config.json").write_text(json.dumps(course))
    more = ["--config", "config.json", "--model", "tiny", "--size", "32", "--seeds", "1", "--only", "none"]
    assert main(["compare", "imbalance", *more]) == 0
    record = json.loads((RUNS / "classify/none-0/run.json").read_text())
    assert (record["config"]["epochs"], record["config"]["data"]) == (1, str(paintings))


def test_seeds_may_begin_anywhere(paintings):
    assert compare(paintings, "--first-seed", "2", only=["none"]) == 0
    result = result_of(RUNS)
    assert (result["seeds"], [run["seed"] for run in result["rows"][0]["runs"]]) == ([2], [2])
    assert json.loads((RUNS / "classify/none-2/run.json").read_text())["config"]["seed"] == 2


def test_data_smaller_than_the_usual_batch_can_be_compared(paintings, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "OURS", replace(recipes.OURS, batch_size=128))
    assert compare(paintings, only=["none"]) == 0
