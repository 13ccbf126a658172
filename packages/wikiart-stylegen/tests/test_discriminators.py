"""The discriminators and the running statistics of styles."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from wikiart_stylegen.discriminators import PatchDiscriminator, StyleClassifier, StyleStatistics, moments


def test_the_discriminator_has_one_output_per_style():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(5, width=8).eval()
    images = torch.rand(2, 3, 32, 32)
    logits = discriminator(images, torch.tensor([4, 1]))
    assert logits.shape == (2, 4, 4)
    assert torch.equal(logits[0], discriminator(images, torch.tensor([4, 4]))[0])
    assert not torch.allclose(logits[0], discriminator(images, torch.tensor([1, 1]))[0])


def test_moments_by_hand():
    maps = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    assert moments(maps)[0].tolist() == pytest.approx([2.0, 5.0, 1.0, 0.0], abs=4e-3)


def test_the_style_classifier_has_an_additional_class_for_repaints():
    classifier = StyleClassifier(5, widths=(8, 16), blocks=(1, 1))
    statistics = classifier.statistics(torch.rand(3, 3, 32, 32))
    assert statistics.shape == (3, classifier.num_statistics)
    assert classifier.classify(statistics).shape == (3, 6)


def test_statistics_hardly_depend_on_positions():
    torch.manual_seed(0)
    classifier = StyleClassifier(5, widths=(8, 16), blocks=(1, 1)).eval()
    images = torch.rand(4, 3, 64, 64)
    halves_swapped = torch.cat([images[..., 32:], images[..., :32]], dim=3)
    statistics, of_swapped = (classifier.statistics(batch) for batch in (images, halves_swapped))
    of_darker = classifier.statistics(0.3 * images)
    assert (statistics - of_swapped).abs().mean() < 0.05 * (statistics - of_darker).abs().mean()


def test_first_means_are_averages_and_later_ones_decay():
    running = StyleStatistics(3, 2, decay=0.9)
    running.update(torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), torch.tensor([0, 0, 2]))
    assert running.means.tolist() == [[2.0, 3.0], [0.0, 0.0], [9.0, 9.0]]
    for _ in range(200):
        running.update(torch.tensor([[5.0, 5.0]]).repeat(2, 1), torch.tensor([0, 0]))
    assert running.means[0].tolist() == pytest.approx([5.0, 5.0], abs=1e-3)
    assert running.means[2].tolist() == [9.0, 9.0]


def test_a_single_image_does_not_change_the_spread():
    running = StyleStatistics(3, 2)
    running.update(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    assert running.spread.tolist() == [1.0, 1.0]
    assert running.means[1].tolist() == [1.0, 2.0]


def update_by_loop(running: StyleStatistics, statistics: Tensor, styles: Tensor) -> None:
    """The definition: one style after the other."""
    for style in styles.unique():
        rows = statistics[styles == style]
        keep = min(running.decay ** len(rows), float(running.counts[style] / (running.counts[style] + len(rows))))
        running.means[style] = keep * running.means[style] + (1 - keep) * rows.mean(dim=0)
        running.counts[style] += len(rows)
    if len(statistics) > 1:
        running.spread.lerp_(statistics.std(dim=0), 0.02 if running.counts.sum() > 1000 else 0.2)


@pytest.mark.parametrize(("num_styles", "batch_size"), [(27, 32), (4, 16), (2, 64), (27, 1)])
def test_running_statistics_are_those_of_a_loop_over_styles(num_styles, batch_size):
    torch.manual_seed(0)
    expected, actual = StyleStatistics(num_styles, 40), StyleStatistics(num_styles, 40)
    for _ in range(1100 // batch_size + 20):  # past the 1,000 images after which the spread changes slowly
        statistics, styles = 3 * torch.randn(batch_size, 40) + 1, torch.randint(0, num_styles, (batch_size,))
        update_by_loop(expected, statistics, styles)
        actual.update(statistics, styles)
    for name in ("means", "counts", "spread"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), rtol=1e-6, atol=1e-6)


class HostReads(TorchDispatchMode):
    """Counts operations whose result the host must wait for: values of tensors, and shapes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation, and note it if it reads values."""
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "is_nonzero"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def test_running_statistics_do_not_wait_for_the_device():
    running = StyleStatistics(5, 8)
    statistics, styles = torch.rand(6, 8), torch.randint(0, 5, (6,))
    with HostReads() as reads:
        running.update(statistics, styles)
    assert reads.names == []
    with HostReads() as reads:
        update_by_loop(running, statistics, styles)
    assert len(reads.names) > 5
