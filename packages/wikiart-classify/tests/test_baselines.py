"""The course's network and the best public one, as they were published; and why the course's demo got 2 %."""

import csv
import itertools
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wikiart_classify.baselines import InClass, ThreeBlock
from wikiart_classify.checkpoint import make_network
from wikiart_classify.cli import main
from wikiart_classify.config import SMALLEST

BOTH = pytest.mark.parametrize("network", [InClass, ThreeBlock])


def published(network: type[nn.Module], styles: int, images: torch.Tensor) -> nn.Sequential:
    """The layers as their authors list them; raw values 0..255 go in, and torch finds the sizes between."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
        if network is InClass:
            layers = [nn.Conv2d(3, 1, 4, padding=2), nn.MaxPool2d(4, padding=2), nn.Flatten(), nn.LazyBatchNorm1d()]
            layers += [nn.LazyLinear(300), nn.Dropout(0.01), nn.ReLU(), nn.Linear(300, styles)]
        else:
            layers = []
            for place, (channels_in, channels_out) in enumerate(((3, 16), (16, 32), (32, 64))):
                layers += [nn.Conv2d(channels_in, channels_out, 4), nn.BatchNorm2d(channels_out)]
                layers += [nn.ReLU()] * (place < 2) + [nn.MaxPool2d(4)]
            layers += [nn.Flatten(), nn.LazyLinear(300), nn.ReLU(), nn.Dropout(0.3), nn.Linear(300, styles)]
        made = nn.Sequential(*layers)
        made(images * 255)
    return made


@BOTH
@pytest.mark.parametrize("size", [127, 128, 129, 130, 131, 200])
def test_layers_are_the_published_ones(network, size):
    images = torch.rand(3, 3, size, size)
    ours, theirs = network(5, size), published(network, 5, images)
    weights = list(ours.state_dict().values())
    names = list(theirs.state_dict())
    assert [tuple(value.shape) for value in weights] == [tuple(theirs.state_dict()[name].shape) for name in names]
    theirs.load_state_dict(dict(zip(names, weights, strict=True)))
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images * 255))
    answers = []
    for half, scale in ((ours.train(), 1), (theirs.train(), 255)):
        torch.manual_seed(1)  # the same values are dropped
        answers.append(half(images * scale))
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-3)


def test_parameters_at_the_size_of_the_course():
    def linear(inputs: int, outputs: int) -> int:
        return (inputs + 1) * outputs

    # InClass: 416 + 4 - 3 = 417 pixels, (417 + 4 - 4) // 4 + 1 = 105 after pooling.
    conv = 3 * 4 * 4 + 1
    inclass = conv + 2 * 105**2 + linear(105**2, 300) + linear(300, 27)
    # ThreeBlock: 416 → 413 → 103 → 100 → 25 → 22 → 5.
    blocks = [outputs * (16 * inputs + 1) + 2 * outputs for inputs, outputs in ((3, 16), (16, 32), (32, 64))]
    threeblock = sum(blocks) + linear(64 * 5 * 5, 300) + linear(300, 27)
    for name, expected in (("inclass", inclass), ("threeblock", threeblock)):
        network = make_network(27, {"model": name, "size": 416})
        assert sum(p.numel() for p in network.parameters()) == expected
    assert (inclass, threeblock) == (3_338_026, 530_491)


@BOTH
def test_the_first_convolution_sees_raw_values(network):
    seen = []
    made = network(5, 128).eval()
    first = next(module for module in made.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    bytes_of_a_picture = torch.randint(0, 256, (2, 3, 128, 128)).float()
    made(bytes_of_a_picture / 255)
    torch.testing.assert_close(seen[0], bytes_of_a_picture)


@pytest.mark.parametrize(("name", "network"), [("inclass", InClass), ("threeblock", ThreeBlock)])
def test_the_smallest_size_works_and_one_less_is_refused(name, network, capsys):
    size = SMALLEST[name]
    assert network(5, size).eval()(torch.rand(2, 3, size, size)).shape == (2, 5)
    assert main(["--model", name, "--size", str(size - 1)]) == 2
    assert not Path("runs").exists()


def test_pictures_too_small_for_three_poolings_are_refused(capsys):
    assert main(["--model", "threeblock", "--size", "100"]) == 2
    assert "--model threeblock needs pictures of at least 127 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--balance", "crt"), ("--balance", "ldam-drw"), ("--artists", "0.5")])
def test_what_needs_our_features_is_refused_for_a_baseline(more, capsys):
    assert main(["--model", "inclass", *more]) == 2
    assert "inclass is a baseline" in capsys.readouterr().err


@pytest.fixture(scope="module")
def inclass(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the course's network with its own recipe."""
    folder = tmp_path_factory.mktemp("baseline")
    places = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache")]
    assert main(["--model", "inclass", "--size", "64", "--epochs", "1", "--device", "cpu", *places]) == 0
    return next((folder / "classify").iterdir())


