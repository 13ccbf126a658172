"""What a training step may do beyond the default: momentum-SAM, MaxNorm, teachers, additional images, a warm start."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_classify.classifier import Classifier, create_network
from wikiart_classify.config import TrainConfig
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root
from wikiart_data.images.augment import Augment, mixup_cutmix
from wikiart_data.images.batches import Batches, step_seed
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.names import split_name
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.schedule import warmup_cosine

EXTRA_FRACTION = 0.25
"""Additional images per image of a batch."""
WARMUP_EPOCHS = 6
"""Epochs of the warm start on painted pictures."""


@torch.no_grad()
def climb(optimizer: torch.optim.Optimizer, radius: float) -> list[tuple[Tensor, Tensor]]:
    """Move Muon's kernels by `radius` along their momentum, so that gradients are taken there (momentum-SAM).

    The momentum stands for the gradient of sharpness-aware minimisation, which would cost a second backward pass
    (Becker et al. 2024). Undo it with `restore` before the optimiser's step.

    Returns:
        The kernels that were moved, and where they were.
    """
    if not radius:
        return []
    pairs = [(p, state["momentum"]) for p, state in optimizer.state.items() if "momentum" in state]
    if not pairs:  # before the first step
        return []
    norm = torch.stack([momentum.norm() for _, momentum in pairs]).norm().clamp(min=1e-12)
    before = [(p, p.detach().clone()) for p, _ in pairs]
    for p, momentum in pairs:
        p.add_(momentum * (radius / norm))
    return before


@torch.no_grad()
def restore(before: list[tuple[Tensor, Tensor]]) -> None:
    """Undo `climb`."""
    for p, value in before:
        p.copy_(value)


@torch.no_grad()
def limit_norms(head: nn.Linear, largest: float) -> None:
    """Scale down every style's weights whose norm exceeds `largest` (MaxNorm, Alshammari et al. 2022)."""
    if largest:
        norms = head.weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        head.weight.mul_((largest / norms).clamp(max=1.0))


def load_teacher(config: TrainConfig, styles: tuple[str, ...], device: torch.device) -> nn.Module | None:
    """The trained network of --teacher; None without one.

    Raises:
        InputError: there is no such run, it was trained on other styles, or it is a baseline that cannot take the
            images of this training.
    """
    if config.teacher is None:
        return None
    classifier = Classifier.load(config.teacher, "cpu")
    if classifier.styles != styles:
        raise InputError(f"{config.teacher} was trained on other styles.", field="--teacher")
    size = classifier.config.size
    if classifier.config.is_baseline and not (config.is_baseline and config.size == size):
        raise InputError(
            f"{config.teacher} is a baseline, which takes images of {size} pixels only: it can teach a baseline with "
            f"--size {size}, but no other network.",
            field="--teacher",
        )
    return classifier.network.to(device).eval()


