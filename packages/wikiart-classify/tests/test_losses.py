"""Each loss against its paper's formula, for one-hot and for blended targets."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from torch import Tensor

from wikiart_classify import losses

COUNTS = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0], dtype=torch.float64)
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 7.0, 40.0], dtype=torch.float64)
PICTURES, STYLES = 6, len(COUNTS)
quick = settings(max_examples=30, deadline=None)

rows = some.lists(some.integers(0, STYLES - 1), min_size=PICTURES, max_size=PICTURES).map(np.array)
shares = some.just(np.ones(PICTURES)) | arrays(np.float64, PICTURES, elements=some.floats(0, 1, width=16))
"""Of each picture's first style; 1 is a one-hot target."""
logits = arrays(np.float64, (PICTURES, STYLES), elements=some.floats(-60, 60, width=32))


def blended(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> Tensor:
    eye = np.eye(STYLES)
    return torch.from_numpy(share[:, None] * eye[one] + (1 - share)[:, None] * eye[other])


def blend_of(loss_of: Callable[[np.ndarray], np.ndarray], one: np.ndarray, other: np.ndarray, share: np.ndarray):
    """The mean over pictures of the blend of two losses; `loss_of` knows each picture's loss for one-hot labels."""
    return float((share * loss_of(one) + (1 - share) * loss_of(other)).mean())


def log_p_of(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (z - logsumexp(z, axis=1, keepdims=True))[np.arange(len(labels)), labels]


def close(expected: float):
    return pytest.approx(expected, rel=1e-6, abs=1e-6)


@quick
@given(logits, rows, rows, shares, some.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy_is_torchs_for_labels(z, one, other, share, smoothing):
    torchs = torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    expected = blend_of(lambda y: torchs(torch.from_numpy(z), torch.from_numpy(y)).numpy(), one, other, share)
    found = losses.cross_entropy(torch.from_numpy(z), blended(one, other, share), smoothing)
    assert found.item() == close(expected)


@quick
@given(logits, rows, rows, shares)
def test_weighted_is_torchs_weighted_sum_over_the_number_of_pictures(z, one, other, share):
    torchs = torch.nn.CrossEntropyLoss(WEIGHTS, reduction="none")
    expected = blend_of(lambda y: torchs(torch.from_numpy(z), torch.from_numpy(y)).numpy(), one, other, share)
    assert losses.weighted(torch.from_numpy(z), blended(one, other, share), WEIGHTS).item() == close(expected)


@quick
@given(logits, rows, rows, shares)
def test_weighted_weighs_first_and_smooths_then(z, one, other, share):
    targets = blended(one, other, share)
    counts = WEIGHTS.numpy() * targets.numpy()
    smooth = 0.9 * counts + 0.1 * counts.sum(axis=1, keepdims=True) / STYLES
    log_p = z - logsumexp(z, axis=1, keepdims=True)
    expected = -(smooth * log_p).sum() / PICTURES
    assert losses.weighted(torch.from_numpy(z), targets, WEIGHTS, 0.1).item() == close(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("balanced", ["inverse", "logit_adjusted", "balanced_softmax"])
def test_where_pictures_say_nothing_a_balanced_loss_prefers_no_style(balanced, smoothing):
    """Flat logits are its optimum over pictures with the styles' own shares, however labels are smoothed."""
    flat = torch.zeros(1, STYLES, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(STYLES).repeat_interleave(COUNTS.long())
    counts, targets = COUNTS.double(), torch.eye(STYLES, dtype=torch.float64)[labels]
    many = flat.expand(len(labels), -1)
    if balanced == "inverse":
        loss = losses.weighted(many, targets, losses.inverse_weights(counts), smoothing)
    else:
        loss = getattr(losses, balanced)(many, targets, counts, smoothing=smoothing)
    loss.backward()
    assert flat.grad.abs().max() < 1e-9


@quick
@given(logits, rows, rows, shares, some.sampled_from([0.5, 2.0, 5.0]))
def test_focal_is_the_papers(z, one, other, share, gamma):
    def paper(labels: np.ndarray) -> np.ndarray:
        p = np.exp(log_p_of(z, labels))
        return -((1 - p) ** gamma) * log_p_of(z, labels)

    found = losses.focal(torch.from_numpy(z), blended(one, other, share), gamma)
    assert found.item() == close(blend_of(paper, one, other, share))


@quick
@given(logits, rows, rows, shares)
def test_focal_with_gamma_0_is_cross_entropy(z, one, other, share):
    z, targets = torch.from_numpy(z), blended(one, other, share)
    assert losses.focal(z, targets, gamma=0.0).item() == close(losses.cross_entropy(z, targets).item())


def test_focal_hardly_counts_what_is_already_known():
    z = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    p = 1 / (1 + np.exp(-3.0))
    assert losses.focal(z[:1], torch.eye(2)[:1]).item() == pytest.approx(-((1 - p) ** 2) * np.log(p), rel=1e-5)
    assert losses.focal(z[1:], torch.eye(2)[:1]).item() == pytest.approx(0.25 * np.log(2), rel=1e-5)


@quick
@given(logits, rows, rows, shares)
def test_balanced_softmax_weighs_the_exponentials_by_the_counts(z, one, other, share):
    def paper(labels: np.ndarray) -> np.ndarray:
        weighed = COUNTS.numpy() * np.exp(z - z.max(axis=1, keepdims=True))
        return -np.log(weighed[np.arange(PICTURES), labels] / weighed.sum(axis=1))

    found = losses.balanced_softmax(torch.from_numpy(z), blended(one, other, share), COUNTS)
    assert found.item() == close(blend_of(paper, one, other, share))


@quick
@given(logits, rows, rows, shares, some.floats(0, 2), some.sampled_from([0.0, 0.1]))
def test_logit_adjustment_is_the_papers(z, one, other, share, tau, smoothing):
    prior = COUNTS.numpy() / COUNTS.numpy().sum()
    shifted = z + np.log(prior**tau)
    targets = blended(one, other, share)
    smooth = (1 - smoothing) * targets.numpy() + smoothing * prior**tau / (prior**tau).sum()
    expected = -(smooth * (shifted - logsumexp(shifted, axis=1, keepdims=True))).sum() / PICTURES
    found = losses.logit_adjusted(torch.from_numpy(z), targets, COUNTS, tau, smoothing)
    assert found.item() == close(expected)


@quick
@given(logits, rows, rows, shares, some.sampled_from([0.0, 0.1]))
def test_logit_adjustment_by_1_is_balanced_softmax_in_value_and_gradient(z, one, other, share, smoothing):
    targets, gradients, values = blended(one, other, share), [], []
    for loss in (
        lambda x: losses.logit_adjusted(x, targets, COUNTS, 1.0, smoothing),
        lambda x: losses.balanced_softmax(x, targets, COUNTS, smoothing),
    ):
        x = torch.from_numpy(z).requires_grad_()
        values.append(loss(x))
        gradients.append(torch.autograd.grad(values[-1], x)[0])
    assert values[0].item() == close(values[1].item())
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_logit_adjustment_by_0_is_cross_entropy():
    torch.manual_seed(0)
    z, targets = torch.randn(PICTURES, STYLES), torch.eye(STYLES)[[0, 1, 2, 3, 4, 0]]
    assert losses.logit_adjusted(z, targets, COUNTS.float(), 0.0) == losses.cross_entropy(z, targets)


def ldam_by_the_paper(z: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Equation 13 as their code has it: lower the true cosine by the margin, scale by 30, cross-entropy."""
    margins = 1 / np.sqrt(np.sqrt(COUNTS.numpy()))
    margins *= 0.5 / margins.max()
    lowered = z / 30
    lowered[np.arange(len(labels)), labels] -= margins[labels]
    return -weights[labels] * log_p_of(30 * lowered, labels)


@quick
@given(logits, rows, rows, shares, some.booleans())
def test_ldam_is_the_papers(z, one, other, share, deferred):
    weights = WEIGHTS if deferred else None
    plain = WEIGHTS.numpy() if deferred else np.ones(STYLES)
    expected = blend_of(lambda y: ldam_by_the_paper(z.copy(), y, plain), one, other, share)
    found = losses.ldam(torch.from_numpy(z), blended(one, other, share), COUNTS, weights)
    assert found.item() == close(expected)


def test_ldam_in_float32_is_the_papers_where_the_rarest_style_is_all_but_certain():
    """A margin of 15 undoes a probability of nearly 1: what is lost between it and 1 comes back 3 million times."""
    gaps = np.arange(8.0, 26.0)
    z = np.zeros((len(gaps), STYLES))
    z[:, -1] = gaps
    z[:, :-1] = -30.0
    z[:, 0] = 0.0
    rarest = np.full(len(gaps), STYLES - 1)
    expected = ldam_by_the_paper(z.copy(), rarest, np.ones(STYLES))
    x = torch.from_numpy(z).float().requires_grad_()
    found = [losses.ldam(x[i : i + 1], torch.eye(STYLES)[-1:], COUNTS.float()) for i in range(len(gaps))]
    assert [loss.item() for loss in found] == pytest.approx(expected.tolist(), abs=1e-3)
    (gradient,) = torch.autograd.grad(torch.stack(found).sum(), x)
    assert (-gradient[:, -1]).tolist() == pytest.approx((1 - np.exp(-expected)).tolist(), abs=1e-3)


@quick
@given(logits, rows, rows, shares, some.sampled_from([0.0, 0.1]))
def test_partial_cross_entropy_of_whole_rows_is_cross_entropy(z, one, other, share, smoothing):
    z, targets = torch.from_numpy(z), blended(one, other, share)
    whole = losses.cross_entropy(z, targets, smoothing)
    assert losses.partial_cross_entropy(z, targets, smoothing).item() == close(whole.item())


def test_partial_cross_entropy_learns_nothing_from_what_is_unknown():
    torch.manual_seed(0)
    x = torch.randn(4, STYLES, requires_grad=True)
    targets = torch.eye(STYLES)[:4].clone()
    targets[2] = 0
    targets[3] *= 0.25
    loss = losses.partial_cross_entropy(x, targets, 0.1)
    (gradient,) = torch.autograd.grad(loss, x)
    each = [losses.cross_entropy(x[i : i + 1], torch.eye(STYLES)[i : i + 1], 0.1).item() for i in (0, 1, 3)]
    assert loss.item() == pytest.approx((each[0] + each[1] + 0.25 * each[2]) / 4, rel=1e-5)
    assert (gradient[2] == 0).all()
    assert (gradient[[0, 1, 3]] != 0).all()


@pytest.mark.parametrize("beta", [None, 0.9, 0.999, 0.9999, 0.999999])
@pytest.mark.parametrize("counts", [(1, 2, 3), (1, 50, 10_000), (5, 5, 5), (200_000, 1, 900)])
def test_effective_weights_are_the_papers(counts, beta):
    n = np.array(counts, dtype=np.float64)
    b = 1 - 1 / n.mean() if beta is None else beta
    weights = (1 - b) / (1 - b**n)
    weights *= n.sum() / (weights * n).sum()
    found = losses.effective_weights(torch.tensor(counts, dtype=torch.float32), beta)
    assert found.tolist() == pytest.approx(weights.tolist(), rel=1e-4)
    assert (found.double() @ torch.from_numpy(n)).item() / n.sum() == pytest.approx(1, rel=1e-5)


def test_effective_weights_of_a_single_picture_a_style_are_even():
    assert losses.effective_weights(torch.ones(3)).tolist() == pytest.approx([1, 1, 1])


def test_inverse_weights_give_every_style_the_same_sum():
    counts = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0])
    found = losses.inverse_weights(counts) * counts
    assert found.tolist() == pytest.approx([counts.sum().item() / STYLES] * STYLES, rel=1e-5)


def test_effective_weights_lie_between_even_and_inverse():
    counts = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0])
    even, inverse = losses.effective_weights(counts, 1e-6), losses.inverse_weights(counts)
    steps = [losses.effective_weights(counts, beta) for beta in (0.9, 0.99, 0.999, 0.9999)]
    ratios = [(weights[-1] / weights[0]).item() for weights in (even, *steps, inverse)]
    assert ratios == sorted(ratios)
    assert ratios[0] == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(losses.effective_weights(counts, 1 - 1e-9), inverse, rtol=1e-3, atol=0)


ALL = {
    "cross_entropy": lambda z, t, n, w: losses.cross_entropy(z, t, 0.1),
    "partial_cross_entropy": lambda z, t, n, w: losses.partial_cross_entropy(z, t, 0.1),
    "weighted": lambda z, t, n, w: losses.weighted(z, t, w, 0.1),
    "focal": lambda z, t, n, w: losses.focal(z, t),
    "logit_adjusted": lambda z, t, n, w: losses.logit_adjusted(z, t, n, 0.5, 0.1),
    "balanced_softmax": lambda z, t, n, w: losses.balanced_softmax(z, t, n, 0.1),
    "ldam": lambda z, t, n, w: losses.ldam(z, t, n, w),
}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=30, deadline=None)
@given(logits, rows, rows, shares, some.lists(some.sampled_from([1, 2, 300, 10_000]), min_size=5, max_size=5))
def test_a_loss_and_its_gradient_are_numbers_for_extreme_logits_and_counts(name, z, one, other, share, counts):
    n = torch.tensor(counts, dtype=torch.float32)
    for weights in (losses.inverse_weights(n), losses.effective_weights(n)):
        x = torch.from_numpy(z).float().requires_grad_()
        loss = ALL[name](x, blended(one, other, share).float(), n, weights)
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.isfinite()
        assert loss >= -1e-5
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"ldam"}))
def test_a_loss_does_not_change_when_all_logits_move_alike(name):
    torch.manual_seed(0)
    z, targets = torch.randn(PICTURES, STYLES), torch.eye(STYLES)[[0, 1, 2, 3, 4, 0]]
    n, w = COUNTS.float(), WEIGHTS.float()
    torch.testing.assert_close(ALL[name](z, targets, n, w), ALL[name](z + 20, targets, n, w), rtol=1e-4, atol=1e-5)
