"""Each loss against its paper's formula, for one-hot and for mixed targets."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from torch import Tensor

from wikiart_classify.imbalance import losses

COUNTS = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0], dtype=torch.float64)
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 7.0, 40.0], dtype=torch.float64)
IMAGES, STYLES = 6, len(COUNTS)
quick = settings(max_examples=30, deadline=None)

rows = some.lists(some.integers(0, STYLES - 1), min_size=IMAGES, max_size=IMAGES).map(np.array)
weights = some.just(np.ones(IMAGES)) | arrays(np.float64, IMAGES, elements=some.floats(0, 1, width=16))
"""Weight of each image's first style in its target; 1 is a one-hot target."""
logits = arrays(np.float64, (IMAGES, STYLES), elements=some.floats(-60, 60, width=32))


def mixed(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> Tensor:
    eye = np.eye(STYLES)
    return torch.from_numpy(weight[:, None] * eye[first] + (1 - weight)[:, None] * eye[second])


def mixed_loss(loss_of: Callable[[np.ndarray], np.ndarray], first: np.ndarray, second: np.ndarray, weight: np.ndarray):
    """The mean over images of two losses mixed; `loss_of` gives the loss of each image for one-hot labels."""
    return float((weight * loss_of(first) + (1 - weight) * loss_of(second)).mean())


def log_p_of(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (z - logsumexp(z, axis=1, keepdims=True))[np.arange(len(labels)), labels]


def close(expected: float):
    return pytest.approx(expected, rel=1e-6, abs=1e-6)


@quick
@given(logits, rows, rows, weights, some.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy_equals_torchs_for_labels(z, first, second, weight, smoothing):
    torchs = torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    expected = mixed_loss(lambda y: torchs(torch.from_numpy(z), torch.from_numpy(y)).numpy(), first, second, weight)
    loss = losses.cross_entropy(torch.from_numpy(z), mixed(first, second, weight), smoothing)
    assert loss.item() == close(expected)


@quick
@given(logits, rows, rows, weights)
def test_weighted_equals_torchs_weighted_sum_over_the_number_of_images(z, first, second, weight):
    torchs = torch.nn.CrossEntropyLoss(WEIGHTS, reduction="none")
    expected = mixed_loss(lambda y: torchs(torch.from_numpy(z), torch.from_numpy(y)).numpy(), first, second, weight)
    assert losses.weighted_cross_entropy(torch.from_numpy(z), mixed(first, second, weight), WEIGHTS).item() == close(
        expected
    )


@quick
@given(logits, rows, rows, weights)
def test_weights_apply_before_smoothing(z, first, second, weight):
    targets = mixed(first, second, weight)
    counts = WEIGHTS.numpy() * targets.numpy()
    smooth = 0.9 * counts + 0.1 * counts.sum(axis=1, keepdims=True) / STYLES
    log_p = z - logsumexp(z, axis=1, keepdims=True)
    expected = -(smooth * log_p).sum() / IMAGES
    assert losses.weighted_cross_entropy(torch.from_numpy(z), targets, WEIGHTS, 0.1).item() == close(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("balanced", ["inverse", "logit_adjusted", "balanced_softmax"])
def test_balanced_losses_prefer_no_style_on_uninformative_images(balanced, smoothing):
    """Uniform logits are the optimum over images at the frequencies of the styles, however labels are smoothed."""
    flat = torch.zeros(1, STYLES, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(STYLES).repeat_interleave(COUNTS.long())
    counts, targets = COUNTS.double(), torch.eye(STYLES, dtype=torch.float64)[labels]
    many = flat.expand(len(labels), -1)
    if balanced == "inverse":
        loss = losses.weighted_cross_entropy(many, targets, losses.inverse_weights(counts), smoothing)
    else:
        loss = getattr(losses, balanced)(many, targets, counts, smoothing=smoothing)
    loss.backward()
    assert flat.grad.abs().max() < 1e-9


@quick
@given(logits, rows, rows, weights, some.sampled_from([0.5, 2.0, 5.0]))
def test_focal_equals_the_formula_of_the_paper(z, first, second, weight, gamma):
    def paper(labels: np.ndarray) -> np.ndarray:
        p = np.exp(log_p_of(z, labels))
        return -((1 - p) ** gamma) * log_p_of(z, labels)

    loss = losses.focal(torch.from_numpy(z), mixed(first, second, weight), gamma)
    assert loss.item() == close(mixed_loss(paper, first, second, weight))


@quick
@given(logits, rows, rows, weights)
def test_focal_with_gamma_0_is_cross_entropy(z, first, second, weight):
    z, targets = torch.from_numpy(z), mixed(first, second, weight)
    assert losses.focal(z, targets, gamma=0.0).item() == close(losses.cross_entropy(z, targets).item())


def test_focal_downweights_confident_predictions():
    z = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    p = 1 / (1 + np.exp(-3.0))
    assert losses.focal(z[:1], torch.eye(2)[:1]).item() == pytest.approx(-((1 - p) ** 2) * np.log(p), rel=1e-5)
    assert losses.focal(z[1:], torch.eye(2)[:1]).item() == pytest.approx(0.25 * np.log(2), rel=1e-5)


@quick
@given(logits, rows, rows, weights)
def test_balanced_softmax_weights_the_exponentials_by_the_counts(z, first, second, weight):
    def paper(labels: np.ndarray) -> np.ndarray:
        weighed = COUNTS.numpy() * np.exp(z - z.max(axis=1, keepdims=True))
        return -np.log(weighed[np.arange(IMAGES), labels] / weighed.sum(axis=1))

    loss = losses.balanced_softmax(torch.from_numpy(z), mixed(first, second, weight), COUNTS)
    assert loss.item() == close(mixed_loss(paper, first, second, weight))


@quick
@given(logits, rows, rows, weights, some.floats(0, 2), some.sampled_from([0.0, 0.1]))
def test_logit_adjustment_equals_the_formula_of_the_paper(z, first, second, weight, tau, smoothing):
    prior = COUNTS.numpy() / COUNTS.numpy().sum()
    shifted = z + np.log(prior**tau)
    targets = mixed(first, second, weight)
    smooth = (1 - smoothing) * targets.numpy() + smoothing * prior**tau / (prior**tau).sum()
    expected = -(smooth * (shifted - logsumexp(shifted, axis=1, keepdims=True))).sum() / IMAGES
    loss = losses.logit_adjusted(torch.from_numpy(z), targets, COUNTS, tau, smoothing)
    assert loss.item() == close(expected)


@quick
@given(logits, rows, rows, weights, some.sampled_from([0.0, 0.1]))
def test_logit_adjustment_by_1_is_balanced_softmax_in_value_and_gradient(z, first, second, weight, smoothing):
    targets, gradients, values = mixed(first, second, weight), [], []
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
    z, targets = torch.randn(IMAGES, STYLES), torch.eye(STYLES)[[0, 1, 2, 3, 4, 0]]
    assert losses.logit_adjusted(z, targets, COUNTS.float(), 0.0) == losses.cross_entropy(z, targets)


def ldam_of_the_paper(z: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Equation 13 as their code has it: lower the true cosine by the margin, scale by 30, cross-entropy."""
    margins = 1 / np.sqrt(np.sqrt(COUNTS.numpy()))
    margins *= 0.5 / margins.max()
    lowered = z / 30
    lowered[np.arange(len(labels)), labels] -= margins[labels]
    return -weights[labels] * log_p_of(30 * lowered, labels)


@quick
@given(logits, rows, rows, weights, some.booleans())
def test_ldam_equals_the_formula_of_the_paper(z, first, second, weight, deferred):
    weights = WEIGHTS if deferred else None
    plain = WEIGHTS.numpy() if deferred else np.ones(STYLES)
    expected = mixed_loss(lambda y: ldam_of_the_paper(z.copy(), y, plain), first, second, weight)
    loss = losses.ldam(torch.from_numpy(z), mixed(first, second, weight), COUNTS, weights)
    assert loss.item() == close(expected)


def test_ldam_in_float32_is_accurate_where_the_rarest_style_is_nearly_certain():
    """A margin of 15 turns a probability of nearly 1 around: its rounding error would grow 3 million times."""
    gaps = np.arange(8.0, 26.0)
    z = np.zeros((len(gaps), STYLES))
    z[:, -1] = gaps
    z[:, :-1] = -30.0
    z[:, 0] = 0.0
    rarest = np.full(len(gaps), STYLES - 1)
    expected = ldam_of_the_paper(z.copy(), rarest, np.ones(STYLES))
    x = torch.from_numpy(z).float().requires_grad_()
    values = [losses.ldam(x[i : i + 1], torch.eye(STYLES)[-1:], COUNTS.float()) for i in range(len(gaps))]
    assert [loss.item() for loss in values] == pytest.approx(expected.tolist(), abs=1e-3)
    (gradient,) = torch.autograd.grad(torch.stack(values).sum(), x)
    assert (-gradient[:, -1]).tolist() == pytest.approx((1 - np.exp(-expected)).tolist(), abs=1e-3)


@quick
@given(logits, rows, rows, weights, some.sampled_from([0.0, 0.1]))
def test_partial_cross_entropy_of_full_rows_equals_cross_entropy(z, first, second, weight, smoothing):
    z, targets = torch.from_numpy(z), mixed(first, second, weight)
    whole = losses.cross_entropy(z, targets, smoothing)
    assert losses.partial_cross_entropy(z, targets, smoothing).item() == close(whole.item())


def test_partial_cross_entropy_has_no_gradient_where_the_label_is_unknown():
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
def test_effective_weights_equal_the_formula_of_the_paper(counts, beta):
    n = np.array(counts, dtype=np.float64)
    b = 1 - 1 / n.mean() if beta is None else beta
    weights = (1 - b) / (1 - b**n)
    weights *= n.sum() / (weights * n).sum()
    computed = losses.effective_weights(torch.tensor(counts, dtype=torch.float32), beta)
    assert computed.tolist() == pytest.approx(weights.tolist(), rel=1e-4)
    assert (computed.double() @ torch.from_numpy(n)).item() / n.sum() == pytest.approx(1, rel=1e-5)


def test_effective_weights_of_one_image_per_style_are_uniform():
    assert losses.effective_weights(torch.ones(3)).tolist() == pytest.approx([1, 1, 1])


def test_inverse_weights_give_every_style_the_same_sum():
    counts = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0])
    computed = losses.inverse_weights(counts) * counts
    assert computed.tolist() == pytest.approx([counts.sum().item() / STYLES] * STYLES, rel=1e-5)


def test_effective_weights_lie_between_uniform_and_inverse():
    counts = torch.tensor([10_000.0, 700.0, 60.0, 9.0, 1.0])
    uniform, inverse = losses.effective_weights(counts, 1e-6), losses.inverse_weights(counts)
    steps = [losses.effective_weights(counts, beta) for beta in (0.9, 0.99, 0.999, 0.9999)]
    ratios = [(weights[-1] / weights[0]).item() for weights in (uniform, *steps, inverse)]
    assert ratios == sorted(ratios)
    assert ratios[0] == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(losses.effective_weights(counts, 1 - 1e-9), inverse, rtol=1e-3, atol=0)


ALL = {
    "cross_entropy": lambda z, t, n, w: losses.cross_entropy(z, t, 0.1),
    "partial_cross_entropy": lambda z, t, n, w: losses.partial_cross_entropy(z, t, 0.1),
    "weighted": lambda z, t, n, w: losses.weighted_cross_entropy(z, t, w, 0.1),
    "focal": lambda z, t, n, w: losses.focal(z, t),
    "logit_adjusted": lambda z, t, n, w: losses.logit_adjusted(z, t, n, 0.5, 0.1),
    "balanced_softmax": lambda z, t, n, w: losses.balanced_softmax(z, t, n, 0.1),
    "ldam": lambda z, t, n, w: losses.ldam(z, t, n, w),
}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=30, deadline=None)
@given(logits, rows, rows, weights, some.lists(some.sampled_from([1, 2, 300, 10_000]), min_size=5, max_size=5))
def test_losses_and_gradients_are_finite_for_extreme_logits_and_counts(name, z, first, second, weight, counts):
    n = torch.tensor(counts, dtype=torch.float32)
    for weights in (losses.inverse_weights(n), losses.effective_weights(n)):
        x = torch.from_numpy(z).float().requires_grad_()
        loss = ALL[name](x, mixed(first, second, weight).float(), n, weights)
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.isfinite()
        assert loss >= -1e-5
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"ldam"}))
def test_losses_are_invariant_to_a_shift_of_all_logits(name):
    torch.manual_seed(0)
    z, targets = torch.randn(IMAGES, STYLES), torch.eye(STYLES)[[0, 1, 2, 3, 4, 0]]
    n, w = COUNTS.float(), WEIGHTS.float()
    torch.testing.assert_close(ALL[name](z, targets, n, w), ALL[name](z + 20, targets, n, w), rtol=1e-4, atol=1e-5)
