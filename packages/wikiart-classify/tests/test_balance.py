"""What each method against imbalance changes: sampling, loss, blending; and that no two are used at once."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from wikiart_classify import losses
from wikiart_classify.balance import BLEND, blend_balanced, loss_in
from wikiart_classify.checkpoint import make_network
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig
from wikiart_classify.methods import LATE, METHODS, Balance, check_balance, power_in
from wikiart_classify.network import CosineHead
from wikiart_data.errors import InputError
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack

COUNTS = torch.tensor([500.0, 40.0, 3.0])
EPOCHS = 10


@pytest.fixture
def packed(paintings: Path) -> PackedImages:
    return pack(scan(paintings), 16)


def some_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(8, 3, generator=generator)
    return logits, torch.rand(8, 3, generator=generator).softmax(dim=1)


def loss_of(balance: str, epoch: int, smoothing: float = 0.1, tau: float = 0.5) -> float:
    logits, targets = some_batch()
    return loss_in(balance, COUNTS, epoch, EPOCHS, smoothing, tau)(logits, targets).item()


def test_the_command_line_knows_every_method_and_no_other():
    assert list(get_args(Balance)) == list(METHODS)


@pytest.mark.parametrize("balance", [name for name in METHODS if name != "none"])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_sampler_beside_another_method_balances_twice(balance, power):
    with pytest.raises(InputError, match="balance twice"):
        check_balance(balance, power)
    with pytest.raises(InputError, match="balance twice"):
        TrainConfig(balance=balance, power=power)


@pytest.mark.parametrize("balance", METHODS)
def test_every_method_alone_and_a_sampler_alone_are_fine(balance):
    check_balance(balance, 0.0)
    check_balance("none", 0.5)
    assert TrainConfig(balance=balance).balance == balance


@pytest.mark.parametrize("balance", ["sampler", "post-hoc"])
def test_balancing_twice_on_the_command_line_is_a_sentence(balance, capsys):
    assert main(["--balance", balance, "--power", "0.5"]) == 2
    error = capsys.readouterr().err
    assert "balance twice" in error
    assert f"--balance {balance} with --power 0.5" in error
    assert not Path("runs").exists()


def test_powers_of_the_sampler():
    powers = {name: [power_in(name, 0.0, epoch, EPOCHS) for epoch in range(EPOCHS)] for name in METHODS}
    assert powers.pop("sampler-half") == [0.5] * EPOCHS
    assert powers.pop("sampler") == [1.0] * EPOCHS
    assert powers.pop("drs") == [0.0] * 8 + [1.0] * 2
    assert all(found == [0.0] * EPOCHS for found in powers.values())
    assert [power_in("none", 0.5, epoch, EPOCHS) for epoch in (0, 9)] == [0.5, 0.5]


@pytest.mark.parametrize("epochs", [1, 4, 5, 12, 15, 30])
def test_deferred_methods_begin_in_the_first_epoch_past_the_share(epochs):
    late = [epoch / epochs >= LATE for epoch in range(epochs)]
    assert [power_in("drs", 0.0, epoch, epochs) == 1.0 for epoch in range(epochs)] == late
    logits, targets = some_batch()
    plain = losses.cross_entropy(logits, targets)
    found = [loss_in("drw", COUNTS, epoch, epochs, 0.0, 0.5)(logits, targets) != plain for epoch in range(epochs)]
    assert found == late


def test_losses_of_the_methods():
    logits, targets = some_batch()
    effective, inverse = losses.effective_weights(COUNTS), losses.inverse_weights(COUNTS)
    expected = {
        "inverse": losses.weighted(logits, targets, inverse, 0.1),
        "effective": losses.weighted(logits, targets, effective, 0.1),
        "focal": losses.focal(logits, targets),
        "logit-adjustment": losses.logit_adjusted(logits, targets, COUNTS, 0.5, 0.1),
        "balanced-softmax": losses.balanced_softmax(logits, targets, COUNTS, 0.1),
        "drw": losses.weighted(logits, targets, effective, 0.1),
        "ldam-drw": losses.ldam(logits, targets, COUNTS, effective),
    }
    plain = losses.cross_entropy(logits, targets, 0.1).item()
    found = {name: loss_of(name, epoch=9) for name in METHODS}
    assert found == {name: expected[name].item() if name in expected else plain for name in METHODS}
    assert len({round(value, 5) for value in found.values()}) == len(expected)  # drw ends as effective is all along


def test_deferred_losses_are_plain_at_first():
    logits, targets = some_batch()
    assert loss_of("drw", epoch=7) == losses.cross_entropy(logits, targets, 0.1).item()
    assert loss_of("ldam-drw", epoch=7) == losses.ldam(logits, targets, COUNTS).item()
    assert loss_of("drw", epoch=7) != loss_of("drw", epoch=8)
    assert loss_of("ldam-drw", epoch=7) != loss_of("ldam-drw", epoch=8)


def test_tau_is_the_strength_of_logit_adjustment():
    assert loss_of("logit-adjustment", 0, tau=1.0) == pytest.approx(loss_of("balanced-softmax", 0), abs=1e-5)
    assert loss_of("logit-adjustment", 0, tau=0.0) == pytest.approx(loss_of("none", 0))


@pytest.mark.parametrize("balance", METHODS)
def test_only_ldam_compares_directions(balance):
    network = make_network(3, {"model": "tiny", "size": 32, "width": 1.0, "balance": balance})
    assert isinstance(network.head, CosineHead) == (balance == "ldam-drw")


def test_cosine_logits_do_not_know_lengths():
    head = CosineHead(6, 3)
    features = torch.rand(5, 6)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), 30 * cosines)
    torch.testing.assert_close(head(7 * features), head(features))


def drawn(batches: Batches, **more: float) -> np.ndarray:
    return torch.cat([labels for _, labels in batches.epoch(0, 16, **more)]).numpy()


def test_styles_come_as_they_are_or_equally_often(packed):
    rows = packed.rows("train")
    batches = Batches(packed, rows, 12)
    assert np.bincount(drawn(batches)).tolist() == [40, 24, 12, 8]
    assert np.bincount(drawn(batches, power=1.0)).tolist() == [21, 21, 21, 21]
    half = np.sqrt([40, 24, 12, 8])
    assert np.abs(np.bincount(drawn(batches, power=0.5)) - 84 * half / half.sum()).max() < 1
    assert np.bincount(drawn(batches)).tolist() == [40, 24, 12, 8]  # the power was of one epoch


def test_a_power_for_one_epoch_is_that_of_batches_made_with_it(packed):
    rows = packed.rows("train")
    asked = Batches(packed, rows, 12, seed=3).epoch(2, 16, power=1.0)
    made = Batches(packed, rows, 12, seed=3, power=1.0).epoch(2, 16)
    for (images, labels), (same_images, same_labels) in zip(asked, made, strict=True):
        assert torch.equal(labels, same_labels)
        assert torch.equal(images, same_images)
    natural = Batches(packed, rows, 12, power=1.0)
    assert np.bincount(drawn(natural, power=0.0)).tolist() == [40, 24, 12, 8]


def test_other_labels_are_told_and_styles_are_balanced_all_the_same(packed):
    number = np.arange(len(packed.catalog))
    batches = Batches(packed, packed.rows("train"), 12, labels=number)
    rows = drawn(batches, power=1.0)
    assert np.bincount(packed.catalog.labels[rows]).tolist() == [21, 21, 21, 21]
    assert (packed.catalog.splits[rows] == "train").all()
    assert sorted(drawn(batches).tolist()) == packed.rows("train").tolist()


def blended(seed: int) -> tuple[float, torch.Tensor]:
    """The share of the balanced pictures, and the targets."""
    images, targets = blend_balanced(
        torch.zeros(3, 3, 2, 2), torch.tensor([0, 1, 2]), (torch.ones(3, 3, 2, 2), torch.tensor([2, 2, 2])), 4, seed
    )
    assert (images == images[0, 0, 0, 0]).all()
    return images[0, 0, 0, 0].item(), targets


def test_balanced_mixup_blends_pictures_and_targets_alike():
    share, targets = blended(1)
    assert 0 < share < 1
    expected = torch.tensor([[1 - share, 0, share, 0], [0, 1 - share, share, 0], [0, 0, 1, 0]])
    torch.testing.assert_close(targets, expected)
    assert blended(1)[0] == share
    torch.testing.assert_close(blended(1)[1], targets, rtol=0, atol=0)


def test_shares_of_balanced_pictures_are_beta_distributed():
    shares = np.array([blended(seed)[0] for seed in range(3000)])
    assert shares.mean() == pytest.approx(BLEND / (1 + BLEND), abs=0.015)
    assert kstest(shares, beta(BLEND, 1).cdf).pvalue > 0.01
    assert all(torch.allclose(blended(seed)[1].sum(dim=1), torch.ones(3)) for seed in range(50))
