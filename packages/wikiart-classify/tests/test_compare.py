"""`compare`: no run is repeated, lost or mixed up with another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from wikiart_classify import config as defaults
from wikiart_classify import training
from wikiart_classify.cli import main
from wikiart_classify.command_options import CompareOptions
from wikiart_classify.compare import compare, run_options
from wikiart_classify.comparison import Comparison
from wikiart_classify.imbalance.methods import METHODS
from wikiart_classify.imbalance.post_hoc import TAUS
from wikiart_classify.network import PRESETS
from wikiart_classify.variants import IMBALANCE, Variant, variants_of
from wikiart_data.errors import InputError

from .conftest import leave_out_figures, striped_image

RUNS = Path("runs/compare-imbalance")
BUDGET = ["--model", "tiny", "--size", "32", "--epochs", "2", "--seeds", "1", "--device", "cpu"]
ONLY = ["none", "post-hoc", "focal"]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "DEFAULTS", replace(defaults.DEFAULTS, batch_size=16))


def run_compare(paintings: Path, *more: str, only: list[str] = ONLY) -> int:
    return main(["compare", "imbalance", "--data", str(paintings), *BUDGET, "--only", *only, *more])


def field_of_error(paintings: Path, **more: object) -> str | None:
    budget = {"model": "tiny", "size": 32, "epochs": 2, "seeds": 1, "device": "cpu", "only": tuple(ONLY)}
    with pytest.raises(InputError) as error:
        compare(CompareOptions(**{"what": "imbalance", "data": str(paintings), **budget, **more}))
    return error.value.field


@pytest.fixture(scope="module")
def finished(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder RUNS of a finished comparison."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        patch.setattr(defaults, "DEFAULTS", replace(defaults.DEFAULTS, batch_size=16))
        assert run_compare(paintings, "--runs", str(folder), "--cache-dir", str(folder / "cache")) == 0
    return folder


@pytest.fixture
def compared(finished: Path) -> Path:
    """A copy of it in ./runs."""
    shutil.copytree(finished, "runs")
    return RUNS


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_each_method_has_a_row_with_its_difference_to_no_balancing(compared):
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
        saved = json.loads((compared / "classify" / f"{name}-0" / "result.json").read_text())
        assert run["balanced"] == saved["test"]["balanced"]
        assert run["valid_top1"] == saved["valid"]["top1"]
        assert run["tau"] == saved["tau"]
        assert rows[name]["label"] == METHODS[name].label
    assert (compared / "figures" / "frontier.png").exists()
    assert (compared / "figures" / "per-style.png").exists()
    of_style = {style["style"]: style for style in result_of(compared / "classify/focal-0")["test"]["per_style"]}
    for row in result["per_style"]:
        assert row["recalls"]["focal"] == of_style[row["style"]]["recall"]
    assert [row["train"] for row in result["per_style"]] == [40, 24, 12, 8]


def test_the_sweep_includes_none_and_post_hoc(compared):
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


def test_finished_runs_are_not_repeated(compared, paintings, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished run is repeated")

    for name in ("fit", "rebalance_run"):
        monkeypatch.setattr(f"wikiart_classify.compare.{name}", fail)
    before = result_of(compared)
    (compared / "result.json").unlink()
    assert run_compare(paintings) == 0
    assert result_of(compared) == before
    output = capsys.readouterr().out
    assert "42 test images" in output
    assert max(map(len, output.splitlines())) <= 120
    assert run_compare(paintings, only=["none", "focal"]) == 0
    assert [row["method"] for row in result_of(compared)["rows"]] == ["none", "focal"]


def test_an_interrupted_comparison_continues_to_the_same_result(finished, paintings, monkeypatch):
    update_ema = training.update_ema
    updates: list[int] = []

    def interrupt(ema: torch.nn.Module, model: torch.nn.Module, decay: float, step: int) -> None:
        updates.append(step)
        if len(updates) == 10 + 5 + 3:  # in the second epoch of the second of two runs of 2 epochs of 5 steps
            raise KeyboardInterrupt
        update_ema(ema, model, decay, step)

    with monkeypatch.context() as patch:
        patch.setattr(training, "update_ema", interrupt)
        assert run_compare(paintings) == 130
    assert (RUNS / "classify/none-0/result.json").exists()
    assert not (RUNS / "classify/focal-0/result.json").exists()
    updates.clear()
    with monkeypatch.context() as patch:
        patch.setattr(training, "update_ema", interrupt)
        assert run_compare(paintings) == 0
    assert updates == list(range(5, 10))  # only the second epoch of focal-0
    for name in ONLY:
        assert same_weights(RUNS / f"classify/{name}-0", finished / f"compare-imbalance/classify/{name}-0")
    assert [row["versus"] for row in result_of(RUNS)["rows"]] == [
        row["versus"] for row in result_of(finished / "compare-imbalance")["rows"]
    ]


def test_recalls_are_drawn_where_two_methods_can_be_compared(compared, paintings):
    (compared / "figures/per-style.png").unlink()
    assert run_compare(paintings, only=["focal"]) == 0
    assert not (compared / "figures/per-style.png").exists()
    assert run_compare(paintings, only=["post-hoc"]) == 0
    assert (compared / "figures/per-style.png").exists()


def test_runs_without_predictions_have_no_differences(compared, paintings):
    kept = {row["method"]: row["versus"] for row in result_of(compared)["rows"]}
    (compared / "classify/focal-0/predictions.npz").unlink()
    assert run_compare(paintings) == 0
    versus = {row["method"]: row["versus"] for row in result_of(compared)["rows"]}
    assert versus["none"] is versus["focal"] is None
    assert versus["post-hoc"]["top1"]["difference"] == kept["post-hoc"]["top1"]["difference"]
    (compared / "classify/none-0/predictions.npz").unlink()
    assert run_compare(paintings) == 0
    assert all(row["versus"] is None for row in result_of(compared)["rows"])


def test_a_run_interrupted_before_its_first_save_starts_again(compared, finished, paintings):
    broken = compared / "classify/focal-0"
    for name in ("result.json", "last.safetensors", "state.pt", "model.safetensors", "predictions.npz"):
        (broken / name).unlink()
    post_hoc = compared / "classify/post-hoc-0"
    (post_hoc / "result.json").unlink()
    assert run_compare(paintings) == 0
    assert same_weights(broken, finished / "compare-imbalance/classify/focal-0")
    assert same_weights(post_hoc, finished / "compare-imbalance/classify/post-hoc-0")


@pytest.mark.parametrize("other", [{"epochs": 3}, {"size": 48}, {"model": "small"}])
def test_runs_with_other_options_are_not_mixed_in(compared, paintings, other):
    assert field_of_error(paintings, **other) == str(compared / "classify/none-0")


def test_runs_on_other_data_are_not_mixed_in(compared, paintings, tmp_path):
    shutil.copytree(paintings, tmp_path / "copy")
    next((tmp_path / "copy/train/Baroque").iterdir()).unlink()
    assert field_of_error(tmp_path / "copy") == str(compared / "classify/none-0")


@pytest.mark.parametrize(("what", "name"), [("imbalance", "smote"), ("imbalance", "inclass"), ("models", "focal")])
def test_unknown_names_are_refused(paintings, what, name):
    assert field_of_error(paintings, what=what, only=(name,)) == "--only"
    assert not Path("runs").exists()


@pytest.mark.parametrize(("option", "value"), [("seeds", 0), ("first_seed", -1), ("size", 3), ("epochs", 0)])
def test_values_out_of_range_are_refused(option, value):
    with pytest.raises(InputError) as error:
        CompareOptions("imbalance", **{option: value})
    assert error.value.field == f"--{option.replace('_', '-')}"


def test_recipes_are_not_compared_on_images_that_are_trained_on():
    with pytest.raises(InputError) as error:
        CompareOptions("recipes", train_on_valid=True)
    assert error.value.field == "--train-on-valid"


def test_methods_that_need_valid_are_left_out_where_it_is_trained_on(paintings, capsys):
    assert run_compare(paintings, "--train-on-valid", only=["none", "post-hoc"]) == 0
    assert [row["method"] for row in result_of(RUNS)["rows"]] == ["none"]
    assert "post-hoc" in capsys.readouterr().out


def test_options_that_cannot_be_combined_are_refused_before_the_first_training(paintings, monkeypatch):
    monkeypatch.setattr("wikiart_classify.compare.fit", lambda *_: pytest.fail("a training has begun"))
    refused = Variant("refused", {"balance": "focal", "cosine_loss": True})
    monkeypatch.setitem(IMBALANCE, "refused", refused)
    assert field_of_error(paintings, only=("none", "refused")) == "--cosine-loss"


@pytest.mark.parametrize(
    ("options", "epochs"),
    [({"quick": True}, 6), ({"quick": True, "epochs": 10}, 16), ({}, 80), ({"epochs": 5}, 8)],
)
def test_the_long_recipe_is_longer_than_the_others_of_the_comparison(paintings, options, epochs):
    compared = CompareOptions("recipes", data=str(paintings), **options)
    path = Path("runs/compare-recipes/classify/long-0")
    assert run_options(compared, variants_of(compared)["long"], 0, path).epochs == epochs


@pytest.fixture
def artists_by_table(tmp_path) -> str:
    """Pictures in one folder, whose artists are told by a table elsewhere."""
    random, lines = np.random.default_rng(0), ["file,artist,split"]
    (tmp_path / "pictures").mkdir()
    for artist in range(2):
        for number in range(24):
            file = f"{artist}{number:03d}.jpg"
            Image.fromarray(striped_image(artist, random)).save(tmp_path / "pictures" / file)
            lines.append(f"{file},painter {artist},{('train', 'train', 'valid', 'test')[number % 4]}")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/artists.csv").write_text("\n".join(lines))
    return f"{tmp_path / 'pictures'}:{tmp_path / 'tables/artists.csv'}:artist"


def test_rows_scored_anew_use_the_label_table_and_column_of_the_runs(artists_by_table):
    budget = {"model": "tiny", "size": 32, "epochs": 1, "seeds": 1, "device": "cpu"}
    only = ("given-alone",)
    comparison = compare(CompareOptions("artists", data=artists_by_table, only=only, **budget))
    assert [row.method for row in comparison.rows] == ["given-alone", "given-alone-known"]
    assert comparison.rows[1].runs[0].n == comparison.rows[0].runs[0].n == 12


def test_no_balancing_is_always_included(compared, paintings):
    assert run_compare(paintings, only=["post-hoc"]) == 0
    assert [row["method"] for row in result_of(compared)["rows"]] == ["none", "post-hoc"]


def with_predictions(run: Path, change) -> None:
    with np.load(run / "predictions.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(run / "predictions.npz", **change(arrays))


def renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**arrays, "files": np.array([name.replace("painter", "artist") for name in arrays["files"]])}


def fewer(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values[1:] for name, values in arrays.items()}


@pytest.mark.parametrize("change", [renamed, fewer])
@pytest.mark.parametrize("method", ["none", "focal"])
def test_predictions_on_other_images_are_not_compared(compared, paintings, method, change):
    with_predictions(compared / "classify" / f"{method}-0", change)
    assert Path(str(field_of_error(paintings))).parent == compared / "classify"


def test_seeds_evaluated_on_other_images_are_not_compared(compared, paintings):
    for name in ("none", "focal"):
        shutil.copytree(compared / "classify" / f"{name}-0", compared / "classify" / f"{name}-1")
        record = json.loads((compared / "classify" / f"{name}-1" / "run.json").read_text())
        record["config"]["seed"] = 1
        (compared / "classify" / f"{name}-1" / "run.json").write_text(json.dumps(record))
    assert run_compare(paintings, "--seeds", "2", only=["none", "focal"]) == 0
    assert [len(row["runs"]) for row in result_of(compared)["rows"]] == [2, 2]
    with_predictions(compared / "classify" / "focal-1", renamed)
    assert field_of_error(paintings, seeds=2, only=("none", "focal")) == str(compared / "classify/focal-1")


def test_a_quick_comparison_of_models_runs_all_three(paintings, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "small", PRESETS["tiny"])  # the network itself is not what is tested
    command = ["compare", "models", "--data", str(paintings), "--quick", "--device", "cpu"]
    assert main(command) == 0
    result = json.loads(Path("runs/compare-models/result.json").read_text())
    assert {row["method"]: (row["runs"][0]["size"], row["runs"][0]["epochs"]) for row in result["rows"]} == {
        "inclass": (128, 3),
        "threeblock": (128, 3),
        "small": (64, 3),
    }
    assert "the course's in-class" in capsys.readouterr().out
    assert main(command) == 0
    assert json.loads(Path("runs/compare-models/result.json").read_text()) == result
    assert Comparison.from_json(result).rows[2].label == "ours"


def test_recipes_are_compared_on_valid_with_an_ensemble(paintings, capsys):
    only = ["batch-64", "width-0.75", "width-1.25", "born-again"]
    command = ["compare", "recipes", "--data", str(paintings), "--quick", "--epochs", "1", "--device", "cpu", "--only"]
    assert main([*command, *only]) == 0
    result = result_of(Path("runs/compare-recipes"))
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == ["default", "batch-64", "born-again", "width-0.75", "width-1.25", "ensemble"]
    assert (result["split"], result["n"]) == ("valid", 42)
    assert rows["default"]["versus"] is None
    assert 0 < rows["batch-64"]["versus"]["top1"]["p"] <= 1
    run, saved = rows["batch-64"]["runs"][0], result_of(Path("runs/compare-recipes/classify/batch-64-0"))
    assert run["calibrated_nll"] < run["nll"] == saved["valid"]["nll"]
    teacher = json.loads(Path("runs/compare-recipes/classify/born-again-0/run.json").read_text())["config"]["teacher"]
    assert Path(teacher).name == "default-0"
    members = [rows[name]["runs"][0] for name in ("default", "width-0.75", "width-1.25")]
    assert rows["ensemble"]["runs"][0]["parameters"] == sum(run["parameters"] for run in members)
    assert "NLL" in capsys.readouterr().out


def test_a_teacher_of_an_earlier_version_is_named_by_a_relative_path(paintings):
    command = ["compare", "recipes", "--data", str(paintings), "--quick", "--epochs", "1", "--device", "cpu", "--only"]
    assert main([*command, "born-again"]) == 0
    file = Path("runs/compare-recipes/classify/born-again-0/run.json")
    record = json.loads(file.read_text())
    assert Path(record["config"]["teacher"]).is_absolute()
    record["config"]["teacher"] = "runs/compare-recipes/classify/default-0"
    file.write_text(json.dumps(record))
    assert main([*command, "born-again"]) == 0


def test_a_spent_budget_starts_no_further_run(paintings):
    assert run_compare(paintings, "--budget-minutes", "0") == 2
    assert not list(Path("runs").glob("**/result.json"))


def test_training_images_of_another_folder_are_tested_on_the_same_images(paintings, tmp_path):
    other = tmp_path / "repaints"
    shutil.copytree(paintings, other)
    for file in (other / "train").glob("*/*-1.jpg"):
        file.unlink()
    command = ["compare", "data", "--data", str(paintings), "--other", str(other), "--quick", "--epochs", "1"]
    assert main([*command, "--device", "cpu"]) == 0
    result = result_of(Path("runs/compare-data"))
    assert [row["method"] for row in result["rows"]] == ["given", "repaints"]
    assert result["rows"][1]["versus"]["top1"]["p"] > 0
    record = json.loads(Path("runs/compare-data/classify/repaints-0/run.json").read_text())
    assert record["config"]["data"] == str(other)
    assert main(["compare", "data", "--data", str(paintings)]) == 2


def test_the_courses_config_file(paintings):
    course = {"trainingdir": f"{paintings}/train", "testingdir": f"{paintings}/test", "modelfile": "wikiart.pth"}
    course |= {"device": "cpu", "epochs": 1, "batch_size": 16}
    Path("config.json").write_text(json.dumps(course))
    more = ["--config", "config.json", "--model", "tiny", "--size", "32", "--seeds", "1", "--only", "none"]
    assert main(["compare", "imbalance", *more]) == 0
    record = json.loads((RUNS / "classify/none-0/run.json").read_text())
    assert (record["config"]["epochs"], record["config"]["data"]) == (1, str(paintings))


def test_the_first_seed_can_be_chosen(paintings):
    assert run_compare(paintings, "--first-seed", "2", only=["none"]) == 0
    result = result_of(RUNS)
    assert (result["seeds"], [run["seed"] for run in result["rows"][0]["runs"]]) == ([2], [2])
    assert json.loads((RUNS / "classify/none-2/run.json").read_text())["config"]["seed"] == 2


def test_data_smaller_than_the_default_batch_can_be_compared(paintings, monkeypatch):
    monkeypatch.setattr(defaults, "DEFAULTS", replace(defaults.DEFAULTS, batch_size=128))
    assert run_compare(paintings, only=["none"]) == 0
