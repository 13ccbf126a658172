"""`wikiart-stylegen train`: the training loop.

The module is not called `train`, so that the function `wikiart_stylegen.train` is never hidden by a module of its name.
"""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from wikiart_autoencode.evaluation.image_metrics import psnr
from wikiart_autoencode.losses import reconstruction_loss
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.artists import keep_half_of_artists
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches, DeviceImages, step_seed, to_device
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.styles import display_name
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.opening import data_digests
from wikiart_data.training.processes import synchronize_batch_norm
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import average_gradients, update_ema, warmup_cosine
from wikiart_data.training.training_run import TrainingRun
from wikiart_stylegen.config import TrainConfig, TrainOptions, resolve_config
from wikiart_stylegen.discriminators import (
    AuxiliaryNetworks,
    StyleClassifier,
    discriminator_step,
    style_classifier_step,
)
from wikiart_stylegen.figures import learning_curve, style_grid
from wikiart_stylegen.losses import (
    content_cycle_loss,
    domain_confusion_loss,
    edge_loss,
    hinge_generator_loss,
    style_statistics_loss,
)
from wikiart_stylegen.network import StyleAutoencoder
from wikiart_stylegen.results import TrainResult
from wikiart_stylegen.transfer import make_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PART = Part(
    name="stylegen",
    title="An autoencoder that repaints in any style",
    command="wikiart-stylegen",
    next_commands=(
        "wikiart-stylegen evaluate RUN --judge JUDGE",
        "wikiart-stylegen repaint PICTURE --model RUN --style Ukiyo_e",
    ),
)
CROPS = Augment(crop=(0.6, 1.0), brightness=0.0, contrast=0.0)
"""Augmentation of training images. Colours and contrast are part of the style, so they are not changed."""
DISCRIMINATOR_LR = 5e-4
CLASSIFIER_LR, CLASSIFIER_WEIGHT_DECAY = 0.02, 0.1
CLASSIFIER_LR_FLOOR = 0.1
"""Smallest fraction of its peak learning rate with which the style classifier is trained after the warm-up epochs."""
SSIM_WEIGHT = 0.1
"""Weight of SSIM in the reconstruction loss."""
NULL_PROBABILITY = 0.1
"""Probability that an image is reconstructed under the null style, which thereby becomes the average style."""
GRID_INTERVAL, GRID_ROWS = 5, 6
"""A grid of this many validation images is drawn every so many epochs."""
LOSSES = ("reconstruction", "adversarial", "style", "statistics", "content", "edge", "confusion")
"""The generator's losses; each has a weight `<name>_weight` in TrainConfig."""


