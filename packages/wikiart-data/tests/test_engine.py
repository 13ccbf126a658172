"""Devices are chosen, or refused in one sentence."""

import pytest
import torch

from wikiart_data.console import console
from wikiart_data.errors import InputError
from wikiart_data.training.device import create_accelerator, use_bf16


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "cuda:99", ""])
def test_a_device_that_is_not_there_is_a_sentence(device):
    with pytest.raises(InputError, match=f"--device {device}"):
        create_accelerator(device)


def test_the_cpu_is_always_there():
    engine = create_accelerator("cpu")
    assert engine.device.type == "cpu"
    assert engine.is_main_process
    assert not console.quiet


def test_precision_is_as_asked():
    cpu = torch.device("cpu")
    assert use_bf16(cpu, "bf16")
    assert not use_bf16(cpu, "fp32")
    assert isinstance(use_bf16(cpu), bool)
