"""`wikiart-stylegen train`: the loop, readable from top to bottom."""

import copy
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from wikiart_autoencode.evaluation.image_metrics import psnr
from wikiart_autoencode.losses import reconstruction_loss
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment
from wikiart_data.images.batches import Batches, DeviceImages, step_seed
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.packed import pack
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.loop import (
    average_gradients,
    check_finite,
    check_training_data,
    options_for_resume,
    update_ema,
    warmup_cosine,
)
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_stylegen.checkpoint import make_network
from wikiart_stylegen.config import TrainConfig
from wikiart_stylegen.critic import StyleNet
from wikiart_stylegen.figures import learning_curve, style_grid
from wikiart_stylegen.losses import (
    content_cycle,
    edge_distance,
    hidden,
    hinge_painter,
    other_styles,
    statistics_distance,
)
from wikiart_stylegen.network import StyleAutoencoder
from wikiart_stylegen.teaching import Watchers, teach_critic, teach_namer

EPOCHS, EPOCHS_ON_SAMPLE = 40, 10
"""Where --epochs does not say."""
CROPS = Augment(crop=(0.6, 1.0), brightness=0.0, contrast=0.0)
"""How training pictures change: colours and contrast are style, so they stay."""
CRITIC_LR = 5e-4
NAMER_LR, NAMER_DECAY, NAMER_REST = 0.02, 0.1, 0.1
"""Of the style network: peak learning rate, weight decay, and the share of that rate left after its lessons."""
STRUCTURE = 0.1
"""Weight of SSIM in reconstruction."""
NULL = 0.1
"""Share of pictures that are rebuilt under the null style, which so becomes the style of no style."""
GRID_EVERY, SHOWN = 5, 6
"""A grid of so many pictures of valid is drawn every so many epochs."""