def train(options: TrainOptions) -> TrainResult:
    """Train a style autoencoder and write the run's folder.

    Args:
        options: `TrainOptions`, or a complete `TrainConfig`; `wikiart-stylegen train --help` describes each option.

    Returns:
        Losses, PSNR, training time and the run's folder.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    result = fit(options)
    echo(f"\nReconstructed in their own style, validation images reach {result.psnr:.2f} dB.")
    echo(f"Trained for {result.train_seconds:.0f} s. Everything is in {result.folder}/ (open index.html).")
    echo(f"Next: wikiart-stylegen evaluate {result.folder} --judge JUDGE")
    return result


def fit(options: TrainOptions) -> TrainResult:
    """The training loop: warm-up epochs of the style classifier, then generator and discriminators in turn."""
    run = TrainingRun.open(PART, options, resolve_config, load_packed, facts=data_digests)
    config, packed, device, accelerator = run.config, run.packed, run.device, run.accelerator
    num_styles = len(packed.catalog.styles)
    film = config.conditioning == "film"
    warmup_epochs = config.warmup_epochs if film else 0
    batches = Batches(
        packed,
        packed.rows("train"),
        config.batch_size,
        device,
        power=config.power,
        augment=CROPS,
        bf16=run.bf16,
        seed=config.seed,
        rank=run.rank,
        world=run.world,
    )
    generator = make_network(num_styles, config).to(device).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(generator).eval()
    auxiliary = AuxiliaryNetworks(num_styles, config.channels).to(device).to(memory_format=torch.channels_last)
    classifier = auxiliary.style_classifier

    generator_optimizer = Muon(muon_groups(generator, config.lr, config.weight_decay))
    classifier_optimizer = Muon(muon_groups(classifier, CLASSIFIER_LR, CLASSIFIER_WEIGHT_DECAY))
    discriminator_optimizer = torch.optim.Adam(
        [*auxiliary.discriminator.parameters(), *auxiliary.probe.parameters()],
        lr=DISCRIMINATOR_LR,
        betas=(0.5, 0.99),
        fused=device.type == "cuda" or None,  # None: as torch chooses
    )
    generator_steps = (config.epochs - warmup_epochs) * len(batches)
    generator_schedule = LambdaLR(generator_optimizer, warmup_cosine(generator_steps))
    classifier_factor = warmup_cosine(max(warmup_epochs, 1) * len(batches), lowest=CLASSIFIER_LR_FLOOR)
    classifier_schedule = LambdaLR(classifier_optimizer, classifier_factor)
    print_summary(run, generator)
    synchronize_batch_norm(generator)
    run.compile(generator.encoder, generator.decoder)
    run.attach(
        generator=generator,
        ema=ema,
        auxiliary=auxiliary,
        generator_optimizer=generator_optimizer,
        classifier_optimizer=classifier_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        generator_schedule=generator_schedule,
        classifier_schedule=classifier_schedule,
    )
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=run.bf16)

    for epoch in run.epochs(config.epochs):
        generator.train()
        auxiliary.train()
        steps = range(run.first_step, len(batches))
        offsets, null_masks = draw_conditioning(config, epoch, steps, num_styles, batches.shard, device)
        for step, (images, styles) in run.steps(batches.epoch(epoch, config.size, run.first_step), len(batches)):
            if epoch < warmup_epochs:
                with autocast:
                    loss = style_classifier_step(accelerator, auxiliary, classifier_optimizer, images, styles)
                classifier_schedule.step()
                run.record_losses(style_classifier=loss)
                continue
            target_styles = (styles + offsets[step - steps.start]) % num_styles
            own_styles = torch.where(null_masks[step - steps.start], generator.null_style, styles)
            with autocast:
                code = generator.encoder(images)
                # Without noise, which the input has none of: the decoder would learn to ignore it.
                reconstruction = generator.decode(code, generator.embeddings(own_styles), noise_seed=None).float()
            losses = {"reconstruction": reconstruction_loss(reconstruction, images, SSIM_WEIGHT, "charbonnier")}
            if film:
                with autocast:
                    noise_seed = step_seed(config.seed, epoch, step, stream=2)
                    repaints = generator.decode(code, generator.embeddings(target_styles), noise_seed).float()
                    style_classifier_step(accelerator, auxiliary, classifier_optimizer, images, styles, repaints)
                    discriminator_step(
                        accelerator, auxiliary, discriminator_optimizer, images, styles, repaints, target_styles, code
                    )
                    losses |= repaint_losses(generator, auxiliary, code, repaints, target_styles)
                losses["edge"] = edge_loss(repaints, images)
                classifier_schedule.step()
            loss = torch.stack([getattr(config, f"{name}_weight") * value for name, value in losses.items()]).sum()
            generator_optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            average_gradients(accelerator, generator.parameters())
            generator_optimizer.step()
            generator_schedule.step()
            update_ema(ema, generator, config.ema, (epoch - warmup_epochs) * len(batches) + step)
            run.record_losses(**losses)
        if run.is_main:
            finish_epoch(run, epoch >= warmup_epochs, ema, classifier, batches.pictures)

    result = TrainResult(
        folder=run.folder,
        psnr=run.metrics()[-1]["psnr"],
        train_seconds=round(run.seconds, 1),
        parameters=sum(p.numel() for p in ema.parameters()),
        epochs=config.epochs,
    )
    run.finish(result, result.tables(), {"learning": learning_curve(run.metrics(), LOSSES)})
    run.close()
    return result


def finish_epoch(
    run: TrainingRun[TrainConfig, PackedImages],
    generator_trained: bool,
    ema: StyleAutoencoder,
    classifier: StyleClassifier,
    pictures: DeviceImages,
) -> None:
    """Validate, save the averaged weights, draw the grid of some epochs, and log. In the main process only.

    A network that is not trained is not validated: the generator in warm-up epochs, the classifier with `concat`.
    """
    config, done = run.config, run.epoch + 1
    data = pictures, config.size, run.bf16
    psnr_db = validate_generator(ema, *data) if generator_trained else None
    accuracy = validate_classifier(classifier, *data) if config.conditioning == "film" else None
    run.save_model(ema)
    if generator_trained and (done % GRID_INTERVAL == 0 or done == config.epochs):
        name = "grid" if done == config.epochs else f"grid-{done:03d}"
        run.save_figures({name: validation_grid(ema, *data)})
    means = {name: run.losses.get(name) for name in ("style_classifier", *LOSSES)}
    parts = [f"epoch {done:3}/{config.epochs}"]
    parts += [f"{name} {value:.3f}" for name, value in means.items() if value is not None]
    if psnr_db is not None:
        parts.append(f"PSNR {psnr_db:.2f} dB")
    if accuracy is not None:
        parts.append(f"style accuracy {accuracy:.0%}")
    run.log("  ".join(parts), psnr=psnr_db, style_accuracy=accuracy, **means)


def load_packed(config: TrainConfig) -> PackedImages:
    """The packed images of a config's data folder.

    Raises:
        InputError: the folder cannot be used, has only one style, or a style has no training images by the chosen half
            of the artists.
    """
    assert config.data is not None  # resolved when the run was opened
    catalog = scan(config.data, cache_dir=config.cache_dir)
    if len(catalog.styles) < 2:
        raise InputError(f"{catalog.root} has only one style; repainting needs two.", field=catalog.root)
    if config.artist_half != "all":
        catalog = keep_half_of_artists(catalog, config.artist_half)
        counts = zip(catalog.styles, catalog.counts("train"), strict=True)
        if missing := [display_name(style) for style, count in counts if not count]:
            raise InputError(
                f"--artist-half {config.artist_half} leaves no training images of {', '.join(missing)}, whose artists "
                "are all in the other half: train on all artists, or on a folder without these styles.",
                field="--artist-half",
            )
    return pack(catalog, config.size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)


def draw_conditioning(
    config: TrainConfig, epoch: int, steps: range, num_styles: int, shard: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draw the random numbers that decide in which styles the images of an epoch are painted.

    They are drawn for the whole batch, so that the number of processes does not change them, and moved to the device
    once per epoch.

    Args:
        config: its seed and batch size are used.
        epoch: number of the epoch.
        steps: steps to draw for; there may be none.
        num_styles: number of styles.
        shard: rows of a batch that belong to this process.
        device: where the results go.

    Returns:
        (steps, b) int64 in 1 … num_styles − 1, to be added to an image's style (modulo num_styles) for a uniform draw
        among the others, and (steps, b) bool, which images are reconstructed under the null style.
    """
    # Made before the loop: a run that stopped after the last step of an epoch resumes with no step to draw for.
    shape = len(steps), len(range(config.batch_size)[shard])
    offsets, null_masks = torch.empty(shape, dtype=torch.int64), torch.empty(shape, dtype=torch.bool)
    for row, step in enumerate(steps):
        random = torch.Generator().manual_seed(step_seed(config.seed, epoch, step, stream=1))
        offsets[row] = torch.randint(1, num_styles, (config.batch_size,), generator=random)[shard]
        null_masks[row] = torch.rand(config.batch_size, generator=random)[shard] < NULL_PROBABILITY
    return to_device(offsets, device), to_device(null_masks, device)


