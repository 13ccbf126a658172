"""Balancing a finished network by its last layer: what is written is what was chosen, and nothing else changes."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify.after import PRICE, TAUS, adjusted, apply, balanced_after, chosen_tau, retrain_head, views
from wikiart_classify.answers import probabilities
from wikiart_classify.checkpoint import load_network
from wikiart_classify.cli import main
from wikiart_classify.network import StyleNet
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack

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
@pytest.mark.parametrize("after", ["tau-norm", "post-hoc"])
@pytest.mark.parametrize("tau", [0.0, 0.35, 1.0, 2.0])
def test_what_was_chosen_is_what_the_network_answers(network, after, tau):
    images = torch.rand(6, 3, 32, 32)
    logits = torch.stack([network(images), network(images.flip(3))])
    chosen = adjusted(logits, after, tau, COUNTS, network.head.weight.norm(dim=1))
    untouched = probabilities(network, images, bf16=False)
    apply(network.head, after, tau, COUNTS)
    torch.testing.assert_close(probabilities(network, images, bf16=False), chosen)
    assert torch.allclose(chosen, untouched) == (tau == 0.0)


@pytest.mark.parametrize("after", ["tau-norm", "post-hoc"])
def test_strength_0_changes_no_bit(network, after):
    before = copy.deepcopy(network.state_dict())
    apply(network.head, after, 0.0, COUNTS)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_normalised_weights_have_length_1_and_keep_their_direction(network):
    before = network.head.weight.detach().clone()
    apply(network.head, "tau-norm", 1.0, COUNTS)
    torch.testing.assert_close(network.head.weight.norm(dim=1), torch.ones(3))
    turned = torch.nn.functional.cosine_similarity(network.head.weight, before, dim=1)
    torch.testing.assert_close(turned, torch.ones(3))


def test_logit_adjustment_by_1_is_the_balanced_bayes_rule():
    # Three normal distributions on a line, the last one rare: the posterior is known.
    random = np.random.default_rng(0)
    prior = COUNTS.double().numpy() / COUNTS.sum().item()
    labels = random.choice(3, size=20_000, p=prior)
    x = random.normal(1.5 * labels)
    likelihood = np.exp(-((x[:, None] - 1.5 * np.arange(3)) ** 2) / 2)
    logits = torch.from_numpy(np.log(prior * likelihood) + 5.0)[None]  # logits are known up to a constant
    answers = adjusted(logits, "post-hoc", 1.0, COUNTS, torch.ones(3)).numpy()
    np.testing.assert_allclose(answers, likelihood / likelihood.sum(axis=1, keepdims=True), atol=1e-6)

    def balanced(tau: float) -> float:
        hits = adjusted(logits, "post-hoc", tau, COUNTS, torch.ones(3)).argmax(dim=2 - 1).numpy() == labels
        return float(np.mean([hits[labels == style].mean() for style in range(3)]))

    # Borders at 0.75 and 2.25: recalls of 0.773, 0.547 and 0.773 on paper.
    assert balanced(1.0) == pytest.approx(0.698, abs=0.03)
    assert balanced(1.0) > balanced(0.5) > balanced(0.0)
    assert balanced(1.0) > balanced(2.0)


def answers_with(hits_of: list[np.ndarray], labels: np.ndarray) -> list[torch.Tensor]:
    """Answers of two styles that hit where they are told to."""
    return [torch.eye(2)[torch.from_numpy(np.where(hits, labels, 1 - labels))] for hits in hits_of]


def first(number: int, hits: int) -> np.ndarray:
    return np.arange(number) < hits


LABELS = np.array([0] * 900 + [1] * 100)


def at_each_tau(points: dict[int, tuple[int, int]], otherwise: tuple[int, int]) -> list[torch.Tensor]:
    """Answers at each of TAUS that hit so many of the 900 frequent and of the 100 rare pictures."""
    hits = [points.get(place, otherwise) for place in range(len(TAUS))]
    return answers_with([np.concatenate([first(900, a), first(100, b)]) for a, b in hits], LABELS)


def test_the_best_balance_within_the_price_is_chosen():
    # At place 0 top-1 is 0.86. A gain of balance at a price of 3 points is not bought, one at 2 points is.
    points = {0: (850, 10), 4: (850, 30), 7: (800, 40), 9: (730, 100)}
    assert chosen_tau(at_each_tau(points, (0, 0)), LABELS) == TAUS[7]


def test_a_price_of_a_picture_more_is_not_paid():
    assert PRICE == 0.02
    assert chosen_tau(at_each_tau({0: (850, 10), 6: (790, 50)}, (0, 0)), LABELS) == TAUS[6]  # 20 pictures of 1000
    assert chosen_tau(at_each_tau({0: (850, 10), 6: (789, 50)}, (0, 0)), LABELS) == 0.0  # 21


def test_of_equals_the_weakest_is_chosen():
    assert chosen_tau(at_each_tau({0: (850, 10), 3: (840, 30), 4: (840, 30)}, (840, 30)), LABELS) == TAUS[1]
    assert chosen_tau(at_each_tau({}, (850, 10)), LABELS) == 0.0


def test_styles_missing_from_valid_are_left_out_of_the_balance():
    labels = np.array([0] * 8 + [2] * 2)
    better, worse = torch.eye(3)[torch.from_numpy(labels)], torch.eye(3)[torch.zeros(10, dtype=torch.int64)]
    assert chosen_tau([worse] * 3 + [better] * (len(TAUS) - 3), labels) == TAUS[3]


def test_views_are_a_picture_and_its_mirror_image(network, packed):
    from wikiart_data.images.batches import DeviceImages

    found = views(network, DeviceImages(packed), "test", 32, bf16=False)
    images = torch.cat(list(DeviceImages(packed).in_order(packed.rows("test"), 100, 32)))
    with torch.no_grad():
        torch.testing.assert_close(found, torch.stack([network(images), network(images.flip(3))]), rtol=0, atol=1e-4)


def retrained(network: StyleNet, packed: PackedImages, seed: int = 0) -> dict[str, torch.Tensor]:
    network = copy.deepcopy(network)
    retrain_head(network, Batches(packed, packed.rows("train"), 16, seed=seed), 32, False, 3e-3)
    return network.state_dict()


def test_classifier_retraining_changes_the_head_alone_and_the_same_way_every_time(trained, packed):
    network = load_network(trained / "model.safetensors").network.train()
    after = retrained(network, packed)
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, after[key])}
    assert changed == {"head.weight", "head.bias"}
    assert any("running_mean" in key for key in after)
    torch.randn(7)  # what was drawn before does not matter
    with torch.no_grad():
        network.head.weight.zero_()  # nor does the old head
    again = retrained(network, packed)
    assert all(torch.equal(after[key], again[key]) for key in after)
    assert not torch.equal(retrained(network, packed, seed=1)["head.weight"], after["head.weight"])


def test_a_retrained_head_tells_styles_apart(trained, packed):
    network = load_network(trained / "model.safetensors").network
    batches = Batches(packed, packed.rows("train"), 16)
    balanced, chosen = balanced_after(network, "crt", batches, 32, False, lr=0.03)
    assert chosen == {"head_epochs": 4}
    logits = views(balanced, batches.pictures, "test", 32, False).mean(dim=0)
    labels = torch.from_numpy(packed.catalog.labels[packed.rows("test")])
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.6


@pytest.mark.parametrize("after", ["post-hoc", "tau-norm"])
def test_the_network_given_is_left_alone(trained, packed, after):
    network = load_network(trained / "model.safetensors").network
    before = copy.deepcopy(network.state_dict())
    balanced, chosen = balanced_after(network, after, Batches(packed, packed.rows("train"), 16), 32, False)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert chosen["tau"] in TAUS
    kept = [key for key, value in balanced.state_dict().items() if torch.equal(value, before[key])]
    assert {key for key in before if not key.startswith("head.")} <= set(kept)


# -- the commands ---------------------------------------------------------------------------------------------------


def rebalance(run: Path, *more: str) -> int:
    return main(["rebalance", str(run), "--device", "cpu", *more])


def test_rebalance_makes_a_run_of_its_own(trained, capsys):
    before = content_of(trained)
    assert rebalance(trained, "--name", "even") == 0
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
    assert result["valid"]["top1"] >= source["valid"]["top1"] - PRICE
    assert result["train_seconds"] >= source["train_seconds"]
    with np.load(run / "predictions.npz") as kept:
        assert (kept["probabilities"].argmax(axis=1) == kept["labels"]).mean() == result["test"]["top1"]
    capsys.readouterr()
    assert main(["test", str(run), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["confusion"] == result["test"]["confusion"]


def test_a_run_is_not_balanced_twice(trained, capsys):
    assert rebalance(trained, "--balance", "tau-norm", "--name", "once") == 0
    assert rebalance(Path("runs/classify/once"), "--name", "twice") == 2
    assert "τ-normalisation: balancing it again would balance twice" in capsys.readouterr().err
    assert not Path("runs/classify/twice").exists()


def test_a_run_with_a_balanced_sampler_is_not_balanced_again(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "sampled")
    record = json.loads((trained / "run.json").read_text())
    record["config"]["power"] = 0.5
    (tmp_path / "sampled" / "run.json").write_text(json.dumps(record))
    assert rebalance(tmp_path / "sampled") == 2
    assert "--power 0.5: balancing it again would balance twice" in capsys.readouterr().err


def test_a_baseline_is_not_balanced_afterwards(paintings, capsys):
    small = ["--size", "32", "--batch-size", "16", "--epochs", "1", "--device", "cpu"]
    assert main(["--model", "inclass", *small, "--data", str(paintings), "--name", "course"]) == 0
    assert rebalance(Path("runs/classify/course"), "--name", "even") == 2
    assert "is a baseline (inclass)" in capsys.readouterr().err
    assert not Path("runs/classify/even").exists()


def test_a_run_is_not_replaced_by_its_own_balanced_network(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs" / "classify" / "mine")
    run = Path("runs/classify/mine")
    before = content_of(run)
    assert rebalance(run, "--name", "mine", "--overwrite") == 2
    assert content_of(run) == before


def test_an_unfinished_run_is_refused_before_a_folder_is_made(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "early")
    (tmp_path / "early" / "result.json").unlink()
    assert rebalance(tmp_path / "early", "--name", "even") == 2
    assert "finish the run first" in capsys.readouterr().err
    assert not Path("runs/classify/even").exists()


def test_a_run_on_data_that_has_changed_is_not_balanced(trained, paintings, tmp_path, capsys):
    shutil.copytree(paintings, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "train" / "Cubism")
    for split in ("valid", "test"):
        shutil.rmtree(tmp_path / "data" / split / "Cubism")
    shutil.copytree(trained, tmp_path / "moved")
    record = json.loads((trained / "run.json").read_text())
    record["config"]["data"] = str(tmp_path / "data")
    (tmp_path / "moved" / "run.json").write_text(json.dumps(record))
    assert rebalance(tmp_path / "moved", "--name", "even") == 2
    assert "has changed" in capsys.readouterr().err


@pytest.mark.parametrize("balance", ["post-hoc", "crt"])
def test_training_with_a_method_for_afterwards_is_training_then_rebalancing(trained, paintings, balance):
    assert main([*QUICK, "--data", str(paintings), "--balance", balance, "--name", "at-once"]) == 0
    assert rebalance(trained, "--balance", balance, "--name", "later") == 0
    once, later = (load_file(f"runs/classify/{name}/model.safetensors") for name in ("at-once", "later"))
    assert once.keys() == later.keys()
    assert all(torch.equal(once[key], later[key]) for key in once)
    results = [json.loads(Path(f"runs/classify/{name}/result.json").read_text()) for name in ("at-once", "later")]
    assert results[0]["test"] == results[1]["test"]
    assert results[0].get("tau") == results[1].get("tau")
