"""A small training loop, which the tests of TrainingRun interrupt, resume and break."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.images.catalog import scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_data.training.training_run import LOG_INTERVAL, TrainingRun

from .conftest import net

PART = Part("classify", "A classifier", "wikiart-classify")
STEPS = 2 * LOG_INTERVAL + 5


@dataclass(frozen=True)
class TrainOptions:
    data: str | None = None
    runs: Path = Path("runs")
    name: str | None = None
    overwrite: bool = False
    resume: Path | None = None
    batch_size: int | None = None
    epochs: int | None = None
    lr: float = 0.05
    seed: int = 7
    device: str = "cpu"
    compile: bool = False
    report_to: str = "none"
    cache_dir: Path | None = None


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    batch_size: int = 1_000
    epochs: int = 2


def resolve_config(options: TrainOptions, root: Path) -> TrainConfig:
    values = {name: value for name, value in vars(options).items() if value is not None}
    return TrainConfig(**values)


def load_packed(config: TrainConfig) -> PackedImages:
    assert config.data is not None
    return pack(scan(config.data), 8)


def loss_on_batch(model: nn.Module, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(8, 3, generator=generator), torch.randint(0, 4, (8,), generator=generator)
    return nn.functional.cross_entropy(model(x), y)


def fit(options: TrainOptions, at_step: Callable[[int, int, nn.Module], None] | None = None) -> tuple:
    """A small training loop; `at_step(epoch, step, model)` is called in each step."""
    run = TrainingRun.open(PART, options, resolve_config, load_packed)
    model, ema = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=run.config.lr, momentum=0.9)
    scheduler = LambdaLR(optimizer, warmup_cosine(run.config.epochs * STEPS))
    run.compile(model)
    run.attach(model=model, ema=ema, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(run.config.epochs):
        model.train()
        for step, seed in run.steps(range(epoch * STEPS + run.first_step, (epoch + 1) * STEPS), STEPS):
            loss = loss_on_batch(model, seed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            update_ema(ema, model, 0.99, epoch * STEPS + step)
            run.record_losses(loss=loss)
            if at_step:
                at_step(epoch, step, model)
        run.save_model(ema)
        run.log(f"epoch {epoch + 1}", loss=run.losses["loss"])
    run.close()
    return run, model, ema


def interrupt_at(epoch: int, step: int, number: signal.Signals = signal.SIGTERM) -> Callable[..., None]:
    def at_step(e: int, s: int, model: nn.Module) -> None:
        if (e, s) == (epoch, step):
            os.kill(os.getpid(), number)

    return at_step
