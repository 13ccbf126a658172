"""The training loop as a user runs it: it learns, goes on after a break, and refuses what cannot be meant."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from safetensors.torch import load_file

from wikiart_data.training.legacy_run import Run
from wikiart_stylegen.cli import main
from wikiart_stylegen.train import TERMS

QUICK = ["--size", "32", "--width", "0.125", "--blocks", "1", "--channels", "4", "--style", "8"]
QUICK += ["--batch-size", "16", "--ema", "0.9", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of pictures take longer than the steps between them. A whole run keeps them, and a broken one."""
    if not request.node.name.endswith(("whole_run", "in_mid_epoch_it_ends_where_the_unbroken_run_ends")):
        monkeypatch.setattr("wikiart_stylegen.train.grid", lambda *_: Figure(figsize=(1, 1)))


def train(paintings: Path, *more: str) -> int:
    return main([*QUICK, "--data", str(paintings), *more])


def same_weights(a: str, b: str) -> bool:
    first, second = (load_file(Path(f"runs/stylegen/{name}/model.safetensors")) for name in (a, b))
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def test_it_learns_to_rebuild_and_leaves_a_whole_run(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    lessons, painting = lines[:4], lines[4:]
    assert {line["rebuild"] for line in lessons} == {0.0}  # only the style network is taught
    assert lessons[-1]["names"] > 0.9
    assert painting[-1]["psnr"] > painting[0]["psnr"] + 0.5
    assert painting[-1]["rebuild"] < painting[0]["rebuild"]
    assert painting[-1]["statistics"] < painting[0]["statistics"]
    assert json.loads((trained / "result.json").read_text())["psnr"] == lines[-1]["psnr"]
    for figure in ("learning", "grid"):
        assert (trained / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(paintings):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train(paintings, "--epochs", "2", "--lessons", "1", "--name", name, "--seed", seed) == 0
    assert same_weights("a", "b")
    assert not same_weights("a", "c")


def test_broken_in_mid_epoch_it_ends_where_the_unbroken_run_ends(paintings, monkeypatch):
    assert train(paintings, "--epochs", "3", "--lessons", "1", "--grain", "--name", "whole") == 0

    def breaks(run: Run, loss: float, epoch: int, step: int) -> None:
        if (epoch, step) == (1, 2):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", breaks)
        assert train(paintings, "--epochs", "3", "--lessons", "1", "--grain", "--name", "broken") == 130
    assert main(["--resume", "runs/stylegen/broken"]) == 0
    assert same_weights("whole", "broken")


def test_broken_in_the_lessons_it_ends_where_the_unbroken_run_ends(paintings, monkeypatch):
    assert train(paintings, "--epochs", "2", "--lessons", "1", "--name", "whole") == 0

    def breaks(run: Run, loss: float, epoch: int, step: int) -> None:
        if (epoch, step) == (0, 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "check", breaks)
        assert train(paintings, "--epochs", "2", "--lessons", "1", "--name", "broken") == 130
    assert main(["--resume", "runs/stylegen/broken"]) == 0
    assert same_weights("whole", "broken")


def test_asked_to_stop_it_saves_in_mid_epoch_and_goes_on_from_there(paintings, monkeypatch):
    assert train(paintings, "--epochs", "2", "--lessons", "1", "--name", "whole") == 0
    steps = iter([False] * 7 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(Run, "should_stop", lambda run: next(steps))
        assert train(paintings, "--epochs", "2", "--lessons", "1", "--name", "stopped") == 143
    assert main(["--resume", "runs/stylegen/stopped"]) == 0
    assert same_weights("whole", "stopped")


def test_the_simple_baseline_trains_reconstruction_only(paintings):
    assert train(paintings, "--epochs", "1", "--name", "concat", "--conditioning", "concat") == 0
    (line,) = (json.loads(line) for line in Path("runs/stylegen/concat/metrics.jsonl").read_text().splitlines())
    assert line["rebuild"] > 0
    assert {line[name] for name in ("real", "named", "statistics", "content", "edges")} == {0.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size", "36"], "--size 36: the code lies at an eighth of it"),
        (["--power", "2"], "--power 2 is not in 0..1"),
        (["--edges", "-1"], "--edges -1 is not in 0..inf"),
        (["--epochs", "3", "--lessons", "3"], "--lessons 3 leaves none of the 3 epochs for painting"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(paintings, arguments, sentence, capsys):
    assert main([*arguments, "--data", str(paintings)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_one_style_alone_cannot_be_repainted(paintings, tmp_path, capsys):
    for split in ("train", "valid"):
        (tmp_path / "one" / split).mkdir(parents=True)
        (tmp_path / "one" / split / "Cubism").symlink_to(paintings / split / "Cubism")
    assert train(tmp_path / "one") == 2
    assert "one style only" in capsys.readouterr().err


def test_two_processes_train_as_one_and_one_of_them_writes(paintings, in_two_processes):
    options = [*QUICK, "--data", str(paintings), "--epochs", "2", "--precision", "fp32", "--lessons", "1"]
    assert main([*options, "--name", "alone"]) == 0
    done = in_two_processes("-m", "wikiart_stylegen", *options, "--name", "two")
    assert done.stdout.count("epoch   2/2") == 1
    runs = Path("runs/stylegen")
    assert json.loads((runs / "two/run.json").read_text())["processes"] == 2
    assert sorted(folder.name for folder in runs.iterdir()) == ["alone", "two"]
    lines = ((runs / name / "metrics.jsonl").read_text().splitlines() for name in ("alone", "two"))
    alone, two = ([json.loads(line) for line in of_one] for of_one in lines)
    assert len(two) == 2
    for term in TERMS:  # the same batches and wanted styles; gradients are summed in another order
        assert two[1][term] == pytest.approx(alone[1][term], rel=0.02), term
    first, second = (load_file(runs / name / "model.safetensors") for name in ("alone", "two"))
    apart = sum((first[key] - second[key]).square().sum() for key in first).sqrt()
    assert apart < 0.005 * sum(value.square().sum() for value in first.values()).sqrt()
