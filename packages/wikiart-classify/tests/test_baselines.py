"""The course's network and that of a public solution; and why the course's demo reached only 2 %."""

import csv
import itertools
import json
import os
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from wikiart_classify import training
from wikiart_classify.baselines import InClass, ThreeBlock
from wikiart_classify.classifier import create_network
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig, resolve_config
from wikiart_classify.options import MIN_SIZE, TrainOptions
from wikiart_data.errors import InputError

BOTH = pytest.mark.parametrize("network", [InClass, ThreeBlock])


def published(network: type[nn.Module], styles: int, images: torch.Tensor) -> nn.Sequential:
    """The layers as their authors list them, for raw values 0..255; torch infers the sizes in between."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
        if network is InClass:
            layers = [nn.Conv2d(3, 1, 4, padding=2), nn.MaxPool2d(4, padding=2), nn.Flatten(), nn.LazyBatchNorm1d()]
            layers += [nn.LazyLinear(300), nn.Dropout(0.01), nn.ReLU(), nn.Linear(300, styles)]
        else:
            layers = []
            for block, (channels_in, channels_out) in enumerate(((3, 16), (16, 32), (32, 64))):
                layers += [nn.Conv2d(channels_in, channels_out, 4), nn.BatchNorm2d(channels_out)]
                layers += [nn.ReLU()] * (block < 2) + [nn.MaxPool2d(4)]
            layers += [nn.Flatten(), nn.LazyLinear(300), nn.ReLU(), nn.Dropout(0.3), nn.Linear(300, styles)]
        model = nn.Sequential(*layers)
        model(images * 255)
    return model


@BOTH
@pytest.mark.parametrize("size", [127, 128, 129, 130, 131, 200])
def test_layers_equal_the_published_ones(network, size):
    images = torch.rand(3, 3, size, size)
    ours, original = network(5, size), published(network, 5, images)
    weights = list(ours.state_dict().values())
    names = list(original.state_dict())
    assert [tuple(value.shape) for value in weights] == [tuple(original.state_dict()[name].shape) for name in names]
    original.load_state_dict(dict(zip(names, weights, strict=True)))
    torch.testing.assert_close(ours.eval()(images), original.eval()(images * 255))
    outputs = []
    for model, scale in ((ours.train(), 1), (original.train(), 255)):
        torch.manual_seed(1)  # for the same dropout
        outputs.append(model(images * scale))
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-3)


def test_number_of_parameters_at_the_size_of_the_course():
    def linear(inputs: int, outputs: int) -> int:
        return (inputs + 1) * outputs

    # InClass: 416 + 4 - 3 = 417 pixels, (417 + 4 - 4) // 4 + 1 = 105 after pooling.
    conv = 3 * 4 * 4 + 1
    inclass = conv + 2 * 105**2 + linear(105**2, 300) + linear(300, 27)
    # ThreeBlock: 416 → 413 → 103 → 100 → 25 → 22 → 5.
    blocks = [outputs * (16 * inputs + 1) + 2 * outputs for inputs, outputs in ((3, 16), (16, 32), (32, 64))]
    threeblock = sum(blocks) + linear(64 * 5 * 5, 300) + linear(300, 27)
    for name, expected in (("inclass", inclass), ("threeblock", threeblock)):
        network = create_network(27, TrainConfig(data="", model=name, size=416, artists=0))
        assert sum(p.numel() for p in network.parameters()) == expected
    assert (inclass, threeblock) == (3_338_026, 530_491)


@BOTH
def test_the_first_convolution_gets_raw_values(network):
    inputs = []
    model = network(5, 128).eval()
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0]))
    raw = torch.randint(0, 256, (2, 3, 128, 128)).float()
    model(raw / 255)
    torch.testing.assert_close(inputs[0], raw)


@pytest.mark.parametrize(("name", "network"), [("inclass", InClass), ("threeblock", ThreeBlock)])
def test_the_smallest_size_works_and_one_less_is_refused(name, network):
    size = MIN_SIZE[name]
    assert network(5, size).eval()(torch.rand(2, 3, size, size)).shape == (2, 5)
    with pytest.raises(InputError) as error:
        TrainOptions(model=name, size=size - 1)
    assert error.value.field == "--size"
    assert main(["--model", name, "--size", str(size - 1)]) == 2
    assert not Path("runs").exists()


@pytest.mark.parametrize(("option", "value"), [("balance", "crt"), ("balance", "ldam-drw"), ("artists", 0.5)])
def test_options_of_our_networks_are_refused_for_a_baseline(option, value):
    with pytest.raises(InputError) as error:
        TrainOptions(model="inclass", **{option: value})
    assert error.value.field == f"--{option}"


def test_defaults_follow_the_network_and_the_data(tmp_path):
    ours = resolve_config(TrainOptions(), tmp_path)
    assert ours == TrainConfig(data=str(tmp_path))
    assert resolve_config(TrainOptions(epochs=3), tmp_path).epochs == 3
    (tmp_path / ".wikiart-sample").touch()
    assert resolve_config(TrainOptions(), tmp_path).size == 128
    assert resolve_config(TrainOptions(model="inclass"), tmp_path).size == 416
    assert resolve_config(ours, tmp_path) == ours


@pytest.fixture(scope="module")
def inclass(paintings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the course's network with its own training settings."""
    folder = tmp_path_factory.mktemp("baseline")
    places = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache")]
    assert main(["--model", "inclass", "--size", "64", "--epochs", "1", "--device", "cpu", *places]) == 0
    return next((folder / "classify").iterdir())


