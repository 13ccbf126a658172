"""The speed benchmarks run on a few small pictures and print what they measured."""

import argparse
import importlib
import json
import re
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from wikiart_classify.network import StyleNet
from wikiart_classify.training import CROP
from wikiart_data.images.augment import Augment
from wikiart_data.images.catalog import scan

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A function that imports one of the programs as Python does for a script in the same folder."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    return importlib.import_module


def cells(printed: str, first: str) -> list[str]:
    """The cells of a table's row, found by its first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()]
    return next(row for row in rows if row[0] == first)


def test_a_folder_of_paintings(benchmark, tmp_path: Path):
    mean = benchmark("paintings").make_folder(tmp_path / "data", 40, side=24, distinct=5)
    catalog = scan(tmp_path / "data")
    assert len(catalog) == 40
    files = {(tmp_path / "data" / file).stat().st_ino for file in catalog.files}
    assert len(files) == 5
    assert mean == pytest.approx(np.mean([path.stat().st_size for path in (tmp_path / "data").glob("*.jpg")]))


def test_loading(benchmark, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    loading = benchmark("loading")
    monkeypatch.setattr(loading, "SIDE", 48)
    monkeypatch.setattr(loading, "STEPS", 1)
    monkeypatch.setattr("wikiart_classify.network.StyleNet", partial(StyleNet, preset="tiny"))
    monkeypatch.delitem(loading.LOADERS, "ImageFolder, 2 workers")

    def here(options: argparse.Namespace, root: Path, loader: str) -> dict[str, float]:
        loading.main(["--child", loader, "--root", str(root), "--size", "32", "--seconds", "0.02", "--rounds", "1"])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(loading.console, "quiet", False)  # a child sets it, and this puts it back
    lines = []
    monkeypatch.setattr("builtins.print", lambda *line, print=print, **more: (lines.append(line[0]), print(*line)))
    assert Augment(crop=CROP) == loading.AUGMENT
    loading.main(["--pictures", "60", "--size", "32", "--rounds", "1", "--in-class", "500"], run=here)
    printed = "\n".join(lines)
    assert cells(printed, "ours")[2] == "1"
    for loader in ("ImageFolder, 0 workers", "in-class tensors"):
        assert float(cells(printed, loader)[2].removesuffix(" ×")) > 0
    assert re.search(r"training at 32 px: .* on one fixed tensor: [\d.]+ %", printed)


def test_packing(benchmark, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    packing = benchmark("packing")
    monkeypatch.setattr(packing, "SIDES", {64: 3, 96: 2})
    monkeypatch.setattr(packing.console, "quiet", False)  # the program sets it, and this puts it back
    packing.main(["--pictures", "6", "--large", "4", "--size", "16", "--rounds", "1", "--again", "30"])
    printed = capsys.readouterr().out
    methods = re.findall(r"^\| 64 px, \d+ kB \| (.+?) \|", printed, re.MULTILINE)
    assert methods == list(packing.METHODS)
    assert printed.count("| 96 px") == len(methods)
    assert re.search(r"^30 files .* 74 px", printed, re.MULTILINE)


def test_plain_pillow_and_pack_give_the_same_pixels(benchmark, tmp_path: Path):
    packing = benchmark("packing")
    benchmark("paintings").make_folder(tmp_path / "data", 1, side=64)
    file = next((tmp_path / "data").glob("train/*/*.jpg"))
    ours = packing.pack(scan(tmp_path / "data"), 64).images[0]
    assert np.array_equal(packing.pillow(file, 64), ours)
    assert np.array_equal(packing.pillow(file, 64, draft=True), ours)


def test_cropping_in_8_bits_gives_the_same_pixels_only_where_boxes_are_the_same(benchmark, capsys):
    cropping = benchmark("cropping")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 37, 37, 3), generator=generator, dtype=torch.uint8)
    cropping.measure(cropping.METHODS, images, 32, rounds=1)
    printed = capsys.readouterr().out
    mean, most = map(float, cells(printed, "Pillow")[5].split(", "))
    assert 0 < mean < 0.5
    assert most <= 1.0
    for other in ("torch, uint8", "torchvision, uint8"):
        assert float(cells(printed, other)[5].split(", ")[0]) > 1


def contestant(program: ModuleType, folder: Path, name: str, top1: list[float], cpu: list[float]):
    folder.mkdir(parents=True)
    lines = [{"epoch": epoch, "top1": value, "seconds": 7.0 * (epoch + 1)} for epoch, value in enumerate(top1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    folder.with_suffix(".json").write_text(json.dumps({"cpu": cpu[-1] + 3, "cpu_by_epoch": cpu, "finished": False}))
    return program.Contestant(name, folder)


def test_time_to_accuracy_gives_a_ratio_or_a_bound(benchmark, tmp_path: Path):
    program = benchmark("time_to_accuracy")
    ours = contestant(program, tmp_path / "0", "ours", [0.2, 0.3, 0.36, 0.5], [10.0, 20.0, 30.0, 40.0])
    theirs = contestant(program, tmp_path / "1", program.BASELINE, [0.1, 0.34, 0.35], [100.0, 200.0, 300.0])
    table = program.table([ours, theirs], 0.35)
    assert cells(table, "ours") == ["ours", "3", "36.0", "30", "21", "10.0 ×"]
    assert cells(table, program.BASELINE)[1:] == ["3", "35.0", "300", "21", "1"]
    late = program.table([ours, theirs], 0.36)
    assert cells(late, "ours")[-1] == "> 10.1 ×"  # the baseline ran for 3 seconds more
    assert cells(late, program.BASELINE)[3] == "> 300"
    assert cells(program.table([ours, theirs], 0.6), "ours")[-1] == "–"


def test_startup(benchmark, capsys: pytest.CaptureFixture):
    benchmark("startup").main(["--runs", "1", "--program", "wikiart-cluster"])
    row = cells(capsys.readouterr().out, "wikiart-cluster")
    of_program, of_python = ([float(number) for number in re.findall(r"\d+\.\d+", cell)] for cell in (row[1], row[3]))
    assert 0 <= of_python[1] < of_program[1] <= of_program[0] + 0.05


def test_clusters(benchmark, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    clusters = benchmark("clusters")
    names = []
    monkeypatch.setattr(clusters, "write_figures", lambda folder, figures: names.append(set(figures)))
    for figure in ("map_figure", "small_multiples", "cluster_style_heatmap"):
        monkeypatch.setattr(clusters, figure, lambda *_: None)
    clusters.main(["--number", "320", "--dimensions", "6"])
    printed = capsys.readouterr().out
    assert names == [{"map", "styles", "clusters"}]
    assert re.fullmatch(r"[\d.]+ × / [\d.]+ ×", cells(printed, "t-SNE, scikit-learn's")[3])
    assert 10 < int(cells(printed, "t-SNE, ours")[4].split(" ")[0]) <= 100
    assert "AMI" in cells(printed, "HDBSCAN, plain (5, on all numbers)")[4]


def test_neighbours_kept(benchmark):
    codes = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    kept = benchmark("clusters").neighbours_kept
    assert kept(codes, codes) == 1.0
    assert kept(codes, codes[::-1]) < 0.3


@pytest.mark.parametrize("part", ["classify", "autoencode", "stylegen"])
@pytest.mark.usefixtures("no_figures", "narrow_auxiliary_networks")
def test_no_training_step_waits_for_the_gpu(part: str, benchmark, small_set: Path, tmp_path: Path, monkeypatch):
    """Waits are where losses are read, at the end of an epoch, and nowhere else."""
    program = benchmark("sync_counts")
    monkeypatch.setitem(program.PARTS, part, SHORTEST[part])
    result = program.count(part, small_set, tmp_path)
    assert result["steps"] >= 6
    assert result["waits"] == 0, result["origins"]
    assert result["waiting_steps"] <= 2, result["origins"]


SHORTEST = {
    "classify": "--model tiny --width 0.5 --epochs 2 --size 16 --batch-size 18",
    "autoencode": "--width 0.1 --blocks 1 --epochs 2 --size 16 --batch-size 18",
    "stylegen": "--width 0.1 --blocks 1 --channels 4 --warmup-epochs 1 --epochs 2 --size 32 --batch-size 18",
}
"""Options of a training of seven steps or more in two epochs."""


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from wikiart_data.sample import build_sample_set

    return build_sample_set(tmp_path_factory.mktemp("sync") / "set", size=32, fraction=0.03, echo=lambda _: None)


def test_sync_counts_follows_which_tensors_would_be_on_the_gpu(benchmark):
    program = benchmark("sync_counts")
    counts = program.Counts()
    with counts, program.Operations(counts):
        torch.arange(3.0).sum().item()  # stays on the host
        assert not counts.waits
        images = torch.arange(3.0).to(torch.device("cpu"))
        assert counts.operations == 0
        total = images.mul(2).reshape(3, 1).sum()
        assert counts.operations == 2, "a view launches nothing"
        assert sum(counts.waits.values()) == 1, "the copy to the device"
        total.item()
    assert sum(counts.waits.values()) == 2
