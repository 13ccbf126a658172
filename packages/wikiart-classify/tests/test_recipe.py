"""Options of the training step beyond the default: each changes what its paper says, and a run with them resumes."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from wikiart_classify import TrainOptions, recipe, training
from wikiart_classify.calibration import TEMPERATURES, choose_temperature
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig, load_catalog
from wikiart_classify.folds import assign_folds, split_into_folds
from wikiart_classify.multitask import MultiTaskModel
from wikiart_classify.network import StyleNet
from wikiart_classify.recipe import climb, limit_norms, restore
from wikiart_classify.scores import calibration_error
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan

from .conftest import leave_out_figures, striped_image

QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def extra(tmp_path_factory) -> Path:
    """Additional images of two of the styles."""
    root = tmp_path_factory.mktemp("extra")
    for style, name in ((2, "Minimalism"), (3, "Ukiyo_e")):
        (root / name).mkdir()
        for number in range(8):
            Image.fromarray(striped_image(style, np.random.default_rng(number))).save(root / name / f"{number}.jpg")
    return root


@pytest.fixture(scope="module")
def plain(paintings, tmp_path_factory) -> dict[str, torch.Tensor]:
    """The weights of the default after two epochs."""
    folder = tmp_path_factory.mktemp("plain")
    places = ["--data", str(paintings), "--runs", str(folder), "--cache-dir", str(folder / "cache"), "--name", "one"]
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        assert main([*QUICK, *places, "--epochs", "2"]) == 0
    return load_file(folder / "classify/one/model.safetensors")


@pytest.mark.parametrize(
    "more",
    [["--head-decay", "50"], ["--max-norm", "0.05"], ["--cosine-loss"], ["--distillation", "0.5"], ["--msam", "0.5"],
     ["--balance", "cmo"], ["--train-on-valid"], ["--calibrate"], ["--extra", "EXTRA"], ["--stem", "convolutions"],
     ["--teacher", "RUN", "--distillation", "1"]],
)  # fmt: skip
def test_every_option_trains_another_network_and_is_kept_in_run_json(paintings, plain, trained, extra, more):
    arguments = [{"EXTRA": str(extra), "RUN": str(trained)}.get(word, word) for word in more]
    # Two epochs, because the averaged weights teach nothing in the first.
    assert main([*QUICK, "--epochs", "2", "--data", str(paintings), "--name", "other", *arguments]) == 0
    run = Path("runs/classify/other")
    weights = load_file(run / "model.safetensors")
    assert weights.keys() != plain.keys() or any(not weights[key].equal(plain[key]) for key in plain)
    config = json.loads((run / "run.json").read_text())["config"]
    option = more[0][2:].replace("-", "_")
    assert config[option] != getattr(TrainOptions(), option)
    if option == "max_norm":
        last = load_file(run / "last.safetensors")
        assert last["model/network.head.weight"].norm(dim=1).max() <= 0.05 + 1e-6


def test_a_stopped_run_with_several_of_them_resumes_to_the_same_weights(paintings, extra, monkeypatch):
    more = ["--data", str(paintings), "--extra", str(extra), "--msam", "0.1", "--balance", "glmc", "--distillation"]
    more += ["0.3", "--head-decay", "1", "--epochs", "2"]
    assert main([*QUICK, *more, "--name", "whole"]) == 0
    update_ema, steps = training.update_ema, []

    def interrupt(*arguments: object) -> None:
        steps.append(1)
        if len(steps) == 8:  # of 10
            signal.raise_signal(signal.SIGTERM)
        update_ema(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "update_ema", interrupt)
        assert main([*QUICK, *more, "--name", "stopped"]) == 128 + signal.SIGTERM
    assert main(["--resume", "runs/classify/stopped"]) == 0
    first, second = (load_file(f"runs/classify/{name}/model.safetensors") for name in ("whole", "stopped"))
    assert all(first[key].equal(second[key]) for key in first)


def test_a_warm_start_leaves_the_last_layer_and_changes_the_rest(paintings, monkeypatch):
    monkeypatch.setattr(recipe, "WARMUP_EPOCHS", 1)
    config = TrainConfig(data=str(paintings), model="tiny", size=32, batch_size=16, warmup_pictures=81)
    torch.manual_seed(0)
    network = StyleNet(4, "tiny")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recipe.warm_start(network, config, torch.device("cpu"), bf16=False)
    after = network.state_dict()
    assert all(after[name].equal(before[name]) for name in ("head.weight", "head.bias"))
    assert not after["stem.weight"].equal(before["stem.weight"])


def test_climbing_moves_kernels_by_the_radius_and_restoring_undoes_it():
    torch.manual_seed(0)
    model = MultiTaskModel(StyleNet(3, "tiny"), 0)
    optimizer = training.create_optimizer(model, TrainConfig(data="", head_decay=2.0))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0, 2.0]
    assert climb(optimizer, 0.5) == []
    model(torch.rand(4, 3, 32, 32)).styles.square().sum().backward()
    optimizer.step()
    before = {name: value.clone() for name, value in model.named_parameters()}
    moved = climb(optimizer, 0.5)
    distance = sum((value - before[name]).square().sum() for name, value in model.named_parameters()).sqrt()
    assert distance.item() == pytest.approx(0.5, rel=1e-3)
    restore(moved)
    assert all(value.equal(before[name]) for name, value in model.named_parameters())


def test_the_largest_norm_scales_down_long_weights_only():
    head = torch.nn.Linear(2, 2)
    head.weight.data = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    limit_norms(head, 0.0)
    assert head.weight[0].norm() == 5
    limit_norms(head, 1.0)
    torch.testing.assert_close(head.weight.detach(), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


def test_the_temperature_calibrates_overconfident_logits():
    random = np.random.default_rng(0)
    true = torch.from_numpy(random.normal(size=(4000, 3)))
    labels = np.array([random.choice(3, p=row) for row in true.softmax(dim=1).numpy()])
    logits = torch.stack([4 * true, 4 * true])
    temperature = choose_temperature(logits, labels)
    assert temperature in TEMPERATURES
    assert temperature == pytest.approx(4, rel=0.1)
    before, after = (calibration_error((logits[0] / t).softmax(dim=1).numpy(), labels) for t in (1, temperature))
    assert after < 0.03 < before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"fold": 5}, "--fold"),
        ({"teacher": Path("x")}, "--teacher"),
        ({"train_on_valid": True, "balance": "post-hoc"}, "--balance"),
        ({"cosine_loss": True, "balance": "focal"}, "--cosine-loss"),
        ({"calibrate": True, "balance": "ldam-drw"}, "--calibrate"),
        ({"model": "inclass", "msam": 0.1}, "--msam"),
        ({"model": "inclass", "balance": "glmc"}, "--balance"),
        ({"distillation": 1.5}, "--distillation"),
    ],
)
def test_contradictions_are_refused(options, field):
    with pytest.raises(InputError) as error:
        TrainOptions(**options)
    assert error.value.field == field


def test_extra_images_of_an_unknown_style_are_refused(paintings, tmp_path, capsys):
    (tmp_path / "more/Rococo").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "more/Rococo/1.png")
    assert main([*QUICK, "--data", str(paintings), "--extra", str(tmp_path / "more")]) == 2
    assert "Rococo" in capsys.readouterr().err


def test_every_image_is_held_out_by_one_fold(paintings):
    catalog = scan(paintings)
    folds = assign_folds(catalog, 4)
    for style in range(4):
        sizes = np.bincount(folds[catalog.labels == style], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    for fold in range(4):
        split = split_into_folds(catalog, 4, fold)
        assert np.array_equal(split.rows("test"), np.flatnonzero(folds == fold))
        assert set(split.rows("valid")) == set(catalog.rows("valid")) - set(split.rows("test"))
    assert not np.array_equal(folds, assign_folds(catalog, 4, seed=1))


def test_the_halves_of_the_artists_have_no_artist_and_no_training_image_in_common(paintings):
    halves = [load_catalog(TrainConfig(data=str(paintings), artist_half=half)) for half in ("first", "second")]
    rows = [set(half.rows("train").tolist()) for half in halves]
    assert rows[0] | rows[1] == set(scan(paintings).rows("train").tolist())
    artists = [{half.artists[row] for row in chosen} for half, chosen in zip(halves, rows, strict=True)]
    assert not artists[0] & artists[1]
    assert all(artists)
    assert all(len(half.rows("test")) == len(scan(paintings).rows("test")) for half in halves)
