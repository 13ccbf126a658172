"""Balancing a trained network by its last layer: the chosen strength is applied, and nothing else changes."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify.classifier import Classifier, probabilities, tta_logits
from wikiart_classify.cli import main
from wikiart_classify.command_options import RebalanceOptions
from wikiart_classify.imbalance.post_hoc import (
    MAX_TOP1_LOSS,
    TAUS,
    adjust_head,
    adjusted_probabilities,
    balance_head,
    choose_tau,
    retrain_head,
)
from wikiart_classify.imbalance.rebalance import rebalance
from wikiart_classify.network import StyleNet
from wikiart_data.errors import InputError
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.training.checkpoints import read_model, write_model

COUNTS = torch.tensor([500.0, 40.0, 3.0])
QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--epochs", "6", "--device", "cpu", "--ema", "0.9"]


@pytest.fixture
def network() -> StyleNet:
    torch.manual_seed(0)
    network = StyleNet(3, "tiny").eval()
    with torch.no_grad():
        network.head.weight.mul_(torch.tensor([[9.0], [3.0], [1.0]]))
        network.head.bias.normal_()
    return network


@pytest.fixture
def packed(paintings: Path) -> PackedImages:
    return pack(scan(paintings), 37)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@torch.no_grad()
@pytest.mark.parametrize("method", ["tau-norm", "post-hoc"])
@pytest.mark.parametrize("tau", [0.0, 0.35, 1.0, 2.0])
def test_the_adjusted_network_predicts_the_adjusted_probabilities(network, method, tau):
    images = torch.rand(6, 3, 32, 32)
    logits = torch.stack([network(images), network(images.flip(3))])
    chosen = adjusted_probabilities(logits, method, tau, COUNTS, network.head.weight.norm(dim=1))
    untouched = probabilities(network, images, bf16=False)
    adjust_head(network.head, method, tau, COUNTS)
    torch.testing.assert_close(probabilities(network, images, bf16=False), chosen)
    assert torch.allclose(chosen, untouched) == (tau == 0.0)


@pytest.mark.parametrize("method", ["tau-norm", "post-hoc"])
def test_strength_0_changes_nothing(network, method):
    before = copy.deepcopy(network.state_dict())
    adjust_head(network.head, method, 0.0, COUNTS)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_normalised_weights_have_norm_1_and_keep_their_direction(network):
    before = network.head.weight.detach().clone()
    adjust_head(network.head, "tau-norm", 1.0, COUNTS)
    torch.testing.assert_close(network.head.weight.norm(dim=1), torch.ones(3))
    cosines = torch.nn.functional.cosine_similarity(network.head.weight, before, dim=1)
    torch.testing.assert_close(cosines, torch.ones(3))


def test_logit_adjustment_of_strength_1_is_the_balanced_bayes_rule():
    # Three normal distributions on a line, of which the last is rare: the posterior is known.
    random = np.random.default_rng(0)
    prior = COUNTS.double().numpy() / COUNTS.sum().item()
    labels = random.choice(3, size=20_000, p=prior)
    x = random.normal(1.5 * labels)
    likelihood = np.exp(-((x[:, None] - 1.5 * np.arange(3)) ** 2) / 2)
    logits = torch.from_numpy(np.log(prior * likelihood) + 5.0)[None]  # logits are known up to a constant
    adjusted = adjusted_probabilities(logits, "post-hoc", 1.0, COUNTS, torch.ones(3)).numpy()
    np.testing.assert_allclose(adjusted, likelihood / likelihood.sum(axis=1, keepdims=True), atol=1e-6)

    def balanced(tau: float) -> float:
        predicted = adjusted_probabilities(logits, "post-hoc", tau, COUNTS, torch.ones(3)).argmax(dim=1).numpy()
        return float(np.mean([(predicted == labels)[labels == style].mean() for style in range(3)]))

    # Decision boundaries at 0.75 and 2.25: the exact recalls are 0.773, 0.547 and 0.773.
    assert balanced(1.0) == pytest.approx(0.698, abs=0.03)
    assert balanced(1.0) > balanced(0.5) > balanced(0.0)
    assert balanced(1.0) > balanced(2.0)


def test_a_style_without_a_training_image_counts_as_one_with_one(network):
    counts, one = torch.tensor([10.0, 5.0, 0.0]), torch.tensor([10.0, 5.0, 1.0])
    logits, norms = torch.rand(2, 4, 3), torch.ones(3)
    adjusted = adjusted_probabilities(logits, "post-hoc", 1.0, counts, norms)
    torch.testing.assert_close(adjusted, adjusted_probabilities(logits, "post-hoc", 1.0, one, norms))
    adjust_head(network.head, "post-hoc", 0.0, counts)
    assert network.head.bias.isfinite().all()


def predictions_with(correct: list[np.ndarray], labels: np.ndarray) -> list[torch.Tensor]:
    """Predictions of two styles that are correct where they should be."""
    return [torch.eye(2)[torch.from_numpy(np.where(one, labels, 1 - labels))] for one in correct]


def first(number: int, correct: int) -> np.ndarray:
    return np.arange(number) < correct


LABELS = np.array([0] * 900 + [1] * 100)


def at_each_tau(points: dict[int, tuple[int, int]], otherwise: tuple[int, int]) -> list[torch.Tensor]:
    """Predictions at each of TAUS, with so many of the 900 frequent and of the 100 rare images correct."""
    numbers = [points.get(index, otherwise) for index in range(len(TAUS))]
    return predictions_with([np.concatenate([first(900, a), first(100, b)]) for a, b in numbers], LABELS)


def test_the_best_balanced_accuracy_at_an_acceptable_loss_is_chosen():
    # At index 0 top-1 is 0.86. A gain that costs 3 points is not taken, one that costs 2 points is.
    points = {0: (850, 10), 4: (850, 30), 7: (800, 40), 9: (730, 100)}
    assert choose_tau(at_each_tau(points, (0, 0)), LABELS) == TAUS[7]


def test_a_loss_of_one_image_more_is_not_accepted():
    assert MAX_TOP1_LOSS == 0.02
    assert choose_tau(at_each_tau({0: (850, 10), 6: (790, 50)}, (0, 0)), LABELS) == TAUS[6]  # 20 images of 1000
    assert choose_tau(at_each_tau({0: (850, 10), 6: (789, 50)}, (0, 0)), LABELS) == 0.0  # 21


def test_among_equals_the_smallest_strength_is_chosen():
    assert choose_tau(at_each_tau({0: (850, 10), 3: (840, 30), 4: (840, 30)}, (840, 30)), LABELS) == TAUS[1]
    assert choose_tau(at_each_tau({}, (850, 10)), LABELS) == 0.0


def test_styles_missing_from_valid_are_ignored():
    labels = np.array([0] * 8 + [2] * 2)
    better, worse = torch.eye(3)[torch.from_numpy(labels)], torch.eye(3)[torch.zeros(10, dtype=torch.int64)]
    assert choose_tau([worse] * 3 + [better] * (len(TAUS) - 3), labels) == TAUS[3]


def test_tta_logits_are_those_of_an_image_and_its_mirror_image(network, packed):
    from wikiart_data.images.batches import DeviceImages

    logits = tta_logits(network, DeviceImages(packed), "test", 32, bf16=False)
    images = torch.cat(list(DeviceImages(packed).in_order(packed.rows("test"), 100, 32)))
    with torch.no_grad():
        torch.testing.assert_close(logits, torch.stack([network(images), network(images.flip(3))]), rtol=0, atol=1e-4)


def retrained(network: StyleNet, packed: PackedImages, seed: int = 0) -> dict[str, torch.Tensor]:
    network = copy.deepcopy(network)
    retrain_head(network, Batches(packed, packed.rows("train"), 16, seed=seed), 32, False, 3e-3)
    return network.state_dict()


def test_classifier_retraining_changes_the_head_only_and_is_reproducible(trained, packed):
    network = Classifier.load(trained, "cpu").network.train()
    new = retrained(network, packed)
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, new[key])}
    assert changed == {"head.weight", "head.bias"}
    assert any("running_mean" in key for key in new)
    torch.randn(7)  # earlier random draws do not matter
    with torch.no_grad():
        network.head.weight.zero_()  # nor does the old head
    again = retrained(network, packed)
    assert all(torch.equal(new[key], again[key]) for key in new)
    assert not torch.equal(retrained(network, packed, seed=1)["head.weight"], new["head.weight"])


def test_a_retrained_head_classifies(trained, packed):
    network = Classifier.load(trained, "cpu").network
    batches = Batches(packed, packed.rows("train"), 16)
    balanced = balance_head(network, "crt", batches, 32, False, lr=0.03)
    assert (balanced.head_epochs, balanced.tau) == (4, None)
    logits = tta_logits(balanced.network, batches.pictures, "test", 32, False).mean(dim=0)
    labels = torch.from_numpy(packed.catalog.labels[packed.rows("test")])
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.6


@pytest.mark.parametrize("method", ["post-hoc", "tau-norm"])
def test_the_given_network_is_not_changed(trained, packed, method):
    network = Classifier.load(trained, "cpu").network
    before = copy.deepcopy(network.state_dict())
    balanced = balance_head(network, method, Batches(packed, packed.rows("train"), 16), 32, False)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert balanced.tau in TAUS
    unchanged = [key for key, value in balanced.network.state_dict().items() if torch.equal(value, before[key])]
    assert {key for key in before if not key.startswith("head.")} <= set(unchanged)


# -- the command ----------------------------------------------------------------------------------------------------


def run_rebalance(run: Path, *more: str) -> int:
    return main(["rebalance", str(run), "--device", "cpu", *more])


def refused(run: Path, **options: object) -> str | None:
    """The field of the error that `rebalance` raises; nothing is written."""
    before = content_of(Path("runs"))
    with pytest.raises(InputError) as error:
        rebalance(RebalanceOptions(run, device="cpu", **options))
    assert content_of(Path("runs")) == before
    return error.value.field


def test_rebalance_writes_a_run_of_its_own(trained, capsys):
    before = content_of(trained)
    assert run_rebalance(trained, "--name", "even") == 0
    assert content_of(trained) == before
    run = Path("runs/classify/even")
    result = json.loads((run / "result.json").read_text())
    assert result["tau"] in TAUS
    assert f"τ = {result['tau']:g}" in capsys.readouterr().out
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["balance"] == "post-hoc"
    assert record["balanced_from"] == str(trained)
    source = json.loads((trained / "result.json").read_text())
    assert result["valid"]["balanced"] >= source["valid"]["balanced"]
    assert result["valid"]["top1"] >= source["valid"]["top1"] - MAX_TOP1_LOSS
    assert result["train_seconds"] >= source["train_seconds"]
    with np.load(run / "predictions.npz") as arrays:
        assert (arrays["probabilities"].argmax(axis=1) == arrays["labels"]).mean() == result["test"]["top1"]
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["confusion"] == result["test"]["confusion"]


def test_a_run_is_not_balanced_twice(trained):
    assert run_rebalance(trained, "--balance", "tau-norm", "--name", "once") == 0
    run = Path("runs/classify/once")
    assert refused(run, name="twice") == str(run)


def with_config(trained: Path, run: Path, **changes: object) -> Path:
    """A copy of a run whose options were others."""
    shutil.copytree(trained, run)
    tensors, metadata = read_model(run / "model.safetensors")
    metadata["config"] = json.dumps({**json.loads(metadata["config"]), **changes})
    write_model(run / "model.safetensors", tensors, metadata)
    return run


def test_a_run_with_a_balanced_sampler_is_not_balanced_again(trained, tmp_path):
    run = with_config(trained, tmp_path / "sampled", power=0.5)
    assert refused(run) == str(run)


def test_a_baseline_is_not_rebalanced(paintings):
    small = ["--size", "32", "--batch-size", "16", "--epochs", "1", "--device", "cpu"]
    assert main(["--model", "inclass", *small, "--data", str(paintings), "--name", "course"]) == 0
    run = Path("runs/classify/course")
    assert refused(run, name="even") == str(run)


def test_a_run_is_not_replaced_by_its_own_balanced_network(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs" / "classify" / "mine")
    assert refused(Path("runs/classify/mine"), name="mine", overwrite=True) == "--name"


def test_an_unfinished_run_is_refused_before_a_folder_is_made(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "early")
    (tmp_path / "early" / "result.json").unlink()
    assert refused(tmp_path / "early", name="even") == str(tmp_path / "early")


def test_a_run_on_data_that_has_changed_is_not_rebalanced(trained, paintings, tmp_path):
    shutil.copytree(paintings, tmp_path / "data")
    for split in ("train", "valid", "test"):
        shutil.rmtree(tmp_path / "data" / split / "Cubism")
    run = with_config(trained, tmp_path / "moved", data=str(tmp_path / "data"))
    assert refused(run, name="even") == "--data"


@pytest.mark.parametrize("balance", ["post-hoc", "crt"])
def test_training_with_a_post_hoc_method_equals_training_and_rebalancing(trained, paintings, balance):
    assert main([*QUICK, "--data", str(paintings), "--balance", balance, "--name", "at-once"]) == 0
    assert run_rebalance(trained, "--balance", balance, "--name", "later") == 0
    at_once, later = (load_file(f"runs/classify/{name}/model.safetensors") for name in ("at-once", "later"))
    assert at_once.keys() == later.keys()
    assert all(torch.equal(at_once[key], later[key]) for key in at_once)
    results = [json.loads(Path(f"runs/classify/{name}/result.json").read_text()) for name in ("at-once", "later")]
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["tau"] == results[1]["tau"]