@dataclass
class Optimizers:
    """The painter's, the style network's, and that of critic and probe: saved and resumed as one."""

    painter: torch.optim.Optimizer
    namer: torch.optim.Optimizer
    critic: torch.optim.Optimizer

    def state_dict(self) -> dict[str, Any]:
        """All states."""
        return {name: optimizer.state_dict() for name, optimizer in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put all back."""
        for name, optimizer in vars(self).items():
            optimizer.load_state_dict(state[name])


def train(config: TrainConfig) -> None:
    """Train, write the run's folder and the grid.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    run, result = fit(config)
    if result is None:
        return
    echo(f"\nRebuilt in their own style, pictures of valid reach {result['psnr']:.2f} dB.")
    echo(f"Trained for {result['train_seconds']:.0f} s. Everything is in {run.folder}/ (open index.html).")
    echo(f"Does it paint in the styles? wikiart-stylegen evaluate {run.folder} --judge JUDGE")


def fit(config: TrainConfig) -> tuple[Run, dict[str, Any] | None]:
    """Train and write the run's folder.

    Returns:
        The run and what its result.json holds; None in processes other than the main one.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    accelerator = create_accelerator(config.device)
    run = None
    if config.resume:
        run = Run.resume(config.resume, "stylegen", accelerator=accelerator)
        config = options_for_resume(config, run.record)
    root = find_data(config.data, config.cache_dir)
    epochs = config.epochs or (EPOCHS_ON_SAMPLE if is_sample_set(root) else EPOCHS)
    if config.conditioning == "film" and config.lessons >= epochs:
        raise InputError(f"--lessons {config.lessons} leaves none of the {epochs} epochs for painting.")
    config = replace(config, epochs=epochs, data=str(root))
    catalog = scan(root, cache_dir=config.cache_dir)
    packed = pack(catalog, config.size, cache_dir=config.cache_dir, max_bad_fraction=config.bad_limit)
    check_training_data(packed, config.batch_size, accelerator.num_processes)
    if len(catalog.styles) < 2:
        raise InputError(f"{root} has one style only: there is none to repaint in.")
    if run is None:
        run = Run.start("stylegen", config, catalog, accelerator=accelerator)
    elif run.record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {run.folder} was started: train anew.")

    device, bf16 = accelerator.device, use_bf16(accelerator.device, config.precision)
    torch.manual_seed(config.seed)
    batches = Batches(
        packed,
        packed.rows("train"),
        config.batch_size,
        device,
        power=config.power,
        augment=CROPS,
        bf16=bf16,
        seed=config.seed,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    number = len(catalog.styles)
    network = make_network(number, vars(config)).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    watchers = Watchers(number, config.channels).to(device, memory_format=torch.channels_last)
    learned = nn.ModuleDict({"network": network, "watchers": watchers})
    optimizers = Optimizers(
        Muon(muon_groups(network, config.lr, config.weight_decay)),
        Muon(muon_groups(watchers.namer, NAMER_LR, NAMER_DECAY)),
        torch.optim.Adam(
            [*watchers.critic.parameters(), *watchers.probe.parameters()], lr=CRITIC_LR, betas=(0.5, 0.99)
        ),
    )
    peaks = [group["lr"] for group in optimizers.painter.param_groups]
    namer_peaks = [group["lr"] for group in optimizers.namer.param_groups]
    lessons = 0 if config.conditioning == "concat" else config.lessons
    painting = config.epochs - lessons
    if accelerator.is_main_process:
        describe(config, catalog, network, device, bf16, accelerator.num_processes)

    progress = run.resumed({"learned": learned, "average": average}, optimizers) if config.resume else None
    progress = progress or {"epoch": 0, "step": 0, "sums": [0.0] * len(TERMS), "seconds": 0.0}
    seconds, first_step, sums = (progress[key] for key in ("seconds", "step", "sums"))
    run.listen()

    def stop(step: int) -> None:
        """Save in mid-epoch, where `epoch`, `sums` and `began` are, and leave."""
        check_finite(run.folder, epoch, learned, average)
        progress = {"epoch": epoch, "step": step, "sums": sums, "seconds": seconds + time.monotonic() - began}
        run.save({"learned": learned, "average": average}, optimizers, **progress)
        accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
        raise run.stop("wikiart-stylegen")

    for epoch in range(progress["epoch"], config.epochs):
        learned.train()
        began = time.monotonic()
        steps = batches.epoch(epoch, config.size, first_step)
        label = f"epoch {epoch + 1}/{config.epochs}"
        for step, (images, styles) in enumerate(track(steps, len(batches) - first_step, label, "steps"), first_step):
            generator = torch.Generator().manual_seed(step_seed(config.seed, epoch, step, stream=1))
            # Drawn for the whole batch, so that it is the same however many processes share it.
            wanted = other_styles(styles, number, generator, batches.shard)
            without = torch.rand(config.batch_size, generator=generator)[batches.shard].to(device) < NULL
            own = torch.where(without, network.null, styles)
            done = (epoch * len(batches) + step + 1) / len(batches)  # in epochs
            if config.conditioning == "film":
                share = max(NAMER_REST, warmup_cosine(min(1.0, done / max(lessons, 1))))
                for group, peak in zip(optimizers.namer.param_groups, namer_peaks, strict=True):
                    group["lr"] = peak * share
            if epoch < lessons:
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    value = teach_namer(accelerator, watchers, optimizers.namer, images, styles, None)
                run.check(value, epoch, step)
                if run.should_stop():
                    stop(step + 1)
                continue
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                code = network.encoder(images)
                # Grain cannot be where the picture has its own: asked to rebuild with it, the decoder would unlearn it.
                rebuilt = network.paint(code, network.embeddings(own), grain=None).float()
            terms = {"rebuild": reconstruction_loss(rebuilt, images, STRUCTURE, "charbonnier")}
            if config.conditioning == "film":
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    grain = step_seed(config.seed, epoch, step, stream=2)
                    painted = network.paint(code, network.embeddings(wanted), grain).float()
                    teach_namer(accelerator, watchers, optimizers.namer, images, styles, painted)
                    teach_critic(accelerator, watchers, optimizers.critic, images, painted, code, styles, wanted)
                    terms["real"] = hinge_painter(watchers.critic(painted, wanted).float())
                    ours = watchers.namer.statistics(painted)
                    terms["named"] = F.cross_entropy(watchers.namer.named(ours), wanted)
                    known = watchers.known
                    terms["statistics"] = statistics_distance(ours, known.means[wanted], known.spread)
                    terms["content"] = content_cycle(code, network.encoder(painted))
                    terms["hidden"] = hidden(watchers.probe(code))
                terms["edges"] = edge_distance(painted, images)
            loss = sum(getattr(config, name) * terms[name] for name in TERMS if name in terms)
            values = {name: term.item() for name, term in terms.items()}
            run.check(loss.item(), epoch, step)
            optimizers.painter.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            average_gradients(accelerator, network.parameters())
            for group, peak in zip(optimizers.painter.param_groups, peaks, strict=True):
                group["lr"] = peak * warmup_cosine((done - lessons) / painting)
            optimizers.painter.step()
            update_ema(average, network, config.ema, (epoch - lessons) * len(batches) + step)
            sums = [sum_ + values.get(name, 0.0) for sum_, name in zip(sums, TERMS, strict=True)]
            if run.should_stop():
                stop(step + 1)
        seconds += time.monotonic() - began
        check_finite(run.folder, epoch, learned, average)
        decibels, named = looked_at(average, watchers.namer, batches.pictures, config.size, bf16)
        run.keep(average)
        last = epoch + 1 == config.epochs
        if run.is_main and epoch >= lessons and (epoch % GRID_EVERY == GRID_EVERY - 1 or last):
            run.draw({"grid" if last else f"grid-{epoch + 1:03d}": grid(average, batches.pictures, config.size, bf16)})
        over_all = accelerator.reduce(torch.tensor(sums, device=device) / len(batches), "mean").tolist()
        means = dict(zip(TERMS, over_all, strict=True))
        left = seconds / (epoch + 1) * (config.epochs - epoch - 1)
        told = " ".join(f"{name} {value:.3f}" for name, value in means.items() if value)
        told = f"{told}  {decibels:.2f} dB" if epoch >= lessons else "styles are looked at"
        run.log(
            epoch,
            f"epoch {epoch + 1:3}/{config.epochs}  {told}  names {100 * named:.0f} %  {seconds:.0f} s, "
            f"{left:.0f} s left",
            seconds=round(seconds, 2),
            psnr=decibels,
            names=named,
            **means,
        )
        first_step, sums = 0, [0.0] * len(TERMS)
        progress = {"epoch": epoch + 1, "step": 0, "sums": sums, "seconds": seconds}
        run.save({"learned": learned, "average": average}, optimizers, **progress)

    accelerator.wait_for_everyone()
    result = None
    if accelerator.is_main_process:
        result = {
            "psnr": looked_at(average, watchers.namer, batches.pictures, config.size, bf16)[0],
            "train_seconds": round(seconds, 1),
            "parameters": sum(p.numel() for p in average.parameters()),
            "epochs": config.epochs,
        }
        run.finish(result, {"learning": learning_curve(run.metrics(), TERMS)})
    accelerator.end_training()
    return run, result


TERMS = ("rebuild", "real", "named", "statistics", "content", "edges", "hidden")
"""The painter's losses, each with a weight of its name in TrainConfig."""


@torch.no_grad()
def looked_at(
    network: StyleAutoencoder, namer: StyleNet, pictures: DeviceImages, size: int, bf16: bool
) -> tuple[float, float]:
    """Of valid: mean PSNR of pictures painted in their own style, in dB; share of styles the style network names."""
    network.eval()
    packed = pictures.packed
    rows = packed.rows("valid")
    found, right, start = [], 0, 0
    for images in pictures.in_order(rows, 128, size):
        styles = torch.from_numpy(packed.catalog.labels[rows[start : start + len(images)]]).to(images.device)
        start += len(images)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            rebuilt = network(images, styles)[0].float().clamp(0, 1)
            names = namer.named(namer.statistics(images))[:, : network.null].argmax(dim=1)
        found.append(psnr(rebuilt, images))
        right += int((names == styles).sum())
    return torch.cat(found).mean().item(), right / len(rows)


@torch.no_grad()
def grid(network: StyleAutoencoder, pictures: DeviceImages, size: int, bf16: bool) -> Any:
    """The figure pictures × styles, for pictures spread evenly over valid."""
    network.eval()
    packed = pictures.packed
    rows = packed.rows("valid")
    chosen = rows[torch.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).long().numpy()]
    images = next(pictures.in_order(chosen, SHOWN, size))
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        code = network.encoder(images)
        painted = [
            network.paint(code, network.embeddings.weight[style].expand(len(images), -1)).float().clamp(0, 1).cpu()
            for style in range(network.null)
        ]
    labels = packed.catalog.labels[chosen]
    return style_grid(images.cpu(), torch.stack(painted, dim=1), labels.tolist(), packed.catalog.styles)


def describe(
    config: TrainConfig, catalog: Catalog, network: nn.Module, device: torch.device, bf16: bool, processes: int
) -> None:
    """Say what is about to happen."""
    numbers = {split: int(catalog.counts(split).sum()) for split in ("train", "valid")}
    echo(f"{numbers['train']:,} train, {numbers['valid']:,} valid pictures of {len(catalog.styles)} styles.")
    weights = sum(p.numel() for p in network.parameters())
    where = f"{device}, {'bf16' if bf16 else 'fp32'}" + (f", {processes} processes" if processes > 1 else "")
    side = config.size // 8
    echo(
        f"Content code {side} × {side} × {config.channels}, style embeddings of {config.style} numbers "
        f"({config.conditioning})."
    )
    echo(f"{weights / 1e6:.1f} M parameters, {config.epochs} epochs at {config.size} px, on {where}.")