@torch.no_grad()
def teacher_targets(teacher: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Images (B, 3, H, W) → the teacher's probabilities (B, styles) float32."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        return teacher(images).float().softmax(dim=1)


class ExtraImages:
    """Batches of additional labelled images, EXTRA_FRACTION as large as those of training.

    Args:
        folder: with <Style>/* or train/<Style>/* of images; styles are named as those of the data, some may be missing.
        catalog: the data.
        config: size, batch size, seed and cache are read.
        device: where batches are wanted.
        bf16: whether crops are computed in bf16.
        rank: index of this process.
        world: number of processes.

    Raises:
        InputError: the folder cannot be used, has a style that the data lacks, or too few images.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        config: TrainConfig,
        device: torch.device,
        bf16: bool,
        rank: int = 0,
        world: int = 1,
    ):
        extra = scan(folder, cache_dir=config.cache_dir)
        if unknown := sorted(set(extra.styles) - set(catalog.styles)):
            raise InputError(f"{folder} has styles that {catalog.root} lacks: {', '.join(unknown)}.", field="--extra")
        packed = pack(extra, config.packed_size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)
        size = max(world, int(EXTRA_FRACTION * config.batch_size) // world * world)
        rows = _training_rows(packed)
        if len(rows) < size:
            raise InputError(f"{folder} has {len(rows)} images, fewer than the {size} of a batch.", field="--extra")
        to_catalog = torch.tensor([catalog.styles.index(style) for style in extra.styles])
        labels = to_catalog[torch.from_numpy(extra.labels)].numpy()
        seed = config.seed + 2  # balanced batches have seed + 1
        self.batches = Batches(
            packed,
            rows,
            size,
            device,
            augment=Augment(crop=CROP),
            labels=labels,
            bf16=bf16,
            seed=seed,
            rank=rank,
            world=world,
        )

    def from_step(self, step: int, size: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (b, 3, size, size) and styles (b,) from a step of the run on, epoch after epoch.

        Args:
            step: counted from the start of the run.
            size: side of the images, in pixels.
            last: the step before which to end.
        """
        while step < last:
            epoch, first = divmod(step, len(self.batches))
            batches = itertools.islice(self.batches.epoch(epoch, size, first), last - step)
            for batch in batches:
                step += 1
                yield batch


def _training_rows(packed: PackedImages) -> np.ndarray:
    """(n,) int64: the readable images below `train`, or all where the folder has no splits.

    `scan` cuts splits that a folder lacks; additional images are all for training.
    """
    files = packed.catalog.files
    in_train = np.array([split_name(file.partition("/")[0]) == "train" for file in files])
    rows = np.flatnonzero(in_train) if in_train.any() else np.arange(len(files))
    return rows[~np.isin(rows, list(packed.bad))]


CROP = (0.2, 1.0)
"""Smallest and largest fraction of an image's area that a training crop keeps."""
MIXUP_ALPHA = 0.4
"""Parameter of the Beta distribution of MixUp's weight."""


def warm_start(network: nn.Module, config: TrainConfig, device: torch.device, bf16: bool) -> None:
    """Train a network on pictures of the sample set's painters, in place; its last layer is left as it is.

    Pictures and labels are made by this toolkit, so nothing is downloaded and nothing but the style is known of them.

    Args:
        network: with its initial weights, on the device.
        config: `warmup_pictures`, network, size and optimiser are read.
        device: to train on.
        bf16: whether to train in bf16.
    """
    from wikiart_data.sample.build import TOTALS, build_sample_set

    number = config.warmup_pictures
    if not number:
        return
    folder = cache_root(config.cache_dir) / f"warmup-{number}-{config.packed_size}"
    build_sample_set(folder, size=config.packed_size, fraction=number / TOTALS["train"][0], echo=echo)
    packed = pack(scan(folder, cache_dir=config.cache_dir), config.packed_size, cache_dir=config.cache_dir)
    size = max(16, round(0.4 * config.size / 16) * 16)
    batch_size = min(config.batch_size, len(packed.rows("train")))
    batches = Batches(
        packed, batch_size=batch_size, device=device, augment=Augment(crop=CROP), bf16=bf16, seed=config.seed
    )
    styles = len(packed.catalog.styles)
    painted = create_network(styles, config).to(device)
    head = {name: value for name, value in painted.state_dict().items() if name.startswith("head.")}
    painted.load_state_dict({**network.state_dict(), **head})
    optimizer = Muon(muon_groups(painted, config.lr, config.weight_decay))
    scheduler = LambdaLR(optimizer, warmup_cosine(WARMUP_EPOCHS * len(batches)))
    painted.train()
    for epoch in range(WARMUP_EPOCHS):
        label = f"warm start {epoch + 1}/{WARMUP_EPOCHS}"
        for step, (images, labels) in enumerate(track(batches.epoch(epoch, size), len(batches), label, "steps")):
            seed = step_seed(config.seed, epoch, step, stream=3)
            images, targets = mixup_cutmix(images, labels, styles, seed, mixup=MIXUP_ALPHA, prob=config.mix_prob)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = painted(images)
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
    trunk = {name: value for name, value in painted.state_dict().items() if not name.startswith("head.")}
    network.load_state_dict(trunk, strict=False)
    echo(f"Warm start: {WARMUP_EPOCHS} epochs on {len(packed.rows('train')):,} painted pictures.")
