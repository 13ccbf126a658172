"""The optimiser against its formulas and torch's own."""

import pytest
import torch

from wikiart_data.training import muon as muon_module
from wikiart_data.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_orthogonalised_keeps_directions_and_evens_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    result = orthogonalised(matrix).float()
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # In the singular basis of the input the result is (nearly) diagonal: no direction was turned.
    diagonal = u.mT @ result @ vh.mT
    assert (diagonal - torch.diag(diagonal.diag())).abs().max() < 0.05


def test_the_adamw_half_is_torchs_adamw():
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    mine = Muon([{"params": list(ours.parameters()), "kind": "adamw", "lr": 0.01, "weight_decay": 0.1}])
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(5):
        x = torch.randn(8, 4)
        for layer, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_the_fused_adamw_of_gpus_is_the_same_step(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    one_by_one = [torch.nn.Parameter(torch.randn(shape)) for shape in ((5, 3), (7,), (2, 3, 4))]
    fused = [torch.nn.Parameter(p.detach().clone()) for p in one_by_one]
    optimizers = [
        Muon([{"params": parameters, "kind": "adamw", "lr": 0.01, "weight_decay": 0.1}])
        for parameters in (one_by_one, fused)
    ]
    for step in range(4):
        for index, (p, q) in enumerate(zip(one_by_one, fused, strict=True)):
            p.grad = None if (step, index) == (1, 2) else torch.randn(p.shape)  # its count of steps differs from now on
            q.grad = None if p.grad is None else p.grad.clone()
        optimizers[0].step()
        with monkeypatch.context() as patch:
            patch.setattr(muon_module, "FUSED_ON", ("cpu",))  # the CPU has this kernel too
            optimizers[1].step()
    for p, q in zip(one_by_one, fused, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert (
        [state["step"] for state in states[0].values()] == [state["step"] for state in states[1].values()] == [4, 4, 3]
    )


def test_a_muon_step_follows_the_formula():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(6, 2, 3, 3))
    before, grads = kernel.detach().clone(), [torch.randn(6, 2, 3, 3) for _ in range(2)]
    optimizer = Muon([{"params": [kernel], "kind": "muon", "lr": 0.1, "weight_decay": 0.5}], momentum=0.8)
    for grad in grads:
        kernel.grad = grad.clone()
        optimizer.step()
    expected = before * 0.95 - 0.1 * orthogonalised(grads[0].flatten(1) * 1.8).view_as(before).float()
    second = grads[1] + 0.8 * (0.8 * grads[0] + grads[1])
    expected = expected * 0.95 - 0.1 * orthogonalised(second.flatten(1)).view_as(before).float()
    assert torch.allclose(kernel, expected, atol=1e-5)


def test_many_kernels_at_once_are_updated_as_one_by_one():
    torch.manual_seed(0)
    shapes = [(6, 2, 3, 3), (6, 2, 3, 3), (8, 6, 1, 1), (4, 18), (6, 2, 3, 3)]
    together = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    together[1].data = together[1].data.contiguous(memory_format=torch.channels_last)
    alone = [torch.nn.Parameter(p.detach().clone()) for p in together]

    def group(parameters: list[torch.nn.Parameter], kind: str) -> dict:
        return {"params": parameters, "kind": kind, "lr": 0.1, "weight_decay": 0.5}

    for kind in ("muon", "adamw"):
        optimizers = [Muon([group(together, kind)]), *(Muon([group([p], kind)]) for p in alone)]
        for step in range(3):
            for index, (p, q) in enumerate(zip(together, alone, strict=True)):
                p.grad = None if (step, index) == (1, 2) else torch.randn(p.shape)  # a parameter may miss a step
                q.grad = p.grad
            for optimizer in optimizers:
                optimizer.step()
        # A product of a stack of matrices may be blocked in another way than that of one: the last bits can differ.
        assert all(torch.allclose(p, q, atol=1e-5) for p, q in zip(together, alone, strict=True))