def test_a_stopped_baseline_resumes_with_the_dropout_of_the_unbroken_run(paintings, monkeypatch):
    command = ["--model", "inclass", "--size", "32", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
    command += ["--data", str(paintings)]
    assert main([*command, "--name", "whole"]) == 0
    update_ema, steps = training.update_ema, []
    for stop_after in (5, 7):  # at the end of the first of two epochs of 5 steps, and within the second

        def interrupt(*arguments: object, stop_after: int = stop_after) -> None:
            steps.append(1)
            if len(steps) == stop_after:
                signal.raise_signal(signal.SIGTERM)
            update_ema(*arguments)

        steps.clear()
        with monkeypatch.context() as patch:
            patch.setattr(training, "update_ema", interrupt)
            assert main([*command, "--name", f"stopped-{stop_after}"]) == 128 + signal.SIGTERM
        assert main(["--resume", f"runs/classify/stopped-{stop_after}"]) == 0
        names = ("whole", f"stopped-{stop_after}")
        first, second = (load_file(f"runs/classify/{name}/model.safetensors") for name in names)
        assert all(first[key].equal(second[key]) for key in first)


def test_a_baseline_has_its_own_training_settings(inclass):
    config = json.loads((inclass / "run.json").read_text())["config"]
    settings = {"lr": 0.01, "mix_prob": 0.0, "precision": "fp32", "batch_size": 32, "artists": 0.0, "ema": 0.0}
    assert {key: config[key] for key in settings} == settings
    assert json.loads((inclass / "metrics.jsonl").read_text())["size"] == 64


def test_evaluate_and_predict_work_with_a_baseline(inclass, paintings, capsys):
    capsys.readouterr()  # the fixture's training
    assert main(["evaluate", str(inclass), "--json", "--device", "cpu"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["confusion"] == json.loads((inclass / "result.json").read_text())["test"]["confusion"]
    pictures = sorted(map(str, (paintings / "test").rglob("*.jpg")))
    command = ["predict", *pictures, "--model", str(inclass), "--csv", "out.csv", "--device", "cpu"]
    assert main(command) == 0
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    correct = sum(row["style1"] == Path(row["file"]).parent.name for row in rows)
    assert correct / len(rows) == pytest.approx(result["top1"])


# -- the course's demo: labels follow the order in which folders are listed, separately for train and test --


def accuracy_by(order: tuple[str, ...], run: Path) -> float:
    """Accuracy of a run's predictions on test if the label of a style is its index in `order`."""
    styles = json.loads((run / "run.json").read_text())["styles"]
    with np.load(run / "predictions.npz") as arrays:
        predicted = arrays["probabilities"].argmax(axis=1)
        labels = np.array([order.index(styles[label]) for label in arrays["labels"]])
    return float((predicted == labels).mean())


def test_another_order_of_folders_in_testing_reduces_a_good_network_to_chance(trained):
    """`os.listdir` returns folders in any order: if that of test differs from train, the labels are permuted."""
    styles = tuple(json.loads((trained / "run.json").read_text())["styles"])
    accuracy = json.loads((trained / "result.json").read_text())["test"]["top1"]
    assert accuracy_by(styles, trained) == accuracy > 0.8
    by_order = {order: accuracy_by(order, trained) for order in itertools.permutations(styles)}
    # The mean over all orders is 1 / styles for any network, however good.
    assert np.mean(list(by_order.values())) == pytest.approx(1 / 4)
    derangements = [
        value for order, value in by_order.items() if all(a != b for a, b in zip(order, styles, strict=True))
    ]
    assert len(derangements) == 9
    assert max(derangements) <= 1 - accuracy < 0.2


class _Listed:
    """The result of `os.scandir` in another order."""

    def __init__(self, entries: list[os.DirEntry]):
        self.entries = entries

    def __enter__(self) -> "_Listed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self):
        return iter(self.entries)


@pytest.fixture(params=[False, True])
def reverse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether folders are listed in reverse alphabetical order."""
    listdir, scandir = os.listdir, os.scandir

    def ordered_scandir(path: str | Path = ".") -> _Listed:
        with scandir(path) as entries:
            return _Listed(sorted(entries, key=lambda entry: entry.name, reverse=request.param))

    monkeypatch.setattr(os, "scandir", ordered_scandir)
    monkeypatch.setattr(os, "listdir", lambda path=".": sorted(listdir(path), reverse=request.param))
    return request.param


def test_the_order_in_which_folders_are_listed_does_not_matter(trained, paintings, tmp_path, reverse, capsys):
    for split in ("test", "valid", "train"):
        for folder in sorted((paintings / split).iterdir(), reverse=reverse):
            (tmp_path / "data" / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir(), reverse=reverse):
                shutil.copyfile(file, tmp_path / "data" / split / folder.name / file.name)
    first = next(iter((tmp_path / "data" / "test").iterdir()))
    assert (first.name == "Ukiyo_e") == reverse
    capsys.readouterr()  # the fixture's training
    assert main(["evaluate", str(trained), "--data", "data", "--json", "--device", "cpu"]) == 0
    printed, saved = json.loads(capsys.readouterr().out), json.loads((trained / "result.json").read_text())["test"]
    assert {key: printed[key] for key in saved} == saved
