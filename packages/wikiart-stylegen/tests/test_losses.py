"""Losses against values computed by hand."""

import math

import pytest
import torch

from wikiart_stylegen.losses import (
    content_cycle_loss,
    domain_confusion_loss,
    edge_loss,
    edge_maps,
    hinge_discriminator_loss,
    hinge_generator_loss,
    style_statistics_loss,
)


def test_hinge_losses_by_hand():
    real, fake = torch.tensor([[[2.0, 0.5]]]), torch.tensor([[[-3.0, 0.0]]])
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1) / 2)
    assert hinge_generator_loss(fake).item() == pytest.approx(1.5)


def test_statistics_loss_is_in_units_of_the_spread_and_bounds_outliers():
    statistics, target = torch.tensor([[1.0, 0.0], [0.0, 1000.0]]), torch.zeros(2, 2)
    spread = torch.tensor([0.499, 0.999])
    assert style_statistics_loss(statistics, target, spread).item() == pytest.approx((4 + 0 + 0 + 25) / 4, rel=1e-4)


def test_content_cycle_loss_has_gradients_for_the_repaint_only():
    code, code_of_repaint = torch.zeros(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = content_cycle_loss(code, code_of_repaint)
    loss.backward()
    assert loss.item() == 1
    assert code.grad is None
    assert code_of_repaint.grad.abs().sum() > 0


def test_edge_loss_depends_on_positions_and_not_on_contrast():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 32)
    assert edge_maps(images).shape == (1, 2, 14, 14)
    assert edge_loss(0.3 * images + 0.4, images) < 0.02
    assert edge_loss(1 - images, images) < 1e-5
    assert edge_loss(images.flip(3), images) > 0.3


def test_domain_confusion_loss_by_hand():
    assert domain_confusion_loss(torch.zeros(3, 27)).item() == pytest.approx(0, abs=1e-6)
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    by_hand = sum(math.log((1 / 3) / p) for p in (0.7, 0.2, 0.1)) / 3
    assert domain_confusion_loss(probabilities.log()).item() == pytest.approx(by_hand, rel=1e-5)
