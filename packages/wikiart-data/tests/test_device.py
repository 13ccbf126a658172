"""Devices are chosen, or refused."""

import os
import subprocess
import sys

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState

from wikiart_data.console import console
from wikiart_data.errors import InputError
from wikiart_data.images.batches import Batches
from wikiart_data.images.catalog import scan
from wikiart_data.images.load import load_images
from wikiart_data.images.packed import pack
from wikiart_data.training.device import create_accelerator, select_device, use_bf16


@pytest.mark.parametrize("choose", [create_accelerator, select_device])
@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "cuda:99", ""])
def test_a_missing_device_is_refused(device, choose):
    with pytest.raises(InputError) as error:
        choose(device)
    assert error.value.field == "--device"


def test_a_device_of_torch_is_a_device():
    assert select_device(torch.device("meta")) == torch.device("meta")
    with pytest.raises(InputError, match="this machine has"):
        select_device(torch.device("cuda:99"))


def test_images_and_batches_take_the_same_devices_as_networks(folder):
    assert load_images(torch.zeros(1, 3, 8, 8), 8, "auto").device.type == select_device("auto").type
    batches = Batches(pack(scan(folder()), 16), batch_size=2, device="auto")
    assert batches.device.type == select_device("auto").type
    with pytest.raises(InputError, match="cuda:99"):
        load_images(torch.zeros(1, 3, 8, 8), 8, "cuda:99")


def test_the_cpu_is_always_available():
    accelerator = create_accelerator("cpu")
    assert accelerator.device.type == "cpu"
    assert accelerator.is_main_process
    assert not console.quiet


def test_a_later_run_gets_the_device_that_it_asks_for(monkeypatch: pytest.MonkeyPatch):
    before = create_accelerator("cpu")
    assert create_accelerator("cpu").state._shared_state is before.state._shared_state
    monkeypatch.setitem(PartialState._shared_state, "device", torch.device("cuda", 1))  # as if it had been a GPU
    monkeypatch.setitem(PartialState._shared_state, "_cpu", False)
    monkeypatch.setitem(AcceleratorState._shared_state, "device", torch.device("cuda", 1))
    monkeypatch.setitem(AcceleratorState._shared_state, "_cpu", False)
    after = create_accelerator("cpu")
    monkeypatch.undo()
    assert after.device.type == "cpu"
    assert create_accelerator("cpu").device.type == "cpu"


def test_the_number_of_a_gpu_is_for_one_accelerator_only(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    class Stub:
        is_main_process = True

        def __init__(self, **_: object):
            seen.append(os.environ.get("ACCELERATE_TORCH_DEVICE"))

    monkeypatch.setattr("accelerate.Accelerator", Stub)
    monkeypatch.setattr("wikiart_data.training.device._forget_other_device", lambda *_: None)
    for device in ("cuda:1", "cuda", "cpu"):
        create_accelerator(device)
    assert seen == ["cuda:1", None, None]


def test_a_given_precision_is_used():
    cpu = torch.device("cpu")
    assert use_bf16(cpu, "bf16")
    assert not use_bf16(cpu, "fp32")
    assert isinstance(use_bf16(cpu), bool)


def test_a_device_is_selected_without_an_accelerator():
    program = (
        "from accelerate.state import PartialState; from wikiart_data.training.device import select_device; "
        "print(select_device('cpu'), select_device().type, PartialState._shared_state)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    assert done.stdout.split() == ["cpu", expected.type, "{}"]
