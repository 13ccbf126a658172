"""The commands of wikiart-cluster: without a trained autoencoder, on a file of codes, comparing, errors."""

import csv
import json
import shutil
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wikiart_autoencode.cli import main as autoencode
from wikiart_autoencode.clustering import cluster_codes as module
from wikiart_autoencode.clustering import compare, intervals, methods, scores
from wikiart_autoencode.clustering.cli import main
from wikiart_autoencode.clustering.comparison import CodeComparison
from wikiart_autoencode.clustering.config import ClusterOptions, CompareOptions
from wikiart_autoencode.codes import Codes
from wikiart_autoencode.config import TrainOptions
from wikiart_autoencode.evaluation import probes
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.results.serialization import to_plain


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance is measured from few permuted labels: most of the time of these tests went there."""
    monkeypatch.setattr(methods, "clustering_scores", partial(scores.clustering_scores, permutations=3))
    monkeypatch.setattr(compare, "code_metrics", partial(probes.code_metrics, permutations=3))
    monkeypatch.setattr(intervals, "HALF_SAMPLES", 5)


@pytest.fixture(scope="module")
def codes(trained) -> Path:
    assert autoencode(["encode", str(trained)]) == 0
    return trained / "codes.npz"


def test_codes_are_clustered_measured_and_drawn(codes, figures, capsys):
    assert main(["--codes", str(codes), "--clusters", "4", "--name", "one"]) == 0
    run = Path("runs/cluster/one")
    result = json.loads((run / "result.json").read_text())
    assert result["n"] == 96
    assert result["scores"]["clusters"] == 4
    assert 0 <= result["scores"]["ami"] <= 1
    mean, std = result["scores"]["ami_permuted"]
    assert abs(mean) < 0.1
    assert std > 0
    for name in ("map", "styles", "clusters"):
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (run / "figures" / f"{name}.svg").stat().st_size > 1000
    with (run / "clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 96
    assert {row["style"] for row in rows} == {"Baroque", "Cubism", "Minimalism", "Ukiyo_e"}
    assert "painter-0" not in (run / "map.html").read_text()[:200]
    assert result["tables"][0]["rows"][0][0] == "AMI"
    output = capsys.readouterr().out
    assert "AMI" in output
    assert "permuted" in output


def test_all_splits_and_another_map(codes):
    arguments = ["--codes", str(codes), "--clusters", "3", "--split", "all", "--reduce", "pca", "--name", "all"]
    Path("metadata.csv").write_text("file,year\npainter-0_train-0.jpg,1888\n")
    assert main([*arguments, "--metadata", "metadata.csv", "--folder"]) == 0
    with Path("runs/cluster/all/vikus/data.csv").open() as file:
        assert {row["year"] for row in csv.DictReader(file)} == {"1888", ""}
    assert Path("runs/cluster/all/map-pictures/0.js").exists()
    with np.load("runs/cluster/all/clusters.npz") as arrays:
        assert arrays["points"].shape == (192, 2)
        assert len(arrays["clusters"]) == 192


def test_without_codes_an_autoencoder_is_trained_first(paintings, monkeypatch, capsys):
    monkeypatch.setattr(module, "FIRST_TRAINING", TrainOptions(code=8, size=32, epochs=1, width=0.25, batch_size=16))
    arguments = ["--data", str(paintings), "--method", "hdbscan", "--device", "cpu"]
    assert main(arguments) == 0
    assert "There is no trained autoencoder" in capsys.readouterr().out
    assert Path("runs/autoencode/001/codes.npz").exists()
    assert main(arguments) == 0
    assert "There is no trained autoencoder" not in capsys.readouterr().out
    assert Path("runs/cluster/002/map.html").exists()


def test_with_much_noise_kmeans_is_computed_for_comparison(codes, monkeypatch, capsys):
    monkeypatch.setattr(module, "MUCH_NOISE", -1.0)
    assert main(["--codes", str(codes), "--method", "dbscan", "--clusters", "4"]) == 0
    assert "For comparison, kmeans" in capsys.readouterr().out
    assert "kmeans" in json.loads(Path("runs/cluster/001/result.json").read_text())


def test_codes_of_another_program_can_be_clustered(paintings):
    files = sorted(str(path.relative_to(paintings)) for path in paintings.rglob("*.jpg"))
    styles = sorted({file.split("/")[1] for file in files})
    labels = np.array([styles.index(file.split("/")[1]) for file in files])
    random = np.random.default_rng(0)
    codes = Codes(
        codes=np.eye(4)[labels] * 9 + random.normal(size=(len(files), 4)),
        labels=labels,
        files=np.array(files),
        styles=np.array(styles),
        split=np.array([file.split("/")[0] for file in files]),
    )
    codes.save(Path("mine.npz"))
    assert main(["--codes", "mine.npz", "--data", str(paintings), "--clusters", "4", "--reduce", "pca"]) == 0
    assert json.loads(Path("runs/cluster/001/result.json").read_text())["scores"]["ami"] > 0.95


class Colours(nn.Module):
    """A stand-in for a judge: probabilities of four styles and three features, from mean colours."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = images.mean(dim=(2, 3))
        return torch.cat([means, 1 - means[:, :1]], dim=1).softmax(dim=1), means


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(Colours(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=batch)
    torch.export.save(program, folder / "model.pt2")
    about = {"styles": ["Baroque", "Cubism", "Minimalism", "Ukiyo_e"], "size": 16}
    about["crc32"] = zlib.crc32((folder / "model.pt2").read_bytes())
    (folder / "judge.json").write_text(json.dumps(about))
    return folder


def test_compared_with_pixels_colours_an_untrained_encoder_and_a_judge(codes, judge, figures, capsys, monkeypatch):
    monkeypatch.delattr("accelerate.Accelerator")  # it would keep its device for a later training in this process
    options = ["--methods", "kmeans", "agglomerative", "--seeds", "2"]
    assert main(["compare", str(codes), "--clusters", "4", "--device", "cpu", "--judge", str(judge), *options]) == 0
    result = json.loads(Path("runs/compare-codes/result.json").read_text())
    assert [row["name"] for row in result["rows"]] == [
        "spatial code",
        "pixel-PCA (128)",
        "colour histogram (64 bins)",
        "colour histogram, square roots",
        "texture statistics",
        "untrained encoder",
        "judge (trained with labels)",
    ]
    assert result["rows"][-1]["dimensions"] == 3
    for row in result["rows"]:
        for split in ("train", "test"):
            assert row["clusters"][split]["kmeans"]["clusters"] == 4
            assert len(row["clusters"][split]["agglomerative"]["over_seeds"]) == 2
        assert 0 <= row["metrics"]["probe_top1"] <= 1
        assert 0 <= row["metrics"]["retrieval"]["artist, CSLS"]["recall_at_10"] <= 1
    assert [table["title"].split(",")[0] for table in result["tables"]] == [
        "AMI of clusters and styles",
        "AMI of clusters and styles",
        "Clusters by kmeans",
        "Gain of AMI by kmeans",
        "Clusters by agglomerative",
        "Gain of AMI by agglomerative",
        "Style classified from codes",
        "Retrieval by style",
        "Retrieval by style",
        "Retrieval by artist",
        "Retrieval by artist",
    ]
    (untrained,) = (row["clusters"]["train"]["kmeans"] for row in result["rows"] if row["name"] == "untrained encoder")
    first, second = untrained["over_seeds"]
    assert first["ami"] == untrained["ami"] != second["ami"]  # other weights
    (cell,) = [cell for name, cell, _ in result["tables"][0]["rows"] if name == "untrained encoder"]
    assert cell["value"] == pytest.approx((first["ami"] + second["ami"]) / 2)
    rows = {row["name"]: row for row in result["rows"]}
    clusters = rows["spatial code"]["clusters"]["test"]["kmeans"]
    low, high = clusters["ami_interval"]
    assert low < cell_of(result, "Clusters by kmeans", "spatial code", "AMI on test")["value"] < high
    assert clusters["ami_gains"].keys() == {"pixel-PCA (128)", "untrained encoder"}
    pixels = rows["pixel-PCA (128)"]
    assert pixels["clusters"]["test"]["kmeans"]["ami_gains"].keys() == {"untrained encoder"}
    gain = rows["untrained encoder"]["map_gains"]["style, cosine"]["pixel-PCA (128)"]
    of_untrained, of_pixels = (
        row["metrics"]["retrieval"]["style, cosine"]["map_at_r"] for row in (rows["untrained encoder"], pixels)
    )
    assert gain["value"] == pytest.approx(of_untrained - of_pixels)
    names = {"name": "space", "metrics": "space_measures"}  # as earlier versions wrote them
    earlier = [{names.get(key, key): value for key, value in row.items()} for row in result["rows"]]
    read = to_plain(CodeComparison.from_json({**result, "rows": earlier}))
    assert read == to_plain(CodeComparison.from_json(result))
    assert read["rows"] == result["rows"]
    assert Path("runs/compare-codes/figures/ami.png").read_bytes().startswith(b"\x89PNG")
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 120
    assert "majority style" in output


def cell_of(result: dict, title: str, row: str, column: str) -> dict:
    """The cell of a result's table whose title begins with `title`."""
    (table,) = [table for table in result["tables"] if table["title"].startswith(title)]
    return dict(zip(table["columns"], next(cells for cells in table["rows"] if cells[0] == row), strict=True))[column]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_codes_without_a_split_are_refused_before_anything_is_computed(codes, paintings, monkeypatch, split):
    loaded = Codes.load(codes)
    loaded.select(np.flatnonzero(loaded.split != split)).save("some.npz")
    monkeypatch.delattr(compare, "pack")
    with pytest.raises(InputError) as error:
        compare.compare(CompareOptions((Path("some.npz"),), data=str(paintings)))
    assert error.value.field == "some.npz"


def test_the_table_and_column_of_labels_are_found_again(paintings, tmp_path, monkeypatch):
    monkeypatch.delattr(module, "fit")  # what is there is found, nothing is trained
    art = tmp_path / "art"
    art.mkdir()
    files = sorted((paintings / "train" / "Cubism").iterdir())[:12]
    for file in files:
        shutil.copy(file, art)
    rows = [f"{file.name},{'Cubism' if index % 2 else 'Baroque'},A. Painter" for index, file in enumerate(files)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,style,artist", *rows]))
    catalog = scan(f"{art}:{tmp_path / 'labels.csv'}:artist")
    run = Path("runs/autoencode/one")
    run.mkdir(parents=True)
    data = {"root": str(catalog.root), "source": catalog.source}
    (run / "run.json").write_text(json.dumps({"config": {}, "styles": list(catalog.styles), "data": data}))
    (run / "result.json").write_text("{}")
    number = len(catalog)
    names = (np.array(catalog.files), np.array(catalog.styles), np.full(number, "train"))
    some = Codes(np.eye(number), catalog.labels, *names)
    some.save(run / "codes.npz")
    again = module.catalog_of(run / "codes.npz", ClusterOptions(), some)
    assert (again.styles, again.source) == (catalog.styles, catalog.source)
    assert module.find_codes(ClusterOptions(data=f"art:{tmp_path / 'labels.csv'}:artist")) == run / "codes.npz"
    # Other labels of the same pictures are other data.
    other = run.with_name("other")
    shutil.copytree(run, other)
    (other / "run.json").write_text((run / "run.json").read_text().replace(":artist", ""))
    assert module.find_codes(ClusterOptions(data=f"art:{tmp_path / 'labels.csv'}")) == other / "codes.npz"


def test_codes_in_another_order_are_aligned_and_those_of_other_pictures_refused(codes):
    loaded = Codes.load(codes)
    turned = compare._aligned(loaded.select(np.arange(len(loaded))[::-1]), loaded, codes)
    assert turned.files.tolist() == loaded.files.tolist()
    np.testing.assert_array_equal(turned.codes, loaded.codes)
    with pytest.raises(InputError) as error:
        compare._aligned(loaded.select(np.arange(5)), loaded, codes)
    assert error.value.field == str(codes)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--codes", "nowhere.npz"], "nowhere.npz"),
        (["--clusters", "1"], "--clusters"),
        (["compare", "--seeds", "0"], "--seeds"),
        (["--codes", "nowhere.npz", "--seed", "-1"], "--seed"),
        (["--codes", "nowhere.npz", "--seed", str(2**32)], "--seed"),
        (["compare", "nowhere.npz", "--seed", str(2**32 - 1), "--seeds", "2"], "--seed"),
        (["--codes", "CODES", "--metadata", "nowhere.csv"], "nowhere.csv"),
        (["--codes", "CODES", "--clusters", "500"], "500"),
        (["--codes", "CODES", "--data", "OTHER"], "--data"),
    ],
)
def test_errors_name_the_option_or_the_file(codes, paintings, tmp_path, capsys, arguments, named):
    other = tmp_path / "other"
    for split in ("train", "valid", "test"):
        folder = other / split / "Baroque"
        folder.mkdir(parents=True)
        (folder / f"{split}.jpg").write_bytes(next(paintings.rglob("*.jpg")).read_bytes())
    paths = {"CODES": str(codes), "OTHER": str(other)}
    assert main([paths.get(argument, argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error
