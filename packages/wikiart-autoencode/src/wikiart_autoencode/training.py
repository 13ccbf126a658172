"""`wikiart-autoencode train`: the training loop."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from wikiart_autoencode.autoencoder import make_network
from wikiart_autoencode.config import TrainConfig, TrainOptions
from wikiart_autoencode.evaluation.evaluate import evaluate_split, reconstruct_batch
from wikiart_autoencode.evaluation.image_metrics import ReconstructionScores
from wikiart_autoencode.figures import learning_curve, reconstruction_grid
from wikiart_autoencode.losses import reconstruction_loss
from wikiart_autoencode.objectives import TWO_VIEWS, AuxiliaryObjective, add_noise
from wikiart_data.console import echo
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.sample import is_sample_set
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.processes import synchronize_batch_norm
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_data.training.training_run import TrainingRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PART = Part(
    name="autoencode",
    title="An autoencoder of paintings",
    command="wikiart-autoencode",
    next_commands=(
        "wikiart-autoencode encode RUN",
        "wikiart-cluster --codes RUN/codes.npz",
        "wikiart-autoencode evaluate RUN --split test",
        "wikiart-autoencode reconstruct picture.jpg --model RUN",
    ),
)
EPOCHS, EPOCHS_ON_SAMPLE_SET = 30, 12
BATCH_SIZE, BATCH_SIZE_TWO_VIEWS = 32, 128
"""VICReg estimates variances and covariances of the codes over the batch, so it needs a larger one."""
AUGMENTATION = Augment(crop=(0.64, 1.0), brightness=0.0, contrast=0.0)
"""Mild crops only: what is reconstructed should look like the pictures that are evaluated."""
TWO_VIEWS_AUGMENTATION = Augment(crop=(0.15, 1.0))
"""Crops for VICReg, so different that often only the style is common to both."""
PACK_SCALE = 1.25
"""Training pictures are packed this much larger than they are used, so that no crop is ever enlarged. Enlarged crops
are softer than the pictures that are evaluated, and easier to reconstruct."""
GRID_COLUMNS, GRID_INTERVAL = 8, 5
"""Pictures of the reconstruction grid, always the same ones of valid, and the epochs between two grids."""


@dataclass(frozen=True)
class TrainResult:
    """What result.json of a training run holds."""

    valid: ReconstructionScores
    test: ReconstructionScores | None
    """None if the data has no test split."""
    train_seconds: float
    parameters: int
    epochs: int
    numbers: int
    """Numbers in a code."""
    folder: Path | None = field(default=None, compare=False, metadata={"json": False})
    """The run's folder; None in a result that was read from its result.json."""

    def __repr__(self) -> str:
        return f"TrainResult(valid={self.valid}, test={self.test}, {self.train_seconds:.0f} s)"


