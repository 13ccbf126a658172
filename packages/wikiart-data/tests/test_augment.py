import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from wikiart_data.images.augment import (
    NO_AUGMENTATION,
    Augment,
    colour_jitter,
    mixup_cutmix,
    random_boxes,
    random_light,
    resize,
    resized_crops,
)

WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]])


def jittered(images: torch.Tensor, augment: Augment) -> torch.Tensor:
    return colour_jitter(images, random_light(len(images), augment, seeded()))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(number: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """(number, height, width, 3) uint8."""
    return torch.randint(0, 256, (number, height, width, 3), dtype=torch.uint8, generator=seeded(seed))


def gradient(height: int, width: int) -> torch.Tensor:
    """(1, height, width, 3) float32: x in red and y in green, 0..1 from edge to edge of the picture; blue is 0.5."""
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    return torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.full((height, width), 0.5)], -1
    )[None]


# -- crops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32), (40, 24), (7, 50)])
@pytest.mark.parametrize("size", [8, 15, 32, 48])
def test_a_whole_box_resizes_as_torchvision_does(shape: tuple[int, int], size: int):
    images = noise(3, *shape)
    ours = resized_crops(images, WHOLE.expand(3, 5), size)
    theirs = tv.resize(images.permute(0, 3, 1, 2).float(), [size, size], antialias=True)
    # Both compute in float32 on 0..255, in another order: a thousandth of a grey level apart at most.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_a_whole_box_of_the_same_size_is_the_picture():
    images = noise(2, 20, 20)
    torch.testing.assert_close(
        resized_crops(images, WHOLE.expand(2, 5), 20), images.permute(0, 3, 1, 2).float(), rtol=0, atol=1e-3
    )


def test_a_mirrored_box_is_the_flipped_crop():
    images = noise(4, 30, 26)
    boxes = random_boxes(4, Augment(flip=0.0), seeded())
    plain = resized_crops(images, boxes, 12)
    boxes[:, 4] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    mirrored = resized_crops(images, boxes, 12)
    torch.testing.assert_close(mirrored[::2], plain[::2].flip(3), rtol=0, atol=1e-3)
    assert torch.equal(mirrored[1::2], plain[1::2])


def test_layout_and_type():
    for images in (noise(2, 9, 11), noise(2, 9, 11).float(), noise(2, 9, 11).double()):
        crops = resized_crops(images, WHOLE.expand(2, 5), 6)
        assert (crops.shape, crops.dtype) == ((2, 3, 6, 6), torch.float32)
        assert crops.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [5, 10, 40])
@pytest.mark.parametrize("mirrored", [0.0, 1.0])
def test_a_crop_shows_its_box(size: int, mirrored: float):
    left, top, width, height = 0.3, 0.2, 0.4, 0.25
    box = torch.tensor([[left, top, width, height, mirrored]])
    crop = resized_crops(gradient(80, 100), box, size)[0]
    # A gradient is blurred to itself, so a pixel has the value of the place it shows, well inside the picture.
    steps = (torch.arange(size) + 0.5) / size
    x = left + width * (steps.flip(0) if mirrored else steps)
    y = top + height * steps
    torch.testing.assert_close(crop[0], x.expand(size, size), rtol=0, atol=1e-4)
    torch.testing.assert_close(crop[1], y[:, None].expand(size, size), rtol=0, atol=1e-4)
    torch.testing.assert_close(crop[2], torch.full((size, size), 0.5), rtol=0, atol=1e-5)