def repaint_losses(
    generator: StyleAutoencoder,
    auxiliary: AuxiliaryNetworks,
    code: Tensor,
    repaints: Tensor,
    target_styles: Tensor,
) -> dict[str, Tensor]:
    """The generator's losses that ask other networks about the repaints, unweighted.

    Args:
        generator: its encoder reads the repaints' content codes.
        auxiliary: the networks that supervise it, frozen.
        code: (B, K, S / 8, S / 8), content codes of the inputs.
        repaints: (B, 3, S, S), the inputs in the target styles.
        target_styles: (B,) int64.
    """
    adversarial = hinge_generator_loss(auxiliary.discriminator(repaints, target_styles).float())
    statistics = auxiliary.style_classifier.statistics(repaints)
    target = auxiliary.style_statistics
    return {
        "adversarial": adversarial,
        "style": F.cross_entropy(auxiliary.style_classifier.classify(statistics), target_styles),
        "statistics": style_statistics_loss(statistics, target.means[target_styles], target.spread),
        "content": content_cycle_loss(code, generator.encoder(repaints)),
        "confusion": domain_confusion_loss(auxiliary.probe(code)),
    }


@torch.no_grad()
def validate_generator(network: StyleAutoencoder, pictures: DeviceImages, size: int, bf16: bool) -> float:
    """Mean PSNR of validation images reconstructed in their own style, in dB."""
    network.eval()
    values = []
    for images, styles in _validation_batches(pictures, size):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            reconstruction = network(images, styles)[0].float().clamp(0, 1)
        values.append(psnr(reconstruction, images))
    return torch.cat(values).mean().item()


