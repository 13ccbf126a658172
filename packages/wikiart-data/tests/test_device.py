"""Devices are chosen, or refused."""

import pytest
import torch

from wikiart_data.console import console
from wikiart_data.errors import InputError
from wikiart_data.training.device import create_accelerator, use_bf16


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "cuda:99", ""])
def test_a_missing_device_is_refused(device):
    with pytest.raises(InputError) as error:
        create_accelerator(device)
    assert error.value.field == "--device"


def test_the_cpu_is_always_available():
    accelerator = create_accelerator("cpu")
    assert accelerator.device.type == "cpu"
    assert accelerator.is_main_process
    assert not console.quiet


def test_a_given_precision_is_used():
    cpu = torch.device("cpu")
    assert use_bf16(cpu, "bf16")
    assert not use_bf16(cpu, "fp32")
    assert isinstance(use_bf16(cpu), bool)