def train(options: TrainOptions) -> TrainResult | None:
    """Train an autoencoder, evaluate it, write the run folder and print the scores.

    Args:
        options: `TrainOptions`, or a complete `TrainConfig`; `wikiart-autoencode train --help` describes each option.

    Returns:
        The result; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    folder, result = fit(options)
    if result is not None:
        echo()
        for table in tables(result):
            print_table(table)
        echo(f"\nTrained for {result.train_seconds:.0f} s. Everything is in {folder}/ (open index.html).")
        echo(f"Save the codes of all pictures: wikiart-autoencode encode {folder}")
    return result


def resolve_config(options: TrainOptions, root: Path) -> TrainConfig:
    """Fill in the options that were left open.

    Args:
        options: as given by the user.
        root: the data folder.
    """
    two_views = options.objective in TWO_VIEWS
    values = {
        "data": str(root),
        "code": options.code or 0,
        "epochs": options.epochs or (EPOCHS_ON_SAMPLE_SET if is_sample_set(root) else EPOCHS),
        "batch_size": options.batch_size or (BATCH_SIZE_TWO_VIEWS if two_views else BATCH_SIZE),
    }
    return TrainConfig(**{**vars(options), **values})


def load_packed(config: TrainConfig) -> PackedImages:
    """Pack the pictures at the size of the network, and once more, larger, for training crops.

    Raises:
        InputError: the data cannot be read, or the cache cannot be written.
    """
    catalog = scan(config.data, cache_dir=config.cache_dir)
    packed = pack(catalog, config.size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)
    pack_for_crops(packed, config)
    return packed


def pack_for_crops(packed: PackedImages, config: TrainConfig) -> PackedImages:
    """The same pictures, PACK_SCALE times larger."""
    size = round(PACK_SCALE * config.size)
    return pack(packed.catalog, size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)


def fit(options: TrainOptions) -> tuple[Path, TrainResult | None]:
    """Train, evaluate and write the run folder.

    Returns:
        The run folder and the result; no result in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    run = TrainingRun.open(PART, options, resolve_config, load_packed)
    config = run.config
    two_views, denoise = config.objective in TWO_VIEWS, config.objective == "denoise"
    valid_images = DeviceImages(run.packed, run.device)
    batches = Batches(
        pack_for_crops(run.packed, config),
        batch_size=config.batch_size,
        device=run.device,
        augment=TWO_VIEWS_AUGMENTATION if two_views else AUGMENTATION,
        bf16=run.bf16,
        seed=config.seed,
        rank=run.rank,
        world=run.world,
    )
    network = make_network(config).to(run.device).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(network).eval()
    objective = AuxiliaryObjective(config.objective, config.code, config.channels).to(run.device)
    trained = nn.ModuleDict({"network": network, "objective": objective})
    optimizer = Muon(muon_groups(trained, config.lr, config.weight_decay))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(config.epochs * len(batches)))
    synchronize_batch_norm(network, objective)
    run.compile(network)
    model = run.accelerator.prepare(network)
    if any(True for _ in objective.parameters()):  # accelerate cannot distribute a module without parameters
        objective = run.accelerator.prepare(objective)
    print_setup(run, network)

    run.attach(trained=trained, ema=ema, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(config.epochs):
        model.train()
        second_views = batches.epoch(epoch, config.size, run.first_step, stream=2)
        for step, (images, _) in run.steps(batches.epoch(epoch, config.size, run.first_step), len(batches)):
            noise_seed = step_seed(config.seed, epoch, step, stream=1)
            inputs = add_noise(images, noise_seed, batches.shard) if denoise else images
            with torch.autocast(run.device.type, torch.bfloat16, enabled=run.bf16):
                reconstruction, code = model(inputs)
                loss = reconstruction_loss(reconstruction.float(), images, config.ssim_weight, config.loss)
                other_code = network.encoder(next(second_views)[0]) if two_views else None
                loss = loss + config.objective_weight * objective(code, other_code, images)
            optimizer.zero_grad(set_to_none=True)
            run.accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            update_ema(ema, network, config.ema, epoch * len(batches) + step)
            run.record_losses(loss=loss)
        if run.is_main:
            valid = evaluate_split(ema, valid_images, "valid", config.size, run.bf16)
            run.save_model(ema)
            if (epoch + 1) % GRID_INTERVAL == 0 or epoch + 1 == config.epochs:
                run.save_figures({f"epoch-{epoch + 1:03d}": valid_grid(ema, valid_images, config.size, run.bf16)})
            run.log(
                f"epoch {epoch + 1:3}/{config.epochs}  loss {run.losses['loss']:.4f}  "
                f"valid PSNR {valid.psnr:.2f} dB · SSIM {valid.ssim:.3f}",
                loss=run.losses["loss"],
                mse=valid.mse,
                psnr=valid.psnr,
                ssim=valid.ssim,
            )

    result = finish(run, ema) if run.is_main else None
    run.close()
    return run.folder, result


def finish(run: TrainingRun[TrainConfig, PackedImages], network: nn.Module) -> TrainResult:
    """Evaluate the final weights on valid and test; write them, result.json and the learning curve."""
    config, images = run.config, DeviceImages(run.packed, run.device)
    run.save_model(network)

    def scores(split: str) -> ReconstructionScores:
        return evaluate_split(network, images, split, config.size, run.bf16)

    result = TrainResult(
        valid=scores("valid"),
        test=scores("test") if len(run.packed.rows("test")) else None,
        train_seconds=round(run.seconds, 1),
        parameters=sum(p.numel() for p in network.parameters()),
        epochs=config.epochs,
        numbers=config.code or config.channels * (config.size // 8) ** 2,
        folder=run.folder,
    )
    run.finish(result, tables(result), {"learning": learning_curve(run.metrics())})
    return result


def tables(result: TrainResult) -> list[Table]:
    """The scores as a table: one row per metric, one column per split."""
    splits = {name: scores for name, scores in (("test", result.test), ("valid", result.valid)) if scores}
    columns = ("", *(f"{name}, {scores.n:,} images" for name, scores in splits.items()))
    rows: list[tuple[str | Number, ...]] = []
    for name, metric, unit, digits in (("PSNR", "psnr", "dB", 2), ("SSIM", "ssim", "", 3), ("MSE", "mse", "", 5)):
        rows.append(
            (
                name,
                *(
                    Number(getattr(scores, metric), unit, digits, interval=getattr(scores, f"{metric}_interval"))
                    for scores in splits.values()
                ),
            )
        )
    return [Table("Reconstruction, mean over images", columns, tuple(rows), note="In brackets: 95 % intervals.")]


@torch.no_grad()
def valid_grid(network: nn.Module, images: DeviceImages, size: int, bf16: bool) -> "Figure":
    """A grid of originals, reconstructions and errors, for pictures spread evenly over valid."""
    rows = images.packed.rows("valid")
    chosen = rows[torch.linspace(0, len(rows) - 1, min(GRID_COLUMNS, len(rows))).long().numpy()]
    originals = next(images.in_order(chosen, GRID_COLUMNS, size))
    network.eval()
    return reconstruction_grid(originals.cpu(), reconstruct_batch(network, originals, bf16).cpu())


def print_setup(run: TrainingRun[TrainConfig, PackedImages], network: nn.Module) -> None:
    """Print the data, the code and the device, before training."""
    config, catalog = run.config, run.packed.catalog
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid", "test")}
    echo(f"{numbers['train']:,} train, {numbers['valid']:,} valid, {numbers['test']:,} test pictures.")
    if catalog.valid_was_cut:
        echo("There is no valid split: a tenth of train was taken for it, variants of one artwork together.")
    side = config.size // 8
    code = f"{config.code} numbers" if config.code else f"{side} × {side} × {config.channels} numbers"
    reduction = 3 * config.size**2 / (config.code or config.channels * side**2)
    objective = "" if config.objective == "none" else f"; auxiliary objective: {config.objective}"
    echo(f"A code of {code}, {reduction:.0f} times fewer than the picture has{objective}.")
    weights = sum(p.numel() for p in network.parameters())
    processes = f", {run.world} processes" if run.world > 1 else ""
    precision = "bf16" if run.bf16 else "fp32"
    echo(
        f"{weights / 1e6:.1f} M parameters, {config.epochs} epochs at {config.size} px, on {run.device}, {precision}"
        f"{processes}."
    )
