from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wikiart_data.images.augment import NO_AUGMENTATION, Augment
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.images.sampler import BalancedSampler

SIZE = 12
Folder = Callable[..., Path]


@pytest.fixture
def packed(folder: Folder) -> PackedImages:
    return pack(scan(folder()), SIZE)


def batches(packed: PackedImages, size: int = 8, **more: object) -> Batches:
    return Batches(packed, packed.rows("train"), size, **{"augment": Augment(), "seed": 3, **more})


def epoch(source: Batches, number: int = 0, side: int = 10, start: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(source.epoch(number, side, start=start))


def same(ours: list, theirs: list) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(images, other_images) and torch.equal(labels, other_labels)
        for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True)
    )


def test_shapes_and_length(packed: PackedImages):
    source = batches(packed)
    steps = epoch(source)
    assert len(steps) == len(source) == 3  # 25 pictures; the last one is left for another epoch
    for images, labels in steps:
        assert (images.shape, images.dtype) == ((8, 3, 10, 10), torch.float32)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= images.min() < 0.5 < images.max() <= 1
        assert (labels.shape, labels.dtype) == ((8,), torch.int64)
    assert epoch(source, side=7)[0][0].shape == (8, 3, 7, 7)
    assert len(batches(packed, 5)) == 5
    assert len(batches(packed, 25)) == 1


def test_the_same_by_seed_and_epoch_and_different_between(packed: PackedImages):
    assert same(epoch(batches(packed)), epoch(batches(packed)))
    source = batches(packed)
    list(source.epoch(5, 10))  # what was drawn before does not matter
    assert same(epoch(source), epoch(batches(packed)))
    assert not same(epoch(source, 0), epoch(source, 1))
    assert not same(epoch(source), epoch(batches(packed, seed=4)))


def test_an_epoch_without_augmentation_is_every_picture_once(packed: PackedImages):
    source = Batches(packed, packed.rows("train"), 5, seed=1)
    images = torch.cat([images for images, _ in epoch(source, side=SIZE)])
    labels = torch.cat([labels for _, labels in epoch(source, side=SIZE)])
    pixels = torch.from_numpy(packed.images[packed.rows("train")]).permute(0, 3, 1, 2).float() / 255
    apart = (images[:, None] - pixels[None]).abs().amax(dim=(2, 3, 4))
    # The nearest picture is the one itself, to the rounding of resizing and relighting; any other is far away.
    nearest, place = apart.min(dim=1)
    assert nearest.max() < 1e-5
    assert sorted(place.tolist()) == list(range(25))
    assert torch.equal(labels, torch.from_numpy(packed.catalog.labels[packed.rows("train")])[place])


def test_labels_match_pictures_when_augmented(folder: Folder):
    from PIL import Image

    root = folder({"train": {"Baroque": [], "Cubism": [], "Rococo": []}}, real=False)
    colours = {"Baroque": (250, 0, 0), "Cubism": (0, 250, 0), "Rococo": (0, 0, 250)}
    for style, colour in colours.items():
        for number in range(6):
            Image.new("RGB", (16, 16), colour).save(root / "train" / style / f"{number}.png")
    catalog = scan(root)
    packed = pack(catalog, SIZE)
    for images, labels in batches(packed, 4, power=0.5).epoch(0, 8):
        assert torch.equal(images.mean(dim=(2, 3)).argmax(dim=1), labels)


def test_the_order_is_the_samplers(packed: PackedImages):
    rows = packed.rows("train")
    labels = torch.cat([labels for _, labels in epoch(batches(packed, 5, power=1.0, seed=9), 2)])
    drawn = BalancedSampler(packed.catalog.labels[rows], 1.0, seed=9).epoch(2)
    assert labels.tolist() == packed.catalog.labels[rows][drawn].tolist()


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(world: int, packed: PackedImages):
    whole = epoch(batches(packed, power=0.5), 1)
    parts = [epoch(batches(packed, power=0.5, rank=rank, world=world), 1) for rank in range(world)]
    assert {len(part) for part in parts} == {len(whole)}
    for step, (images, labels) in enumerate(whole):
        for rank, part in enumerate(parts):
            assert torch.equal(part[step][1], labels[rank::world])
            # A batch of another size may be multiplied in another order: the last places differ.
            torch.testing.assert_close(part[step][0], images[rank::world], rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [1, 2, 3, 9])
def test_an_epoch_begins_at_any_step(start: int, packed: PackedImages):
    assert same(epoch(batches(packed), 4, start=start), epoch(batches(packed), 4)[start:])


