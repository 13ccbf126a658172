"""The methods against class imbalance by name, and what each changes: sampling, loss, last layer.

Each method changes one of three things: how often a style is sampled, how much its errors cost, or the last layer after
training. Combining two of them would correct for the imbalance twice; `check_balance` refuses that.
"""

from dataclasses import dataclass
from typing import Literal

from wikiart_data.errors import InputError

DEFERRED_FROM = 0.8
"""Deferred methods start after this fraction of the epochs (Cao et al. 2019: epoch 160 of 200)."""

Balance = Literal[
    "none",
    "sampler-half",
    "sampler",
    "inverse",
    "effective",
    "focal",
    "logit-adjustment",
    "balanced-softmax",
    "drw",
    "drs",
    "ldam-drw",
    "balanced-mixup",
    "cmo",
    "glmc",
    "crt",
    "tau-norm",
    "post-hoc",
]
PostHoc = Literal["post-hoc", "tau-norm", "crt"]


@dataclass(frozen=True)
class Method:
    """One method against class imbalance."""

    label: str
    """Name in tables and figures."""
    paper: str
    """Authors and year; empty for no balancing."""
    power: float = 0.0
    """Power of the balanced sampler from the first epoch on."""
    deferred_power: float | None = None
    """Power of the sampler in the deferred epochs, if it differs."""
    cosine_head: bool = False
    """Whether the last layer computes cosine similarities."""
    post_hoc: PostHoc | None = None
    """What is done to the last layer after training."""
    has_loss: bool = False
    """Whether the method changes the loss of the styles."""
    second_power: float | None = None
    """Power of the balanced sampler of the batch that every batch is mixed with; None: there is none."""
    two_views: bool = False
    """Whether the network sees every batch twice, and the features of both views are to agree."""


METHODS: dict[str, Method] = {
    "none": Method("no balancing", ""),
    "sampler-half": Method("balanced sampler, power ½", "Mahajan et al. 2018", power=0.5),
    "sampler": Method("balanced sampler, power 1", "Shen et al. 2016", power=1.0),
    "inverse": Method("loss weighted by 1/n", "King & Zeng 2001", has_loss=True),
    "effective": Method("loss weighted by effective number", "Cui et al. 2019", has_loss=True),
    "focal": Method("focal loss", "Lin et al. 2017", has_loss=True),
    "logit-adjustment": Method("logit adjustment in the loss", "Menon et al. 2021", has_loss=True),
    "balanced-softmax": Method("balanced softmax", "Ren et al. 2020", has_loss=True),
    "drw": Method("deferred re-weighting (DRW)", "Cao et al. 2019", has_loss=True),
    "drs": Method("deferred re-sampling (DRS)", "Cao et al. 2019", deferred_power=1.0),
    "ldam-drw": Method("LDAM, DRW", "Cao et al. 2019", cosine_head=True, has_loss=True),
    "balanced-mixup": Method("balanced MixUp", "Galdran et al. 2021", second_power=1.0),
    "cmo": Method("rare patches on frequent images (CMO)", "Park et al. 2022", second_power=1.0),
    "glmc": Method(
        "mixture consistency, cumulative weights (GLMC)",
        "Du et al. 2023",
        has_loss=True,
        second_power=0.2,  # in their code, 0.2 for ImageNet-LT and 0 for CIFAR-LT
        two_views=True,
    ),
    "crt": Method("classifier re-training (cRT)", "Kang et al. 2020", post_hoc="crt"),
    "tau-norm": Method("τ-normalisation", "Kang et al. 2020", post_hoc="tau-norm"),
    "post-hoc": Method("logit adjustment post hoc", "Menon et al. 2021", post_hoc="post-hoc"),
}


def check_balance(balance: str, power: float) -> None:
    """Refuse to correct for the imbalance twice.

    Raises:
        InputError: a balanced sampler is combined with another method.
    """
    if balance != "none" and power > 0:
        raise InputError(
            f"--balance {balance} with --power {power:g} would correct for the imbalance twice, and rare styles would "
            "be predicted far too often: omit --power, or use --balance none.",
            field="--power",
        )


def sampler_power(balance: str, power: float, epoch: int, epochs: int) -> float:
    """Power of the balanced sampler in an epoch (0-based): the method's, or `power` if it leaves sampling alone."""
    method = METHODS[balance]
    if method.deferred_power is not None and epoch >= DEFERRED_FROM * epochs:
        return method.deferred_power
    return power or method.power