def test_a_baseline_is_trained_by_its_own_recipe(inclass):
    config = json.loads((inclass / "run.json").read_text())["config"]
    recipe = {"lr": 0.01, "mixing": 0.0, "precision": "fp32", "batch_size": 32, "artists": 0.0, "ema": 0.0}
    assert {key: config[key] for key in recipe} == recipe
    assert json.loads((inclass / "metrics.jsonl").read_text())["size"] == 64


def test_test_and_predict_work_with_a_baseline(inclass, paintings, capsys):
    capsys.readouterr()  # the fixture's training
    assert main(["test", str(inclass), "--json", "--device", "cpu"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["confusion"] == json.loads((inclass / "result.json").read_text())["test"]["confusion"]
    pictures = sorted(map(str, (paintings / "test").rglob("*.jpg")))
    command = ["predict", *pictures, "--model", str(inclass), "--csv", "out.csv", "--device", "cpu"]
    assert main(command) == 0
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    right = sum(row["style1"] == Path(row["file"]).parent.name for row in rows)
    assert right / len(rows) == pytest.approx(result["top1"])


# -- the course's demo: class numbers by the order in which folders are listed, once for train and once for test ------


def accuracy_by(order: tuple[str, ...], run: Path) -> float:
    """Accuracy of a run's kept answers on test when a style's number is its place in `order`."""
    learned = json.loads((run / "run.json").read_text())["styles"]
    with np.load(run / "predictions.npz") as kept:
        named = kept["probabilities"].argmax(axis=1)
        number = np.array([order.index(learned[label]) for label in kept["labels"]])
    return float((named == number).mean())


def test_another_order_of_folders_in_testing_brings_a_good_network_down_to_chance(trained):
    """`os.listdir` gives folders in any order: if test is listed otherwise than train was, the labels are shuffled."""
    learned = tuple(json.loads((trained / "run.json").read_text())["styles"])
    told = json.loads((trained / "result.json").read_text())["test"]["top1"]
    assert accuracy_by(learned, trained) == told > 0.8
    by_order = {order: accuracy_by(order, trained) for order in itertools.permutations(learned)}
    # Over all orders, the mean is 1 / styles for any network, however good.
    assert np.mean(list(by_order.values())) == pytest.approx(1 / 4)
    nothing_in_place = [
        share for order, share in by_order.items() if all(a != b for a, b in zip(order, learned, strict=True))
    ]
    assert len(nothing_in_place) == 9
    assert max(nothing_in_place) <= 1 - told < 0.2


class _Listed:
    """`os.scandir`'s answer in another order."""

    def __init__(self, entries: list[os.DirEntry]):
        self.entries = entries

    def __enter__(self) -> "_Listed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self):
        return iter(self.entries)


@pytest.fixture(params=[False, True])
def backwards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether folders are listed from their last name to the first, not from the first to the last."""
    listdir, scandir = os.listdir, os.scandir

    def scanned(place: str | Path = ".") -> _Listed:
        with scandir(place) as entries:
            return _Listed(sorted(entries, key=lambda entry: entry.name, reverse=request.param))

    monkeypatch.setattr(os, "scandir", scanned)
    monkeypatch.setattr(os, "listdir", lambda place=".": sorted(listdir(place), reverse=request.param))
    return request.param


def test_the_order_in_which_a_disk_lists_folders_does_not_matter(trained, paintings, tmp_path, backwards, capsys):
    for split in ("test", "valid", "train"):
        for folder in sorted((paintings / split).iterdir(), reverse=backwards):
            (tmp_path / "data" / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir(), reverse=backwards):
                shutil.copyfile(file, tmp_path / "data" / split / folder.name / file.name)
    first = next(iter((tmp_path / "data" / "test").iterdir()))
    assert (first.name == "Ukiyo_e") == backwards
    capsys.readouterr()  # the fixture's training
    assert main(["test", str(trained), "--data", "data", "--json", "--device", "cpu"]) == 0
    told, kept = json.loads(capsys.readouterr().out), json.loads((trained / "result.json").read_text())["test"]
    assert {key: told[key] for key in kept} == kept
