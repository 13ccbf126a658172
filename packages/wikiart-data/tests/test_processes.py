"""Two processes compute what one does: batch statistics, mixing partners, gathered rows; and their gradients."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from wikiart_data.images.augment import mixup_cutmix
from wikiart_data.training import processes
from wikiart_data.training.processes import ReducedBatchNorm, synchronize_batch_norm

WORLD = 2


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (8, 3, 6, 6), far from zero so that variances are delicate; labels; weights of a loss."""
    generator = torch.Generator().manual_seed(0)
    images = 20 + torch.randn(8, 3, 6, 6, generator=generator)
    return images, torch.arange(8) % 5, torch.randn(8, 3, 6, 6, generator=generator)


def norms() -> nn.ModuleDict:
    torch.manual_seed(0)
    module = nn.ModuleDict({"plain": nn.BatchNorm2d(3, affine=False), "scaled": nn.BatchNorm2d(3)})
    nn.init.normal_(module["scaled"].weight)
    return module


def loss_of(images: torch.Tensor, module: nn.ModuleDict, weights: torch.Tensor) -> torch.Tensor:
    """A mean over images, and a term about the whole batch."""
    normalised = module["scaled"](module["plain"](images) ** 3)
    rows = processes.gather_batch(normalised.mean(dim=(2, 3)))
    return (normalised * weights).mean() + rows.var(dim=0).sum()


def in_process(folder: Path) -> None:
    """What each of two processes computes from its shard, with gradients averaged as accelerate averages them."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    images, labels, weights = (tensor[rank::WORLD] for tensor in inputs())
    module = norms()
    names = list(module.state_dict())
    synchronize_batch_norm(module)
    assert isinstance(module["plain"], ReducedBatchNorm)
    assert list(module.state_dict()) == names
    images = images.clone().requires_grad_()
    loss_of(images, module, weights).backward()
    mixed = [mixup_cutmix(images.detach(), labels, 5, seed, prob=1.0) for seed in range(4)]
    gradients = [p.grad for p in module.parameters()]
    for gradient in gradients:
        torch.distributed.all_reduce(gradient)
    results = {
        "images": images.grad / WORLD,
        "parameters": [gradient / WORLD for gradient in gradients],
        "buffers": dict(module.named_buffers()),
        "evaluated": module.eval()["scaled"](images.detach()),
        "previous": processes.previous_in_batch(labels),
        "mixed": mixed,
    }
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, in_two_processes: Callable[..., str]) -> list[dict]:
    folder = tmp_path_factory.mktemp("processes")
    in_two_processes(__file__, str(folder))
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def whole(shards: list[dict], name: str) -> torch.Tensor:
    """The rows of both shards in the order of the batch."""
    return torch.stack([shard[name] for shard in shards], dim=1).flatten(0, 1)


def test_batch_statistics_and_gradients_are_those_of_one_process(shards: list[dict]):
    images, _, weights = inputs()
    module, images = norms(), images.clone().requires_grad_()
    loss_of(images, module, weights).backward()
    torch.testing.assert_close(whole(shards, "images"), images.grad, rtol=1e-4, atol=1e-6)
    for shard in shards:
        for ours, parameter in zip(shard["parameters"], module.parameters(), strict=True):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-6)
        for name, buffer in module.named_buffers():
            torch.testing.assert_close(shard["buffers"][name], buffer, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole(shards, "evaluated"), module.eval()["scaled"](images).detach())


def test_pictures_are_mixed_with_their_neighbours_in_the_whole_batch(shards: list[dict]):
    images, labels, _ = inputs()
    assert whole(shards, "previous").equal(labels.roll(1))
    for seed in range(4):
        mixed, targets = mixup_cutmix(images, labels, 5, seed, prob=1.0)
        ours = [torch.stack([shard["mixed"][seed][k] for shard in shards], dim=1).flatten(0, 1) for k in (0, 1)]
        torch.testing.assert_close(ours[0], mixed)
        torch.testing.assert_close(ours[1], targets)


def test_one_process_keeps_torchs_batch_normalisation():
    module = norms()
    before = copy.deepcopy(module)
    synchronize_batch_norm(module)
    assert [type(child) for child in module.modules()] == [type(child) for child in before.modules()]
    rows = torch.arange(6.0).view(3, 2)
    assert processes.gather_batch(rows) is rows
    assert processes.previous_in_batch(rows).equal(rows.roll(1, 0))


if __name__ == "__main__":
    in_process(Path(sys.argv[1]))
