"""The methods against class imbalance by name: what each changes in training, and which are finished after it.

A method changes one thing: how often a style is drawn, what its mistakes cost, or the last layer afterwards. Two of
them at once would balance twice, and a rare style would then be named too often; `check_balance` refuses that.
"""

from dataclasses import dataclass
from typing import Literal

from wikiart_data.errors import InputError

LATE = 0.8
"""Deferred methods begin after this share of the epochs (Cao et al. 2019: epoch 160 of 200)."""

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
    "crt",
    "tau-norm",
    "post-hoc",
]


@dataclass(frozen=True)
class Method:
    """One way to deal with imbalance."""

    label: str
    """As tables name it."""
    source: str
    """The paper."""
    power: float = 0.0
    """Of the balanced sampler, from the first epoch on."""
    late_power: float | None = None
    """Of the sampler in the last epochs, where it differs."""
    cosine: bool = False
    """Whether the last layer compares directions only."""
    after: Literal["", "crt", "tau-norm", "post-hoc"] = ""
    """What is done to the last layer when training is over."""


METHODS: dict[str, Method] = {
    "none": Method("no balancing", ""),
    "sampler-half": Method("balanced sampler, power ½", "Mahajan et al. 2018", power=0.5),
    "sampler": Method("balanced sampler, power 1", "Shen et al. 2016", power=1.0),
    "inverse": Method("loss weighted by 1/n", "King & Zeng 2001"),
    "effective": Method("loss weighted by effective number", "Cui et al. 2019"),
    "focal": Method("focal loss", "Lin et al. 2017"),
    "logit-adjustment": Method("logit adjustment in the loss", "Menon et al. 2021"),
    "balanced-softmax": Method("balanced softmax", "Ren et al. 2020"),
    "drw": Method("deferred re-weighting (DRW)", "Cao et al. 2019"),
    "drs": Method("deferred re-sampling (DRS)", "Cao et al. 2019", late_power=1.0),
    "ldam-drw": Method("LDAM, DRW", "Cao et al. 2019", cosine=True),
    "balanced-mixup": Method("balanced MixUp", "Galdran et al. 2021"),
    "crt": Method("classifier re-training (cRT)", "Kang et al. 2020", after="crt"),
    "tau-norm": Method("τ-normalisation", "Kang et al. 2020", after="tau-norm"),
    "post-hoc": Method("logit adjustment post hoc", "Menon et al. 2021", after="post-hoc"),
}


def check_balance(balance: str, power: float) -> None:
    """Refuse to balance twice.

    Raises:
        InputError: a balanced sampler beside another method.
    """
    if balance != "none" and power > 0:
        raise InputError(
            f"--balance {balance} with --power {power:g} would balance twice, and rare styles would be named far too "
            f"often: leave out --power, or take --balance none."
        )


def power_in(balance: str, power: float, epoch: int, epochs: int) -> float:
    """Power of the sampler in an epoch."""
    method = METHODS[balance]
    if method.late_power is not None and epoch >= LATE * epochs:
        return method.late_power
    return power or method.power