@torch.no_grad()
def validate_classifier(classifier: StyleClassifier, pictures: DeviceImages, size: int, bf16: bool) -> float:
    """Fraction of validation images whose style the style classifier recognises."""
    num_styles, correct, number = len(pictures.packed.catalog.styles), 0, 0
    for images, styles in _validation_batches(pictures, size):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = classifier.classify(classifier.statistics(images))[:, :num_styles]
        correct += int((logits.argmax(dim=1) == styles).sum())
        number += len(images)
    return correct / number


def _validation_batches(pictures: DeviceImages, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, 3, S, S) in [0, 1] and styles (B,) int64 of the validation split."""
    rows, start = pictures.packed.rows("valid"), 0
    for images in pictures.in_order(rows, 128, size):
        labels = pictures.packed.catalog.labels[rows[start : start + len(images)]]
        start += len(images)
        yield images, torch.from_numpy(labels).to(images.device)


@torch.no_grad()
def validation_grid(network: StyleAutoencoder, pictures: DeviceImages, size: int, bf16: bool) -> "Figure":
    """A figure of validation images, spread evenly over the split, in every style."""
    network.eval()
    packed = pictures.packed
    rows = packed.rows("valid")
    chosen = rows[torch.linspace(0, len(rows) - 1, min(GRID_ROWS, len(rows))).long().numpy()]
    images = next(pictures.in_order(chosen, GRID_ROWS, size))
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        code = network.encoder(images)
        repaints = [
            network.decode(code, network.embeddings.weight[style].expand(len(images), -1)).float().clamp(0, 1).cpu()
            for style in range(network.null_style)
        ]
    labels = packed.catalog.labels[chosen]
    return style_grid(images.cpu(), torch.stack(repaints, dim=1), labels.tolist(), packed.catalog.styles)


def print_summary(run: TrainingRun[TrainConfig, PackedImages], network: StyleAutoencoder) -> None:
    """Print what is about to be trained."""
    if not run.is_main:
        return
    config, catalog = run.config, run.packed.catalog
    counts = {split: int(catalog.counts(split).sum()) for split in ("train", "valid")}
    echo(f"{counts['train']:,} training and {counts['valid']:,} validation images of {len(catalog.styles)} styles.")
    side = config.size // 8
    echo(
        f"Content code {side} × {side} × {config.channels}, style embeddings of {config.embedding_dim} numbers "
        f"({config.conditioning})."
    )
    parameters = sum(p.numel() for p in network.parameters())
    place = f"{run.device}, {'bf16' if run.bf16 else 'fp32'}" + (f", {run.world} processes" if run.world > 1 else "")
    echo(f"{parameters / 1e6:.1f} M parameters, {config.epochs} epochs at {config.size} px, on {place}.")