def test_every_picture_has_its_own_box():
    images = gradient(64, 64).expand(2, -1, -1, -1)
    boxes = torch.tensor([[0.0, 0.5, 0.5, 0.5, 0.0], [0.5, 0.0, 0.5, 0.5, 0.0]])
    means = resized_crops(images, boxes, 16).mean(dim=(2, 3))
    torch.testing.assert_close(means, torch.tensor([[0.25, 0.75, 0.5], [0.75, 0.25, 0.5]]), rtol=0, atol=0.01)


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
def test_the_chunk_size_does_not_change_the_crops(products: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    images, boxes = noise(7, 30, 26), random_boxes(7, Augment(), seeded())
    whole = resized_crops(images, boxes, 12, products)
    for number in (1, 3, 7):
        monkeypatch.setattr("wikiart_data.images.augment.CPU_CHUNK", number)
        torch.testing.assert_close(resized_crops(images, boxes, 12, products), whole, rtol=0, atol=1e-3)


def test_reducing_keeps_the_mean():
    # What antialiasing is for: a fine chequerboard becomes grey, not black or white by chance.
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float().mul(255)
    crop = resized_crops(board[None, :, :, None].expand(1, 64, 64, 3), WHOLE, 16)
    assert crop[..., 1:-1, 1:-1].sub(127.5).abs().max() < 1


# -- boxes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "augment",
    [Augment(), Augment(crop=(0.08, 1.0)), Augment(crop=(0.9, 1.0)), Augment(crop=(1.0, 1.0)), Augment(ratio=3.0)],
)
def test_boxes_lie_in_the_picture_and_keep_their_area_and_ratio(augment: Augment):
    boxes = random_boxes(3000, augment, seeded())
    left, top, width, height, mirrored = boxes.double().unbind(1)
    tiny = 1e-6
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + tiny
    low, high = augment.crop
    area = width * height
    assert area.min() >= low - tiny
    assert area.max() <= high + tiny
    assert area.mean() == pytest.approx((low + high) / 2, abs=0.02)
    assert (width / height).log().abs().max() <= math.log(augment.ratio) + tiny
    assert mirrored.mean() == pytest.approx(0.5, abs=0.05)
    assert set(mirrored.tolist()) == {0.0, 1.0}


def test_boxes_touch_every_side():
    left, top, width, height, _ = random_boxes(3000, Augment(crop=(0.25, 0.25)), seeded()).unbind(1)
    for start, extent in ((left, width), (top, height)):
        assert start.min() < 0.01
        assert (start + extent).max() > 0.99
        assert (start + extent / 2).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_none_or_all_are_mirrored(flip: float):
    assert (random_boxes(500, Augment(flip=flip), seeded())[:, 4] == flip).all()


def test_no_augmentation_is_the_whole_picture():
    torch.testing.assert_close(random_boxes(50, NO_AUGMENTATION, seeded()), WHOLE.expand(50, 5), rtol=0, atol=1e-6)


# -- light ---------------------------------------------------------------------------------------------------------


def pictures(number: int = 8, size: int = 10) -> torch.Tensor:
    """(number, 3, size, size) float32 in 0..1."""
    return torch.rand(number, 3, size, size, generator=seeded(3))


def test_no_change_of_light_changes_nothing():
    images = pictures()
    # Taking the mean off and adding it again rounds, in the last place.
    torch.testing.assert_close(jittered(images.clone(), NO_AUGMENTATION), images, rtol=0, atol=3e-7)


def test_light_stays_in_range_and_in_place():
    images = pictures()
    changed = jittered(images, Augment(brightness=0.9, contrast=0.9))
    assert changed is images
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_brightness_moves_the_mean_and_contrast_the_spread():
    images = pictures(64).mul(0.2).add(0.4)  # far from 0 and 1: nothing is clamped
    before = images.clone()
    brighter = jittered(images.clone(), Augment(brightness=0.1, contrast=0.0))
    moved = (brighter - before).flatten(1)
    assert moved.std(dim=1).max() < 1e-5, "brightness is one number for a picture"
    assert moved[:, 0].abs().max() <= 0.1 + 1e-6
    assert moved[:, 0].abs().max() > 0.08
    assert abs(moved[:, 0].mean()) < 0.03
    stronger = jittered(images.clone(), Augment(brightness=0.0, contrast=0.5))
    torch.testing.assert_close(stronger.mean(dim=(1, 2, 3)), before.mean(dim=(1, 2, 3)), rtol=0, atol=1e-5)
    spread = stronger.std(dim=(1, 2, 3)) / before.std(dim=(1, 2, 3))
    assert 0.5 - 1e-4 <= spread.min() < 0.6
    assert 1.4 < spread.max() <= 1.5 + 1e-4


def test_light_of_nothing_to_change():
    assert random_light(3, NO_AUGMENTATION, seeded()).tolist() == [[0.0, 1.0]] * 3


# -- whole pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [6, 9, 20])
def test_resize_is_the_crop_of_the_whole_picture(size: int):
    images = (pictures(3, 9).permute(0, 2, 3, 1) * 255).byte().contiguous()
    resized = resize(images, size)
    assert torch.equal(resized, resized_crops(images, WHOLE.expand(3, 5), size))
    assert resized.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(resize(images, size, flip=True), resized.flip(3), rtol=0, atol=1e-3)


