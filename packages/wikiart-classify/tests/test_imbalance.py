"""What each method against imbalance changes: sampling, loss, mixing; and that no two are combined."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from wikiart_classify.classifier import create_network
from wikiart_classify.cli import main
from wikiart_classify.config import TrainConfig
from wikiart_classify.imbalance import losses
from wikiart_classify.imbalance.losses import loss_for_epoch
from wikiart_classify.imbalance.methods import DEFERRED_FROM, METHODS, Balance, PostHoc, check_balance, sampler_power
from wikiart_classify.imbalance.mixing import MIXUP_ALPHA, balanced_mixup, cmo, two_views
from wikiart_classify.network import CosineHead
from wikiart_classify.options import TrainOptions
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
    return loss_for_epoch(balance, COUNTS, epoch, EPOCHS, smoothing, tau)(logits, targets).item()


def test_the_command_line_knows_every_method_and_no_other():
    assert list(get_args(Balance)) == list(METHODS)
    assert set(get_args(PostHoc)) == {method.post_hoc for method in METHODS.values()} - {None}


@pytest.mark.parametrize("balance", [name for name in METHODS if name != "none"])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_sampler_cannot_be_combined_with_another_method(balance, power):
    for check in (check_balance, lambda balance, power: TrainOptions(balance=balance, power=power)):
        with pytest.raises(InputError) as error:
            check(balance, power)
        assert error.value.field == "--power"


@pytest.mark.parametrize("balance", METHODS)
def test_every_method_alone_and_a_sampler_alone_are_accepted(balance):
    check_balance(balance, 0.0)
    check_balance("none", 0.5)
    assert TrainOptions(balance=balance).balance == balance


@pytest.mark.parametrize("balance", ["sampler", "post-hoc"])
def test_balancing_twice_is_refused_on_the_command_line(balance, capsys):
    assert main(["--balance", balance, "--power", "0.5"]) == 2
    error = capsys.readouterr().err
    assert f"--balance {balance} with --power 0.5" in error
    assert not Path("runs").exists()


def test_power_of_the_sampler_per_method():
    powers = {name: [sampler_power(name, 0.0, epoch, EPOCHS) for epoch in range(EPOCHS)] for name in METHODS}
    assert powers.pop("sampler-half") == [0.5] * EPOCHS
    assert powers.pop("sampler") == [1.0] * EPOCHS
    assert powers.pop("drs") == [0.0] * 8 + [1.0] * 2
    assert all(power == [0.0] * EPOCHS for power in powers.values())
    assert [sampler_power("none", 0.5, epoch, EPOCHS) for epoch in (0, 9)] == [0.5, 0.5]


@pytest.mark.parametrize("epochs", [1, 4, 5, 12, 15, 30])
def test_deferred_methods_start_at_the_right_epoch(epochs):
    deferred = [epoch / epochs >= DEFERRED_FROM for epoch in range(epochs)]
    assert [sampler_power("drs", 0.0, epoch, epochs) == 1.0 for epoch in range(epochs)] == deferred
    logits, targets = some_batch()
    plain = losses.cross_entropy(logits, targets)
    changed = [
        loss_for_epoch("drw", COUNTS, epoch, epochs, 0.0, 0.5)(logits, targets) != plain for epoch in range(epochs)
    ]
    assert changed == deferred


def test_loss_of_each_method():
    logits, targets = some_batch()
    effective, inverse = losses.effective_weights(COUNTS), losses.inverse_weights(COUNTS)
    expected = {
        "inverse": losses.weighted_cross_entropy(logits, targets, inverse, 0.1),
        "effective": losses.weighted_cross_entropy(logits, targets, effective, 0.1),
        "focal": losses.focal(logits, targets),
        "logit-adjustment": losses.logit_adjusted(logits, targets, COUNTS, 0.5, 0.1),
        "balanced-softmax": losses.balanced_softmax(logits, targets, COUNTS, 0.1),
        "drw": losses.weighted_cross_entropy(logits, targets, effective, 0.1),
        "ldam-drw": losses.ldam(logits, targets, COUNTS, effective),
        "glmc": losses.cumulative_loss(logits, targets, inverse / inverse.mean(), 0.81, 0.1),
    }
    plain = losses.cross_entropy(logits, targets, 0.1).item()
    computed = {name: loss_of(name, epoch=9) for name in METHODS}
    assert computed == {name: expected[name].item() if name in expected else plain for name in METHODS}
    assert len({round(value, 5) for value in computed.values()}) == len(
        expected
    )  # in the last epochs drw equals effective


def test_deferred_losses_are_unweighted_at_first():
    logits, targets = some_batch()
    assert loss_of("drw", epoch=7) == losses.cross_entropy(logits, targets, 0.1).item()
    assert loss_of("ldam-drw", epoch=7) == losses.ldam(logits, targets, COUNTS).item()
    assert loss_of("drw", epoch=7) != loss_of("drw", epoch=8)
    assert loss_of("ldam-drw", epoch=7) != loss_of("ldam-drw", epoch=8)


def test_tau_is_the_strength_of_logit_adjustment():
    assert loss_of("logit-adjustment", 0, tau=1.0) == pytest.approx(loss_of("balanced-softmax", 0), abs=1e-5)
    assert loss_of("logit-adjustment", 0, tau=0.0) == pytest.approx(loss_of("none", 0))


@pytest.mark.parametrize("balance", METHODS)
def test_only_ldam_has_a_cosine_head(balance):
    network = create_network(3, TrainConfig(data="", model="tiny", size=32, balance=balance))
    assert isinstance(network.head, CosineHead) == (balance == "ldam-drw")


def test_cosine_logits_do_not_depend_on_norms():
    head = CosineHead(6, 3)
    features = torch.rand(5, 6)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), 30 * cosines)
    torch.testing.assert_close(head(7 * features), head(features))


def sampled_labels(batches: Batches, **more: float) -> np.ndarray:
    return torch.cat([labels for _, labels in batches.epoch(0, 16, **more)]).numpy()


def test_the_power_of_an_epoch_balances_the_styles(packed):
    rows = packed.rows("train")
    batches = Batches(packed, rows, 12)
    assert np.bincount(sampled_labels(batches)).tolist() == [40, 24, 12, 8]
    assert np.bincount(sampled_labels(batches, power=1.0)).tolist() == [21, 21, 21, 21]
    half = np.sqrt([40, 24, 12, 8])
    assert np.abs(np.bincount(sampled_labels(batches, power=0.5)) - 84 * half / half.sum()).max() < 1
    assert np.bincount(sampled_labels(batches)).tolist() == [40, 24, 12, 8]  # the power applied to one epoch


def test_a_power_given_to_an_epoch_equals_that_of_the_batches(packed):
    rows = packed.rows("train")
    given = Batches(packed, rows, 12, seed=3).epoch(2, 16, power=1.0)
    constructed = Batches(packed, rows, 12, seed=3, power=1.0).epoch(2, 16)
    for (images, labels), (same_images, same_labels) in zip(given, constructed, strict=True):
        assert torch.equal(labels, same_labels)
        assert torch.equal(images, same_images)
    natural = Batches(packed, rows, 12, power=1.0)
    assert np.bincount(sampled_labels(natural, power=0.0)).tolist() == [40, 24, 12, 8]


def test_styles_are_balanced_whatever_the_labels_are(packed):
    number = np.arange(len(packed.catalog))
    batches = Batches(packed, packed.rows("train"), 12, labels=number)
    rows = sampled_labels(batches, power=1.0)
    assert np.bincount(packed.catalog.labels[rows]).tolist() == [21, 21, 21, 21]
    assert (packed.catalog.splits[rows] == "train").all()
    assert sorted(sampled_labels(batches).tolist()) == packed.rows("train").tolist()


def mixed(seed: int) -> tuple[float, torch.Tensor]:
    """The weight of the balanced batch, and the targets."""
    images, targets = balanced_mixup(
        torch.zeros(3, 3, 2, 2), torch.tensor([0, 1, 2]), (torch.ones(3, 3, 2, 2), torch.tensor([2, 2, 2])), 4, seed
    )
    assert (images == images[0, 0, 0, 0]).all()
    return images[0, 0, 0, 0].item(), targets


def test_balanced_mixup_mixes_images_and_targets_alike():
    weight, targets = mixed(1)
    assert 0 < weight < 1
    expected = torch.tensor([[1 - weight, 0, weight, 0], [0, 1 - weight, weight, 0], [0, 0, 1, 0]])
    torch.testing.assert_close(targets, expected)
    assert mixed(1)[0] == weight
    torch.testing.assert_close(mixed(1)[1], targets, rtol=0, atol=0)


def test_the_weight_of_the_balanced_batch_follows_a_beta_distribution():
    weights = np.array([mixed(seed)[0] for seed in range(3000)])
    assert weights.mean() == pytest.approx(MIXUP_ALPHA / (1 + MIXUP_ALPHA), abs=0.015)
    assert kstest(weights, beta(MIXUP_ALPHA, 1).cdf).pvalue > 0.01
    assert all(torch.allclose(mixed(seed)[1].sum(dim=1), torch.ones(3)) for seed in range(50))


def black_and_white() -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Black images of the styles 0 and 1, and white ones of style 2 as the balanced batch."""
    return torch.zeros(2, 3, 20, 20), torch.tensor([0, 1]), (torch.ones(2, 3, 20, 20), torch.tensor([2, 2]))


