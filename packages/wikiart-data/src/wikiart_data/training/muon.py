"""Muon for kernels, AdamW for everything else, as one optimiser."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024), for hidden kernels; AdamW (Loshchilov & Hutter 2019) for the rest.

    A kernel's momentum, seen as an (out, in · k · k) matrix, is replaced by the nearest matrix with equal singular
    values: rare directions are learned as fast as frequent ones. The first convolution, the last layer, biases and
    norms are no such maps between hidden spaces and take AdamW's step.

    Args:
        groups: from `muon_groups`; each has `kind`, `lr` and `weight_decay`.
        momentum: of Muon (Nesterov).
        betas: of AdamW.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], momentum: float = 0.9, betas: tuple[float, float] = (0.9, 0.999)
    ):
        super().__init__(groups, {"momentum": momentum, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            move = self._muon if group["kind"] == "muon" else self._adamw
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    move(p, p.grad, self.state[p], group)

    @staticmethod
    def _muon(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].mul_(group["momentum"]).add_(grad)
        matrix = grad.add(momentum, alpha=group["momentum"]).flatten(1)
        # Scaled so that an output changes about as much whatever the kernel's shape is.
        scale = max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5
        p.add_(orthogonalised(matrix).view_as(p).to(p.dtype), alpha=-group["lr"] * scale)

    @staticmethod
    def _adamw(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
        state["step"] += 1
        low, high = group["betas"]
        mean = state["mean"].lerp_(grad, 1 - low)
        square = state["square"].lerp_(grad.square(), 1 - high)
        spread = (square / (1 - high ** state["step"])).sqrt_().add_(group["eps"])
        p.addcdiv_(mean, spread, value=-group["lr"] / (1 - low ** state["step"]))


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Push a matrix's singular values towards 1 by Newton-Schulz iteration (Jordan et al. 2024); (m, n) → (m, n) bf16.

    The quintic's coefficients trade exactness for speed: after five steps singular values lie in about 0.7..1.2,
    which is all that the optimiser needs, and bf16 is precise enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def muon_groups(network: nn.Module, lr: float, weight_decay: float, first: str = "stem.") -> list[dict[str, Any]]:
    """Share a network's parameters between Muon and AdamW.

    Args:
        network: any convolutional network, or a module that holds one.
        lr: of Muon; AdamW's is 0.15 times that.
        weight_decay: of Muon's kernels; AdamW's parameters are not decayed.
        first: what only the name of the first convolution's weight holds; AdamW takes it.
    """
    named = list(network.named_parameters())
    kernels = [p for name, p in named if p.ndim == 4 and first not in name]
    chosen = {id(p) for p in kernels}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        {"params": kernels, "kind": "muon", "lr": lr, "weight_decay": weight_decay},
        {"params": rest, "kind": "adamw", "lr": 0.15 * lr, "weight_decay": 0.0},
    ]
