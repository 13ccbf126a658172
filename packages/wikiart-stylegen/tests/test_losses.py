"""The losses and the critic, against values worked out by hand."""

import math

import pytest
import torch

from wikiart_stylegen.critic import Critic, StyleNet, StyleStatistics, moments
from wikiart_stylegen.losses import (
    content_cycle,
    edge_distance,
    edges,
    hidden,
    hinge_critic,
    hinge_painter,
    other_styles,
    statistics_distance,
)


def test_hinge_losses_by_hand():
    real, fake = torch.tensor([[[2.0, 0.5]]]), torch.tensor([[[-3.0, 0.0]]])
    assert hinge_critic(real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1) / 2)
    assert hinge_painter(fake).item() == pytest.approx(1.5)


def test_statistics_are_counted_in_their_spread_and_outliers_are_bounded():
    ours, wanted = torch.tensor([[1.0, 0.0], [0.0, 1000.0]]), torch.zeros(2, 2)
    spread = torch.tensor([0.499, 0.999])
    assert statistics_distance(ours, wanted, spread).item() == pytest.approx((4 + 0 + 0 + 25) / 4, rel=1e-4)


def test_the_content_cycle_moves_the_painting_and_not_the_input_code():
    code, again = torch.zeros(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = content_cycle(code, again)
    loss.backward()
    assert loss.item() == 1
    assert code.grad is None
    assert again.grad.abs().sum() > 0


def test_edges_know_places_and_no_contrast():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 32)
    assert edges(images).shape == (1, 2, 14, 14)
    assert edge_distance(0.3 * images + 0.4, images) < 0.02
    assert edge_distance(1 - images, images) < 1e-5
    assert edge_distance(images.flip(3), images) > 0.3


def test_another_style_is_never_the_own_one_and_all_others_are_alike_likely():
    styles = torch.arange(4).repeat(3000)
    wanted = other_styles(styles, 4, torch.Generator().manual_seed(0))
    table = torch.zeros(4, 4).index_put_((styles, wanted), torch.tensor(1.0), accumulate=True) / 3000
    assert table.diagonal().sum() == 0
    off = table[~torch.eye(4, dtype=torch.bool)]
    assert (off - 1 / 3).abs().max() < 0.04


def test_processes_want_the_styles_that_one_would_want():
    styles = torch.arange(4).repeat(3)
    whole = other_styles(styles, 4, torch.Generator().manual_seed(5))
    for rank in range(3):
        share = slice(rank, None, 3)
        assert other_styles(styles[share], 4, torch.Generator().manual_seed(5), share).equal(whole[share])


def test_hiding_is_perfect_when_nothing_is_known_and_costs_what_is():
    assert hidden(torch.zeros(3, 27)).item() == pytest.approx(0, abs=1e-6)
    shares = torch.tensor([[0.7, 0.2, 0.1]])
    by_hand = sum(math.log((1 / 3) / share) for share in (0.7, 0.2, 0.1)) / 3
    assert hidden(shares.log()).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_critic_answers_for_the_style_that_is_asked():
    torch.manual_seed(0)
    critic = Critic(5, width=8).eval()
    images = torch.rand(2, 3, 32, 32)
    asked = critic(images, torch.tensor([4, 1]))
    assert asked.shape == (2, 4, 4)
    assert torch.equal(asked[0], critic(images, torch.tensor([4, 4]))[0])
    assert not torch.allclose(asked[0], critic(images, torch.tensor([1, 1]))[0])


def test_moments_by_hand():
    maps = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    assert moments(maps)[0].tolist() == pytest.approx([2.0, 5.0, 1.0, 0.0], abs=4e-3)


def test_the_style_network_names_one_style_more_the_painted_one():
    namer = StyleNet(5, widths=(8, 16), blocks=(1, 1))
    statistics = namer.statistics(torch.rand(3, 3, 32, 32))
    assert statistics.shape == (3, namer.length)
    assert namer.named(statistics).shape == (3, 6)


def test_the_style_is_named_by_statistics_alone():
    """Halves of the picture changed places: statistics of a layer hardly change, so neither does what is named."""
    torch.manual_seed(0)
    namer = StyleNet(5, widths=(8, 16), blocks=(1, 1)).eval()
    images = torch.rand(4, 3, 64, 64)
    moved = torch.cat([images[..., 32:], images[..., :32]], dim=3)
    ours, theirs = (namer.statistics(some) for some in (images, moved))
    assert (ours - theirs).abs().mean() < 0.05 * (ours - namer.statistics(0.3 * images)).abs().mean()


def test_first_means_are_plain_and_later_ones_follow():
    known = StyleStatistics(3, 2, decay=0.9)
    known.update(torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), torch.tensor([0, 0, 2]))
    assert known.means.tolist() == [[2.0, 3.0], [0.0, 0.0], [9.0, 9.0]]
    for _ in range(200):
        known.update(torch.tensor([[5.0, 5.0]]).repeat(2, 1), torch.tensor([0, 0]))
    assert known.means[0].tolist() == pytest.approx([5.0, 5.0], abs=1e-3)
    assert known.means[2].tolist() == [9.0, 9.0]


def test_one_picture_alone_says_nothing_of_the_spread():
    known = StyleStatistics(3, 2)
    known.update(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    assert known.spread.tolist() == [1.0, 1.0]
    assert known.means[1].tolist() == [1.0, 2.0]
