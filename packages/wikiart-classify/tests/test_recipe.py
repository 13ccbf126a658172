"""Options of the training step beyond the default: each changes what its paper says, and a run with them resumes."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from wikiart_classify import TrainOptions, recipe, training
from wikiart_classify.calibration import TEMPERATURES, calibrated_nll, choose_temperature
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig, load_catalog, resolve_config
from wikiart_classify.folds import assign_folds, split_into_folds
from wikiart_classify.multitask import MultiTaskModel
from wikiart_classify.network import StyleNet
from wikiart_classify.recipe import climb, limit_norms, restore
from wikiart_classify.scores import calibration_error
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan

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


def test_the_calibrated_likelihood_does_not_depend_on_confidence():
    random = np.random.default_rng(0)
    true = torch.from_numpy(random.normal(size=(400, 3)))
    labels = np.array([random.choice(3, p=row) for row in true.softmax(dim=1).numpy()])
    likelihoods = [calibrated_nll((sharpness * true).softmax(dim=1).numpy(), labels) for sharpness in (0.5, 1, 3)]
    assert likelihoods == pytest.approx([likelihoods[0]] * 3, abs=1e-3)
    assert likelihoods[0] < -true.log_softmax(dim=1)[range(400), labels].mean() + 1e-3
    assert calibrated_nll(random.dirichlet(np.ones(3), 400), labels) > likelihoods[0]


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
        ({"model": "inclass", "width": 0.5}, "--width"),
        ({"model": "threeblock", "stem": "convolutions"}, "--stem"),
        ({"model": "inclass", "extra": Path("x")}, "--extra"),
        ({"head_decay": 1.0, "balance": "ldam-drw"}, "--head-decay"),
        ({"max_norm": 1.0, "balance": "ldam-drw"}, "--max-norm"),
        ({"distillation": 1.5}, "--distillation"),
    ],
)
def test_contradictions_are_refused(options, field):
    with pytest.raises(InputError) as error:
        TrainOptions(**options)
    assert error.value.field == field


def test_a_run_of_an_earlier_version_with_options_without_effect_can_still_be_read():
    assert TrainConfig(data="", balance="ldam-drw", head_decay=1.0).head_decay == 1.0


def extra_rows(folder: Path, paintings: Path) -> list[str]:
    """The files that are drawn from a folder of additional images."""
    config = TrainConfig(data=str(paintings), size=16, batch_size=16, max_bad_fraction=0.5)
    images = recipe.ExtraImages(folder, scan(paintings), config, torch.device("cpu"), bf16=False)
    packed = images.batches.pictures.packed
    return [packed.catalog.files[row] for row in images.batches.rows.tolist()]


def test_extra_images_may_lie_in_train_as_synthesise_writes_them(paintings, extra, tmp_path):
    shutil.copytree(extra, tmp_path / "synthesised/train")
    files = extra_rows(tmp_path / "synthesised", paintings)
    assert len(files) == 16  # none is held out for valid or test
    (tmp_path / "synthesised/test/Ukiyo_e").mkdir(parents=True)
    shutil.copy(extra / "Ukiyo_e/0.jpg", tmp_path / "synthesised/test/Ukiyo_e/other.jpg")
    assert extra_rows(tmp_path / "synthesised", paintings) == files
    assert len(extra_rows(extra, paintings)) == 16


def test_unreadable_extra_images_are_left_out(paintings, extra, tmp_path):
    shutil.copytree(extra, tmp_path / "damaged")
    (tmp_path / "damaged/Ukiyo_e/0.jpg").write_bytes(b"\xff\xd8\xff no picture")
    files = extra_rows(tmp_path / "damaged", paintings)
    assert len(files) == 15
    assert "Ukiyo_e/0.jpg" not in files


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


@pytest.mark.parametrize("seed", range(3))
def test_an_artwork_in_two_style_folders_is_in_one_fold(seed):
    files = [f"train/{style}/{name}.jpg" for style in ("Baroque", "Cubism") for name in
             [*(f"painter-{n}_both" for n in range(20)), *(f"{n:04d}" for n in range(20))]]  # fmt: skip
    files += [f"train/{style}/only_{style}-{n}.jpg" for style in ("Baroque", "Cubism") for n in range(10)]
    labels = np.array([file.startswith("train/Cubism") for file in files], dtype=np.int64)
    numbers = np.ones(len(files), dtype=np.int64)
    splits = np.full(len(files), "train", dtype="<U5")
    catalog = Catalog(Path("nowhere"), ("Baroque", "Cubism"), tuple(files), labels, splits, numbers, numbers)
    fold_of = dict(zip(files, assign_folds(catalog, 4, seed).tolist(), strict=True))
    pairs = [(fold_of[file], fold_of[file.replace("Baroque", "Cubism")]) for file in files[:40]]
    assert all(one == other for one, other in pairs[:20])
    assert any(one != other for one, other in pairs[20:])  # 0001.jpg is another picture in another folder


def test_a_baseline_teaches_only_a_baseline_of_its_size(trained, monkeypatch):
    styles = recipe.Classifier.load(trained, "cpu").styles
    config = TrainConfig(data="", model="tiny", size=32, distillation=0.5, teacher=trained)
    assert recipe.load_teacher(config, styles, torch.device("cpu")) is not None
    teacher = SimpleNamespace(
        styles=styles, config=TrainConfig(data="", model="inclass", size=32, artists=0), network=torch.nn.Identity()
    )
    monkeypatch.setattr(recipe.Classifier, "load", lambda *_: teacher)
    baseline = replace(config, model="inclass", artists=0)
    assert recipe.load_teacher(baseline, styles, torch.device("cpu")) is not None
    for student in (config, replace(baseline, size=48)):
        with pytest.raises(InputError) as error:
            recipe.load_teacher(student, styles, torch.device("cpu"))
        assert error.value.field == "--teacher"


def test_the_warm_start_is_part_of_the_training_time(paintings, monkeypatch):
    clock = [0.0]

    def warm_start(*_: object) -> None:
        clock[0] += 1000

    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(training, "warm_start", warm_start)
    options = TrainOptions(data=str(paintings), model="tiny", size=32, batch_size=16, epochs=1, device="cpu")
    run, result = training.fit(options)
    assert result.train_seconds >= 1000
    assert run.metrics()[0]["seconds"] >= 1000


def test_where_teacher_and_extra_images_are_does_not_depend_on_the_working_directory(paintings):
    options = TrainOptions(teacher=Path("runs/classify/one"), distillation=0.5, extra=Path("more"))
    config = resolve_config(options, paintings)
    assert (config.teacher, config.extra) == (Path("runs/classify/one").absolute(), Path("more").absolute())