# -- mixing --------------------------------------------------------------------------------------------------------

LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])


def mixed(seed: int, prob: float = 1.0, **more: float) -> tuple[torch.Tensor, torch.Tensor]:
    return mixup_cutmix(pictures(), LABELS, 5, seed, prob=prob, **more)


@pytest.mark.parametrize("seed", range(6))
def test_targets_sum_to_one(seed: int):
    images, targets = mixed(seed)
    assert (images.shape, targets.shape, targets.dtype) == ((8, 3, 10, 10), (8, 5), torch.float32)
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert targets.min() >= 0
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_probability_0_leaves_images_and_one_hot_targets():
    images, targets = mixed(0, prob=0.0)
    assert torch.equal(images, pictures())
    assert torch.equal(targets, torch.eye(5)[LABELS])


def test_without_mixup_and_cutmix_targets_are_one_hot():
    images, targets = mixed(0, mixup=0.0, cutmix=0.0)
    assert torch.equal(images, pictures())
    assert torch.equal(targets, torch.eye(5)[LABELS])


def test_prob_is_the_fraction_of_mixed_steps():
    changed = sum(not torch.equal(mixed(seed, prob=0.7)[0], pictures()) for seed in range(300))
    assert 170 < changed < 240  # 210 expected, a standard deviation of 8; a cut may be empty


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_each_picture_with_its_neighbour(seed: int):
    images, targets = mixed(seed, mixup=1.0, cutmix=0.0)
    own, next_own = torch.eye(5)[LABELS], torch.eye(5)[LABELS.roll(1)]
    share = targets[0, 0].item()  # the first picture has label 0, its neighbour (the last) 2
    assert 0 < share < 1
    torch.testing.assert_close(targets, share * own + (1 - share) * next_own)
    torch.testing.assert_close(images, share * pictures() + (1 - share) * pictures().roll(1, 0))


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_takes_a_rectangle_of_the_neighbour(seed: int):
    images, targets = mixed(seed, mixup=0.0)
    from_other = (images != pictures()).any(dim=1)  # (8, 10, 10)
    assert torch.equal(images.permute(0, 2, 3, 1)[from_other], pictures().roll(1, 0).permute(0, 2, 3, 1)[from_other])
    where = from_other[0]
    assert (from_other == where).all(), "the rectangle is one for the batch"
    assert where.sum() == where.any(0).sum() * where.any(1).sum()
    share = 1 - where.float().mean().item()
    own, next_own = torch.eye(5)[LABELS], torch.eye(5)[LABELS.roll(1)]
    torch.testing.assert_close(targets, share * own + (1 - share) * next_own)


def test_mixup_and_cutmix_both_occur():
    kinds = set()
    for seed in range(20):
        images, _ = mixed(seed, mixup=1.0)
        kinds.add(bool((images == pictures()).any()))  # MixUp leaves no pixel as it was
    assert kinds == {True, False}


def test_mixing_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, same, different = mixed(7), mixed(7), mixed(8)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = mixed(7)
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], different[0])


def test_the_generators_of_gpus_are_not_seeded(monkeypatch: pytest.MonkeyPatch):
    def seeded_too(seed: int) -> None:
        pytest.fail(f"the GPUs were seeded with {seed}")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded_too)
    mixed(7)


def test_the_input_is_not_changed():
    images = pictures()
    for seed in range(4):
        mixup_cutmix(images, LABELS, 5, seed, mixup=1.0, prob=1.0)
    assert torch.equal(images, pictures())


def test_products_in_bf16_are_off_by_less_than_a_grey_level():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 40, 40, 3), generator=generator, dtype=torch.uint8)
    boxes = random_boxes(8, Augment(crop=(0.2, 1.0)), generator)
    exact = resized_crops(images, boxes, 32)
    fast = resized_crops(images, boxes, 32, torch.bfloat16)
    assert fast.dtype == torch.float32
    assert fast.is_contiguous(memory_format=torch.channels_last)
    assert (fast - exact).abs().mean() < 0.5
    assert (fast - exact).abs().max() < 3
    assert not fast.equal(exact)
