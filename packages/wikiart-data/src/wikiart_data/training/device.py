"""Device, number of processes and precision: chosen once, the same way for every part."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from wikiart_data.console import console
from wikiart_data.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator

_DEVICE_VARIABLE = "ACCELERATE_TORCH_DEVICE"


def create_accelerator(device: str = "auto") -> "Accelerator":
    """Make the `Accelerator` on a device.

    accelerate keeps the device of its first `Accelerator`. Where one process trains on another device later, an
    `Accelerator` made before must no longer be used.

    Args:
        device: auto, cpu, cuda, cuda:N, mps.

    Raises:
        InputError: this machine has no such device.
    """
    from accelerate import Accelerator  # slow to import, and only training needs it

    kind, number = _checked(device)
    _forget_other_device(kind, int(number or 0))
    before = os.environ.get(_DEVICE_VARIABLE)
    if kind == "cuda" and number and "LOCAL_RANK" not in os.environ:
        # Under accelerate launch every process has a GPU of its own.
        os.environ[_DEVICE_VARIABLE] = device
    try:
        # Each loop calls autocast itself, by `use_bf16`; the user's accelerate config must not add its own.
        accelerator = Accelerator(cpu=kind == "cpu", mixed_precision="no")
    finally:
        os.environ.pop(_DEVICE_VARIABLE, None)  # the next one may be on another device
        if before is not None:
            os.environ[_DEVICE_VARIABLE] = before
    torch.backends.cudnn.deterministic = True  # a resumed run must end where the uninterrupted one would
    console.quiet = not accelerator.is_main_process  # only the main process prints
    return accelerator


def _forget_other_device(kind: str, index: int) -> None:
    """Reset accelerate's state if this process, alone, has trained on another device than the one wanted now."""
    from accelerate.state import AcceleratorState, PartialState

    if not PartialState._shared_state:
        return
    state = PartialState()
    if kind == "auto":
        kind = select_device().type
    assert state.device is not None
    same = state.device.type == kind and (kind != "cuda" or (state.device.index or 0) == index)
    if state.num_processes == 1 and not same:
        AcceleratorState._reset_state(reset_partial_state=True)


def select_device(device: torch.device | str = "auto") -> torch.device:
    """The device of that name, without an `Accelerator`: for networks that are applied, not trained.

    accelerate keeps the device of its first `Accelerator` for the whole process; a notebook can load one network on the
    CPU and another one on a GPU.

    Args:
        device: auto, cpu, cuda, cuda:N, mps; or a torch.device of any kind.

    Raises:
        InputError: this machine has no such device.
    """
    if isinstance(device, torch.device) and device.type != "cuda":
        return device
    kind, _ = _checked(str(device))
    if kind != "auto":
        return torch.device(device)
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def _checked(device: str) -> tuple[str, str]:
    """Kind and number of a device, such as `cuda` and `1`.

    Raises:
        InputError: this machine has no such device.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"--device {device}: expected auto, cpu, cuda, cuda:1 or mps.", field="--device")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: this machine has {torch.cuda.device_count()} GPUs; try --device auto.",
            field="--device",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: this machine has no Apple GPU; try --device auto.", field="--device")
    return kind, number


def use_bf16(device: torch.device, precision: str = "auto") -> bool:
    """Whether to compute in bf16.

    Args:
        device: where the network runs.
        precision: `bf16`, `fp32`, or `auto`: bf16 where the hardware is faster with it.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Without these instructions bf16 is emulated, and slower than fp32.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def get_random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's global generators, on the CPU and on a GPU: kind of device → (n,) uint8."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_state(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Continue with states that `get_random_state` returned; those of another kind of device are left out."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