def test_unreadable_pictures_are_left_out(folder: Folder):
    root = folder()
    (root / "train/Baroque/001.jpg").write_text("no picture")
    packed = pack(scan(root), SIZE, max_bad_fraction=0.1)
    source = Batches(packed, packed.rows("train"), 4)
    assert len(source.sampler) == 24
    assert all(images.amax(dim=(1, 2, 3)).min() > 0 for images, _ in epoch(source))


def test_changing_a_batch_does_not_change_the_pack(packed: PackedImages):
    before = packed.images.copy()
    for images, _ in Batches(packed, packed.rows("train"), 5).epoch(0, SIZE):
        images.zero_()
    for images in DeviceImages(packed).in_order(packed.rows("train"), 5, SIZE):
        images.zero_()
    assert np.array_equal(packed.images, before)


def test_iteration_yields_the_epoch_that_was_chosen(packed: PackedImages):
    source = Batches(packed, split="train", batch_size=8, augment=Augment(), seed=3)
    assert same(list(source), epoch(batches(packed), 0, SIZE))
    source.set_epoch(2)
    assert same(list(source), epoch(batches(packed), 2, SIZE))
    assert not same(list(source), epoch(batches(packed), 0, SIZE))
    assert next(iter(Batches(packed, split="valid", batch_size=5, size=7)))[0].shape == (5, 3, 7, 7)
    assert "\n" not in repr(source) + repr(source.pictures) + repr(source.sampler)


@pytest.mark.parametrize("augment", [Augment(), NO_AUGMENTATION])
def test_no_step_waits_for_the_device(augment: Augment, packed: PackedImages):
    """On a GPU, reading a value on the host or copying a new one to the device would stop the queue of kernels."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Calls(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    steps = batches(packed, 5, power=0.5, augment=augment).epoch(0, 10)
    with Calls() as calls:
        next(steps)
        in_first_step = len(calls.names)
        remaining = list(steps)
    assert len(remaining) == 4
    assert "bmm" in calls.names[in_first_step:], "nothing was recorded"
    assert "_local_scalar_dense" not in calls.names  # item(), bool(), int(), float(), tolist()
    # What is random is drawn before the first step. After it, each step makes one tensor of numbers on the host: the
    # pictures themselves, which a GPU holds if they fit there.
    assert ("rand" in calls.names[:in_first_step]) == (augment != NO_AUGMENTATION)
    assert not {"rand", "randint", "randperm"} & set(calls.names[in_first_step:])
    assert calls.names[in_first_step:].count("lift_fresh") == len(remaining)


@pytest.mark.parametrize(
    ("size", "world", "sentence"),
    [
        (9, 2, "a batch of 9 cannot be shared evenly by 2 processes"),
        (0, 1, "a batch of 0 cannot be shared evenly by 1 processes"),
        (26, 1, "a batch of 26 is more than the 25 pictures there are"),
    ],
)
def test_errors(size: int, world: int, sentence: str, packed: PackedImages):
    with pytest.raises(ValueError, match=sentence):
        batches(packed, size, world=world)


@pytest.mark.parametrize("side", [SIZE, 7, 20])
def test_in_order_gives_every_picture_once(side: int, packed: PackedImages):
    from torchvision.transforms.v2 import functional as tv

    rows = packed.rows("train")[::-1].copy()
    parts = list(DeviceImages(packed).in_order(rows, 7, side))
    assert [len(images) for images in parts] == [7, 7, 7, 4]
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images in parts)
    pixels = torch.from_numpy(packed.images[rows]).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(torch.cat(parts), tv.resize(pixels, [side, side], antialias=True), rtol=0, atol=1e-5)


def test_in_order_of_nothing_is_nothing(packed: PackedImages):
    assert list(DeviceImages(packed).in_order(np.array([], dtype=np.int64), 7, SIZE)) == []


def test_step_seeds_are_all_different():
    seeds = {step_seed(seed, epoch, step) for seed in range(5) for epoch in range(20) for step in range(50)}
    assert len(seeds) == 5000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_holds_the_pack_and_gives_the_same_batches(packed: PackedImages):
    on_cpu, on_gpu = batches(packed), batches(packed, device="cuda")
    assert on_gpu.pictures.resident is not None
    for (images, labels), (gpu_images, gpu_labels) in zip(epoch(on_cpu), epoch(on_gpu), strict=True):
        assert torch.equal(gpu_labels.cpu(), labels)
        # TF32 is off by default, so only the order of sums differs.
        torch.testing.assert_close(gpu_images.cpu(), images, rtol=0, atol=1e-4)