def test_cmo_pastes_rare_patches_and_weights_targets_by_their_area():
    steps = [cmo(*black_and_white(), classes=3, seed=seed) for seed in range(200)]
    mixed_steps = [step for step in steps if step is not None]
    assert 70 < len(mixed_steps) < 130
    for images, targets in mixed_steps:
        area = images.mean(dim=(1, 2, 3))
        assert set(images.unique().tolist()) <= {0.0, 1.0}
        torch.testing.assert_close(targets[:, 2], area)
        torch.testing.assert_close(torch.stack([targets[0, 0], targets[1, 1]]), 1 - area)


def test_the_two_views_of_glmc_are_a_blend_and_a_patch():
    images, targets = two_views(*black_and_white(), classes=3, seed=1)
    assert (images.shape, targets.shape) == ((4, 3, 20, 20), (4, 3))
    assert len(images[0].unique()) == 1
    assert set(images[2].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(targets[:, 2], images.mean(dim=(1, 2, 3)))


def test_the_consistency_of_two_views_is_highest_where_they_agree():
    first = torch.eye(4)
    agreeing, other = torch.cat([first, first]), torch.cat([first, first.roll(1, 0)])
    assert losses.consistency_loss(agreeing, agreeing).item() == pytest.approx(-1)
    assert losses.consistency_loss(other, other).item() == pytest.approx(0)


def test_the_cosine_loss_ignores_the_length_of_logits():
    logits, targets = some_batch()
    cosine = loss_for_epoch("none", COUNTS, 0, EPOCHS, 0.0, 0.5, cosine=True)
    plain = losses.cross_entropy(logits, targets), losses.cross_entropy(3 * logits, targets)
    without = [(cosine(k * logits, targets) - 0.1 * value).item() for k, value in zip((1, 3), plain, strict=True)]
    assert without[0] == pytest.approx(without[1], abs=1e-5)
    assert cosine(100 * targets, targets) < cosine(-100 * targets, targets)
