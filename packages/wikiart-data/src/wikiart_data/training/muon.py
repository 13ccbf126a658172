"""Muon for kernels, AdamW for everything else, as one optimiser."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from wikiart_data.training.device import use_bf16

# One kernel launch for many tensors, as in torch.optim's own optimisers; torch does not export these functions.
_NAMES = ("add", "add_", "addcdiv_", "div", "lerp_", "mul", "mul_", "sqrt_")
foreach: Any = SimpleNamespace(**{name: getattr(torch, f"_foreach_{name}") for name in _NAMES})
fused_adamw: Any = torch._fused_adamw_  # pyright: ignore[reportPrivateImportUsage]
FUSED_ON = ("cuda",)
"""Kinds of devices on which AdamW's whole step is one kernel; elsewhere it is a sequence of operations, bit by bit as
it always was."""


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024), for hidden kernels; AdamW (Loshchilov & Hutter 2019) for the rest.

    A kernel's momentum, seen as an (out, in · k · k) matrix, is replaced by the nearest matrix with equal singular
    values: rare directions are learned as fast as frequent ones. `muon_groups` gives Muon all four-dimensional kernels
    but those of the stem, which is no map between hidden spaces; AdamW takes all other parameters: the stem's kernels,
    linear layers, biases and norms.

    `torch.optim.Muon` takes two-dimensional parameters only, not the (out, in, k, k) kernels of a convolution, and
    cannot mix with AdamW in one optimiser, as one scheduler and one checkpoint want it.

    Args:
        groups: from `muon_groups`; each has `kind`, `lr` and `weight_decay`.
        momentum: Nesterov momentum of Muon.
        betas: exponential decay rates of AdamW's moments.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], momentum: float = 0.9, betas: tuple[float, float] = (0.9, 0.999)
    ):
        super().__init__(groups, {"momentum": momentum, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient; `closure` is not supported."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                foreach.mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                (self._muon if group["kind"] == "muon" else self._adamw)(parameters, group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """One orthogonalisation per shape of kernel, instead of one per kernel."""
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients, momenta = [p.grad for p in parameters], [self.state[p]["momentum"] for p in parameters]
        foreach.mul_(momenta, group["momentum"])
        foreach.add_(momenta, gradients)
        updates = foreach.add(gradients, momenta, alpha=group["momentum"])  # Nesterov
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, update in enumerate(updates):
            by_shape.setdefault((update.size(0), update[0].numel()), []).append(index)
        for (rows, columns), indices in by_shape.items():
            directions = orthogonalised(torch.stack([updates[i].flatten(1) for i in indices]))
            # Scaled so that an output changes by about as much whatever the kernel's shape is.
            rate = group["lr"] * max(1.0, rows / columns) ** 0.5
            chosen = [parameters[i] for i in indices]
            steps = [direction.view_as(p).to(p.dtype) for direction, p in zip(directions, chosen, strict=True)]
            foreach.add_(chosen, steps, alpha=-rate)

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        low, high = group["betas"]
        by_step: dict[int, list[Tensor]] = {}
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            by_step.setdefault(state["step"], []).append(p)
        for step, chosen in by_step.items():
            gradients = [p.grad for p in chosen]
            means, squares = ([self.state[p][name] for p in chosen] for name in ("mean", "square"))
            if chosen[0].device.type in FUSED_ON:
                count = torch.full((), float(step), device=chosen[0].device)  # filled there: nothing is copied
                fused_adamw(
                    *(chosen, gradients, means, squares, [], [count] * len(chosen)),
                    lr=group["lr"],
                    beta1=low,
                    beta2=high,
                    eps=group["eps"],
                    weight_decay=0.0,
                    amsgrad=False,
                    maximize=False,  # decayed in `step`
                )
                continue
            foreach.lerp_(means, gradients, 1 - low)
            foreach.lerp_(squares, foreach.mul(gradients, gradients), 1 - high)
            spreads = foreach.div(squares, 1 - high**step)
            foreach.sqrt_(spreads)
            foreach.add_(spreads, group["eps"])
            foreach.addcdiv_(chosen, means, spreads, value=-group["lr"] / (1 - low**step))


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push singular values towards 1 by Newton-Schulz iteration (Jordan et al. 2024): (…, m, n) → (…, m, n).

    The quintic's coefficients trade exactness for speed: after five steps singular values lie in about 0.7..1.2,
    which is all that the optimiser needs, and bf16 is precise enough. A CPU without bf16 instructions takes float32,
    which is about eleven times as fast there.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    emulated = matrices.device.type == "cpu" and not use_bf16(matrices.device)
    x = matrices.float() if emulated else matrices.bfloat16()
    x = x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def muon_groups(network: nn.Module, lr: float, weight_decay: float, first: str = "stem.") -> list[dict[str, Any]]:
    """Divide a network's parameters between Muon and AdamW.

    Args:
        network: any convolutional network, or a module that contains one.
        lr: learning rate of Muon; AdamW's is 0.15 times that.
        weight_decay: of Muon's kernels; AdamW's parameters are not decayed.
        first: part of the name of the first convolution, which AdamW takes.
    """
    named = list(network.named_parameters())
    kernels = [p for name, p in named if p.ndim == 4 and first not in name]
    chosen = {id(p) for p in kernels}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        {"params": kernels, "kind": "muon", "lr": lr, "weight_decay": weight_decay},
        {"params": rest, "kind": "adamw", "lr": 0.15 * lr, "weight_decay": 0.0},
    ]
